"""What ``tensorbundle.torch.load`` does."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch

from tensorbundle import dtypes, reading
from tensorbundle.config import Config
from tensorbundle.core import _core
from tensorbundle.errors import CorruptionError, UnsupportedError
from tensorbundle.frameworks.torch.decoding import (
    BadStructureError,
    Decoder,
    UnknownVersionError,
    parse,
)
from tensorbundle.frameworks.torch.leaves import Source, check_leaf, make_base, make_tensor
from tensorbundle.frameworks.torch.locations import Locator, MapLocation
from tensorbundle.frameworks.torch.structure import STRUCTURE
from tensorbundle.loading import Loader
from tensorbundle.mapping import Mmap, Prefetch

__all__ = ["Stored", "load"]


def load(
    path: str | os.PathLike[str],
    map_location: MapLocation = None,
    mmap: Mmap = False,
    *,
    prefetch: Prefetch | None = None,
    verify: bool | None = None,
    backend: str | None = None,
    num_threads: int | None = None,
    block_size: int | None = None,
    queue_depth: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    config: Config | None = None,
) -> Any:
    """Load what `save` has saved; nothing in the file is run.

    Tensors that shared memory share it again, and what was one tensor in two places is
    one again. Lists and dicts are new ones in each place.

    Parameters
    ----------
    path
        As given to `save`.
    map_location
        Where tensors go, as for ``torch.load``: a device for all; a dict from the device
        a tensor was saved from to another; a function of a storage, on the CPU, and that
        device's name, which returns the storage to take, or ``None``. ``None``: back to
        where they were. ``"meta"`` reads no tensors.
    mmap
        ``False``: read in parallel into memory of its own, verified. ``True``: map the
        file. Pages are read when first touched; tensors may be written to, which copies
        the page for this process and never reaches the file. A tensor whose strides were
        not those of C order is copied. For tensors that go to another device, and where
        maps are dangerous (see `tensorbundle.load`), it is as if it were ``False``.
    prefetch, verify, backend, num_threads, block_size, queue_depth, progress, config
        As for `tensorbundle.load`: ``verify=None`` compares checksums where tensors are
        read, and not where they are mapped.

    Returns
    -------
    object
        What was saved: containers and values of the same types, tensors of the same
        dtypes, shapes, strides where their elements lay densely, ``requires_grad``, and
        parameters as such. Named tuples are of a new type with the same name and fields.

    Raises
    ------
    FileNotFoundError
        There is no checkpoint of that name.
    UnsupportedError
        The checkpoint was not saved by `save`, or by a later version of it; or tensors
        were saved from a device that is not here, and `map_location` does not say where
        they shall go.
    CorruptionError
        A checksum does not agree, or the JSON does not describe what is there.
    ValueError
        `map_location` names a device that is not here; an option is unknown.
    OSError
        Any other failure of the operating system; ``errno`` says which.

    Examples
    --------
    >>> state = tbt.load("run/state", map_location="cpu", mmap=True)  # doctest: +SKIP
    >>> model.load_state_dict(state["model"], assign=True)  # doctest: +SKIP
    """
    loader = Loader.of(
        path, mmap=mmap, prefetch=prefetch, writable=True, verify=verify, backend=backend,
        num_threads=num_threads, block_size=block_size, queue_depth=queue_depth,
        progress=progress, config=config,
    )  # fmt: skip
    locator = Locator(map_location, loader.path)
    return loader.run(lambda core: Stored(core, loader).load(locator))


class Stored:
    """A checkpoint of `save`, opened: its JSON is checked against its entries."""

    def __init__(self, core: _core.Bundle, loader: Loader) -> None:
        self._core = core
        self._loader = loader
        self.sources: dict[str, Source] = {}
        """The entries that tensors and arrays are made of."""
        try:
            self._node = parse(self._text())
            Decoder(self._check).decode(self._node)
        except BadStructureError as error:
            unknown = isinstance(error, UnknownVersionError)
            raise (UnsupportedError if unknown else CorruptionError)(
                f"{loader.path}: {STRUCTURE} does not describe the checkpoint: {error}",
                code="UnknownStructure" if unknown else "BadStructure",
                path=loader.path,
                key=STRUCTURE,
            ) from None

    def load(self, locator: Locator) -> Any:
        """Read the tensors and make the object."""
        names = [
            name
            for name, source in self.sources.items()
            if locator.device(source.device).type != "meta" or source.is_host
        ]
        arrays = self._loader.read(self._core, names, {})
        bases: dict[str, torch.Tensor] = {}

        def make(tag: str, node: dict[str, Any]) -> Any:
            if tag != "$tensor":
                return arrays[node[tag] if tag == "$array" else node[tag]["entry"]]
            name = node[tag]
            if name not in bases:
                source = self.sources[name]
                made = make_base(source, arrays.get(name))
                bases[name] = locator.move(made, source.device)
            return make_tensor(node, bases[name])

        return Decoder(make).decode(self._node)

    def _text(self) -> bytes:
        if not reading.has(self._core, STRUCTURE):
            raise UnsupportedError(
                f"{self._loader.path}: was not saved by tensorbundle.torch.save; "
                "tensorbundle.load gives its tensors by their names",
                code="NoStructure",
                path=self._loader.path,
            )
        number, shape = self._look(STRUCTURE)
        if number != dtypes.STRING or shape != ():
            raise BadStructureError("it is not one string")
        options = reading.read_options(verify=True)
        found = reading.read_tensors(self._core, [STRUCTURE], options)[0][0]
        return bytes(found.item())

    def _check(self, tag: str, node: dict[str, Any]) -> Any:
        return check_leaf(tag, node, self.sources, self._look)

    def _look(self, name: str) -> tuple[int, tuple[int, ...]]:
        if not reading.has(self._core, name):
            raise BadStructureError(f"there is no entry {name!r}")
        found = reading.find(self._core, name)
        return found[0], tuple(found[1])
