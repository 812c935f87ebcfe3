"""What a restore by names writes to: variables of any framework, with their names.

`as_variable` asks each framework's module for its own kinds, as `tensors.as_view` does
for what is saved. Nothing is written before everything has been checked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from tensorbundle import dtypes
from tensorbundle import tensors as _tensors
from tensorbundle.frameworks import first_answer
from tensorbundle.stored_text import as_text

__all__ = [
    "Variable",
    "as_variable",
    "describe",
    "lasting",
    "memory_of",
    "named_variable",
    "named_variables",
    "variables_of",
]

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
    as for JAX arrays and numbers."""
    memory: Array | None = None
    """Its own memory, where a value of that shape and dtype can be read to."""
    refusal: str | None = None
    """Why it cannot be written though others of its kind can: read-only, for example."""
    replace: Callable[[Array], Any] | None = None
    """Where nothing can be written: puts another value in its place, and gives that."""

    @property
    def is_fixed(self) -> bool:
        """Whether it keeps its value: a new one can only be given to the caller."""
        return self.assign is None and self.replace is None

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
        """Write a checked value; give what has it now: if `is_fixed`, the array."""
        shape = array.shape if None in self.shape else self.shape
        shaped = array.reshape(shape)  # type: ignore[arg-type]
        if self.assign is not None:
            self.assign(shaped)
            return self.value
        return shaped if self.replace is None else self.replace(shaped)

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


def named_variable(name: str, value: Any) -> Variable:
    """Make a variable of what `save` takes; an error tells its name.

    Raises
    ------
    TypeError
        As `as_variable`.
    """
    try:
        return as_variable(value)
    except TypeError as error:
        raise TypeError(f"variable {name!r}: {error}") from None


def variables_of(target: Any) -> dict[str, Variable]:
    """Make variables of all that `named_variables` finds.

    What nothing can be written to, as JAX arrays, numbers and text, gives way to its new
    value in the mapping that holds it, where that can be changed.

    Raises
    ------
    TypeError, ValueError
        As `named_variables` and `as_variable`.
    """
    found = named_variables(target)
    variables = {name: named_variable(name, value) for name, value in found.items()}
    if isinstance(target, Mapping):
        for place in _tensors.places(target):
            variable = variables[as_text(place.name)]
            if variable.assign is None:
                variable.replace = _replacing(place)
    return variables


def lasting(target: Any) -> Any:
    """Give a target that can be asked for its variables again and again."""
    return list(target) if isinstance(target, Iterator) else target


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


def _replacing(place: _tensors.Place) -> Callable[[Array], Any] | None:
    """Give what puts another value in a place; ``None`` where that cannot be."""
    make = _maker(place.value)
    if make is None or not _takes_entries(place):
        return None

    def replace(array: Array) -> Any:
        new = make(array)
        place.holder[place.key] = new  # type: ignore[index]
        return new

    return replace


def _takes_entries(place: _tensors.Place) -> bool:
    """Tell whether a mapping can be changed: those that are frozen may yet be dicts."""
    try:
        place.holder[place.key] = place.value  # type: ignore[index]
    except (TypeError, ValueError, AttributeError, RuntimeError):
        return False
    return True


def _maker(value: Any) -> Callable[[Array], Any] | None:
    """Give what makes another value of the same kind, on the same devices, of an array."""
    # Only here: the graph's leaves are made of variables.
    from tensorbundle.checkpoint.adapters import Leaf
    from tensorbundle.checkpoint.lookup import adapter_of

    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "SUT":
        return partial(_as_fixed_text, value)
    try:
        adapter = adapter_of(value)
    except TypeError:  # an array of a library that we do not know
        return None
    return adapter.new_value if isinstance(adapter, Leaf) else None


def _as_fixed_text(value: Any, array: Array) -> Any:
    """Make text or bytes of one width each, unless NumPy would take zeros off their ends."""
    kind = value.dtype.kind
    elements = [e if kind == "S" else as_text(e) for e in array.ravel()]
    made = np.array(elements, value.dtype if kind == "T" else kind)
    if made.tolist() != elements:
        return array
    made = made.reshape(array.shape)
    return made[()] if isinstance(value, np.generic) else made


def _size(shape: Shape) -> int:
    size = 1
    for extent in shape:
        size *= extent or 0
    return size
