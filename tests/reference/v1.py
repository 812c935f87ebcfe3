"""Reads and writes V1 checkpoints: tables of SavedTensorSlices (saved_tensor_slice.proto).

Every checksum is verified, one byte at a time. What TensorFlow 2.21's own reader gives up
on is read too: complex, half, quantized and more dtypes of several slices, any rank.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .coding import put_varint
from .dtypes import DTYPES, STRING, DType, dtype_of
from .elements import Array
from .errors import (
    BadEntry,
    BadHeader,
    BadSize,
    BadSlice,
    MissingSlice,
    OverlappingSlices,
    UnsupportedDType,
)
from .proto import (
    Extent,
    Fields,
    Slice,
    as_int64,
    checked_shape,
    decode_extent,
    encode_extent,
    put_message,
    put_scalar,
)
from .slices import encode_slice_key, resolve
from .table import build_table, read_table

__all__ = ["encode_record", "read_v1", "write_v1"]

Prefix = str | os.PathLike[str]

# tensor.proto: which field has a dtype's numbers, and their wire format.
_FIELDS = {
    1: (5, "<f4"),
    2: (6, "<f8"),
    **dict.fromkeys((3, 4, 5, 6, 11, 12, 13, 15, 16, 17), (7, "varint")),
    STRING: (8, "bytes"),
    8: (9, "<c8"),
    9: (10, "varint"),
    10: (11, "varint"),
    18: (12, "<c16"),
    14: (13, "bits"),
    19: (13, "bits"),
    22: (16, "varint"),
    23: (17, "varint"),
}


class _Tensor(NamedTuple):
    dtype: DType
    shape: tuple[int, ...]
    slices: list[tuple[Slice, dict[bytes, bytes]]]  # each with the table it is in


def read_v1(*paths: Prefix) -> dict[bytes, Array]:
    """Return all tensors of the files that together are one checkpoint.

    Raises
    ------
    FormatError
        As its subclasses; see `errors.py`.
    """
    tensors: dict[bytes, _Tensor] = {}
    for path in paths:
        table = dict(read_table(Path(path).read_bytes()))
        if b"" not in table:
            raise BadHeader(f"{path} has no list of tensors")
        meta = Fields(Fields(table[b""]).message(1))
        for message in meta.messages(1):
            _add(Fields(message), table, tensors)
    return {name: _assembled(name, tensor) for name, tensor in sorted(tensors.items())}


def _add(fields: Fields, table: dict[bytes, bytes], tensors: dict[bytes, _Tensor]) -> None:
    name, number = fields.message(1), fields.scalar(3)
    dims = Fields(fields.message(2)).messages(2)
    shape = checked_shape([as_int64(Fields(dim).scalar(1)) for dim in dims])
    if number not in _FIELDS:
        raise UnsupportedDType(f"{name!r} has dtype {number}")
    tensor = tensors.setdefault(name, _Tensor(DTYPES[number], shape, []))
    if (tensor.dtype.number, tensor.shape) != (number, shape):
        raise BadEntry(f"{name!r} is listed with another dtype or shape")
    for message in fields.messages(4):
        extents = tuple(decode_extent(extent) for extent in Fields(message).messages(1))
        tensor.slices.append((extents, table))


def _assembled(name: bytes, tensor: _Tensor) -> Array:
    out = np.empty(tensor.shape, tensor.dtype.numpy)
    seen = np.zeros(tensor.shape, bool)
    for extents, table in tensor.slices:
        region = resolve(extents, tensor.shape)
        key = encode_slice_key(name, extents)
        if key not in table:
            raise MissingSlice(f"{name!r} has no record of slice {extents}")
        saved = Fields(Fields(table[key]).message(2))
        if saved.message(1) != name:
            raise BadSlice(f"{name!r}: a record of {saved.message(1)!r}")
        if seen[region].any():
            raise OverlappingSlices(f"{name!r}: {extents} overlaps another slice")
        seen[region] = True
        values = _values(Fields(saved.message(3)), tensor.dtype)
        if values.size != prod(seen[region].shape):
            raise BadSize(f"{name!r}: {values.size} elements in slice {extents}")
        out[region] = values.reshape(seen[region].shape)[()]  # of a scalar: the element
    if not seen.all():
        raise MissingSlice(f"{name!r}: the slices do not cover {tensor.shape}")
    return out


def _values(tensor: Fields, dtype: DType) -> Array:
    field, kind = _FIELDS[dtype.number]
    if kind == "bytes":
        strings = np.empty(len(tensor.messages(field)), object)
        strings[:] = tensor.messages(field)
        return strings
    if kind.startswith("<"):
        return np.frombuffer(tensor.message(field), kind).astype(dtype.numpy)
    numbers = list(tensor.repeated_scalar(field))
    if kind == "bits":
        return np.array(numbers, np.uint16).view(dtype.numpy)
    wrapped = np.array(numbers, np.uint64).astype(np.int64)
    return wrapped.astype(dtype.numpy)


def write_v1(
    path: Prefix,
    tensors: Mapping[bytes, Any],
    *,
    dtypes: Mapping[bytes, int] | None = None,
    shapes: Mapping[bytes, tuple[int, ...]] | None = None,
    records: Mapping[bytes, bytes] | None = None,
) -> None:
    """Write one file, as TensorFlow's Save and SaveSlices do.

    Parameters
    ----------
    path
        The file.
    tensors
        Arrays by name, or lists of pairs of extents and array.
    dtypes
        DataType number of a tensor, where NumPy cannot tell it.
    shapes
        Of a tensor that is given in pairs.
    records
        Entries of the table to replace, or to add, by their keys.
    """
    table: dict[bytes, bytes] = {}
    meta = b""
    for name, value in tensors.items():
        pairs: Sequence[tuple[Slice, Array]]
        if isinstance(value, list):
            pairs, shape = value, (shapes or {})[name]
        else:
            pairs, shape = [((Extent(),) * value.ndim, value)], value.shape
        number = (dtypes or {}).get(name) or dtype_of(pairs[0][1]).number
        dims = b"".join(put_message(2, put_scalar(1, dim)) for dim in shape)
        tensor = put_message(1, name) + put_message(2, dims) + put_scalar(3, number)
        for extents, array in pairs:
            tensor += put_message(4, _extents(extents))
            table[encode_slice_key(name, extents)] = encode_record(
                name, extents, array, DTYPES[number]
            )
        meta += put_message(1, tensor)
    versions = put_message(2, put_scalar(1, 1))
    table[b""] = put_message(1, meta + versions)
    table |= records or {}
    Path(path).write_bytes(build_table(sorted(table.items())))


def encode_record(name: bytes, extents: Slice, array: Array, dtype: DType) -> bytes:
    """Return the value of one slice's key."""
    field, kind = _FIELDS[dtype.number]
    if kind == "bytes":
        numbers = b"".join(put_message(field, element) for element in array.flat)
    elif kind.startswith("<"):
        numbers = put_message(field, np.asarray(array, kind).tobytes())
    else:
        bits = array.view(np.uint16) if kind == "bits" else array
        numbers = put_message(field, b"".join(put_varint(int(n)) for n in bits.flat))
    if not array.size:
        numbers = b""
    saved = put_message(1, name) + put_message(2, _extents(extents)) + put_message(3, numbers)
    return put_message(2, saved)


def _extents(extents: Slice) -> bytes:
    return b"".join(put_message(1, encode_extent(extent)) for extent in extents)
