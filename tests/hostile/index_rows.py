"""Section A: footer, handles and blocks of the index."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from reference.coding import put_varint
from reference.proto import put_message
from reference.table import MAGIC, build_table

from .bundles import bad, items, with_index, write, write_data, write_index
from .case import ACCEPT, BLOCK, NAME, Case
from .tables import EMPTY, IndexFile, handle, plain_block, raw_block, raw_entry

MIB = 1 << 20
SOUND = build_table(items())
BLOCK_OF_ALL = plain_block(items())
CRC_OR_HANDLE = ("BadHandle", "BadBlockChecksum")


def sound_file() -> IndexFile:
    return IndexFile().data_block(BLOCK_OF_ALL, b"h")


def with_block(block: bytes, separator: bytes = b"~") -> bytes:
    return IndexFile().data_block(block, separator).finish()


def with_handle(value: bytes) -> bytes:
    """Give an index whose only data block is said to be there."""
    file = IndexFile()
    file.append(BLOCK_OF_ALL)
    return file.index_entry(b"h", value).finish()


def index(row: str, what: str, content: bytes, code: str | tuple[str, ...]) -> Case:
    return Case(row, what, with_index(content), code=code, key=None)


def second_block(row: str, what: str, block: bytes, code: str, separator: bytes = b"~", **how):
    """Damage a block that only "zed" is in; the first one stays readable."""
    file = sound_file().data_block(block, separator, **how)
    return Case(
        row, what, with_index(file.finish()), BLOCK, code, key="zed", good=("bad", "good")
    )


ZED = plain_block([(b"zed", bad())])


def footers() -> list[Case]:
    def footer(**how: bytes) -> bytes:
        return sound_file().finish(**how)

    huge = (1 << 64) - 5
    overlong = put_varint(0)[:-1] + b"\x80" * 9 + b"\x02"  # a bit beyond the 64th
    return [
        index("A001", "no bytes", b"", "TruncatedIndex"),
        index("A002", "one byte", SOUND[:1], "TruncatedIndex"),
        index("A003", "a byte less than a footer", SOUND[-47:], "TruncatedIndex"),
        index("A004", "a footer alone", SOUND[-48:], "BadHandle"),
        index("A005", "without its last byte", SOUND[:-1], "BadMagic"),
        index("A006", "with a byte too many", SOUND + b"x", "BadMagic"),
        index("A006b", "magic in the other order", SOUND[:-8] + MAGIC[::-1], "BadMagic"),
        index("A007", "magic of zeros", SOUND[:-8] + bytes(8), "BadMagic"),
        index(
            "A008",
            "handles of zeros",
            footer(index=bytes(2), metaindex=bytes(2)),
            CRC_OR_HANDLE,
        ),
        index(
            "A009",
            "handles that never end",
            footer(metaindex=b"\xff" * 20, index=b"\xff" * 20),
            "BadHandle",
        ),
        index("A009b", "handles beyond 64 bits", footer(metaindex=overlong * 2), "BadHandle"),
        index("A010", "index block at 2^40", footer(index=handle(1 << 40, 14)), "BadHandle"),
        index("A011", "index block of 2^40", footer(index=handle(0, 1 << 40)), "BadHandle"),
        index(
            "A012",
            "index block into the footer",
            footer(index=handle(0, len(SOUND) - 52)),
            CRC_OR_HANDLE,
        ),
        index("A013", "index block size wraps", footer(index=handle(0, huge)), "BadHandle"),
        index(
            "A014",
            "index block offset wraps",
            footer(index=handle((1 << 64) - 1, 14)),
            "BadHandle",
        ),
        index(
            "A015",
            "metaindex block past the end",
            footer(metaindex=handle(1 << 40, 8)),
            "BadHandle",
        ),
        index("A015b", "metaindex size wraps", footer(metaindex=handle(8, huge)), "BadHandle"),
        index(
            "A024",
            "index block checksum wrong",
            sound_file().finish(flip=1 << 7),
            "BadBlockChecksum",
        ),
        index(
            "A025",
            "metaindex block checksum wrong",
            sound_file().finish(metaindex_flip=1),
            "BadBlockChecksum",
        ),
        index("A028", "index block type 99", sound_file().finish(kind=99), "BadCompression"),
        index(
            "A054",
            "index block without entries",
            IndexFile().finish(index_block=EMPTY),
            "MissingHeader",
        ),
        index(
            "A054b",
            "index block too short",
            sound_file().finish(index_block=b"ab"),
            "BadBlock",
        ),
    ]


def handles() -> list[Case]:
    swapped = IndexFile()
    second = swapped.append(plain_block([(b"zed", bad())]))
    first = swapped.append(BLOCK_OF_ALL)
    swapped.index_entry(b"h", first).index_entry(b"~", second)

    shared = IndexFile()
    place = shared.append(plain_block([*items(), (b"pad", bytes(MIB))]))
    for i in range(1000):
        shared.index_entry(b"z%03d" % i, place)

    overlapping = IndexFile()
    overlapping.append(BLOCK_OF_ALL)
    overlapping.append(ZED)
    overlapping.index_entry(b"h", handle(0, len(BLOCK_OF_ALL)))
    overlapping.index_entry(b"~", handle(len(BLOCK_OF_ALL) - 1, len(ZED)))

    # Up to the footer: its trailer is the index block's.
    over_index = with_handle(handle(0, len(with_handle(handle(0, 1))) - 53))
    return [
        index("A016", "data block past the end", with_handle(handle(5000, 20)), "BadHandle"),
        index("A017", "data block of 8 GiB", with_handle(handle(0, 8 << 30)), "BadHandle"),
        index(
            "A018", "data block size wraps", with_handle(handle(0, (1 << 64) - 5)), "BadHandle"
        ),
        index(
            "A018b",
            "data block offset wraps",
            with_handle(handle((1 << 64) - 1, 9)),
            "BadHandle",
        ),
        index("A019", "data block of no bytes", with_handle(handle(0, 0)), "BadBlock"),
        index("A020", "handle is cut", with_handle(b"\x80"), "BadHandle"),
        index("A020b", "handle is empty", with_handle(b""), "BadHandle"),
        index("A021", "data blocks swapped", swapped.finish(), "BadHandle"),
        index("A021b", "data blocks overlap", overlapping.finish(), "BadHandle"),
        index(
            "A022",
            "data block over the index block",
            over_index,
            ("BadBlock", "BadBlockChecksum"),
        ),
        index("A053", "a thousand handles of one block", shared.finish(), "BadHandle"),
    ]


def checksums() -> list[Case]:
    return [
        index(
            "A023",
            "data block checksum wrong",
            IndexFile().data_block(BLOCK_OF_ALL, b"h", flip=1).finish(),
            "BadBlockChecksum",
        ),
        second_block("A023b", "second block checksum wrong", ZED, "BadBlockChecksum", flip=1),
        index(
            "A026",
            "block type 2",
            IndexFile().data_block(BLOCK_OF_ALL, b"h", kind=2).finish(),
            "BadCompression",
        ),
        second_block("A026b", "second block type 255", ZED, "BadCompression", kind=255),
    ]


def literal(content: bytes) -> bytes:
    """Give Snappy's element for plain bytes, of more than 256."""
    return b"\xf4" + (len(content) - 1).to_bytes(2, "little") + content


def snappy(content: bytes) -> bytes:
    return put_varint(len(content)) + b"".join(
        literal(content[i : i + 60000]) for i in range(0, len(content), 60000)
    )


def expanding(size: int) -> bytes:
    """Give a Snappy block of a zero byte, copied until there are so many."""
    copies, rest = divmod(size - 1, 64)
    one = b"\xfe\x01\x00"  # 64 bytes, from one byte back
    tail = bytes([(rest - 1) << 2 | 2, 1, 0]) if rest else b""
    return put_varint(size) + b"\x00\x00" + one * copies + tail


def compression() -> list[Case]:
    def block(row: str, what: str, content: bytes, code: str) -> Case:
        return second_block(row, what, content, code, kind=1)

    bombs = sound_file()
    bomb = expanding(60 * MIB)
    return [
        Case(
            "A027",
            "snappy as it should be",
            with_index(IndexFile().data_block(snappy(BLOCK_OF_ALL), b"h", kind=1).finish()),
            ACCEPT,
            good=("good",),
        ),
        block("A029", "snappy of garbage", b"\x10garbage in a block", "BadCompression"),
        block(
            "A030",
            "snappy copies from before its start",
            b"\x08\x00a\x0e\x05\x00",
            "BadCompression",
        ),
        block(
            "A030b", "snappy copies from nowhere", b"\x08\x00a\x0e\x00\x00", "BadCompression"
        ),
        block(
            "A030c",
            "snappy literal past the end",
            b"\x08\xfc\xff\xff\xff\xff",
            "BadCompression",
        ),
        block("A031", "snappy claims 1 GiB", put_varint(1 << 30) + b"\x00x", "LimitExceeded"),
        block(
            "A031b",
            "snappy claims 64 MiB of nothing",
            put_varint(64 * MIB) + b"\x00x",
            "BadCompression",
        ),
        block(
            "A031c", "snappy size of 2^32", put_varint(1 << 32) + b"\x00x", "BadCompression"
        ),
        Case(
            "A032",
            "snappy bomb",
            with_index(bombs.data_block(bomb, b"~", kind=1).finish()),
            BLOCK,
            ("LimitExceeded", "BadBlock"),
            key="zed",
            good=("bad", "good"),
        ),
    ]


def sizes() -> list[Case]:
    def padded(directory: Path) -> None:
        write_data(directory)
        path = directory / f"{NAME}.index"
        file = sound_file()
        tail = file.finish()[len(file.content) :]
        path.write_bytes(bytes(file.content))
        os.truncate(path, len(file.content) + (1 << 30))
        with path.open("ab") as end:
            end.write(tail)

    def huge(directory: Path) -> None:
        write_data(directory)
        path = directory / f"{NAME}.index"
        path.touch()
        os.truncate(path, 1 << 40)
        with path.open("r+b") as end:
            end.seek(-48, 2)
            end.write(SOUND[-48:])

    def many_blocks(directory: Path) -> None:
        # Each is to become far more memory than the 14 bytes that it takes.
        file = sound_file()
        entries = [raw_entry(0, b"i", file.entries[0][1])]
        place = len(file.content)
        one = bytearray()
        crc = IndexFile()
        crc.append(EMPTY)
        for i in range(300_000):
            entries.append(
                raw_entry(0, b"j" + struct.pack(">I", i), handle(place + len(one), 8))
            )
            one += crc.content
        file.content += one
        write(directory, file.finish(index_block=raw_block(b"".join(entries))))

    def two_files(directory: Path) -> None:
        write(directory, SOUND + SOUND)

    return [
        Case("A056", "1 GiB of zeros before the footer", padded, ACCEPT),
        Case("A056b", "1 TiB of zeros", huge, code=CRC_OR_HANDLE, key=None),
        Case("A056c", "300,000 empty blocks", many_blocks, ACCEPT),
        Case("A057", "two indexes one after the other", two_files, ACCEPT),
    ]


def v1() -> list[Case]:
    """A V1 checkpoint's table under the name of an index, and under the prefix itself."""
    meta = put_message(1, put_message(1, put_message(1, b"bad")) + put_message(2, b"\x08\x01"))
    table = build_table([(b"", meta)])

    def as_prefix(directory: Path) -> None:
        (directory / NAME).write_bytes(b"V1, or not a checkpoint")

    return [
        index("A058", "V1 under the name of an index", table, "UnsupportedFormat"),
        Case(
            "A058b",
            "a file of another kind at the prefix",
            as_prefix,
            code=("UnsupportedFormat", "BadMagic", "TruncatedIndex"),
            key=None,
            file=NAME,
        ),
    ]


def special() -> list[Case]:
    def fifo(directory: Path) -> None:
        write_data(directory)
        os.mkfifo(directory / f"{NAME}.index")

    def folder(directory: Path) -> None:
        write_data(directory)
        (directory / f"{NAME}.index").mkdir()

    def link_to(target: str):
        def make(directory: Path) -> None:
            write_data(directory)
            (directory / f"{NAME}.index").symlink_to(target)

        return make

    def unix_socket(directory: Path) -> None:
        import socket

        write_data(directory)
        here = os.open(".", os.O_RDONLY)
        os.chdir(directory)  # a socket's path may have 107 bytes
        try:
            with socket.socket(socket.AF_UNIX) as end:
                end.bind(f"{NAME}.index")
        finally:
            os.fchdir(here)
            os.close(here)

    def refused(row: str, what: str, make, code: str = "NotRegularFile") -> Case:
        return Case(row, what, make, code=code, key=None)

    def linked(directory: Path) -> None:
        write_index(directory, SOUND)
        (directory / f"{NAME}.index").rename(directory / "elsewhere")
        (directory / f"{NAME}.index").symlink_to("elsewhere")
        write_data(directory)

    return [
        refused("D130", "index is a directory", folder),
        refused("D130b", "index is a FIFO", fifo),
        refused("D130c", "index is a socket", unix_socket),
        refused("D130d", "index is /dev/zero", link_to("/dev/zero")),
        refused(
            "D130e", "index is a terminal", link_to("/dev/tty"), ("NotRegularFile", "System")
        ),
        refused("D130f", "index is a loop of links", link_to(f"{NAME}.index"), "System"),
        refused("D130g", "index is a link to nowhere", link_to("nowhere"), "System"),
        refused(
            "D130h",
            "index is a file of /proc",
            link_to("/proc/self/environ"),
            "TruncatedIndex",
        ),
        Case("D130i", "index is a link", linked, ACCEPT),
    ]


ROWS = [*footers(), *handles(), *checksums(), *compression(), *sizes(), *v1(), *special()]
