"""Writes and reads whole bundles: `PREFIX.index` and `PREFIX.data-?????-of-?????`.

Everything is held in memory, and every checksum is verified, one byte at a time.

It reads what TensorFlow 2.21 reads, but for this: TensorFlow overlooks a missing header entry,
an unknown byte order, the metaindex block's checksum, keys out of order, a string tensor's
`size` that is not the size of its strings, and the place of a tensor without bytes, which may
lie beyond the end of its data file. Here each of these is an error. It also reads what
TensorFlow writes but cannot put together again (sliced float16, say), and from big-endian
files 8-bit and narrower floats and integers, and variants.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from . import errors
from .crc32c import crc32c, mask, unmask
from .dtypes import DTYPES, dtype_of
from .elements import Array, decode, encode
from .errors import FormatError
from .proto import (
    WHOLE,
    Entry,
    Extent,
    Header,
    Slice,
    decode_entry,
    decode_header,
    encode_entry,
    encode_header,
)
from .slices import decode_slice_key, encode_slice_key, resolve
from .table import build_table, read_table

__all__ = [
    "WHOLE",
    "Entry",
    "Extent",
    "FormatError",
    "Header",
    "Partitioned",
    "Slice",
    "crc32c",
    "mask",
    "read_bundle",
    "read_entries",
    "read_header",
    "unmask",
    "write_bundle",
]

VERSION = 1  # tensor_bundle.h, kTensorBundleVersion

Key = str | bytes
T = TypeVar("T")
# Three, because a Mapping's keys are invariant: a dict[bytes, T] is no Mapping[Key, T].
ByName = Mapping[str, T] | Mapping[bytes, T] | Mapping[Key, T]
Prefix = str | os.PathLike[str]


@dataclass(frozen=True)
class Partitioned:
    """A tensor of `shape` to be stored as `slices`: each one's extents and its elements."""

    shape: tuple[int, ...]
    slices: Sequence[tuple[Slice, Any]]


def write_bundle(
    prefix: Prefix,
    tensors: ByName[Any],
    *,
    num_shards: int = 1,
    alignment: int = 1,
    placement: ByName[int] | None = None,
    dtypes: ByName[int] | None = None,
    big_endian: bool = False,
) -> None:
    """Write `tensors`, in their order, as TensorFlow's BundleWriter does.

    With one shard and no alignment the files are TensorFlow's, byte for byte. There is one
    exception: TensorFlow copies the unused high bits of 4-bit and 2-bit elements from memory
    (ml_dtypes itself leaves them zero), here they are cleared.

    Parameters
    ----------
    prefix
        Path without a suffix. Its directory must exist.
    tensors
        What `np.asarray` takes, or `bytes` and lists of them (string tensors, also given as
        object arrays of bytes), or `Partitioned`, by name. A `str` name stands for its UTF-8.
    num_shards
        Number of data files.
    alignment
        Zeros are added after each tensor up to a multiple of so many bytes.
    placement
        Shard of a tensor, by name. The others take turns.
    dtypes
        DataType number of a tensor, by name, where NumPy cannot tell it: the quantized ones,
        and VARIANT for serialized elements.
    big_endian
        Write the file that a big-endian machine would.

    Raises
    ------
    ValueError
        A name is empty or given twice, a shard does not exist, or a `Partitioned` is wrong.
    TypeError
        TensorFlow cannot store the array, or it is not of the given dtype.
    """
    shards = {_key(key): shard for key, shard in (placement or {}).items()}
    numbers = {_key(key): number for key, number in (dtypes or {}).items()}
    writer = _Writer(num_shards, alignment, big_endian)
    for i, (name, value) in enumerate(tensors.items()):
        key = _key(name)
        shard_id = shards.get(key, i % num_shards)
        number = numbers.get(key)
        if isinstance(value, Partitioned):
            writer.add_partitioned(key, value, number, shard_id)
        else:
            writer.add(key, _as_array(value), number, shard_id)
    writer.write(os.fspath(prefix))


def read_header(prefix: Prefix) -> Header:
    """Return the bundle's header, its version checked.

    Raises
    ------
    FormatError
        As its subclasses; see `errors.py`.
    """
    return _read_index(prefix)[0]


def read_entries(prefix: Prefix) -> dict[bytes, Entry]:
    """Return all entries in key order, also those of slices, without opening a data file.

    Raises
    ------
    FormatError
        As its subclasses; see `errors.py`.
    """
    return _read_index(prefix)[1]


def read_bundle(prefix: Prefix) -> dict[bytes, Array]:
    """Return all tensors in key order, every checksum verified.

    Returns
    -------
    dict of bytes to numpy.ndarray
        Owned, writable, C order, the machine's byte order. String tensors are object arrays
        of bytes, variants of their serialized elements, quantized dtypes plain integers.
        Partitioned tensors are whole; their slices are not listed.

    Raises
    ------
    FormatError
        As its subclasses; see `errors.py`.
    """
    header, entries = _read_index(prefix)
    reader = _Reader(os.fspath(prefix), header, entries)
    return {key: reader.tensor(key) for key in entries if not reader.is_slice(key)}


class _Writer:
    """Collects shards and entries; nothing touches the disk before `write`."""

    def __init__(self, num_shards: int, alignment: int, big_endian: bool) -> None:
        self._shards = [bytearray() for _ in range(num_shards)]
        self._entries: dict[bytes, Entry] = {}
        self._alignment = alignment
        self._big_endian = big_endian

    def add(self, key: bytes, array: Array, number: int | None, shard_id: int) -> None:
        if not key or key in self._entries:
            raise ValueError(f"key {key!r} is empty or given twice")
        if not 0 <= shard_id < len(self._shards):
            raise ValueError(f"shard {shard_id} of {len(self._shards)}")
        dtype = dtype_of(array) if number is None else DTYPES[number]
        if dtype.numpy != dtype_of(array).numpy:
            raise TypeError(f"{key!r}: {array.dtype} is not stored as {dtype.name}")
        data, crc = encode(array, dtype, self._big_endian)
        shard = self._shards[shard_id]
        self._entries[key] = Entry(
            dtype.number, array.shape, shard_id, len(shard), len(data), mask(crc)
        )
        shard += data
        shard += bytes(-len(shard) % self._alignment)

    def add_partitioned(
        self, key: bytes, value: Partitioned, number: int | None, shard_id: int
    ) -> None:
        for extents, piece in value.slices:
            array = _as_array(piece)
            region = resolve(extents, value.shape)
            if array.shape != _shape(region):
                raise ValueError(f"{key!r}: {array.shape} given for slice {extents}")
            if array.shape == value.shape:  # a slice of everything is stored as a tensor
                self.add(key, array, number, shard_id)
                continue
            slice_key = encode_slice_key(key, extents)
            self.add(slice_key, array, number, shard_id)
            dtype = self._entries[slice_key].dtype
            whole = self._entries.setdefault(key, Entry(dtype, value.shape))
            if (whole.dtype, whole.shape) != (dtype, value.shape) or whole.crc32c:
                raise ValueError(f"{key!r}: slices of different tensors")
            self._entries[key] = replace(whole, slices=(*whole.slices, extents))

    def write(self, prefix: str) -> None:
        header = Header(len(self._shards), self._big_endian, producer=VERSION)
        items = sorted((key, encode_entry(entry)) for key, entry in self._entries.items())
        for i, shard in enumerate(self._shards):
            _shard_path(prefix, i, len(self._shards)).write_bytes(shard)
        table = build_table([(b"", encode_header(header)), *items])
        Path(f"{prefix}.index").write_bytes(table)


@dataclass
class _Reader:
    """Reads tensors of one bundle; keeps the data files that it has read."""

    prefix: str
    header: Header
    entries: dict[bytes, Entry]
    shards: dict[int, bytes] = field(default_factory=dict)

    def is_slice(self, key: bytes) -> bool:
        """Tell whether `key` is a slice that its tensor's entry names."""
        decoded = decode_slice_key(key)
        if decoded is None or decoded[0] not in self.entries:
            return False
        return decoded[1] in self.entries[decoded[0]].slices

    def tensor(self, key: bytes) -> Array:
        entry = self.entries[key]
        if entry.slices:
            return self._assembled(key, entry)
        dtype = DTYPES.get(entry.dtype)
        if dtype is None:
            raise errors.UnsupportedDType(f"{key!r} has dtype {entry.dtype}")
        stored = unmask(entry.crc32c)
        data = self._bytes(key, entry)
        try:
            array, crc = decode(data, entry.shape, dtype, self.header.big_endian)
        except FormatError as error:
            raise type(error)(f"{key!r}: {error}") from error
        if crc != stored:
            raise errors.TensorChecksumMismatch(f"{key!r}: {stored:08x}, found {crc:08x}")
        return array

    def _bytes(self, key: bytes, entry: Entry) -> bytes:
        if not 0 <= entry.shard_id < self.header.num_shards:
            raise errors.BadEntry(f"{key!r} is in shard {entry.shard_id}")
        if entry.offset < 0 or entry.size < 0:
            raise errors.BadEntry(f"{key!r} has {entry.size} bytes at {entry.offset}")
        if entry.shard_id not in self.shards:
            path = _shard_path(self.prefix, entry.shard_id, self.header.num_shards)
            if not path.exists():
                raise errors.MissingShard(f"{key!r} needs {path}")
            self.shards[entry.shard_id] = path.read_bytes()
        shard = self.shards[entry.shard_id]
        end = entry.offset + entry.size
        if end > len(shard):
            raise errors.ShortShard(f"{key!r} ends at {end}, shard at {len(shard)}")
        return shard[entry.offset : end]

    def _assembled(self, key: bytes, whole: Entry) -> Array:
        pieces = []
        for extents in whole.slices:
            region = resolve(extents, whole.shape)
            slice_key = encode_slice_key(key, extents)
            entry = self.entries.get(slice_key)
            if entry is None:
                raise errors.MissingSlice(f"{key!r} has no entry for slice {extents}")
            if (entry.dtype, entry.shape) != (whole.dtype, _shape(region)) or entry.slices:
                raise errors.BadSlice(f"{key!r}: slice {extents} has {entry}")
            pieces.append((region, self.tensor(slice_key)))
        # Before the tensor is allocated: its shape alone may claim any size.
        if sum(piece.size for _, piece in pieces) < prod(whole.shape):
            raise errors.MissingSlice(f"{key!r}: the slices do not cover {whole.shape}")
        seen = np.zeros(whole.shape, bool)
        out = np.empty(whole.shape, pieces[0][1].dtype)
        for region, piece in pieces:
            if seen[region].any():
                raise errors.OverlappingSlices(f"{key!r}: {region} overlaps another slice")
            seen[region] = True
            out[region] = piece
        return out  # covered: the sizes add up and nothing overlaps


def _read_index(prefix: Prefix) -> tuple[Header, dict[bytes, Entry]]:
    items = read_table(Path(f"{os.fspath(prefix)}.index").read_bytes())
    if not items or items[0][0]:
        raise errors.BadHeader("the first key is not the empty one")
    header = decode_header(items[0][1])
    if header.producer < 0 or header.min_consumer > VERSION or VERSION in header.bad_consumers:
        raise errors.UnsupportedVersion(str(header))
    return header, {key: decode_entry(value) for key, value in items[1:]}


def _as_array(value: Any) -> Array:
    if isinstance(value, np.ndarray):
        return value
    # NumPy's own type for bytes would drop trailing zeros.
    objects = np.array(value, dtype=object)
    if objects.size and all(isinstance(element, bytes) for element in objects.flat):
        return objects
    return np.asarray(value)


def _key(name: Key) -> bytes:
    return name.encode() if isinstance(name, str) else name


def _shape(region: tuple[slice, ...]) -> tuple[int, ...]:
    return tuple(part.stop - part.start for part in region)


def _shard_path(prefix: str, shard_id: int, num_shards: int) -> Path:
    return Path(f"{prefix}.data-{shard_id:05d}-of-{num_shards:05d}")
