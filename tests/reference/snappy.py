"""Snappy decompression: TensorFlow never writes it into an index, but reads it."""

from __future__ import annotations

from .coding import get_varint
from .errors import BadCompression


def decompress(data: bytes) -> bytes:
    """Return what the raw Snappy block `data` stands for (google/snappy, format_description).

    Raises
    ------
    BadCompression
        The block is malformed, or its length is not the announced one.
    """
    try:
        return _decompress(data)
    except (IndexError, ValueError) as error:
        raise BadCompression(f"snappy: {error}") from error


def _decompress(data: bytes) -> bytes:
    expected, position = get_varint(data, 0)
    out = bytearray()
    while position < len(data):
        tag = data[position]
        position += 1
        kind, high = tag & 3, tag >> 2
        if kind == 0:  # literal; lengths above 60 are in the next one to four bytes
            extra = max(0, high - 59)
            length = 1 + (_little(data, position, extra) if extra else high)
            position += extra
            out += _take(data, position, length)
            position += length
            continue
        if kind == 1:  # copy, 11-bit offset: its top three bits are the tag's
            length, offset = 4 + (high & 7), (high >> 3) << 8 | data[position]
            position += 1
        else:  # copy, 16- or 32-bit offset
            width = 2 if kind == 2 else 4
            length, offset = 1 + high, _little(data, position, width)
            position += width
        if not 0 < offset <= len(out):
            raise ValueError(f"copy from {offset} bytes back, {len(out)} written")
        for _ in range(length):  # one at a time: a copy may overlap what it writes
            out.append(out[-offset])
    if len(out) != expected:
        raise ValueError(f"{len(out)} bytes, {expected} announced")
    return bytes(out)


def _take(data: bytes, position: int, size: int) -> bytes:
    if size > len(data) - position:
        raise ValueError(f"{size} bytes wanted at {position}, {len(data)} in all")
    return data[position : position + size]


def _little(data: bytes, position: int, size: int) -> int:
    return int.from_bytes(_take(data, position, size), "little")
