"""TensorFlow's DataType numbers (types.proto) and what NumPy makes of them."""

from __future__ import annotations

from typing import NamedTuple

import ml_dtypes
import numpy as np

STRING = 7
VARIANT = 21


class DType(NamedTuple):
    """How the elements of one dtype lie in a data file.

    `word` is the number of bytes that a big-endian file reverses at a time. `bits` is how
    many low bits of a byte are the value, 0 if all of them are.
    """

    number: int
    name: str
    numpy: np.dtype[np.generic]
    word: int
    bits: int = 0


def _plain(number: int, name: str, scalar: type[np.generic], word: int = 0) -> DType:
    dtype: np.dtype[np.generic] = np.dtype(scalar)
    return DType(number, name, dtype, word or dtype.itemsize)


def _narrow(number: int, name: str, bits: int) -> DType:
    # One element per byte, as in ml_dtypes' memory: int4 holds -1 as 0f, and takes ff for it.
    return DType(number, name, np.dtype(getattr(ml_dtypes, name)), 1, bits)


# The first dtype that has a NumPy type is what an array of that type is written as; so the
# quantized ones, which are plain integers in NumPy, come last.
_ALL = (
    _plain(1, "float32", np.float32),
    _plain(2, "float64", np.float64),
    _plain(3, "int32", np.int32),
    _plain(4, "uint8", np.uint8),
    _plain(5, "int16", np.int16),
    _plain(6, "int8", np.int8),
    DType(STRING, "string", np.dtype(object), 0),
    _plain(8, "complex64", np.complex64, word=4),  # each part is a word of its own
    _plain(9, "int64", np.int64),
    _plain(10, "bool", np.bool_),
    _plain(14, "bfloat16", ml_dtypes.bfloat16),
    _plain(17, "uint16", np.uint16),
    _plain(18, "complex128", np.complex128, word=8),
    _plain(19, "float16", np.float16),
    _plain(22, "uint32", np.uint32),
    _plain(23, "uint64", np.uint64),
    _plain(24, "float8_e5m2", ml_dtypes.float8_e5m2),
    _plain(25, "float8_e4m3fn", ml_dtypes.float8_e4m3fn),
    _plain(26, "float8_e4m3fnuz", ml_dtypes.float8_e4m3fnuz),
    _plain(27, "float8_e4m3b11fnuz", ml_dtypes.float8_e4m3b11fnuz),
    _plain(28, "float8_e5m2fnuz", ml_dtypes.float8_e5m2fnuz),
    _narrow(29, "int4", 4),
    _narrow(30, "uint4", 4),
    _narrow(31, "int2", 2),
    _narrow(32, "uint2", 2),
    _narrow(33, "float4_e2m1fn", 4),
    _plain(11, "qint8", np.int8),
    _plain(12, "quint8", np.uint8),
    _plain(13, "qint32", np.int32),
    _plain(15, "qint16", np.int16),
    _plain(16, "quint16", np.uint16),
    DType(VARIANT, "variant", np.dtype(object), 0),
)

DTYPES = {dtype.number: dtype for dtype in _ALL}


def dtype_of(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> DType:
    """Return the dtype that an array is stored as when the caller names none.

    Raises
    ------
    TypeError
        TensorFlow has no such dtype.
    """
    native = array.dtype.newbyteorder("=") if array.dtype.kind in "iufc" else array.dtype
    for dtype in _ALL:
        if dtype.numpy == native:
            return dtype
    raise TypeError(f"no TensorFlow dtype for NumPy's {array.dtype}")
