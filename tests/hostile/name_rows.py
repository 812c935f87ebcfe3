"""Section G: names of tensors."""

from __future__ import annotations

from reference.bundle import WHOLE, Extent
from reference.proto import encode_entry
from reference.slices import encode_slice_key
from reference.table import build_table

from .bundles import BAD, BAD_BYTES, bad, items, with_bad, write
from .case import ACCEPT, BLOCK, Case
from .tables import IndexFile, plain_block


def named(row: str, what: str, name: bytes) -> Case:
    """Give "bad" another name, under which it is to be found."""
    text = name.decode("utf-8", "surrogateescape")

    def make(directory):
        pairs = [item for item in items() if item[0] != b"bad"] + [(name, bad())]
        write(directory, build_table(sorted(pairs)))

    return Case(row, what, make, ACCEPT, values={text: BAD_BYTES})


def _too_long() -> bytes:
    file = IndexFile().data_block(plain_block(items()), b"h")
    return file.data_block(plain_block([(b"z" * ((1 << 20) + 1), bad())]), b"~").finish()


ROWS = [
    named("G172", "newline in a name", b"a\nERROR all is lost"),
    named("G172b", "escape sequence in a name", b"\x1b[2J\x1b[31m"),
    named("G173", "name that climbs", b"../../etc/passwd"),
    named("G173b", "absolute path as a name", b"/etc/passwd"),
    named("G173c", "name of dots", b".."),
    named("G174", "name that is not UTF-8", b"\xff\xfe\x80"),
    named("G174b", "name with a zero byte", b"a\0b"),
    named("G175", "name of 64 KiB", b"n" * 65536),
    Case(
        "G175b",
        "name of more than 1 MiB",
        lambda directory: write(directory, _too_long()),
        BLOCK,
        "LimitExceeded",
        key="zed",
        good=("bad", "good"),
    ),
    named("G176", "name begins with a zero byte", b"\0name"),
    named(
        "G176b", "name almost a slice's key", encode_slice_key(b"v", (Extent(0, WHOLE),))[:-1]
    ),
    Case(
        "G176c",
        "key of a slice without its tensor",
        with_bad(
            bad(), more={encode_slice_key(b"nobody", (Extent(0, 2),)): encode_entry(BAD)}
        ),
        ACCEPT,
    ),
    named("G177", "name with shell characters", b"*?[a-z]$(reboot)`x`|;"),
    named("G177b", "name that turns the writing round", "‮txt.exe".encode()),
]
