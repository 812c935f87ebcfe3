"""The element types of the format, as NumPy dtypes.

The numbers are those of TensorFlow's ``types.proto``. What NumPy lacks (bfloat16, the
8-bit floats, the 4- and 2-bit integers) comes from ml_dtypes.
"""

from __future__ import annotations

from typing import Any, Final

import ml_dtypes
import numpy as np

from tensorbundle.core import _core

__all__ = [
    "KINDS",
    "NAMES",
    "NUMBERS",
    "STRING",
    "TO_NUMPY",
    "TF_NAMES",
    "VARIANT",
    "as_loaded",
    "number_of",
    "numpy_dtype",
    "shown",
]

STRING: Final = 7
VARIANT: Final = 21

# TensorFlow's own reader gives its quantized types as the plain integers they hold.
_PLAIN = {"qint8": "int8", "quint8": "uint8", "qint16": "int16", "quint16": "uint16",
          "qint32": "int32"}  # fmt: skip

NAMES: Final[dict[int, str]] = {number: name for number, name, _, _ in _core.dtypes()}
TF_NAMES: Final[dict[int, str]] = {number: name for number, _, name, _ in _core.dtypes()}


def _to_numpy(name: str) -> np.dtype[Any]:
    name = _PLAIN.get(name, name)
    return np.dtype(getattr(ml_dtypes, name, name))


TO_NUMPY: Final[dict[int, np.dtype[Any]]] = {
    number: _to_numpy(name) for number, name, _, size in _core.dtypes() if size > 0
}
# Native byte order only.
NUMBERS: Final[dict[np.dtype[Any], int]] = {
    TO_NUMPY[number]: number for number in TO_NUMPY if NAMES[number] not in _PLAIN
}

# The kinds of dtypes, as NumPy's letters, that a value of Python's own can be taken from.
KINDS: Final[dict[type, str]] = {
    bool: "b", int: "iu", float: "f", complex: "c", str: "O", bytes: "O",
}  # fmt: skip


def number_of(dtype: np.dtype[Any]) -> int | None:
    """Give the DataType number of a fixed-size dtype in either byte order, or ``None``."""
    number = NUMBERS.get(dtype)
    if number is None and dtype.byteorder == ">":
        number = NUMBERS.get(dtype.newbyteorder("="))
    return number


def numpy_dtype(number: int) -> np.dtype[Any]:
    """Give the dtype of the arrays that `load` makes; strings come as objects."""
    return TO_NUMPY.get(number, np.dtype(object))


def as_loaded(dtype: np.dtype[Any], number: int | None = None) -> np.dtype[Any]:
    """Give the dtype that `load` has for a tensor saved from an array of `dtype`.

    `number` is its DataType, where the array's dtype does not tell.
    """
    found = number_of(dtype) if number is None else number
    return np.dtype(object) if found is None else numpy_dtype(found)


def shown(dtype: np.dtype[Any]) -> str:
    """Name a dtype, as `load` has it, in a message."""
    return "string" if dtype.kind == "O" else str(dtype)
