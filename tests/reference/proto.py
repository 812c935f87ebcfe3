"""The messages in the index (tensor_bundle.proto, tensor_shape.proto, tensor_slice.proto)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from .coding import get_varint, put_varint
from .errors import BadEntry, BadHeader, BadProto

WHOLE = -1  # an Extent's length when it is the whole dimension, whatever its size
MAX_RANK = 254  # tensor_shape.h, TensorShapeRep::MaxDimensions


class Extent(NamedTuple):
    """What a slice takes of one dimension: `length` elements from `start`, or all of them."""

    start: int = 0
    length: int = WHOLE


Slice = tuple[Extent, ...]


@dataclass(frozen=True)
class Header:
    """BundleHeaderProto with its VersionDef."""

    num_shards: int
    big_endian: bool = False
    producer: int = 1
    min_consumer: int = 0
    bad_consumers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Entry:
    """BundleEntryProto: one tensor, or one slice, or (with `slices`) a partitioned tensor.

    `offset` and `size` are bytes; `crc32c` is as stored, that is, masked.
    """

    dtype: int
    shape: tuple[int, ...]
    shard_id: int = 0
    offset: int = 0
    size: int = 0
    crc32c: int = 0
    slices: tuple[Slice, ...] = ()


def encode_header(header: Header) -> bytes:
    """Return the header in canonical form: field order, zero scalars omitted."""
    version = put_scalar(1, header.producer) + put_scalar(2, header.min_consumer)
    if header.bad_consumers:
        version += put_message(3, b"".join(map(put_varint, header.bad_consumers)))
    scalars = put_scalar(1, header.num_shards) + put_scalar(2, int(header.big_endian))
    return scalars + put_message(3, version)


def decode_header(data: bytes) -> Header:
    """Return the header in `data`.

    Raises
    ------
    BadProto
        `data` is not a message.
    BadHeader
        The number of shards is not positive, or the byte order is unknown.
    """
    fields = Fields(data)
    version = Fields(fields.message(3))
    num_shards, endianness = as_int32(fields.scalar(1)), fields.scalar(2)
    if num_shards <= 0 or endianness > 1:
        raise BadHeader(f"{num_shards} shards, byte order {endianness}")
    return Header(
        num_shards=num_shards,
        big_endian=endianness == 1,
        producer=as_int32(version.scalar(1)),
        min_consumer=as_int32(version.scalar(2)),
        bad_consumers=tuple(map(as_int32, version.repeated_scalar(3))),
    )


def encode_entry(entry: Entry) -> bytes:
    """Return the entry in canonical form; its shape is present even if it is a scalar's."""
    dims = b"".join(put_message(2, put_scalar(1, dim)) for dim in entry.shape)
    out = put_scalar(1, entry.dtype) + put_message(2, dims) + put_scalar(3, entry.shard_id)
    out += put_scalar(4, entry.offset) + put_scalar(5, entry.size)
    if entry.crc32c:
        out += b"\x35" + entry.crc32c.to_bytes(4, "little")  # field 6, fixed32
    for extents in entry.slices:
        out += put_message(7, b"".join(put_message(1, encode_extent(e)) for e in extents))
    return out


def decode_entry(data: bytes) -> Entry:
    """Return the entry in `data`.

    Raises
    ------
    BadProto
        `data` is not a message.
    BadEntry
        The shape has an unknown or too large rank, a negative dimension or too many
        elements, or an extent is negative or empty.
    """
    fields = Fields(data)
    shape = Fields(fields.message(2))
    if shape.scalar(3):
        raise BadEntry("the rank is unknown")
    return Entry(
        dtype=as_int32(fields.scalar(1)),
        shape=checked_shape([as_int64(Fields(d).scalar(1)) for d in shape.messages(2)]),
        shard_id=as_int32(fields.scalar(3)),
        offset=as_int64(fields.scalar(4)),
        size=as_int64(fields.scalar(5)),
        crc32c=fields.fixed32(6),
        slices=tuple(
            tuple(decode_extent(extent) for extent in Fields(message).messages(1))
            for message in fields.messages(7)
        ),
    )


def checked_shape(dims: list[int]) -> tuple[int, ...]:
    count = 1
    for dim in dims:
        # In this order, as TensorFlow does: [2**40, 2**40, 0] is refused.
        count *= dim
        if dim < 0 or count >= 1 << 63 or len(dims) > MAX_RANK:
            raise BadEntry(f"impossible shape {dims}")
    return tuple(dims)


def encode_extent(extent: Extent) -> bytes:
    if extent.length == WHOLE:
        return b""
    # Field 2 is a oneof: present even when it is zero.
    return put_scalar(1, extent.start) + b"\x10" + put_varint(extent.length)


def decode_extent(data: bytes) -> Extent:
    fields = Fields(data)
    if not fields.has(2):
        if fields.scalar(1):
            raise BadEntry("an extent with a start has no length")
        return Extent()
    extent = Extent(as_int64(fields.scalar(1)), as_int64(fields.scalar(2)))
    if extent.start < 0 or extent.length <= 0:
        raise BadEntry(f"impossible extent {extent.start},{extent.length}")
    return extent


def put_scalar(number: int, value: int) -> bytes:
    return put_varint(number << 3) + put_varint(value) if value else b""


def put_message(number: int, value: bytes) -> bytes:
    return put_varint(number << 3 | 2) + put_varint(len(value)) + value


def as_int32(value: int) -> int:
    value &= 0xFFFFFFFF  # protobuf drops the upper half of a varint that is too wide
    return value - (1 << 32) if value >> 31 else value


def as_int64(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


class Fields:
    """The fields of one message; a field with an unexpected wire type counts as unknown."""

    def __init__(self, data: bytes) -> None:
        self._varints: dict[int, list[int]] = {}
        self._blobs: dict[int, list[bytes]] = {}
        self._fixed32s: dict[int, int] = {}
        try:
            self._parse(data)
        except ValueError as error:
            raise BadProto(str(error)) from error

    def _parse(self, data: bytes) -> None:
        position = 0
        while position < len(data):
            tag, position = get_varint(data, position)
            number, wire_type = tag >> 3, tag & 7
            if not 0 < number < 1 << 29:
                raise ValueError(f"field number {number}")
            if wire_type == 0:
                value, position = get_varint(data, position)
                self._varints.setdefault(number, []).append(value)
                continue
            if wire_type == 2:
                size, position = get_varint(data, position)
            elif wire_type in (1, 5):
                size = 8 if wire_type == 1 else 4
            else:  # 3 and 4 are proto2's groups, which none of these messages has
                raise ValueError(f"wire type {wire_type}")
            if size > len(data) - position:
                raise ValueError(f"field {number} has {size} bytes, {len(data)} in all")
            blob = data[position : position + size]
            position += size
            if wire_type == 2:
                self._blobs.setdefault(number, []).append(blob)
            elif wire_type == 5:
                self._fixed32s[number] = int.from_bytes(blob, "little")

    def has(self, number: int) -> bool:
        return number in self._varints

    def scalar(self, number: int) -> int:
        return self._varints.get(number, [0])[-1]  # the last one wins

    def fixed32(self, number: int) -> int:
        return self._fixed32s.get(number, 0)

    def messages(self, number: int) -> list[bytes]:
        return self._blobs.get(number, [])

    def message(self, number: int) -> bytes:
        # Two occurrences of a message are merged; so is the concatenation of their bytes.
        return b"".join(self.messages(number))

    def repeated_scalar(self, number: int) -> Iterable[int]:
        values = list(self._varints.get(number, []))
        packed, position = self.message(number), 0
        while position < len(packed):
            try:
                value, position = get_varint(packed, position)
            except ValueError as error:
                raise BadProto(str(error)) from error
            values.append(value)
        return values
