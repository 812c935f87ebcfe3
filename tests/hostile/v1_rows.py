"""Section V, our own: checkpoints of TensorFlow's V1 format.

All tensors are listed in one value: that it is no list is a fault of the checkpoint. What the
list says of one tensor, and what its elements are, is a fault of that tensor alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reference.bundle import WHOLE, Extent
from reference.coding import put_varint
from reference.slices import encode_slice_key
from reference.table import build_table, read_table
from reference.v1 import write_v1

from .bundles import BAD_BYTES
from .case import ACCEPT, ENTRY, GOOD, NAME, PARTS, Case
from .header_rows import message, number
from .tables import IndexFile, plain_block

BAD = np.frombuffer(BAD_BYTES, np.float32)
FULL = (Extent(0, WHOLE),)
KEY = encode_slice_key(b"bad", FULL)
VERSIONS = message(2, number(1, 1))


def with_v1(bad: Any = BAD, records: Mapping[bytes, bytes] | None = None, **how: Any):
    """Make the function that writes "bad" and "good", and then some records anew."""

    def make(directory: Path) -> None:
        write_v1(directory / NAME, {b"bad": bad, b"good": GOOD}, records=records, **how)

    return make


def with_bytes(content: bytes):
    return lambda directory: (directory / NAME).write_bytes(content) and None


def with_list(*tensors: bytes):
    """Make the function that lists these in place of what is stored."""
    value = message(1, b"".join(message(1, fields) for fields in tensors) + VERSIONS)
    return with_v1(records={b"": value})


def listing(row: str, what: str, value: bytes, code: str) -> Case:
    """Put that value in the place of the list of tensors."""
    return Case(row, what, with_v1(records={b"": value}), code=code, key=None, file=NAME)


def nameless(row: str, what: str, fields: bytes) -> Case:
    """List a tensor of which nobody can tell the name."""
    return Case(
        row, what, with_list(GOOD_TENSOR, fields), code="BadEntry", key=None, file=NAME
    )


def shape(*dims: int) -> bytes:
    return message(2, b"".join(message(2, number(1, dim)) for dim in dims))


def listed(row: str, what: str, code: str, *tensors: bytes) -> Case:
    """List these beside "good", which is stored as it should be."""
    return Case(row, what, with_list(*tensors, GOOD_TENSOR), ENTRY, code, file=NAME)


def tensor(row: str, what: str, fields: bytes, code: str) -> Case:
    """List "bad" with these fields besides its name."""
    return listed(row, what, code, BAD_NAME + fields)


def elements(row: str, what: str, make, code: str, **how: Any) -> Case:
    return Case(row, what, make, PARTS, code, file=NAME, **how)


def record(row: str, what: str, value: bytes, code: str) -> Case:
    """Put that value in the place of the record of "bad"."""
    return elements(row, what, with_v1(records={KEY: value}), code)


def saved(numbers: bytes, name: bytes = b"bad") -> bytes:
    return message(2, message(1, name) + message(2, message(1, b"")) + message(3, numbers))


def in_slices(*slices: tuple[int, int], length: int = 4):
    pairs = [((Extent(start, size),), BAD[start : start + size]) for start, size in slices]
    return with_v1(pairs, shapes={b"bad": (length,)})


def without(key: bytes):
    """Make the function that leaves that entry of the table out."""

    def make(directory: Path) -> None:
        with_v1()(directory)
        items = read_table((directory / NAME).read_bytes())
        with_bytes(build_table([item for item in items if item[0] != key]))(directory)

    return make


def damaged_block(directory: Path) -> None:
    """Put "bad" into a block of its own, whose checksum is wrong."""
    with_v1()(directory)
    items = read_table((directory / NAME).read_bytes())
    file = IndexFile()
    for key, value in items:
        file.data_block(plain_block([(key, value)]), key, flip=int(key == KEY))
    with_bytes(file.finish())(directory)


FLOATS = message(5, BAD_BYTES)
ONE = shape(4) + number(3, 1)
SLICE = message(4, message(1, b""))
BAD_NAME = message(1, b"bad")
GOOD_TENSOR = message(1, b"good") + ONE + SLICE
SOUND = BAD_NAME + ONE + SLICE


def rows_of_many(rank: int, rows: range) -> bytes:
    """List rows of "bad", which has 5,000 of them and that rank."""
    extents = message(1, b"") * (rank - 1)
    slices = (message(1, number(1, row) + number(2, 1)) + extents for row in rows)
    return (
        BAD_NAME
        + shape(5_000, *[1] * (rank - 1))
        + number(3, 1)
        + b"".join(message(4, extents) for extents in slices)
    )


ROWS = [
    Case("V001", "V1 as it should be", with_v1(), ACCEPT, values={"bad": BAD_BYTES}),
    Case(
        "V002",
        "V1 in slices as it should be",
        in_slices((0, 1), (1, 3)),
        ACCEPT,
        values={"bad": BAD_BYTES},
    ),
    Case(
        "V003",
        "V1 without end",
        with_bytes(build_table([(b"", b"")])[:-9]),
        code="UnsupportedFormat",
        key=None,
        file=NAME,
    ),
    listing("V004", "the list is no message", b"\xff\xff", "BadHeader"),
    Case("V005", "no list", without(b""), code="UnsupportedFormat", key=None, file=NAME),
    listing(
        "V006",
        "min_consumer 2",
        message(1, message(2, number(2, 2))),
        "UnsupportedVersion",
    ),
    nameless("V007", "a tensor without name", ONE + SLICE),
    nameless("V008", "a tensor that breaks off before its name", ONE + b"\x0a\x7f"),
    listing(
        "V009",
        "a tensor past the end of the list",
        message(1, message(1, GOOD_TENSOR) + b"\x0a\x7f"),
        "BadHeader",
    ),
    tensor("V010", "dtype 200", shape(4) + number(3, 200) + SLICE, "BadDType"),
    tensor("V011", "dimension -1", shape(-1) + number(3, 1) + SLICE, "BadShape"),
    tensor(
        "V012", "dimensions 2^32 x 2^32", shape(1 << 32, 1 << 32) + number(3, 1), "BadShape"
    ),
    tensor("V013", "no slice", ONE, "BadSlice"),
    tensor(
        "V014",
        "a slice past the end",
        ONE + message(4, message(1, number(1, 2) + number(2, 3))),
        "BadSlice",
    ),
    tensor("V015", "a slice of another rank", shape(4, 1) + number(3, 1) + SLICE, "BadSlice"),
    tensor("V016", "the same slice twice", ONE + SLICE + SLICE, "BadSlice"),
    tensor("V017", "a shape that is no message", message(2, b"\x12\x7f"), "BadEntry"),
    tensor("V018", "no dtype", shape(4) + SLICE, "BadDType"),
    tensor("V019", "breaks off behind its name", b"\x12", "BadEntry"),
    elements("V020", "no record", without(KEY), "MissingSlice"),
    record("V021", "record of another tensor", saved(FLOATS, b"good"), "BadEntry"),
    record("V022", "record is no message", b"\x12\x7f", "BadEntry"),
    record("V023", "fewer elements", saved(message(5, BAD_BYTES[:12])), "SizeMismatch"),
    record("V024", "more elements", saved(message(5, BAD_BYTES * 2)), "SizeMismatch"),
    record("V025", "half a float", saved(message(5, BAD_BYTES[:-2])), "BadEntry"),
    record(
        "V026", "floats in the field of integers", saved(message(7, BAD_BYTES)), "SizeMismatch"
    ),
    elements(
        "V027",
        "an integer beyond its dtype",
        with_v1(np.zeros(1, np.uint8), {KEY: saved(message(7, put_varint(300)))}),
        "BadEntry",
    ),
    elements(
        "V028",
        "integers that never end",
        with_v1(np.zeros(1, np.int64), {KEY: saved(message(10, b"\x80" * 11))}),
        "BadEntry",
    ),
    elements(
        "V029",
        "2^40 elements, of which 4 are there",
        with_v1([(FULL, BAD)], shapes={b"bad": (1 << 40,)}),
        "SizeMismatch",
    ),
    elements("V030", "slices do not cover", in_slices((0, 2)), "MissingSlice"),
    elements("V031", "slices overlap", in_slices((0, 3), (2, 2)), "BadSlice"),
    elements(
        "V032",
        "2^60 elements in two slices",
        in_slices((0, 2), (2, 2), length=1 << 60),
        "MissingSlice",
    ),
    elements("V033", "block of the elements damaged", damaged_block, "BadBlockChecksum"),
    listed(
        "V040",
        "its name behind a shape that is no message",
        "BadEntry",
        message(2, b"\x12\x7f") + BAD_NAME,
    ),
    listed(
        "V041",
        "listed again with another dtype",
        "BadEntry",
        SOUND,
        BAD_NAME + shape(4) + number(3, 3) + SLICE,
    ),
    listed(
        "V042",
        "listed again with another shape",
        "BadEntry",
        SOUND,
        BAD_NAME + shape(5) + number(3, 1) + SLICE,
    ),
    listed("V043", "listed again without slices", "BadSlice", SOUND, BAD_NAME + ONE),
    elements("V044", "listed again", with_list(SOUND, SOUND, GOOD_TENSOR), "BadSlice"),
    tensor("V045", "rank 300", shape(*[1] * 300) + number(3, 1) + SLICE, "BadShape"),
    tensor("V046", "rank 2000", shape(*[1] * 2000) + number(3, 1) + SLICE, "LimitExceeded"),
    listed(
        "V047",
        "4,200 slices of rank 254",
        "LimitExceeded",
        rows_of_many(254, range(4_200)),
    ),
    listed(
        "V048",
        "4,200 slices of rank 254 in two listings",
        "LimitExceeded",
        rows_of_many(254, range(2_100)),
        rows_of_many(254, range(2_100, 4_200)),
    ),
]
