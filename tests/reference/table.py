"""The `.index` file: LevelDB's table without a filter block (LevelDB, doc/table_format.md)."""

from __future__ import annotations

from collections.abc import Iterable

from .coding import get_varint, put_varint
from .crc32c import crc32c, mask
from .errors import (
    BadBlock,
    BadCompression,
    BadHandle,
    BadKeyOrder,
    BlockChecksumMismatch,
    NotATable,
)
from .snappy import decompress

BLOCK_SIZE = 262144  # bytes; TensorFlow's table::Options, not LevelDB's 4096
RESTART_INTERVAL = 16  # entries, in data blocks; 1 in the index block
TRAILER_SIZE = 5  # bytes: compression type, masked CRC
FOOTER_SIZE = 48  # bytes: two handles padded to 40, magic
MAGIC = bytes.fromhex("57fb808b247547db")


class BlockBuilder:
    """Collects entries with strictly increasing keys and makes one block of them."""

    def __init__(self, restart_interval: int) -> None:
        self.count = 0
        self.last_key = b""
        self._interval = restart_interval
        self._restarts = [0]  # an empty block has this one too
        self._bytes = bytearray()

    def add(self, key: bytes, value: bytes) -> None:
        """Append an entry; its key shares the prefix it has in common with the last one."""
        shared = 0
        if self.count and self.count % self._interval == 0:
            self._restarts.append(len(self._bytes))
        else:
            shared = _common_prefix(self.last_key, key)
        for number in (shared, len(key) - shared, len(value)):
            self._bytes += put_varint(number)
        self._bytes += key[shared:] + value
        self.last_key = key
        self.count += 1

    def size(self) -> int:
        """Return the size of the finished block in bytes."""
        return len(self._bytes) + 4 * len(self._restarts) + 4

    def finish(self) -> bytes:
        """Return the block: entries, restart points, number of restart points."""
        words = [*self._restarts, len(self._restarts)]
        return bytes(self._bytes) + b"".join(word.to_bytes(4, "little") for word in words)


def build_table(items: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the table of `items`, byte for byte as TensorFlow's TableBuilder writes it.

    Parameters
    ----------
    items
        Keys and values, in strictly increasing order of the keys' bytes.
    """
    out = bytearray()
    index = BlockBuilder(1)
    block = BlockBuilder(RESTART_INTERVAL)
    pending = b""  # the handle of a finished block whose index key awaits the next key
    last_key = None
    for key, value in items:
        if last_key is not None and key <= last_key:
            raise BadKeyOrder(f"key {key!r} follows {last_key!r}")
        # A giant entry gets a block of its own, lest readers of its neighbours load it.
        if block.count and len(key) + len(value) >= 2 * BLOCK_SIZE:
            pending = _append_block(out, block.finish())
            block = BlockBuilder(RESTART_INTERVAL)
        if pending and last_key is not None:
            index.add(separator(last_key, key), pending)
            pending = b""
        block.add(key, value)
        last_key = key
        if block.size() >= BLOCK_SIZE:
            pending = _append_block(out, block.finish())
            block = BlockBuilder(RESTART_INTERVAL)
    if block.count:
        pending = _append_block(out, block.finish())
    if pending and last_key is not None:
        index.add(successor(last_key), pending)
    handles = _append_block(out, BlockBuilder(RESTART_INTERVAL).finish())  # metaindex
    handles += _append_block(out, index.finish())
    return bytes(out) + handles.ljust(FOOTER_SIZE - len(MAGIC), b"\0") + MAGIC


def read_table(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the entries of a table in key order, every checksum and order rule checked.

    Raises
    ------
    NotATable, BadHandle, BlockChecksumMismatch, BadCompression, BadBlock, BadKeyOrder
        The rule of that name is broken.
    """
    if len(data) < FOOTER_SIZE:
        raise NotATable(f"{len(data)} bytes, a footer alone has {FOOTER_SIZE}")
    footer = data[-FOOTER_SIZE:]
    if footer[-len(MAGIC) :] != MAGIC:
        raise NotATable(f"magic is {footer[-len(MAGIC) :].hex()}, not {MAGIC.hex()}")
    metaindex, position = _handle(footer, 0)
    index, _ = _handle(footer, position)
    _read_block(data, metaindex)  # its checksum; it has nothing that we use
    items: list[tuple[bytes, bytes]] = []
    bound: bytes | None = None  # the index key of the last block
    for index_key, value in _read_block(data, index):
        block = _read_block(data, _handle(value, 0)[0])
        for key, _ in block[:1]:
            if bound is not None and key <= bound:
                raise BadKeyOrder(f"key {key!r} is not above the last index key {bound!r}")
        for key, _ in block[-1:]:
            if key > index_key:
                raise BadKeyOrder(f"key {key!r} is above its index key {index_key!r}")
        items += block
        bound = index_key
    return items


def separator(last: bytes, following: bytes) -> bytes:
    """Return LevelDB's short key k with last <= k < following."""
    i = _common_prefix(last, following)
    if i < min(len(last), len(following)) and last[i] < 0xFF and last[i] + 1 < following[i]:
        return last[:i] + bytes([last[i] + 1])
    return last


def successor(last: bytes) -> bytes:
    """Return LevelDB's short key k with last <= k."""
    for i, byte in enumerate(last):
        if byte != 0xFF:
            return last[:i] + bytes([byte + 1])
    return last


def _common_prefix(a: bytes, b: bytes) -> int:
    limit = min(len(a), len(b))
    return next((i for i in range(limit) if a[i] != b[i]), limit)


def _append_block(out: bytearray, block: bytes) -> bytes:
    handle = put_varint(len(out)) + put_varint(len(block))
    typed = block + b"\0"  # type 0: not compressed
    out += typed + mask(crc32c(typed)).to_bytes(4, "little")
    return handle


def _handle(data: bytes, position: int) -> tuple[tuple[int, int], int]:
    try:
        offset, position = get_varint(data, position)
        size, position = get_varint(data, position)
    except ValueError as error:
        raise BadHandle(str(error)) from error
    return (offset, size), position


def _read_block(data: bytes, handle: tuple[int, int]) -> list[tuple[bytes, bytes]]:
    offset, size = handle
    end = offset + size  # the block's; Python's integers do not wrap
    if end + TRAILER_SIZE > len(data):
        raise BadHandle(f"block of {size} bytes at {offset}, {len(data)} in the file")
    stored = int.from_bytes(data[end + 1 : end + TRAILER_SIZE], "little")
    actual = mask(crc32c(data[offset : end + 1]))
    if stored != actual:
        raise BlockChecksumMismatch(f"at {offset}: stored {stored:08x}, found {actual:08x}")
    if data[end] > 1:
        raise BadCompression(f"block at {offset} has compression type {data[end]}")
    block = data[offset:end]
    return _entries(decompress(block) if data[end] == 1 else block)


def _entries(block: bytes) -> list[tuple[bytes, bytes]]:
    if len(block) < 4:
        raise BadBlock(f"{len(block)} bytes")
    num_restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * num_restarts
    if end < 0:
        raise BadBlock(f"{num_restarts} restart points in {len(block)} bytes")
    items: list[tuple[bytes, bytes]] = []
    whole_keys = {0}  # positions at which a restart point may stand
    key, position = b"", 0
    while position < end:
        start = position
        try:
            shared, position = get_varint(block, position)
            unshared, position = get_varint(block, position)
            size, position = get_varint(block, position)
        except ValueError as error:
            raise BadBlock(str(error)) from error
        if shared > len(key) or position + unshared + size > end:
            raise BadBlock(f"entry at {start}: {shared}, {unshared}, {size}")
        if shared == 0:
            whole_keys.add(start)
        last, key = key, key[:shared] + block[position : position + unshared]
        if items and key <= last:
            raise BadKeyOrder(f"key {key!r} follows {last!r}")
        position += unshared
        items.append((key, block[position : position + size]))
        position += size
    for i in range(num_restarts):
        restart = int.from_bytes(block[end + 4 * i : end + 4 * i + 4], "little")
        if restart not in whole_keys:
            raise BadBlock(f"restart point {i} at {restart} is not an entry with a whole key")
    if items and not num_restarts:
        raise BadBlock("entries but no restart point")
    return items
