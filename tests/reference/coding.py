"""Varints, which the table, the protobuf messages and the string tensors all use."""

from __future__ import annotations

_MAX_VARINT64 = 10  # bytes: ceil(64 / 7)


def put_varint(value: int) -> bytes:
    """Return `value` as a varint; a negative one as its 64-bit two's complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def get_varint(data: bytes, position: int) -> tuple[int, int]:
    """Return the unsigned varint at `position` and the position after it.

    Raises
    ------
    ValueError
        The data ends inside the varint, or it is longer than ten bytes. Callers turn this
        into the error of the rule they apply.
    """
    value = 0
    for count in range(_MAX_VARINT64):
        if position + count >= len(data):
            raise ValueError(f"varint at {position} is cut off")
        byte = data[position + count]
        value |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            return value & ((1 << 64) - 1), position + count + 1
    raise ValueError(f"varint at {position} is longer than {_MAX_VARINT64} bytes")
