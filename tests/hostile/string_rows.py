"""Section E: string tensors."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from reference.coding import put_varint
from reference.crc32c import crc32c, mask
from reference.dtypes import DTYPES
from reference.elements import encode
from reference.proto import Entry, encode_entry

from .bundles import DATA, STRING, entry_of, with_bad
from .case import ACCEPT, ENTRY, NAME, Case
from .case import DATA as AT_DATA

WORDS = [b"hi", b"", b"tensor"]


def word(length: int) -> bytes:
    return length.to_bytes(4 if length < 1 << 32 else 8, "little")


def stored(lengths: list[int], content: bytes, *, encoded: bytes | None = None, flip: int = 0):
    """Give the bytes of a string tensor, and its checksum; both right but for `flip`."""
    crc = crc32c(b"".join(map(word, lengths)))
    checksum = (mask(crc) ^ flip).to_bytes(4, "little")
    head = b"".join(map(put_varint, lengths)) if encoded is None else encoded
    return head + checksum + content, mask(crc32c(checksum + content, crc))


def strings(
    row: str,
    what: str,
    data: tuple[bytes, int],
    count: int,
    level: str,
    code,
    size: int | None = None,
    **how,
) -> Case:
    """Put those bytes behind the others; the entry says `count` strings in `size` bytes."""
    content, crc = data
    entry = Entry(
        STRING,
        (count,),
        offset=len(DATA),
        crc32c=crc,
        size=len(content) if size is None else size,
    )
    return Case(row, what, with_bad(encode_entry(entry), DATA + content), level, code, **how)


def bad_lengths(row: str, what: str, lengths: list[int], **how) -> Case:
    return strings(
        row,
        what,
        stored(lengths, b"hi", **how),
        2,
        AT_DATA,
        ("BadStringLengths", "DataChecksumMismatch"),
    )


def _sound() -> tuple[bytes, int]:
    array = np.array(WORDS, object)
    data, crc = encode(array, DTYPES[STRING], False)
    return data, mask(crc)


def _of_zeros(count: int):
    """Make a shard without a byte on the disk that is so many strings of no bytes."""

    def make(directory: Path) -> None:
        entry = Entry(STRING, (count,), offset=len(DATA), size=count + 4, crc32c=1)
        with_bad(encode_entry(entry))(directory)
        os.truncate(directory / f"{NAME}.data-00000-of-00001", len(DATA) + count + 4)

    return make


TOP = (1 << 64) - 1
SOUND, SOUND_CRC = _sound()
SPLIT = [2, TOP - 1]  # add up to what is there, in 64 bits, with what follows

ROWS = [
    Case(
        "E141",
        "strings as they should be",
        with_bad(
            encode_entry(
                Entry(STRING, (3,), offset=len(DATA), size=len(SOUND), crc32c=SOUND_CRC)
            ),
            DATA + SOUND,
        ),
        ACCEPT,
        values={"bad": WORDS},
    ),
    bad_lengths("E142", "length 2^40", [2, 1 << 40]),
    bad_lengths("E143", "length 2^64-1", [2, TOP]),
    bad_lengths("E144", "length one too large", [2, 1]),
    bad_lengths("E145", "length 2^33", [2, 1 << 33]),
    bad_lengths("E146", "lengths whose sum wraps", SPLIT),
    bad_lengths("E146b", "lengths whose sum wraps to the size", [1 << 63, (1 << 63) + 2]),
    bad_lengths("E147", "length one too small", [1, 0]),
    strings(
        "E148",
        "checksum of the lengths wrong",
        stored([1, 1], b"hi", flip=1),
        2,
        AT_DATA,
        "DataChecksumMismatch",
    ),
    strings(
        "E148b",
        "checksum of the strings wrong",
        (SOUND, SOUND_CRC ^ 1),
        3,
        AT_DATA,
        "DataChecksumMismatch",
        maps=True,
    ),
    bad_lengths(
        "E149", "a length of 11 bytes", [2, 0], encoded=b"\x02" + b"\x80" * 10 + b"\x00"
    ),
    bad_lengths(
        "E150", "a length beyond 64 bits", [2, 0], encoded=b"\x02" + b"\xff" * 9 + b"\x7f"
    ),
    strings(
        "E151",
        "2^30 strings in 9 bytes",
        stored([1, 1, 1], b"hi"),
        1 << 30,
        ENTRY,
        "SizeMismatch",
    ),
    strings(
        "E151b",
        "2^62 strings in 9 bytes",
        stored([1, 1, 1], b"hi"),
        1 << 62,
        ENTRY,
        ("SizeMismatch", "BadShape"),
    ),
    strings(
        "E152",
        "size larger than its content",
        (SOUND + b"xy", SOUND_CRC),
        3,
        AT_DATA,
        "BadStringLengths",
    ),
    strings(
        "E153",
        "size smaller than its content",
        (SOUND[:-1], SOUND_CRC),
        3,
        AT_DATA,
        "BadStringLengths",
    ),
    strings("E153b", "lengths fill all of it", (b"\x00" * 12, 1), 12, ENTRY, "SizeMismatch"),
    strings("E154", "two strings in no bytes", (b"", 0), 2, ENTRY, "SizeMismatch"),
    strings("E155", "size -1", (b"", 0), 2, ENTRY, "SizeMismatch", size=-1),
    Case(
        "E156",
        "no strings in no bytes",
        with_bad(encode_entry(entry_of(b"", 0, (0,), STRING))),
        ACCEPT,
        values={"bad": []},
    ),
    Case(
        "E156b",
        "20 million strings of a hole",
        _of_zeros(20_000_000),
        AT_DATA,
        "DataChecksumMismatch",
    ),
]
