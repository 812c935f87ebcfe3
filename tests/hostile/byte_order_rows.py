"""Section B, row 67: bundles of big-endian machines, which are read in all dtypes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from reference.bundle import Entry, Extent, Header, Partitioned, write_bundle
from reference.bundle import read_entries as entries_of
from reference.proto import encode_entry, encode_header
from reference.table import build_table

from .bundles import BAD_BYTES
from .case import ACCEPT, GOOD, NAME, Case
from .case import DATA as AT_DATA
from .string_rows import WORDS

BAD = np.frombuffer(BAD_BYTES, np.float32)


def big(bad: object, change: Callable[[Entry], Entry] = lambda entry: entry, **how: bool):
    """Make the function that writes "bad" and "good" as a big-endian machine would.

    `change` is made to the entry of "bad" afterwards; the header says what the bytes are but
    where ``says`` is ``False``.
    """
    says = how.pop("says", True)

    def make(directory: Path) -> None:
        prefix = directory / NAME
        write_bundle(prefix, {"bad": bad, "good": GOOD}, big_endian=True)
        entries = entries_of(prefix)
        entries[b"bad"] = change(entries[b"bad"])
        items = [(key, encode_entry(entry)) for key, entry in sorted(entries.items())]
        header = encode_header(Header(1, says))
        prefix.with_suffix(".index").write_bytes(build_table([(b"", header), *items]))

    return make


def flipped(directory: Path) -> None:
    big(BAD)(directory)
    shard = directory / f"{NAME}.data-00000-of-00001"
    content = bytearray(shard.read_bytes())
    content[3] ^= 1
    shard.write_bytes(content)


IN_PARTS = Partitioned((4,), [((Extent(0, 2),), BAD[:2]), ((Extent(2, 2),), BAD[2:])])

ROWS = [
    Case("B067", "big-endian", big(BAD), ACCEPT, values={"bad": BAD_BYTES}),
    Case("B067b", "big-endian strings", big(WORDS), ACCEPT, values={"bad": WORDS}),
    Case("B067c", "big-endian in parts", big(IN_PARTS), ACCEPT, values={"bad": BAD_BYTES}),
    Case(
        "B067d",
        "big-endian, a bit flipped",
        flipped,
        AT_DATA,
        "DataChecksumMismatch",
        maps=True,
    ),
    Case(
        "B067e",
        "big-endian beyond the file",
        big(BAD, lambda entry: replace(entry, offset=4096)),
        AT_DATA,
        "OutOfBounds",
    ),
    Case(
        "B067f",
        "strings of the other byte order than said",
        big(WORDS, says=False),
        AT_DATA,
        "DataChecksumMismatch",
        good=(),
    ),
]
