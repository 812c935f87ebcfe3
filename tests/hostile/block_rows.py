"""Section A, what is inside of blocks: restart points, entries, the order of keys."""

from __future__ import annotations

from .bundles import HEADER, bad, items, with_index
from .case import BLOCK, Case
from .index_rows import (
    BLOCK_OF_ALL,
    MIB,
    index,
    second_block,
    sound_file,
    with_block,
)
from .tables import EMPTY, IndexFile, plain_block, raw_block, raw_entry


def restarts() -> list[Case]:
    one = raw_entry(0, b"zed", bad())
    two = one + raw_entry(0, b"zeta", b"")

    def block(row: str, what: str, content: bytes) -> Case:
        return second_block(row, what, content, "BadBlock")

    all_of_one = b"".join(raw_entry(0, key, value) for key, value in items())
    return [
        block("A033", "one restart point too many", raw_block(one, [0], 2)),
        block("A034", "restart count 2^32-1", raw_block(one, [0], 0xFFFFFFFF)),
        index(
            "A034b",
            "restart count 2^32-1 in the index block",
            sound_file().finish(index_block=raw_block(b"", [0], 0xFFFFFFFF)),
            "BadBlock",
        ),
        block("A035", "no restart points", raw_block(one, [])),
        block("A036", "the same restart point twice", raw_block(two, [0, 0])),
        block("A036b", "restart points descend", raw_block(two, [len(one), 0])),
        block("A037", "restart point at 2^31-1", raw_block(one, [0x7FFFFFFF])),
        block("A038", "restart point inside an entry", raw_block(two, [0, 5])),
        block("A039", "restart point behind the last entry", raw_block(one, [0, len(one)])),
        block("A040", "shorter than its restart count", b"ab"),
        block("A040b", "no room for its restart points", raw_block(b"", [], 7)),
        index(
            "A040c",
            "restart point in the first block",
            with_block(raw_block(all_of_one, [0, 1])),
            "BadBlock",
        ),
    ]


def entries() -> list[Case]:
    def block(row: str, what: str, entry: bytes, code: str = "BadBlock") -> Case:
        return second_block(row, what, raw_block(entry), code)

    top = (1 << 32) - 1
    bomb = raw_entry(0, b"z" * (MIB - 1), b"") + b"".join(
        raw_entry(MIB - 1, bytes([i]), b"") for i in range(1, 256)
    )
    return [
        block(
            "A041",
            "shares more than the key before",
            raw_entry(0, b"zed", b"v") + raw_entry(4, b"x", b"v"),
        ),
        index(
            "A041b",
            "shares more in the first block",
            with_block(raw_block(raw_entry(0, b"", HEADER) + raw_entry(3, b"x", b"v"))),
            "BadBlock",
        ),
        block("A042", "first entry shares", raw_entry(1, b"zed", b"v")),
        block(
            "A043", "key past the end of the block", raw_entry(0, b"zed", b"v", sizes=(900, 1))
        ),
        block(
            "A044",
            "value past the end of the block",
            raw_entry(0, b"zed", b"v", sizes=(3, 900)),
        ),
        block("A045", "all lengths 2^32-1", raw_entry(top, b"zed", b"v", sizes=(top, top))),
        block(
            "A046",
            "lengths whose sum wraps",
            raw_entry(0, b"zed", b"v", sizes=(1 << 31, (1 << 31) + 1)),
        ),
        block("A047", "a length of 7 bytes", b"\x80\x80\x80\x80\x80\x80\x01\x03\x01zedv"),
        block("A048", "a length of 2^35", b"\x80\x80\x80\x80\x80\x01\x03\x01zedv"),
        block("A048b", "a length cut by the end", b"\x00\x03\x80"),
        block("A048c", "keys grow out of all proportion", bomb, "LimitExceeded"),
    ]


def orders() -> list[Case]:
    def keys(*names: bytes, header: bytes = HEADER) -> bytes:
        return with_block(plain_block([(name, bad() if name else header) for name in names]))

    def two_blocks(*names: bytes, separator: bytes = b"h") -> bytes:
        first = IndexFile().data_block(BLOCK_OF_ALL, separator)
        return first.data_block(plain_block([(name, bad()) for name in names]), b"~").finish()

    return [
        index("A049", "keys z before a", keys(b"", b"z", b"a"), "BadKeyOrder"),
        index("A050", "one key twice", keys(b"", b"bad", b"bad"), "DuplicateKey"),
        Case(
            "A051",
            "keys descend from block to block",
            with_index(two_blocks(b"alpha")),
            BLOCK,
            "BadKeyOrder",
            key="zed",
            good=("bad", "good"),
        ),
        Case(
            "A051b",
            "one key in two blocks",
            with_index(two_blocks(b"good", separator=b"good")),
            BLOCK,
            "DuplicateKey",
            key="zed",
            good=("bad", "good"),
        ),
        index(
            "A052",
            "separator below the last key",
            with_block(BLOCK_OF_ALL, b"c"),
            "BadKeyOrder",
        ),
        index(
            "A052b", "separators descend", two_blocks(b"zed", separator=b"\xff"), "BadKeyOrder"
        ),
        index("A055", "one data block without entries", with_block(EMPTY), "MissingHeader"),
    ]


ROWS = [*restarts(), *entries(), *orders()]
