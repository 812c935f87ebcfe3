"""What is measured of an engine: its steps in order, and what their code shares."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from tensorbundle.cli.model import Model

__all__ = ["FIRST_TENSOR", "LOAD", "MAP", "OPERATIONS", "RELOAD", "SAVE", "VERIFY", "Engine",
           "Step", "as_torch", "silent_stderr", "touch", "touch_torch"]  # fmt: skip

SAVE: Final = "save"
LOAD: Final = "load"
RELOAD: Final = "load again"
MAP: Final = "map"
FIRST_TENSOR: Final = "first"
VERIFY: Final = "verify"
OPERATIONS: Final = (SAVE, LOAD, RELOAD, MAP, FIRST_TENSOR, VERIFY)

_PAGE = 4096  # bytes


class Step(NamedTuple):
    """One measured piece of work; what it returns is released after the clock stops."""

    operation: str
    guarantee: str
    run: Callable[[], Any]


class Engine(Protocol):
    """A way to save and load a model."""

    version: str

    def steps(self, directory: str) -> Sequence[Step]:
        """Give the work to be done in an empty directory, in order."""
        ...


def touch(array: np.ndarray[Any, Any]) -> int:
    """Read a byte of each page of a tensor."""
    return int(array.reshape(-1).view(np.uint8)[::_PAGE].sum())


def touch_torch(tensor: Any) -> int:
    """Do the same for a torch tensor."""
    torch: Any = importlib.import_module("torch")
    # As bytes: NumPy has no bfloat16.
    return touch(tensor.reshape(-1).view(torch.uint8).numpy())


def as_torch(model: Model) -> dict[str, Any]:
    """Give the model's memory as torch tensors; nothing is copied."""
    torch: Any = importlib.import_module("torch")
    return {name: _torch_view(torch, array) for name, array in model.tensors.items()}


def _torch_view(torch: Any, array: np.ndarray[Any, Any]) -> Any:
    if array.dtype.name != "bfloat16":
        return torch.from_numpy(array)
    return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Drop what is written to standard error, by C code too."""
    kept = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)
