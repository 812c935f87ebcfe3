"""Where tensors go: what ``torch.load`` takes as ``map_location``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from tensorbundle.errors import UnsupportedError

__all__ = ["CPU", "Locator", "MapLocation"]

Function = Callable[[torch.UntypedStorage, str], torch.UntypedStorage | None]
MapLocation = str | torch.device | Mapping[str, str | torch.device] | Function | None

CPU = torch.device("cpu")

# What torch raises for a device that it does not know, was not built for, or lacks.
_ABSENT = (RuntimeError, AssertionError, ImportError, TypeError)


class Locator:
    """Chooses each tensor's device, and puts it there."""

    def __init__(self, map_location: MapLocation, path: str) -> None:
        self._function: Function | None = None
        self._mapping: Mapping[str, Any] = {}
        self._everywhere: torch.device | None = None
        self._path = path
        self._found: dict[str, torch.device] = {}
        if isinstance(map_location, Mapping):
            self._mapping = map_location
        elif isinstance(map_location, (str, torch.device)):
            self._everywhere = _asked_for(map_location)
        elif callable(map_location):
            self._function = map_location
        elif map_location is not None:
            raise TypeError(
                "map_location must be a str, a torch.device, a dict, a function or None, not "
                f"{type(map_location).__name__}"
            )

    def device(self, saved: str) -> torch.device:
        """Give the device for a tensor that was saved from `saved`.

        Raises
        ------
        ValueError
            `map_location` asks for a device that is not there.
        UnsupportedError
            The tensor was on a device that is not there, and no other was asked for.
        """
        if self._function is not None:
            return CPU
        found = self._found.get(saved)
        if found is None:
            found = self._found[saved] = self._look(saved)
        return found

    def _look(self, saved: str) -> torch.device:
        if self._everywhere is not None:
            return self._everywhere
        if saved in self._mapping:
            return _asked_for(self._mapping[saved])
        try:
            return _present(saved)
        except ValueError as error:
            raise UnsupportedError(
                f"{self._path}: tensors were saved from {saved!r}; {error}; "
                "give map_location='cpu', or a device that is there",
                code="MissingDevice",
                path=self._path,
            ) from None

    def move(self, tensor: torch.Tensor, saved: str) -> torch.Tensor:
        """Put a tensor on its device; one that is there already stays as it is."""
        if self._function is None:
            return tensor.to(self.device(saved))
        storage = self._function(tensor.untyped_storage(), saved)
        if storage is None:
            return tensor.to(self._look(saved))
        if not isinstance(storage, torch.UntypedStorage):
            raise TypeError(
                "map_location must return a storage or None, not "
                f"{type(storage).__module__}.{type(storage).__qualname__}"
            )
        made = torch.empty(0, dtype=tensor.dtype, device=storage.device)
        return made.set_(storage, 0, tensor.shape, tensor.stride())


def _asked_for(device: str | torch.device) -> torch.device:
    try:
        return _present(device)
    except ValueError as error:
        raise ValueError(f"map_location={str(device)!r}: {error}") from None


def _present(name: str | torch.device) -> torch.device:
    """Give a device that this process has."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except _ABSENT as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ValueError(f"this process has no such device ({reason})") from None
    return device
