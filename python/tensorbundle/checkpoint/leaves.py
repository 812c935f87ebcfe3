"""Adapters for what is one tensor: NumPy arrays, Python's numbers and strings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorbundle import dtypes
from tensorbundle.bundle import Entry
from tensorbundle.checkpoint.adapters import Array, Leaf
from tensorbundle.object_graph import Attribute
from tensorbundle.stored_text import as_text
from tensorbundle.variables import memory_of

__all__ = [
    "SCALARS",
    "ArrayLeaf",
    "Counter",
    "CounterLeaf",
    "NewLeaf",
    "ScalarLeaf",
]

SCALARS = (bool, int, float, complex, str, bytes, np.generic)


class ArrayLeaf(Leaf):
    """A NumPy array, filled in place; one that is read-only is replaced."""

    def __init__(self, obj: Array) -> None:
        super().__init__(obj)
        self.in_place = bool(obj.flags.writeable)

    def target(self) -> Any:
        return memory_of(self.obj)

    def shape_and_dtype(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        return self.obj.shape, dtypes.as_loaded(self.obj.dtype)

    def set_value(self, value: Array) -> None:
        self.obj[...] = self._like(value)

    def new_value(self, value: Array) -> Any:
        return np.array(self._like(value), dtype=self.obj.dtype)

    def _like(self, value: Array) -> Any:
        """Give text where the array holds text, bytes where it holds bytes."""
        is_text = self.obj.dtype.kind in "UT" or (
            self.obj.dtype == object and self.obj.size and isinstance(self.obj.flat[0], str)
        )
        if not is_text or value.dtype != object:
            return value
        decoded = np.empty(value.shape, dtype=object)
        decoded.flat[:] = [as_text(element) for element in value.ravel()]
        return decoded


class ScalarLeaf(Leaf):
    """A number or a string: it has no identity, so another takes its place."""

    shared = False
    in_place = False

    def refusal(self, attribute: Attribute, entry: Entry) -> str | None:
        if isinstance(self.obj, np.generic):
            return super().refusal(attribute, entry)
        if entry.shape != ():
            return f"shape {entry.shape} in the checkpoint, () here"
        # Python's numbers have no dtype: a program that sets 0 at first may have saved 0.5.
        if (entry.dtype == object) != isinstance(self.obj, (str, bytes)):
            return (
                f"dtype {entry.dtype_name} in the checkpoint, {type(self.obj).__name__} here"
            )
        return None

    def new_value(self, value: Array) -> Any:
        if isinstance(self.obj, np.generic):
            return value[()]
        if isinstance(self.obj, str):
            return type(self.obj)(as_text(value.item()))
        kind = next(dtypes.KINDS[c] for c in type(self.obj).__mro__ if c in dtypes.KINDS)
        stored = "f" if value.dtype.kind == "V" else value.dtype.kind
        return type(self.obj)(value.item()) if stored in kind else value.item()


class Counter:
    """How often a checkpoint was saved."""

    def __init__(self) -> None:
        self.value = 0


class CounterLeaf(Leaf):
    """A counter, as TensorFlow saves its own: a variable of 64 bits."""

    full_name = "save_counter"

    def tensor(self) -> Any:
        return np.int64(self.obj.value)

    def set_value(self, value: Array) -> None:
        self.obj.value = int(value)


class NewLeaf(Leaf):
    """A value that the object does not have yet; it takes whatever was saved."""

    shared = False
    in_place = False

    def __init__(self, make: Callable[[Array], Any]) -> None:
        super().__init__(None)
        self._make = make

    def refusal(self, attribute: Attribute, entry: Entry) -> str | None:
        return None

    def new_value(self, value: Array) -> Any:
        return self._make(value)
