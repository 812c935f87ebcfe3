"""The bytes of one tensor in a data file, and what its checksum covers."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from .coding import get_varint, put_varint
from .crc32c import crc32c, mask
from .dtypes import STRING, VARIANT, DType
from .errors import BadSize, LengthChecksumMismatch

Array = np.ndarray[tuple[int, ...], np.dtype[Any]]


def encode(array: Array, dtype: DType, big_endian: bool) -> tuple[bytes, int]:
    """Return an array's bytes in the data file, and their CRC by the dtype's rule.

    Raises
    ------
    TypeError
        An element of a string or variant tensor is not bytes.
    """
    if dtype.number == STRING:
        return _encode_strings(_values(array), big_endian)
    if dtype.number == VARIANT:
        return _encode_variants(_values(array), big_endian)
    if dtype.bits:
        array = array.view(np.uint8) & ((1 << dtype.bits) - 1)
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    data = array.tobytes()  # C order, whatever the array's strides
    if big_endian:
        data = _swapped(data, dtype.word)
    return data, crc32c(data)


def decode(
    data: bytes, shape: tuple[int, ...], dtype: DType, big_endian: bool
) -> tuple[Array, int]:
    """Return the array that `encode` made `data` of, and the CRC by the dtype's rule.

    Raises
    ------
    BadSize
        `data` is longer or shorter than the shape, or the lengths in it, say.
    LengthChecksumMismatch
        A checksum inside of `data` is wrong.
    """
    if dtype.number == STRING:
        return _objects(shape, *_decode_strings(data, prod(shape), big_endian))
    if dtype.number == VARIANT:
        return _objects(shape, *_decode_variants(data, prod(shape), big_endian))
    expected = prod(shape) * dtype.numpy.itemsize
    if len(data) != expected:
        raise BadSize(f"{len(data)} bytes, not {expected}")
    ordered = _swapped(data, dtype.word) if big_endian else data
    raw = np.frombuffer(bytearray(ordered), np.uint8)  # a bytearray: the array is writable
    if dtype.bits:
        raw &= (1 << dtype.bits) - 1
    return raw.view(dtype.numpy).reshape(shape), crc32c(data)


def _encode_strings(values: Sequence[bytes], big_endian: bool) -> tuple[bytes, int]:
    crc = crc32c(b"".join(_length_word(len(value), big_endian) for value in values))
    checksum = _word(mask(crc), 4, big_endian)
    content = b"".join(values)
    lengths = b"".join(put_varint(len(value)) for value in values)
    return lengths + checksum + content, crc32c(checksum + content, crc)


def _decode_strings(data: bytes, count: int, big_endian: bool) -> tuple[list[bytes], int]:
    if not count and not data:
        return [], 0  # TensorFlow reads no checksum either; its writer always adds one
    if count > len(data):
        raise BadSize(f"{count} strings in {len(data)} bytes")
    lengths, position, crc = [], 0, 0
    for _ in range(count):
        length, position = _length(data, position)
        lengths.append(length)
        crc = crc32c(_length_word(length, big_endian), crc)
    content = position + 4
    if content + sum(lengths) != len(data):
        raise BadSize(f"{content} + {sum(lengths)} bytes, not {len(data)}")
    if data[position:content] != _word(mask(crc), 4, big_endian):
        raise LengthChecksumMismatch(f"after {count} lengths")
    crc = crc32c(data[position:], crc)
    values = []
    for length in lengths:
        values.append(data[content : content + length])
        content += length
    return values, crc


def _encode_variants(values: Sequence[bytes], big_endian: bool) -> tuple[bytes, int]:
    data, crc = b"", 0
    for value in values:
        crc = crc32c(_word(len(value), 8, big_endian) + value, crc)
        checksum = _word(mask(crc), 4, big_endian)
        data += put_varint(len(value)) + value + checksum
        crc = crc32c(checksum, crc)
    return data, crc


def _decode_variants(data: bytes, count: int, big_endian: bool) -> tuple[list[bytes], int]:
    values, position, crc = [], 0, 0
    for i in range(count):
        length, position = _length(data, position)
        end = position + length
        if end + 4 > len(data):
            raise BadSize(f"element {i} ends after {len(data)} bytes")
        values.append(data[position:end])
        crc = crc32c(_word(length, 8, big_endian) + values[-1], crc)
        position = end + 4
        if data[end:position] != _word(mask(crc), 4, big_endian):
            raise LengthChecksumMismatch(f"after element {i}")
        crc = crc32c(data[end:position], crc)
    if position != len(data):
        raise BadSize(f"{position} bytes used of {len(data)}")
    return values, crc


def _length(data: bytes, position: int) -> tuple[int, int]:
    try:
        return get_varint(data, position)
    except ValueError as error:
        raise BadSize(str(error)) from error


def _length_word(length: int, big_endian: bool) -> bytes:
    # What the checksum covers for a length is not the varint. Up to 2**32 - 1 it is four
    # bytes, for the sake of files from before longer strings were possible.
    return _word(length, 4 if length < 1 << 32 else 8, big_endian)


def _word(value: int, size: int, big_endian: bool) -> bytes:
    return value.to_bytes(size, "big" if big_endian else "little")


def _swapped(data: bytes, word: int) -> bytes:
    return np.frombuffer(data, np.uint8).reshape(-1, word)[:, ::-1].tobytes()


def _objects(shape: tuple[int, ...], values: Sequence[bytes], crc: int) -> tuple[Array, int]:
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(shape), crc


def _values(array: Array) -> list[bytes]:
    values = list(array.flat)
    for value in values:
        if not isinstance(value, bytes):
            raise TypeError(f"an element is {type(value).__name__}, not bytes")
    return values
