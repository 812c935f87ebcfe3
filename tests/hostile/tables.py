"""Index files with every block, handle and footer as one wishes, and right checksums."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reference.coding import put_varint
from reference.crc32c import crc32c, mask
from reference.table import FOOTER_SIZE, MAGIC

Items = Sequence[tuple[bytes, bytes]]


def raw_entry(shared: int, key: bytes, value: bytes, *, sizes: tuple[int, int] | None = None):
    """Give an entry; `sizes` are what it says of key and value, where that is a lie."""
    key_size, value_size = sizes or (len(key), len(value))
    return b"".join(map(put_varint, (shared, key_size, value_size))) + key + value


def raw_block(entries: bytes, restarts: Iterable[int] = (0,), count: int | None = None):
    """Give a block with these restart points, `count` of them as it says."""
    words = list(restarts)
    words.append(len(words) if count is None else count)
    return entries + b"".join(word.to_bytes(4, "little") for word in words)


def plain_block(items: Items) -> bytes:
    """Give a block of these entries in this order, without prefix compression."""
    return raw_block(b"".join(raw_entry(0, key, value) for key, value in items))


EMPTY = raw_block(b"")


def handle(offset: int, size: int) -> bytes:
    return put_varint(offset) + put_varint(size)


class IndexFile:
    """Collects blocks; `finish` adds what an index ends with."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.entries: list[tuple[bytes, bytes]] = []  # of the index block

    def append(self, block: bytes, *, kind: int = 0, flip: int = 0) -> bytes:
        """Add a block; its checksum is wrong by the bits of `flip`. Gives its handle."""
        place = handle(len(self.content), len(block))
        typed = block + bytes([kind])
        crc = mask(crc32c(typed)) ^ flip
        self.content += typed + crc.to_bytes(4, "little")
        return place

    def data_block(self, block: bytes, separator: bytes, *, kind: int = 0, flip: int = 0):
        self.entries.append((separator, self.append(block, kind=kind, flip=flip)))
        return self

    def index_entry(self, separator: bytes, value: bytes):
        self.entries.append((separator, value))
        return self

    def finish(
        self,
        *,
        index_block: bytes | None = None,
        kind: int = 0,
        flip: int = 0,
        metaindex_flip: int = 0,
        metaindex: bytes | None = None,
        index: bytes | None = None,
        magic: bytes = MAGIC,
    ) -> bytes:
        """Give the file; the handles of the footer are given here where they are lies."""
        own_metaindex = self.append(EMPTY, flip=metaindex_flip)
        block = plain_block(self.entries) if index_block is None else index_block
        own_index = self.append(block, kind=kind, flip=flip)
        handles = (metaindex or own_metaindex) + (own_index if index is None else index)
        return bytes(self.content) + handles.ljust(FOOTER_SIZE - len(MAGIC), b"\0") + magic
