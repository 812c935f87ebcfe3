"""Section C: the entry of one tensor."""

from __future__ import annotations

import os
from pathlib import Path

from reference.coding import put_varint
from reference.proto import encode_entry
from reference.table import build_table

from .bundles import BAD, BAD_BYTES, bad, entry_of, items, with_bad, write
from .case import ACCEPT, ENTRY, GOOD, NAME, Case
from .case import DATA as AT_DATA
from .header_rows import message, number

TOP63 = (1 << 63) - 1


def shape(*dims: int) -> bytes:
    return message(2, b"".join(message(2, number(1, dim)) for dim in dims))


def fields(
    *, dtype: bytes = b"\x08\x01", dims: bytes | None = None, rest: bytes = b""
) -> bytes:
    """Give an entry of 16 bytes at 0 with some fields as they are given."""
    place = number(5, 16) + b"\x35" + BAD.crc32c.to_bytes(4, "little")
    return dtype + (shape(4) if dims is None else dims) + (rest or place)


def entry(row: str, what: str, value: bytes, code: str | tuple[str, ...], **how) -> Case:
    return Case(row, what, with_bad(value), ENTRY, code, **how)


def accepted(row: str, what: str, value: bytes, **values) -> Case:
    return Case(row, what, with_bad(value), ACCEPT, values=values or {"bad": BAD_BYTES})


def messages() -> list[Case]:
    return [
        entry("C076", "no bytes", b"", "BadDType"),
        entry("C077", "cut by 3 bytes", bad()[:-3], "BadEntry"),
        entry("C078", "a group without end", bad() + b"\x4b", "BadEntry"),
        entry("C079", "size twice", fields(rest=number(5, 16) + number(5, 8)), "SizeMismatch"),
        accepted(
            "C079b",
            "size twice, the last is right",
            fields(rest=number(5, 8) + fields()[len(shape(4)) + 2 :]),
        ),
        entry(
            "C080",
            "size of another wire type",
            fields(rest=message(5, b"\x10")),
            ("BadEntry", "SizeMismatch"),
        ),
        entry(
            "C080b",
            "crc32c as a varint",
            fields(rest=number(5, 16) + number(6, 7)),
            ("BadEntry", "DataChecksumMismatch"),
        ),
        entry("C081", "field number 0", bad() + b"\x00\x00", "BadEntry"),
        entry("C081b", "wire type 7", bad() + b"\x4f", "BadEntry"),
        entry(
            "C082", "shape of 2^31 bytes", b"\x08\x01\x12" + put_varint(1 << 31), "BadEntry"
        ),
        entry(
            "C082b",
            "shape of 2^64-1 bytes",
            b"\x08\x01\x12" + b"\xff" * 9 + b"\x01",
            "BadEntry",
        ),
        entry(
            "C083",
            "10 MiB of dimensions",
            fields(dims=message(2, b"\x12\x00" * (5 << 20))),
            ("LimitExceeded", "BadShape"),
        ),
        entry("C083b", "10 MiB of slices", bad() + b"\x3a\x00" * (5 << 20), "LimitExceeded"),
        entry(
            "C083c",
            "more extents than memory",
            fields(dims=shape(*[1] * 254), rest=message(7, b"\x0a\x00" * 254) * 5000),
            "LimitExceeded",
        ),
        accepted("C084", "unknown fields", bad() + number(77, 1) + message(78, b"x")),
        accepted("C084b", "fields in another order", fields()[2:] + b"\x08\x01"),
        accepted("C084c", "shape in two parts", fields(dims=shape(2) + shape(2))),
    ]


def dtypes() -> list[Case]:
    def dtype(row: str, what: str, value: int, code: str) -> Case:
        return entry(row, what, fields(dtype=number(1, value)), code)

    return [
        dtype("C085", "dtype 200", 200, "BadDType"),
        dtype("C086", "dtype -1", -1, "BadDType"),
        dtype("C087", "dtype resource", 20, "BadDType"),
        dtype("C087b", "dtype invalid", 0, "BadDType"),
        dtype("C087c", "dtype 34, the next there might be", 34, "BadDType"),
        dtype("C089", "dtype float_ref", 101, "BadDType"),
        dtype("C090", "dtype 2^32 + 1", (1 << 32) + 1, "BadDType"),
        dtype("C091", "double with the size of floats", 2, "SizeMismatch"),
        Case(
            "C092",
            "string over the bytes of floats",
            with_bad(fields(dtype=number(1, 7))),
            AT_DATA,
            ("BadStringLengths", "DataChecksumMismatch"),
        ),
        Case(
            "C092b",
            "strings of zero bytes all",
            with_bad(fields(dtype=number(1, 7)), bytes(32)),
            AT_DATA,
            ("BadStringLengths", "DataChecksumMismatch"),
            good=(),
        ),
    ]


def shapes() -> list[Case]:
    def dims(
        row: str, what: str, *sizes: int, code: str | tuple[str, ...] = "BadShape"
    ) -> Case:
        return entry(row, what, fields(dims=shape(*sizes)), code)

    empty = encode_entry(entry_of(b"", 0, (0,)))
    rank_254 = encode_entry(entry_of(BAD_BYTES, 0, (4,) + (1,) * 253))
    return [
        dims("C094", "dimension -2^63", -(1 << 63)),
        dims("C094b", "dimension -1", -1),
        dims("C095", "dimensions 2^32 x 2^32", 1 << 32, 1 << 32),
        dims("C096", "dimensions whose product wraps to 4", (1 << 62) + 1, 4),
        dims("C096b", "three whose product wraps", 1 << 21, 1 << 21, 1 << 22),
        dims("C097", "rank 255", *[1] * 255),
        dims("C097b", "rank 1000", *[1] * 1000),
        Case(
            "C098", "rank 254", with_bad(rank_254), AT_DATA, "UnsupportedRank", unchecked=True
        ),
        Case(
            "C099",
            "rank 65",
            with_bad(encode_entry(entry_of(BAD_BYTES, 0, (4,) + (1,) * 64))),
            AT_DATA,
            "UnsupportedRank",
            unchecked=True,
        ),
        accepted("C099b", "rank 64", encode_entry(entry_of(BAD_BYTES, 0, (4,) + (1,) * 63))),
        entry("C100", "unknown rank", fields(dims=message(2, number(3, 1))), "BadShape"),
        entry(
            "C101",
            "unknown rank with dimensions",
            fields(dims=message(2, message(2, number(1, 4)) + number(3, 1))),
            "BadShape",
        ),
        accepted(
            "C102",
            "no shape is a scalar",
            b"\x08\x01" + encode_entry(entry_of(BAD_BYTES[:4], 0, ()))[4:],
            bad=BAD_BYTES[:4],
        ),
        dims("C103", "dimensions 0 x 2^62 x 2^62", 0, 1 << 62, 1 << 62),
        accepted("C103b", "dimension 0", empty, bad=b""),
        Case(
            "C103c",
            "empty, with a dimension of 2^60",
            with_bad(encode_entry(entry_of(b"", 0, (0, 1 << 60)))),
            ACCEPT,
            values={"bad": b""},
        ),
        entry(
            "C103d",
            "dimension is no message",
            fields(dims=message(2, number(2, 4))),
            "BadEntry",
        ),
    ]


def sizes() -> list[Case]:
    def size(row: str, what: str, value: int, code: str = "SizeMismatch") -> Case:
        return entry(row, what, bad(size=value), code)

    return [
        size("C104", "size 12 for four floats", 12),
        size("C105", "size 17 for four floats", 17),
        size("C106", "size 0 for four floats", 0),
        size("C107", "size -1", -1),
        size("C108", "size 2^63-1", TOP63),
        Case(
            "C109",
            "40 GiB in a file of 32 bytes",
            with_bad(bad(shape=(10 << 30,), size=40 << 30)),
            AT_DATA,
            "OutOfBounds",
        ),
        Case(
            "C109b",
            "2^62 bytes",
            with_bad(bad(shape=(1 << 60,), size=1 << 62)),
            AT_DATA,
            "OutOfBounds",
        ),
        entry("C110", "offset -1", bad(offset=-1), "OutOfBounds"),
        Case("C111", "offset 2^62", with_bad(bad(offset=1 << 62)), AT_DATA, "OutOfBounds"),
        Case(
            "C112",
            "ends 8 bytes behind the file",
            with_bad(bad(offset=24)),
            AT_DATA,
            "OutOfBounds",
        ),
        entry("C113", "offset 2^63-1", bad(offset=TOP63), "OutOfBounds"),
        Case(
            "C114",
            "ends a byte behind the file",
            with_bad(bad(offset=17)),
            AT_DATA,
            "OutOfBounds",
        ),
        Case(
            "C114b",
            "empty, beyond the file",
            with_bad(encode_entry(entry_of(b"", 4096, (0,)))),
            AT_DATA,
            "OutOfBounds",
        ),
        entry("C115", "shard_id is num_shards", bad(shard_id=1), "BadShardId"),
        entry("C116", "shard_id -1", bad(shard_id=-1), "BadShardId"),
        entry(
            "C117",
            "shard_id 2^31",
            fields(rest=number(3, 1 << 31) + number(5, 16)),
            "BadShardId",
        ),
        entry(
            "C117b",
            "shard_id 2^32",
            fields(rest=number(3, 1 << 32) + number(5, 16)),
            "BadShardId",
        ),
    ]


def overlaps() -> list[Case]:
    def many(count: int, size: int):
        """Write so many keys over the same bytes, none of which takes room on the disk."""

        def make(directory: Path) -> None:
            one = encode_entry(entry_of(b"", 0, (size,), dtype=4)) + number(5, size)
            more = {b"k%07d" % i: one for i in range(count)}
            write(directory, build_table(items(one, more=more)))
            os.truncate(directory / f"{NAME}.data-00000-of-00001", size)

        return make

    return [
        Case(
            "C118",
            "two keys share their bytes",
            with_bad(bad(), more={b"twin": bad()}),
            ACCEPT,
            values={"bad": BAD_BYTES, "twin": BAD_BYTES, "good": GOOD.tobytes()},
        ),
        Case(
            "C118b",
            "one key inside another",
            with_bad(bad(), more={b"twin": encode_entry(entry_of(BAD_BYTES[4:12], 4, (2,)))}),
            ACCEPT,
            values={"bad": BAD_BYTES, "twin": BAD_BYTES[4:12]},
        ),
        Case(
            "C119",
            "2,000 keys over 8 MiB",
            many(2000, 8 << 20),
            AT_DATA,
            ("LimitExceeded", "DataChecksumMismatch"),
            key="k0000004",
            good=(),
            maps=True,
        ),
        Case(
            "C121",
            "no crc32c",
            with_bad(bad(crc32c=0)),
            AT_DATA,
            "DataChecksumMismatch",
            maps=True,
        ),
        Case(
            "C121b",
            "crc32c not masked",
            with_bad(bad(crc32c=BAD.crc32c ^ 1)),
            AT_DATA,
            "DataChecksumMismatch",
            maps=True,
        ),
    ]


ROWS = [*messages(), *dtypes(), *shapes(), *sizes(), *overlaps()]
