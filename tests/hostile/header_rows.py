"""Section B: the header entry."""

from __future__ import annotations

from reference.coding import put_varint
from reference.proto import Header, encode_header
from reference.table import build_table

from .bundles import HEADER, bad, items, with_header, with_index
from .case import ACCEPT, Case
from .tables import IndexFile, plain_block


def number(field: int, value: int) -> bytes:
    return put_varint(field << 3) + put_varint(value)


def message(field: int, content: bytes) -> bytes:
    return put_varint(field << 3 | 2) + put_varint(len(content)) + content


ONE_SHARD = number(1, 1)
VERSION = message(3, number(1, 1))


def refused(row: str, what: str, header: bytes, code: str | tuple[str, ...]) -> Case:
    return Case(row, what, with_header(header), code=code, key=None)


def accepted(row: str, what: str, header: bytes) -> Case:
    return Case(row, what, with_header(header), ACCEPT)


def keys(*entries: tuple[bytes, bytes]) -> bytes:
    return IndexFile().data_block(plain_block(entries), b"~").finish()


_FIRST_A_ZERO_BYTE = build_table(
    [(b"\0", HEADER), *[item for item in items() if item[0]]],
)

ROWS = [
    Case("B059", "no header", with_header(None), code="MissingHeader", key=None),
    Case(
        "B060",
        "first key is a zero byte",
        with_index(_FIRST_A_ZERO_BYTE),
        code="MissingHeader",
        key=None,
    ),
    Case(
        "B061",
        "two headers",
        with_index(keys((b"", HEADER), (b"", encode_header(Header(7))), (b"bad", bad()))),
        code="DuplicateKey",
        key=None,
    ),
    refused("B062", "header is no message", b"\xff\xff\xff", "BadHeader"),
    refused("B063", "header without bytes", b"", "BadHeader"),
    refused("B063b", "header cut", HEADER[:-1], "BadHeader"),
    refused("B064", "no num_shards", VERSION, "BadHeader"),
    refused("B065", "num_shards -1", number(1, -1) + VERSION, "BadHeader"),
    refused("B065b", "num_shards 0", number(1, 0) + VERSION, "BadHeader"),
    refused("B066", "num_shards 2^31", number(1, 1 << 31) + VERSION, "BadHeader"),
    refused("B066b", "num_shards 100,000", number(1, 100_000) + VERSION, "BadHeader"),
    refused("B066c", "num_shards 2^32 + 1", number(1, (1 << 32) + 1) + VERSION, "BadHeader"),
    refused("B068", "endianness 7", ONE_SHARD + number(2, 7) + VERSION, "BadHeader"),
    refused("B069", "endianness 2^32", ONE_SHARD + number(2, 1 << 32) + VERSION, "BadHeader"),
    refused(
        "B070", "producer -1", ONE_SHARD + message(3, number(1, -1)), "UnsupportedVersion"
    ),
    accepted("B071", "no version", ONE_SHARD),
    accepted("B071b", "a producer of the future", ONE_SHARD + message(3, number(1, 999))),
    refused(
        "B072", "min_consumer 2", ONE_SHARD + message(3, number(2, 2)), "UnsupportedVersion"
    ),
    refused("B073", "20,000 nested groups", ONE_SHARD + b"\x23" * 20_000, "BadHeader"),
    refused(
        "B073b",
        "20,000 nested groups that end",
        ONE_SHARD + b"\x23" * 20_000 + b"\x24" * 20_000,
        "BadHeader",
    ),
    accepted("B073c", "50 nested groups", HEADER + b"\x23" * 50 + b"\x24" * 50),
    refused(
        "B074",
        "bad_consumers has us",
        ONE_SHARD + message(3, message(3, b"\x01")),
        "UnsupportedVersion",
    ),
    refused(
        "B074b",
        "bad_consumers has us, not packed",
        ONE_SHARD + message(3, number(3, 1)),
        "UnsupportedVersion",
    ),
    refused(
        "B075",
        "num_shards of another wire type",
        b"\x0d\x01\x00\x00\x00" + VERSION,
        "BadHeader",
    ),
    refused("B075b", "version of another wire type", ONE_SHARD + number(3, 1), "BadHeader"),
    refused("B075c", "field number 0", HEADER + b"\x00\x01", "BadHeader"),
    accepted("B075d", "unknown fields", HEADER + number(77, 5) + message(99, b"abc")),
]
