"""The same bytes through the core and through the oracle: equal values, or both refuse.

Bundles are made entry by entry, most of them sound, and then a few bytes of an entry, of the
header or of the data are changed; the checksums around them are right again, so that the
change is met. Tensors may be in parts, and a slice is read of each as well. Where the core is
stricter than protobuf, and says so in FORMAT.md, it may refuse alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

import tensorbundle as tb
from hostile.bundles import write
from hostile.tables import IndexFile, plain_block
from reference.bundle import _read_index, _Reader
from reference.crc32c import crc32c, mask
from reference.dtypes import DTYPES, STRING, VARIANT
from reference.elements import encode
from reference.errors import FormatError
from reference.proto import (
    WHOLE,
    Entry,
    Extent,
    Header,
    decode_entry,
    encode_entry,
    encode_header,
)
from reference.slices import decode_slice_key, encode_slice_key

Array = np.ndarray[Any, Any]
Found = dict[bytes, Array | Exception]

WORDS = [b"hi", b"", b"tensor"]
# A known field with another wire type, which protobuf skips; more than any file has.
STRICTER = {"BadEntry", "BadHeader", "LimitExceeded", "UnsupportedRank"}
KINDS = [1, 3, 4, STRING, 9, 10, 14, 19, VARIANT, 29]


def _lists(big_endian: bool) -> dict[int, tuple[bytes, int]]:
    array = np.empty(len(WORDS), object)
    array[:] = WORDS
    return {kind: encode(array, DTYPES[kind], big_endian) for kind in (STRING, VARIANT)}


# Numbers, and behind them the words as strings and variants, in either byte order.
LISTS = {big_endian: _lists(big_endian) for big_endian in (False, True)}
DATA = bytes(range(64)) + b"".join(
    stored for lists in LISTS.values() for stored, _ in lists.values()
) + bytes(16)  # fmt: skip


class Input(NamedTuple):
    """A bundle of one data file."""

    header: bytes
    items: list[tuple[bytes, bytes]]
    data: bytes
    index: tuple[slice, ...]
    """What is read of each tensor, besides all of it."""


def list_entry(kind: int, big_endian: bool) -> Entry:
    stored, crc = LISTS[big_endian][kind]
    offset = DATA.index(stored)
    return Entry(kind, (len(WORDS),), 0, offset, len(stored), mask(crc))


def _stored(kind: int, shape: tuple[int, ...], offset: int) -> Entry:
    size = int(np.prod(shape, dtype=int)) * DTYPES[kind].numpy.itemsize
    return Entry(kind, shape, 0, offset, size, mask(crc32c(DATA[offset : offset + size])))


@st.composite
def entries(draw: Callable[..., Any], big_endian: bool) -> bytes:
    """Give an entry; three of four are right, or off by a little."""
    kind = draw(st.sampled_from(KINDS))
    if kind in (STRING, VARIANT) and draw(st.booleans()):
        return encode_entry(list_entry(kind, big_endian))
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
    entry = _stored(kind, shape, draw(st.integers(0, 70)))
    right = draw(st.integers(0, 3))
    crc = entry.crc32c if right else draw(st.integers(0, 2**32 - 1))
    size = entry.size
    size += 0 if right != 1 else draw(st.sampled_from([0, 0, 1, -1, 2**40]))
    shard = draw(st.sampled_from([0, 0, 0, 0, 1, -1, 2**31 - 1]))
    return encode_entry(Entry(kind, shape, shard, entry.offset, size, crc))


@st.composite
def partitions(draw: Callable[..., Any], big_endian: bool) -> list[tuple[bytes, bytes]]:
    """Give the entries of a tensor in parts: most are cut in two, some any way."""
    kind = draw(st.sampled_from([k for k in KINDS if k not in (STRING, VARIANT)]))
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(0, 3))
    cut = draw(st.integers(0, rows))
    slices = [
        (Extent(0, cut), Extent()),
        (Extent(cut, rows - cut), Extent(0, columns) if draw(st.booleans()) else Extent()),
    ]
    if draw(st.integers(0, 7)) == 0:
        extent = st.builds(Extent, st.integers(-1, 4), st.integers(WHOLE, 4))
        slices = draw(st.lists(st.tuples(extent, extent), min_size=1, max_size=3))
    items = [(b"p", encode_entry(Entry(kind, (rows, columns), slices=tuple(slices))))]
    for extents in dict.fromkeys(slices):
        shape = [
            size if extent.length == WHOLE else max(0, extent.length)
            for extent, size in zip(extents, (rows, columns), strict=True)
        ]
        value = encode_entry(_stored(kind, tuple(shape), draw(st.integers(0, 30))))
        items.append((encode_slice_key(b"p", extents), value))
    return [(key, draw(changed(value))) for key, value in items]


@st.composite
def changed(draw: Callable[..., Any], content: bytes) -> bytes:
    """Give bytes with a few of them changed, put in or left out."""
    found = bytearray(content)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(found)))
        how = draw(st.integers(0, 2))
        if how == 0:
            found[at:at] = draw(st.binary(max_size=3))
        elif how == 1:
            del found[at : at + draw(st.integers(1, 3))]
        elif at < len(found):
            found[at] = draw(st.integers(0, 255))
    return bytes(found)


NAMES = st.lists(st.binary(min_size=1, max_size=3), min_size=1, max_size=4, unique=True)
STEPS = st.builds(slice, st.integers(-3, 3), st.integers(-3, 5), st.sampled_from([1, 2, -1]))


@st.composite
def inputs(draw: Callable[..., Any]) -> Input:
    big_endian = draw(st.integers(0, 4)) == 0
    header = encode_header(Header(draw(st.sampled_from([1, 1, 1, 2])), big_endian))
    items = {name: draw(changed(draw(entries(big_endian)))) for name in draw(NAMES)}
    if draw(st.booleans()):
        items.update(draw(partitions(big_endian)))
    index = tuple(draw(st.lists(STEPS, max_size=2)))
    return Input(draw(changed(header)), sorted(items.items()), draw(changed(DATA)), index)


def of_oracle(prefix: str) -> Found:
    """Give each tensor's array, or the oracle's error; an error alone if the index is bad."""
    header, found = _read_index(prefix)
    reader = _Reader(prefix, header, found)
    arrays: Found = {}
    for key in found:
        if reader.is_slice(key):
            continue
        try:
            arrays[key] = reader.tensor(key)
        except FormatError as error:
            arrays[key] = error
    return arrays


def of_core(prefix: str, index: tuple[slice, ...]) -> Found:
    """Give each tensor's array, or the core's error; a slice of it is what NumPy takes."""
    arrays: Found = {}
    with tb.open(prefix) as bundle:
        for name in bundle:
            key = name.encode("utf-8", "surrogateescape")
            try:
                arrays[key] = bundle.read(name)
            except tb.BundleError as error:
                arrays[key] = error
            else:
                _check_slice(bundle, name, arrays[key], index[: arrays[key].ndim])
    return arrays


def _check_slice(bundle: tb.Bundle, name: str, array: Any, index: tuple[slice, ...]) -> None:
    taken = bundle.read_slice(name, index)
    expected = array[(*index, ...)]  # an array also where one element is left
    assert taken.dtype == array.dtype and taken.shape == expected.shape
    if array.dtype == object:
        assert [*taken.flat] == [*expected.flat]
    else:
        assert taken.tobytes() == expected.tobytes(), "a slice is not what NumPy takes"


def compare(directory: Path, given: Input) -> str:
    """Write the bundle there, read it twice, and give in a word what came of it."""
    items = [(b"", given.header), *given.items]
    index = IndexFile().data_block(plain_block(items), b"\xff" * 9).finish()
    write(directory, index, given.data)
    prefix = os.fspath(directory / "ckpt")
    theirs: Found | FormatError
    try:
        theirs = of_oracle(prefix)
    except FormatError as error:
        theirs = error
    try:
        ours = of_core(prefix, given.index)
    except tb.BundleError as error:
        assert isinstance(theirs, FormatError) or error.code in STRICTER, error
        return error.code
    if isinstance(theirs, FormatError):
        # The oracle reads an index whole or not at all; here one bad entry is its own fault.
        faults = [found for found in ours.values() if isinstance(found, tb.BundleError)]
        # Parts are looked at when they are wanted; those of an empty tensor never are.
        assert faults or _has_bad_part(given), f"only the oracle refuses: {theirs!r}"
        return faults[0].code if faults else "a bad part"
    _check_names(ours, theirs)
    for name in ours:
        _check_same(ours[name], theirs[name])
    codes = {found.code for found in ours.values() if isinstance(found, tb.BundleError)}
    return " ".join(sorted(codes))


def _has_bad_part(given: Input) -> bool:
    for key, value in given.items:
        if decode_slice_key(key) is None:
            continue
        try:
            decode_entry(value)
        except FormatError:
            return True
    return False


def _check_names(ours: Found, theirs: Found) -> None:
    """The core lists no key that is a slice's, the oracle those that nobody names."""
    assert set(ours) <= set(theirs)
    for key in set(theirs) - set(ours):
        assert key.startswith(b"\0"), f"only the oracle lists {key!r}"


def _check_same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, FormatError):
        # No part of a tensor without elements is looked at, be it of another shape.
        empty = not isinstance(ours, tb.BundleError) and not ours.size
        if not (empty and str(theirs).startswith(("b'p'", r"b'\x00p"))):
            assert isinstance(ours, tb.BundleError), f"only the oracle refuses: {theirs!r}"
    elif isinstance(ours, tb.BundleError):
        assert ours.code in STRICTER, f"only the core refuses: {ours}"
    elif theirs.dtype == object:
        assert [*np.asarray(ours).flat] == [*theirs.flat]
    else:
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        if ours.dtype.name == "int4":  # its high bits mean nothing; the oracle clears them
            ours, theirs = ours.astype(np.int8), theirs.astype(np.int8)
        assert ours.tobytes() == theirs.tobytes()
