"""Section F: tensors stored in parts."""

from __future__ import annotations

from dataclasses import replace

from reference.bundle import Entry, Extent
from reference.proto import encode_entry
from reference.slices import encode_slice_key

from .bundles import BAD_BYTES, FLOAT, entry_of, with_bad
from .case import ACCEPT, ENTRY, Case
from .case import DATA as AT_DATA
from .case import PARTS as AT_PARTS
from .header_rows import message, number

TOP = (1 << 63) - 1
LEFT, RIGHT = (Extent(0, 2),), (Extent(2, 2),)
PARTS = {LEFT: entry_of(BAD_BYTES[:8], 0, (2,)), RIGHT: entry_of(BAD_BYTES[8:], 8, (2,))}


def whole(*slices: tuple[Extent, ...], shape: tuple[int, ...] = (4,)) -> bytes:
    return encode_entry(Entry(FLOAT, shape, slices=slices))


def raw(*extents: bytes, shape: tuple[int, ...] = (4,)) -> bytes:
    """Give an entry with one slice of these extents."""
    slice_ = b"".join(message(1, extent) for extent in extents)
    return encode_entry(Entry(FLOAT, shape)) + message(7, slice_)


def extent(start: int, length: int) -> bytes:
    return number(1, start) + number(2, length)


def with_parts(value: bytes, parts: dict[tuple[Extent, ...], Entry]):
    keys = {encode_slice_key(b"bad", k): encode_entry(part) for k, part in parts.items()}
    return with_bad(value, more=keys)


def entry(row: str, what: str, value: bytes, code: str = "BadSlice") -> Case:
    return Case(row, what, with_parts(value, PARTS), ENTRY, code)


def parts(row: str, what: str, value: bytes, found, code, level=AT_PARTS, **how) -> Case:
    return Case(row, what, with_parts(value, found), level, code, **how)


BOTH = whole(LEFT, RIGHT)
ROWS = [
    entry("F158", "start -5", raw(extent(-5, 2))),
    entry("F159", "start 2^63-1", raw(extent(TOP, 1))),
    entry("F160", "start and length wrap", raw(extent(TOP, TOP))),
    entry("F160b", "start and length wrap to 1", raw(extent(-1, 2))),
    entry("F161", "length 400 of 4", raw(extent(0, 400))),
    entry("F162", "length 0", raw(extent(1, 0))),
    entry("F162b", "length -1", raw(extent(1, -1))),
    entry("F163", "no extents for rank 1", raw()),
    entry("F164", "start without length", raw(number(1, 2))),
    entry("F165", "more extents than dimensions", raw(extent(0, 2), extent(0, 2))),
    entry("F166", "the same slice twice", whole(LEFT, LEFT)),
    Case(
        "F156c",
        "two parts as they should be",
        with_parts(BOTH, PARTS),
        ACCEPT,
        values={"bad": BAD_BYTES},
    ),
    parts("F157", "parts are missing", BOTH, {}, "MissingSlice"),
    parts("F157b", "one part is missing", BOTH, {LEFT: PARTS[LEFT]}, "MissingSlice"),
    parts("F167", "slices do not cover", whole(LEFT), PARTS, "MissingSlice"),
    parts(
        "F167b",
        "slices cover but for one element",
        whole(LEFT, (Extent(2, 1),)),
        {**PARTS, (Extent(2, 1),): entry_of(BAD_BYTES[8:12], 8, (1,))},
        "MissingSlice",
    ),
    parts(
        "F168",
        "slices overlap",
        whole(LEFT, (Extent(1, 3),)),
        {**PARTS, (Extent(1, 3),): entry_of(BAD_BYTES[4:], 4, (3,))},
        ("BadSlice", "MissingSlice"),
    ),
    parts(
        "F168b",
        "slices overlap and sum up to the whole",
        whole((Extent(0, 3),), (Extent(1, 1),)),
        {
            (Extent(0, 3),): entry_of(BAD_BYTES[:12], 0, (3,)),
            (Extent(1, 1),): entry_of(BAD_BYTES[4:8], 4, (1,)),
        },
        ("BadSlice", "MissingSlice"),
    ),
    parts(
        "F169",
        "a part has slices itself",
        BOTH,
        {**PARTS, LEFT: Entry(FLOAT, (2,), slices=((Extent(0, 1),),))},
        "BadSlice",
    ),
    parts(
        "F170",
        "a part of another dtype",
        BOTH,
        {**PARTS, LEFT: replace(PARTS[LEFT], dtype=3)},
        "BadSlice",
    ),
    parts(
        "F171",
        "a part of another shape",
        BOTH,
        {**PARTS, LEFT: entry_of(BAD_BYTES[:12], 0, (3,))},
        "BadSlice",
    ),
    parts(
        "F171b",
        "a part of another rank",
        BOTH,
        {**PARTS, LEFT: entry_of(BAD_BYTES[:8], 0, (2, 1))},
        "BadSlice",
    ),
    parts(
        "F171c",
        "a part beyond the file",
        BOTH,
        {**PARTS, RIGHT: replace(PARTS[RIGHT], offset=4096)},
        "OutOfBounds",
        AT_DATA,
    ),
    parts(
        "F171d",
        "a part is damaged",
        BOTH,
        {**PARTS, RIGHT: replace(PARTS[RIGHT], crc32c=7)},
        "DataChecksumMismatch",
        AT_DATA,
        maps=True,
    ),
    parts(
        "F171e",
        "2^60 elements in two parts",
        whole(LEFT, RIGHT, shape=(1 << 60,)),
        PARTS,
        "MissingSlice",
    ),
    parts(
        "F171f",
        "a part in a shard that does not exist",
        BOTH,
        {**PARTS, RIGHT: replace(PARTS[RIGHT], shard_id=9)},
        "BadShardId",
    ),
]
