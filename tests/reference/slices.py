"""Keys of slices of partitioned tensors (TensorFlow, strings/ordered_code.cc)."""

from __future__ import annotations

from .errors import BadSlice
from .proto import WHOLE, Extent, Slice

# What marks the length of a signed number, by that length in bytes.
_MARKS = (0, 0x80, 0xC0, 0xE0, 0xF0, 0xF8, 0xFC, 0xFE, 0xFF, 0xFF80, 0xFFC0)


def encode_slice_key(name: bytes, extents: Slice) -> bytes:
    """Return the key under which TensorFlow files the slice `extents` of tensor `name`."""
    key = put_number(0) + put_string(name) + put_number(len(extents))
    for extent in extents:
        key += put_signed(extent.start) + put_signed(extent.length)
    return key


def decode_slice_key(key: bytes) -> tuple[bytes, Slice] | None:
    """Return the tensor's name and the slice, or None if `key` is not a slice's key."""
    try:
        zero, position = _get_number(key, 0)
        name, position = _get_string(key, position)
        rank, position = _get_number(key, position)
        if rank > len(key):
            return None
        extents = []
        for _ in range(rank):
            start, position = _get_signed(key, position)
            length, position = _get_signed(key, position)
            extents.append(Extent(start, length))
    except IndexError:
        return None
    # Encoding again is the test that the key was in the one canonical form.
    decoded = (name, tuple(extents))
    return decoded if zero == 0 and encode_slice_key(*decoded) == key else None


def resolve(extents: Slice, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the slice as NumPy's, with `WHOLE` replaced by the dimension.

    Raises
    ------
    BadSlice
        The ranks differ, or an extent is not inside its dimension.
    """
    if len(extents) != len(shape):
        raise BadSlice(f"slice of rank {len(extents)} in shape {shape}")
    out = []
    for (start, length), dim in zip(extents, shape, strict=True):
        if length == WHOLE:
            start, length = 0, dim
        if start < 0 or length < 0 or start + length > dim:
            raise BadSlice(f"extent {start},{length} is not inside shape {shape}")
        out.append(slice(start, start + length))
    return tuple(out)


def put_number(value: int) -> bytes:
    """Return an unsigned number: the count of its bytes, then they, big-endian."""
    size = (value.bit_length() + 7) // 8
    return bytes([size]) + value.to_bytes(size, "big")


def put_string(value: bytes) -> bytes:
    """Return a string with 00 and ff escaped, and its terminator."""
    escaped = (b"\0\xff" if b == 0 else b"\xff\0" if b == 0xFF else bytes([b]) for b in value)
    return b"".join(escaped) + b"\0\x01"


def put_signed(value: int) -> bytes:
    """Return a signed number: two's complement with its length in the leading bits."""
    size = _signed_size(value)
    out = bytearray(value.to_bytes(size, "big", signed=True))
    # A length of nine or ten bytes is marked in the first two.
    mark = _MARKS[size].to_bytes(2 if size > 8 else 1, "big")
    for i, bits in enumerate(mark):
        out[i] ^= bits
    return bytes(out)


def _signed_size(value: int) -> int:
    return (~value if value < 0 else value).bit_length() // 7 + 1


def _get_number(key: bytes, position: int) -> tuple[int, int]:
    end = position + 1 + key[position]
    if end > len(key):
        raise IndexError
    return int.from_bytes(key[position + 1 : end], "big"), end


def _get_string(key: bytes, position: int) -> tuple[bytes, int]:
    out = bytearray()
    while True:
        pair = key[position : position + 2]
        if pair == b"\0\x01":
            return bytes(out), position + 2
        escape = pair in (b"\0\xff", b"\xff\0")
        out.append(key[position])
        position += 2 if escape else 1


def _get_signed(key: bytes, position: int) -> tuple[int, int]:
    """Decode a signed number: the one that has this length and encodes to these bytes."""
    negative = key[position] < 0x80
    head = int.from_bytes((key[position : position + 2] + b"\0")[:2], "big")
    if negative:
        head ^= 0xFFFF
    size = next((n for n in range(16) if not head >> (15 - n) & 1), 16)  # leading ones
    if not 1 <= size <= 10 or position + size > len(key):
        raise IndexError
    out = bytearray(key[position : position + size])
    for i, bits in enumerate(_MARKS[size].to_bytes(2 if size > 8 else 1, "big")):
        out[i] ^= bits
    return int.from_bytes(out, "big", signed=True), position + size
