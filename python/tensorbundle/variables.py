"""What a restore by names writes to: variables of any framework, with their names.

`as_variable` asks each framework's module for its own kinds, as `tensors.as_view` does
for what is saved. Nothing is written before everything has been checked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tensorbundle import dtypes
from tensorbundle import tensors as _tensors
from tensorbundle.frameworks import first_answer
from tensorbundle.stored_text import as_text

__all__ = ["Variable", "as_variable", "describe", "memory_of", "named_variables"]

Array = np.ndarray[Any, Any]
Shape = tuple[int | None, ...]


@dataclasses.dataclass(slots=True)
class Variable:
    """A place for one tensor's value."""

    value: Any
    """What the user holds."""
    shape: Shape
    """``None`` for a dimension that may have any size."""
    dtype: np.dtype[Any]
    """As `load` gives it: ``object`` for strings."""
    assign: Callable[[Array], object] | None
    """Writes an array of that shape and dtype; ``None`` where nothing can be written,
    as for JAX arrays and numbers: their new values can only be returned."""
    memory: Array | None = None
    """Its own memory, where a value of that shape and dtype can be read to."""
    refusal: str | None = None
    """Why it cannot be written though others of its kind can: read-only, for example."""

    def mismatch(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], *, reshape: bool = False
    ) -> str | None:
        """Say why a stored tensor cannot be taken; ``None`` if it can.

        With `reshape` the number of elements must agree, not the shape.
        """
        if self.refusal is not None:
            return self.refusal
        faults = []
        if not (self._has_size_of(shape) if reshape else self._takes_shape(shape)):
            faults.append(f"shape {shape} in the checkpoint, {self.shape} here")
        if dtype != self.dtype:
            stored, own = dtypes.shown(dtype), dtypes.shown(self.dtype)
            faults.append(f"dtype {stored} in the checkpoint, {own} here")
        return " and ".join(faults) or None

    def put(self, array: Array) -> Any:
        """Write a checked value; give the variable, or the array if it takes none."""
        shape = array.shape if None in self.shape else self.shape
        shaped = array.reshape(shape)  # type: ignore[arg-type]
        if self.assign is None:
            return shaped
        self.assign(shaped)
        return self.value

    def _takes_shape(self, shape: tuple[int, ...]) -> bool:
        return len(shape) == len(self.shape) and all(
            own in (None, stored) for own, stored in zip(self.shape, shape, strict=True)
        )

    def _has_size_of(self, shape: tuple[int, ...]) -> bool:
        if None in self.shape:
            return self._takes_shape(shape)
        return _size(self.shape) == _size(shape)


def as_variable(value: Any) -> Variable:
    """Make a variable of what `save` takes.

    Raises
    ------
    TypeError
        It is no tensor, or one whose values are not here.
    """
    if isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray):
        return _of_array(value)
    found: Variable | None = first_answer("as_variable", value)
    if found is not None:
        return found
    array, number, _ = _tensors.as_view(value)
    return Variable(value, array.shape, dtypes.as_loaded(array.dtype, number), None)


def named_variables(target: Any) -> dict[str, Any]:
    """Give the variables of a model, a nested mapping or a list, by their names.

    Keys of nested mappings are joined by "/"; torch modules have the names of their
    ``state_dict()``, Keras variables their paths, TensorFlow's their names without ":0".

    Raises
    ------
    TypeError
        `target` is none of these, or a list holds what has no name.
    ValueError
        Two variables have the same name.
    """
    named: dict[str, Any] = {}
    for name, value in _pairs(target):
        if name in named:
            raise ValueError(f"two variables have the name {name!r}; give a dict")
        named[name] = value
    return named


def memory_of(array: Array) -> Array | None:
    """Give an array whose memory a tensor of its dtype can be read to as it is stored."""
    is_plain = (
        type(array) is np.ndarray
        and array.flags.carray
        and array.dtype.isnative
        and dtypes.number_of(array.dtype) is not None
    )
    return array if is_plain else None


def describe(problems: Iterable[str], *, most: int = 10) -> str:
    """Join lines for a message, and count those that are too many."""
    lines = list(problems)
    rest = [] if len(lines) <= most else [f"... and {len(lines) - most} more"]
    return "\n  ".join(["", *lines[:most], *rest])


def _pairs(target: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(target, Mapping):
        for name, value in _tensors.flatten(target):
            yield as_text(name), value
        return
    found = first_answer("named_variables", target)
    if found is not None:
        yield from found
        return
    if isinstance(target, (str, bytes)) or not isinstance(target, Iterable):
        raise TypeError(f"cannot find variables in a {type(target).__qualname__}; give a dict")
    for value in target:
        yield _name_of(value), value


def _name_of(value: Any) -> str:
    name: str | None = first_answer("name_of", value)
    if name is None:
        raise TypeError(f"a {type(value).__qualname__} has no name of its own; give a dict")
    return name


def _of_array(array: Array) -> Variable:
    dtype = dtypes.as_loaded(array.dtype)
    if array.dtype.kind in "SUT":  # of one width each: longer strings would be cut
        return Variable(array, array.shape, dtype, None)
    refusal = None if array.flags.writeable else "a read-only array"

    def assign(value: Array) -> None:
        array[...] = value

    return Variable(array, array.shape, dtype, assign, memory_of(array), refusal)


def _size(shape: Shape) -> int:
    size = 1
    for extent in shape:
        size *= extent or 0
    return size
