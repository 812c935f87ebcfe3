"""From what users hold to what the core saves.

A tensor of any framework becomes ``(name, DataType number, array)``, where the array is
a NumPy view of the tensor's own memory: nothing is copied here. A string tensor becomes
``(name, 7, (shape, [bytes, ...]))``.

No framework is imported: an object can only come from one that the caller has imported.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tensorbundle import dtypes

__all__ = ["Item", "adapt", "as_array", "flatten"]

Item = tuple[str | bytes, int, Any]

# Which module of tensorbundle.frameworks adapts the objects of which package.
_FRAMEWORKS = ("torch", "jax", "keras", "tensorflow")


def flatten(tensors: Mapping[Any, Any]) -> Iterator[tuple[str | bytes, Any]]:
    """Walk nested mappings; the path to a leaf, joined with "/", is its name."""
    if not isinstance(tensors, Mapping):
        raise TypeError(
            f"tensors must be a mapping from name to array, not {type(tensors).__name__}"
        )
    for key, value in tensors.items():
        if not isinstance(key, (str, bytes, int)):
            raise TypeError(f"a tensor's name must be str, not {type(key).__name__}: {key!r}")
        name = str(key) if isinstance(key, int) else key
        if not isinstance(value, Mapping):
            yield name, value
            continue
        for inner, leaf in flatten(value):
            if isinstance(name, bytes) or isinstance(inner, bytes):
                yield _as_bytes(name) + b"/" + _as_bytes(inner), leaf
            else:
                yield f"{name}/{inner}", leaf


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
        view = as_array(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"tensor {_shown(name)}: {error}") from None
    array, number = view
    if number is None or number == dtypes.STRING:
        return _adapt_array(name, array)
    return name, number, array


def as_array(value: Any) -> tuple[np.ndarray[Any, Any], int | None]:
    """View any framework's tensor as an array, with its DataType number where known.

    The array shares the tensor's memory wherever that is possible. Where NumPy lacks
    the dtype its bits are seen as an integer of the same size, and the number tells.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError("a masked array would lose its mask; save .filled() or .data")
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value), None
    for framework in _FRAMEWORKS:
        if framework in sys.modules:
            found: tuple[np.ndarray[Any, Any], int | None] | None = _adapter(framework)(value)
            if found is not None:
                return found
    if isinstance(value, (bool, int, float, complex, str, bytes)):
        return _from_scalar(value), None
    if hasattr(value, "__array_interface__") or hasattr(value, "__array__"):
        return np.asarray(value), None
    raise TypeError(
        f"cannot save a {type(value).__module__}.{type(value).__qualname__}; "
        "give a NumPy array, a torch, TensorFlow or JAX tensor, a number or a string"
    )


def _adapter(framework: str) -> Any:
    import importlib

    return importlib.import_module(f"tensorbundle.frameworks.{framework}").as_array


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
        return name, number, array
    if array.dtype.kind in "OSUT":
        return name, dtypes.STRING, (array.shape, _string_elements(name, array))
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
            elements.append(_as_bytes(element))
        else:
            raise TypeError(
                f"tensor {_shown(name)}: an object array must hold only str or bytes, "
                f"not {type(element).__name__}"
            )
    return elements


def _as_bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def _shown(name: str | bytes) -> str:
    return repr(name)
