"""A sound bundle of two tensors, "bad" and "good", to be made worse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reference.bundle import Entry, Header, mask
from reference.crc32c import crc32c
from reference.proto import encode_entry, encode_header
from reference.table import build_table

from .case import GOOD, NAME

FLOAT, STRING = 1, 7
BAD_BYTES = np.array([1.5, -2, 3, 4], np.float32).tobytes()
DATA = BAD_BYTES + GOOD.tobytes()  # "bad" at 0, "good" behind it
HEADER = encode_header(Header(1))


def entry_of(
    data: bytes, offset: int, shape: tuple[int, ...] = (4,), dtype: int = FLOAT, **how
):
    """Make the entry of plain bytes."""
    return Entry(dtype, shape, offset=offset, size=len(data), crc32c=mask(crc32c(data)), **how)


BAD = entry_of(BAD_BYTES, 0)
GOOD_ENTRY = entry_of(GOOD.tobytes(), len(BAD_BYTES))


def bad(**changes: Any) -> bytes:
    """Give the encoded entry of "bad", with some fields changed."""
    return encode_entry(replace(BAD, **changes))


def items(
    bad_value: bytes | None = None,
    header: bytes | None = HEADER,
    more: Mapping[bytes, bytes] | None = None,
) -> list[tuple[bytes, bytes]]:
    """Give keys and values in their order; without header where it is ``None``."""
    found = {b"bad": bad() if bad_value is None else bad_value}
    found[b"good"] = encode_entry(GOOD_ENTRY)
    found.update(more or {})
    return ([] if header is None else [(b"", header)]) + sorted(found.items())


def write_index(directory: Path, content: bytes) -> None:
    (directory / f"{NAME}.index").write_bytes(content)


def write_data(directory: Path, content: bytes = DATA, shard: int = 0, of: int = 1) -> Path:
    path = directory / f"{NAME}.data-{shard:05d}-of-{of:05d}"
    path.write_bytes(content)
    return path


def write(directory: Path, index: bytes, data: bytes = DATA) -> None:
    write_index(directory, index)
    write_data(directory, data)


def with_index(index: bytes):
    """Make of an index file the function that writes it, and sound data."""
    return lambda directory: write(directory, index)


def with_bad(value: bytes, data: bytes = DATA, more: Mapping[bytes, bytes] | None = None):
    """Make the function that writes a bundle in which "bad" has that value."""

    def make(directory: Path) -> None:
        write(directory, build_table(items(value, more=more)), data)

    return make


def with_header(value: bytes | None):
    """Make the function that writes a bundle with that header, or none."""

    def make(directory: Path) -> None:
        write(directory, build_table(items(header=value)))

    return make
