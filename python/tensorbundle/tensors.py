"""From what users hold to what the core saves.

A tensor of any framework becomes ``(name, DataType number, array)``, where the array is
a NumPy view of the tensor's own memory: nothing is copied here. A string tensor becomes
``(name, 7, (shape, [bytes, ...]))``, a variant the same of its serialized elements. Plain
NumPy arrays the core takes as they are.

No framework is imported: an object can only come from one that the caller has imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from tensorbundle import dtypes
from tensorbundle.core import _core
from tensorbundle.frameworks import first_answer
from tensorbundle.partitioned import Partitioned, as_sizes
from tensorbundle.stored_text import as_bytes

__all__ = [
    "Item",
    "Part",
    "Place",
    "Stream",
    "View",
    "adapt",
    "adapt_parts",
    "add_tensor",
    "as_view",
    "flatten",
    "gather",
    "places",
]

# Name, DataType number, array or string tensor, and what View.negated says.
Item = tuple[str | bytes, int, Any, int]

# Offsets, and the rest of an Item.
Part = tuple[tuple[int, ...], int, Any, int]


class View(NamedTuple):
    """A tensor's memory, seen as an array."""

    array: np.ndarray[Any, Any]
    number: int | None = None
    """The DataType, where the array's dtype does not tell it."""
    negated: int = 0
    """What torch has put off: 1 the imaginary parts, 2 all parts are to be negated."""


class Stream(NamedTuple):
    """A tensor in memory that NumPy cannot see: on another device."""

    number: int
    """The DataType."""
    shape: tuple[int, ...]
    size: int
    """Bytes."""
    read: Callable[[int, memoryview], object]
    """Fills a buffer with the bytes from an offset on; any thread may call it."""


class Place(NamedTuple):
    """A leaf of nested mappings, and where it is."""

    name: str | bytes
    """As `gather` names it."""
    value: Any
    holder: Mapping[Any, Any]
    """The mapping that has it."""
    key: Any
    """Its key there."""


def gather(tensors: Mapping[Any, Any]) -> _core.SavedTensors:
    """Hand all tensors of nested mappings to the core, in their order.

    The path to a tensor, joined with "/", is its name. What is returned keeps the
    tensors' memory.

    Raises
    ------
    TypeError
        `tensors` is no mapping, a key is no name, or as `adapt`.
    ValueError
        A mapping contains itself.
    """
    if not isinstance(tensors, Mapping):
        raise TypeError(
            f"tensors must be a mapping from name to array, not {type(tensors).__name__}"
        )
    gathered = _core.SavedTensors(dtypes.NUMBERS)
    _gather(tensors, "", [], gathered)
    return gathered


def _gather(
    tensors: Mapping[Any, Any],
    path: str | bytes,
    outer: list[int],
    gathered: _core.SavedTensors,
) -> None:
    """Hand over `tensors`, whose names begin with `path`; `outer` has the ids around it."""
    _enter(tensors, outer)
    items, encoded = iter(tensors.items()), as_bytes(path)
    while (rest := gathered.take_plain(items, encoded)) is not None:
        key, value = rest
        name = _joined(path, _as_name(key))
        if isinstance(value, Mapping):
            _gather(value, _joined(name, "/"), outer, gathered)
        elif isinstance(value, Partitioned):
            gathered.add_partitioned(name, *adapt_parts(name, value), value.partial)
        else:
            add_tensor(gathered, name, value)
    outer.pop()


def add_tensor(gathered: _core.SavedTensors, name: str | bytes, value: Any) -> None:
    """Hand one tensor to the core.

    Raises
    ------
    TypeError
        As `adapt`.
    """
    stream = first_answer("as_stream", value, ("torch",))
    if stream is not None:
        gathered.add_stream(name, *stream)
    else:
        gathered.add(*adapt(name, value))


def flatten(tensors: Mapping[Any, Any]) -> Iterator[tuple[str | bytes, Any]]:
    """Walk nested mappings; give each leaf with its name, as `gather` names it."""
    return ((place.name, place.value) for place in places(tensors))


def places(tensors: Mapping[Any, Any]) -> Iterator[Place]:
    """Walk nested mappings; give each leaf with where it is."""
    return _places(tensors, "", [])


def _places(
    tensors: Mapping[Any, Any], path: str | bytes, outer: list[int]
) -> Iterator[Place]:
    _enter(tensors, outer)
    for key, value in tensors.items():
        name = _joined(path, _as_name(key))
        if isinstance(value, Mapping):
            yield from _places(value, _joined(name, "/"), outer)
        else:
            yield Place(name, value, tensors, key)
    outer.pop()


def _enter(tensors: Mapping[Any, Any], outer: list[int]) -> None:
    if id(tensors) in outer:
        raise ValueError("a mapping contains itself, so its tensors have no names")
    outer.append(id(tensors))


def _as_name(key: Any) -> str | bytes:
    if not isinstance(key, (str, bytes, int, np.integer)):
        raise TypeError(f"a tensor's name must be str, not {type(key).__name__}: {key!r}")
    return key if isinstance(key, (str, bytes)) else str(key)


def _joined(first: str | bytes, second: str | bytes) -> str | bytes:
    if isinstance(first, str) and isinstance(second, str):
        return first + second
    return as_bytes(first) + as_bytes(second)


def adapt(name: str | bytes, value: Any) -> Item:
    """Make the core's view of one tensor.

    Raises
    ------
    TypeError
        The format has no such dtype, or `value` is no dense tensor in host memory; the
        message names the tensor.
    """
    if type(value) is np.ndarray:
        return _adapt_array(name, value)
    try:
        view = as_view(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"tensor {_shown(name)}: {error}") from None
    if view.number == dtypes.VARIANT:
        return name, view.number, (view.array.shape, _string_elements(name, view.array)), 0
    if view.number is not None and view.number != dtypes.STRING:
        return name, view.number, view.array, view.negated
    return *_adapt_array(name, view.array)[:3], view.negated


def adapt_parts(name: str | bytes, value: Partitioned) -> tuple[tuple[int, ...], list[Part]]:
    """Make the core's views of a tensor's parts; give them with the full shape.

    Where they lie is for the core to check.

    Raises
    ------
    TypeError
        As `adapt`; offsets or sizes are no integers.
    ValueError
        There are no parts, or they differ in dtype; the message names the tensor.
    """
    full_shape = as_sizes(name, "full_shape", value.full_shape)
    parts: list[Part] = []
    for offsets, elements in value.parts:
        if isinstance(elements, (Mapping, Partitioned)):
            raise TypeError(f"tensor {_shown(name)}: a part must be an array")
        item = adapt(name, elements)
        parts.append((as_sizes(name, "offsets", offsets), *item[1:]))
    if not parts:
        raise ValueError(f"tensor {_shown(name)} has no parts")
    found = sorted({dtypes.NAMES[number] for _, number, _, _ in parts})
    if len(found) > 1:
        raise ValueError(
            f"tensor {_shown(name)}: its parts differ in dtype: {', '.join(found)}"
        )
    return full_shape, parts


def as_view(value: Any) -> View:
    """View any framework's tensor as an array.

    The array shares the tensor's memory wherever that is possible. Where NumPy lacks
    the dtype its bits are seen as an integer of the same size, and the number tells.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError("a masked array would lose its mask; save .filled() or .data")
    if isinstance(value, (np.ndarray, np.generic)):
        return View(np.asarray(value))
    found: View | None = first_answer("as_view", value)
    if found is not None:
        return found
    if isinstance(value, (bool, int, float, complex, str, bytes)):
        return View(_from_scalar(value))
    if hasattr(value, "__array_interface__") or hasattr(value, "__array__"):
        return View(np.asarray(value))
    refusal = f"cannot save a {type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, (list, tuple, set, frozenset)) or value is None:
        raise TypeError(
            f"{refusal}: a checkpoint of names holds arrays only; tensorbundle.torch.save and "
            "tensorbundle.jax.save keep lists and None around them, as in an optimizer's "
            "state_dict(), and tensorbundle.Checkpoint objects"
        )
    raise TypeError(
        f"{refusal}; give a NumPy array, a torch, TensorFlow or JAX tensor, a number or a "
        "string"
    )


def _from_scalar(value: bool | int | float | complex | str | bytes) -> np.ndarray[Any, Any]:
    if isinstance(value, (str, bytes)):
        array = np.empty((), dtype=object)
        array[()] = value
        return array
    array = np.asarray(value)
    if array.dtype == object:
        raise TypeError("an integer of more than 64 bits")
    return array


def _adapt_array(name: str | bytes, array: np.ndarray[Any, Any]) -> Item:
    number = dtypes.number_of(array.dtype)
    if number is not None:
        return name, number, array, 0
    if array.dtype.kind in "OSUT":
        return name, dtypes.STRING, (array.shape, _string_elements(name, array)), 0
    raise TypeError(
        f"tensor {_shown(name)}: the format has no dtype {array.dtype}; "
        "convert it to one of " + ", ".join(sorted({str(d) for d in dtypes.TO_NUMPY.values()}))
    )


def _string_elements(name: str | bytes, array: np.ndarray[Any, Any]) -> list[bytes]:
    elements = []
    for element in array.ravel().tolist():
        if isinstance(element, bytes):
            elements.append(element)
        elif isinstance(element, str):
            elements.append(as_bytes(element))
        else:
            raise TypeError(
                f"tensor {_shown(name)}: an object array must hold only str or bytes, "
                f"not {type(element).__name__}"
            )
    return elements


def _shown(name: str | bytes) -> str:
    return repr(name)
