"""Section D: the data files. What happens to one that is open is in test_truncation.py."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from reference.proto import Header, encode_header
from reference.table import build_table

from .bundles import DATA, bad, items, with_bad, write_data, write_index
from .case import ACCEPT, NAME, Case
from .case import DATA as AT_DATA
from .index_rows import SOUND

SHARD = f"{NAME}.data-00000-of-00001"


def with_shard(make_shard: Callable[[Path], None]):
    """Write a sound index, and what is to stand in the place of its only shard."""

    def make(directory: Path) -> None:
        write_index(directory, SOUND)
        make_shard(directory / SHARD)

    return make


def only_bad(row: str, what: str, make_shard: Callable[[Path], None], code: str) -> Case:
    return Case(row, what, with_shard(make_shard), AT_DATA, code, good=())


def two_shards(make_bad_shard: Callable[[Path], None]):
    """Put "bad" into a shard of its own."""

    def make(directory: Path) -> None:
        header = encode_header(Header(2))
        value = bad(shard_id=1)
        write_index(directory, build_table(items(value, header=header)))
        write_data(directory, DATA, 0, 2)
        make_bad_shard(directory / f"{NAME}.data-00001-of-00002")

    return make


def two(row: str, what: str, make_bad_shard: Callable[[Path], None], code: str) -> Case:
    return Case(row, what, two_shards(make_bad_shard), AT_DATA, code)


def holding(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


def link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def bind_socket(path: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    os.chdir(path.parent)  # a socket's path may have 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(path.name)
    finally:
        os.fchdir(here)
        os.close(here)


def hole(path: Path) -> None:
    path.touch()
    os.truncate(path, len(DATA))


def huge_hole(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


def unreadable(path: Path) -> None:
    path.write_bytes(DATA)
    path.chmod(0)


def linked(path: Path) -> None:
    path.with_name("elsewhere").write_bytes(DATA)
    path.symlink_to("elsewhere")


def flipped(bit: int) -> bytes:
    content = bytearray(DATA)
    content[bit // 8] ^= 1 << bit % 8
    return bytes(content)


def swapped_words() -> bytes:
    return DATA[4:8] + DATA[:4] + DATA[8:]


ROWS = [
    only_bad("D122", "shard missing", lambda path: None, "MissingShard"),
    two("D122b", "one of two shards missing", lambda path: None, "MissingShard"),
    only_bad("D123", "shard empty", holding(b""), "OutOfBounds"),
    two("D124", "shard cut to 10 bytes", holding(DATA[:10]), "OutOfBounds"),
    *[
        Case(
            row,
            f"bit {bit} flipped",
            with_bad(bad(), flipped(bit)),
            AT_DATA,
            "DataChecksumMismatch",
            maps=True,
        )
        for row, bit in (("D125", 0), ("D125b", 63), ("D125c", 127))
    ],
    Case(
        "D126",
        "two words swapped",
        with_bad(bad(), swapped_words()),
        AT_DATA,
        "DataChecksumMismatch",
        maps=True,
    ),
    Case(
        "D126b",
        "bytes behind the last tensor",
        with_bad(bad(), DATA + b"polyglot" * 99),
        ACCEPT,
    ),
    only_bad("D127", "shard is a directory", lambda path: path.mkdir(), "NotRegularFile"),
    two(
        "D127b",
        "one of two shards is a directory",
        lambda path: path.mkdir(),
        "NotRegularFile",
    ),
    only_bad("D128", "shard is a FIFO", os.mkfifo, "NotRegularFile"),
    two("D128b", "one of two shards is a FIFO", os.mkfifo, "NotRegularFile"),
    only_bad("D129", "shard is a socket", bind_socket, "NotRegularFile"),
    only_bad("D131", "shard is /dev/zero", link_to("/dev/zero"), "NotRegularFile"),
    only_bad("D131b", "shard is /dev/full", link_to("/dev/full"), "NotRegularFile"),
    only_bad("D131c", "shard is a file of /proc", link_to("/proc/self/mem"), "OutOfBounds"),
    only_bad("D132", "shard is a link to nowhere", link_to("nowhere"), "MissingShard"),
    only_bad("D133", "shard is a loop of links", link_to(SHARD), "System"),
    Case("D133b", "shard is a link", with_shard(linked), ACCEPT),
    Case(
        "D134",
        "shard of mode 000",
        with_shard(unreadable),
        AT_DATA,
        "System",
        good=(),
        needs="nobody",
    ),
    only_bad(
        "D135",
        "shard has the name of another count",
        lambda path: path.with_name(f"{NAME}.data-00000-of-00002").write_bytes(DATA) and None,
        "MissingShard",
    ),
    only_bad(
        "D135b",
        "shard name has six digits",
        lambda path: (
            path.with_name(f"{NAME}.data-000000-of-000001").write_bytes(DATA) and None
        ),
        "MissingShard",
    ),
    Case(
        "D140",
        "hole where data should be",
        with_shard(hole),
        AT_DATA,
        "DataChecksumMismatch",
        maps=True,
        good=(),
    ),
    Case(
        "D140b",
        "1 TiB of hole",
        with_shard(huge_hole),
        AT_DATA,
        "DataChecksumMismatch",
        maps=True,
        good=(),
    ),
]
