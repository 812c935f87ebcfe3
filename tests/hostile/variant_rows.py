"""Section C, row 88: variant tensors, of which the serialized elements are read."""

from __future__ import annotations

from collections.abc import Sequence

from reference.coding import put_varint
from reference.crc32c import crc32c, mask
from reference.dtypes import VARIANT
from reference.proto import Entry, encode_entry

from .bundles import DATA, with_bad
from .case import ACCEPT, ENTRY, Case
from .case import DATA as AT_DATA
from .string_rows import WORDS

TOP = (1 << 64) - 1


def stored(elements: Sequence[bytes], *, sizes: Sequence[int] = (), flip: int = 0):
    """Give the bytes of variants, and their checksum.

    `sizes` are what is said of the elements, where that is a lie; `flip` is made to the
    checksum of the last.
    """
    data, crc = b"", 0
    for i, element in enumerate(elements):
        crc = crc32c(len(element).to_bytes(8, "little") + element, crc)
        last = i == len(elements) - 1
        word = (mask(crc) ^ (flip if last else 0)).to_bytes(4, "little")
        crc = crc32c(word, crc)
        data += put_varint(sizes[i] if sizes else len(element)) + element + word
    return data, mask(crc)


def variants(
    row: str, what: str, data: tuple[bytes, int], count: int, level: str, code="", **how
):
    """Put those bytes behind the others; the entry says `count` variants."""
    content, crc = data
    entry = Entry(VARIANT, (count,), offset=len(DATA), size=len(content), crc32c=crc)
    return Case(row, what, with_bad(encode_entry(entry), DATA + content), level, code, **how)


def bad_sizes(row: str, what: str, *sizes: int) -> Case:
    return variants(
        row, what, stored([b"one", b"two"], sizes=sizes), 2, AT_DATA, "BadStringLengths"
    )


SOUND, CRC = stored(WORDS)
ROWS = [
    variants(
        "C088", "variants as they should be", (SOUND, CRC), 3, ACCEPT, values={"bad": WORDS}
    ),
    variants("C088b", "no variants", (b"", mask(0)), 0, ACCEPT, values={"bad": []}),
    variants(
        "C088c",
        "no variants, their checksum wrong",
        (b"", 7),
        0,
        AT_DATA,
        "DataChecksumMismatch",
        maps=True,
    ),
    variants(
        "C088d",
        "checksum of a variant wrong",
        stored(WORDS, flip=1),
        3,
        AT_DATA,
        "DataChecksumMismatch",
        maps=True,
    ),
    variants(
        "C088e",
        "checksum of the variants wrong",
        (SOUND, CRC ^ 1),
        3,
        AT_DATA,
        "DataChecksumMismatch",
        maps=True,
    ),
    bad_sizes("C088f", "a variant of 2^64-1 bytes", 3, TOP),
    bad_sizes("C088g", "a variant of 2^40 bytes", 3, 1 << 40),
    bad_sizes("C088h", "a variant past the end", 3, 4),
    variants(
        "C088i", "more bytes than variants", (SOUND, CRC), 2, AT_DATA, "BadStringLengths"
    ),
    variants(
        "C088j", "2^40 variants in 20 bytes", (SOUND, CRC), 1 << 40, ENTRY, "SizeMismatch"
    ),
    variants(
        "C088k", "2^62 variants", (SOUND, CRC), 1 << 62, ENTRY, ("SizeMismatch", "BadShape")
    ),
]
