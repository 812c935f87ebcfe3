"""Each rule of the format, broken once: the oracle names it, and TensorFlow refuses it too."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from . import errors
from .bundle import Extent, Header, Partitioned, read_bundle, read_entries, write_bundle
from .coding import put_varint
from .crc32c import crc32c, mask
from .proto import Entry, decode_entry, decode_header, encode_entry, encode_header
from .slices import encode_slice_key
from .snappy import decompress
from .table import BlockBuilder, build_table, read_table

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

WHOLE = Extent()
HEADER = encode_header(Header(1))


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """Return a bundle with a float, a string and a partitioned tensor."""
    rows = np.arange(8, dtype=np.float32).reshape(4, 2)
    halves = [((Extent(0, 2), WHOLE), rows[:2]), ((Extent(2, 2), WHOLE), rows[2:])]
    write_bundle(
        tmp_path / "b",
        {
            "floats": np.arange(5, dtype=np.float32),
            "texts": [b"hello", b"", b"world"],
            "parts": Partitioned((4, 2), halves),
        },
    )
    return tmp_path / "b"


def index(prefix: Path) -> Path:
    """Return the path of the index."""
    return prefix.with_name(prefix.name + ".index")


def shard(prefix: Path) -> Path:
    """Return the path of the data file."""
    return prefix.with_name(prefix.name + ".data-00000-of-00001")


def flip(path: Path, position: int) -> None:
    """Change one byte."""
    data = bytearray(path.read_bytes())
    data[position] ^= 0x20
    path.write_bytes(data)


def change(prefix: Path, key: bytes, **fields: Any) -> None:
    """Change an entry's fields in an otherwise correct index."""
    items = dict(read_table(index(prefix).read_bytes()))
    items[key] = encode_entry(replace(decode_entry(items[key]), **fields))
    index(prefix).write_bytes(build_table(items.items()))


def change_header(prefix: Path, value: bytes) -> None:
    """Put another header into an otherwise correct index."""
    items = dict(read_table(index(prefix).read_bytes()))
    items[b""] = value
    index(prefix).write_bytes(build_table(items.items()))


def drop(prefix: Path, key: bytes) -> None:
    """Take an entry out of an otherwise correct index."""
    items = read_table(index(prefix).read_bytes())
    index(prefix).write_bytes(build_table(item for item in items if item[0] != key))


def resize(path: Path, difference: int) -> None:
    """Cut bytes off a file's end, or add zeros to it."""
    data = path.read_bytes()
    path.write_bytes(data[:difference] if difference < 0 else data + bytes(difference))


Break = Callable[[Path], object]
SECOND = encode_slice_key(b"parts", (Extent(2, 2), WHOLE))
VERSION = put_varint(3 << 3 | 2)  # the tag of the header's third field

# What is done, which rule it breaks, and whose value TensorFlow then refuses to give. None:
# TensorFlow takes it, or aborts the process, as bundle_format.md says.
BROKEN: dict[str, tuple[Break, type[errors.FormatError], str | None]] = {
    "index too short": (
        lambda p: index(p).write_bytes(b"x" * 47),
        errors.NotATable,
        "floats",
    ),
    "index with a tail": (lambda p: resize(index(p), 1), errors.NotATable, "floats"),
    "byte of a data block": (
        lambda p: flip(index(p), 5),
        errors.BlockChecksumMismatch,
        "floats",
    ),
    "byte of the metaindex": (
        lambda p: flip(index(p), index(p).read_bytes().index(b"\xc0\xf2\xa1\xb0") - 9),
        errors.BlockChecksumMismatch,
        None,  # it never reads that block
    ),
    "header missing": (lambda p: drop(p, b""), errors.BadHeader, None),
    "no shards": (lambda p: change_header(p, b""), errors.BadHeader, "floats"),
    "too new": (
        lambda p: change_header(p, encode_header(Header(1, min_consumer=2))),
        errors.UnsupportedVersion,
        "floats",
    ),
    "too old": (
        lambda p: change_header(p, encode_header(Header(1, producer=-1))),
        errors.UnsupportedVersion,
        "floats",
    ),
    "bad consumer": (
        lambda p: change_header(p, encode_header(Header(1, bad_consumers=(7, 1)))),
        errors.UnsupportedVersion,
        "floats",
    ),
    "bad consumer, not packed": (
        lambda p: change_header(p, b"\x08\x01" + VERSION + b"\x02\x18\x01"),
        errors.UnsupportedVersion,
        "floats",
    ),
    "header cut off": (lambda p: change_header(p, b"\x08"), errors.BadProto, "floats"),
    "dtype unknown": (
        lambda p: change(p, b"floats", dtype=77),
        errors.UnsupportedDType,
        "floats",
    ),
    "shape too small": (lambda p: change(p, b"floats", shape=(4,)), errors.BadSize, "floats"),
    "rank too large": (
        lambda p: change(p, b"floats", shape=(5, *[1] * 254)),
        errors.BadEntry,
        "floats",
    ),
    "dimension negative": (
        lambda p: change(p, b"floats", shape=(-5,)),
        errors.BadEntry,
        "floats",
    ),
    "too many elements": (
        lambda p: change(p, b"floats", shape=(1 << 40, 1 << 40)),
        errors.BadEntry,
        "floats",
    ),
    "shard out of range": (
        lambda p: change(p, b"floats", shard_id=1),
        errors.BadEntry,
        "floats",
    ),
    "shard missing": (lambda p: shard(p).unlink(), errors.MissingShard, "floats"),
    "shard too short": (lambda p: resize(shard(p), -1), errors.ShortShard, "parts"),
    "offset negative": (lambda p: change(p, b"floats", offset=-4), errors.BadEntry, "floats"),
    "offset wrong": (
        lambda p: change(p, b"floats", offset=1),
        errors.TensorChecksumMismatch,
        "floats",
    ),
    "size wrong": (lambda p: change(p, b"floats", size=16), errors.BadSize, "floats"),
    "checksum missing": (
        lambda p: change(p, b"floats", crc32c=0),
        errors.TensorChecksumMismatch,
        "floats",
    ),
    "byte of a tensor": (
        lambda p: flip(shard(p), 3),
        errors.TensorChecksumMismatch,
        "floats",
    ),
    # texts: lengths at 20, their checksum at 23, the strings from 27 to 37
    "length of a string": (lambda p: flip(shard(p), 20), errors.BadSize, "texts"),
    "checksum of the lengths": (
        lambda p: flip(shard(p), 23),
        errors.LengthChecksumMismatch,
        "texts",
    ),
    "byte of a string": (
        lambda p: flip(shard(p), 30),
        errors.TensorChecksumMismatch,
        "texts",
    ),
    "fewer strings": (lambda p: change(p, b"texts", shape=(2,)), errors.BadSize, "texts"),
    "more strings": (lambda p: change(p, b"texts", shape=(40,)), errors.BadSize, "texts"),
    "size beyond the strings": (lambda p: change(p, b"texts", size=18), errors.BadSize, None),
    "slice's entry missing": (lambda p: drop(p, SECOND), errors.MissingSlice, "parts"),
    "slice not listed": (
        lambda p: change(p, b"parts", slices=((Extent(0, 2), WHOLE),)),
        errors.MissingSlice,
        "parts",
    ),
    "slices overlap": (lambda p: overlap(p), errors.OverlappingSlices, "parts"),
    "slice outside": (lambda p: change(p, b"parts", shape=(3, 2)), errors.BadSlice, None),
    "slice of another shape": (
        lambda p: change(p, SECOND, shape=(4, 1)),
        errors.BadSlice,
        None,
    ),
}


def overlap(prefix: Path) -> None:
    """Let the second slice begin one row early; its values are right."""
    rows = np.arange(8, dtype=np.float32).reshape(4, 2)
    halves = [((Extent(0, 2), WHOLE), rows[:2]), ((Extent(1, 3), WHOLE), rows[1:])]
    write_bundle(prefix, {"parts": Partitioned((4, 2), halves)})


def test_the_unbroken_bundle_is_read(prefix: Path) -> None:
    found = read_bundle(prefix)
    assert found[b"texts"].tolist() == [b"hello", b"", b"world"]
    assert found[b"parts"].ravel().tolist() == list(range(8))


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_rule_is_named(case: str, prefix: Path) -> None:
    damage, expected, _ = BROKEN[case]
    damage(prefix)
    with pytest.raises(errors.FormatError) as raised:
        read_bundle(prefix)
    assert type(raised.value) is expected, raised.value


@pytest.mark.parametrize("case", [case for case, broken in BROKEN.items() if broken[2]])
def test_tensorflow_refuses_it_too(case: str, prefix: Path) -> None:
    tf: Any = pytest.importorskip("tensorflow", reason="needs TensorFlow as the other party")
    damage, _, key = BROKEN[case]

    def restore() -> None:
        tf.raw_ops.RestoreV2(
            prefix=str(prefix),
            tensor_names=[key],
            shape_and_slices=[""],
            dtypes=[tf.string if key == "texts" else tf.float32],
        )

    restore()  # or it would not be the damage that it refuses
    damage(prefix)
    with pytest.raises((tf.errors.OpError, TypeError)):
        restore()


# ---- the table -----------------------------------------------------------------------------


def with_block(block: bytes, kind: int = 0, index_key: bytes = b"\xff") -> bytes:
    """Return a table with one data block, given as it is in the file."""
    table = bytearray()
    handles = b""

    def add(content: bytes, kind: int) -> bytes:
        handle = put_varint(len(table)) + put_varint(len(content))
        typed = content + bytes([kind])
        table.extend(typed + mask(crc32c(typed)).to_bytes(4, "little"))
        return handle

    data = add(block, kind)
    handles += add(BlockBuilder(1).finish(), 0)
    builder = BlockBuilder(1)
    builder.add(index_key, data)
    handles += add(builder.finish(), 0)
    return bytes(table) + handles.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def block_of(*entries: tuple[int, bytes, bytes], restarts: tuple[int, ...] = (0,)) -> bytes:
    """Return a block of raw entries: shared length, rest of the key, value."""
    out = b""
    for shared, rest, value in entries:
        out += bytes([shared, len(rest), len(value)]) + rest + value
    return out + b"".join(w.to_bytes(4, "little") for w in (*restarts, len(restarts)))


def test_any_restart_interval_is_read() -> None:
    block = block_of((0, b"aa", b"1"), (1, b"b", b"2"), (0, b"ac", b"3"), restarts=(0, 11))
    expected = [(b"aa", b"1"), (b"ab", b"2"), (b"ac", b"3")]
    assert read_table(with_block(block)) == expected


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (b"abc", errors.BadBlock),
        (b"\xff\xff\xff\xff", errors.BadBlock),
        (block_of((1, b"a", b"")), errors.BadBlock),  # nothing to share
        (block_of((0, b"a", b""), restarts=(1,)), errors.BadBlock),
        (block_of((0, b"a", b""), (1, b"b", b""), restarts=(0, 4)), errors.BadBlock),
        (block_of((0, b"a", b""), restarts=()), errors.BadBlock),
        (b"\x00\x7f\x00a" + block_of(), errors.BadBlock),
        (b"\x00\xff" + block_of(), errors.BadBlock),
        (block_of((0, b"b", b""), (0, b"a", b"")), errors.BadKeyOrder),
        (block_of((0, b"a", b""), (0, b"a", b"")), errors.BadKeyOrder),
        (block_of((0, b"\xff\x00", b"")), errors.BadKeyOrder),  # above the index key
    ],
)
def test_a_bad_block_is_named(block: bytes, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        read_table(with_block(block))


def test_a_handle_that_leaves_the_file_is_named() -> None:
    table = with_block(block_of((0, b"a", b"")))
    footer = (put_varint(0) + put_varint(1 << 63)).ljust(40, b"\0") + table[-8:]
    with pytest.raises(errors.BadHandle):
        read_table(table[:-48] + footer)
    with pytest.raises(errors.BadHandle):
        read_table(table[:-48] + b"\xff" * 40 + table[-8:])


def test_an_unknown_compression_is_named() -> None:
    with pytest.raises(errors.BadCompression):
        read_table(with_block(block_of((0, b"a", b"")), kind=2))


# ---- Snappy, which TensorFlow reads but does not write --------------------------------------


SNAPPY = {
    "literal": (b"\x05\x10hello", b"hello"),
    "long literal": (b"\x50\xf0\x4f" + b"x" * 80, b"x" * 80),
    "longer literal": (b"\xac\x02\xf4\x2b\x01" + b"y" * 300, b"y" * 300),
    "copy, one byte of offset": (b"\x09\x08abc\x09\x03", b"abcabcabc"),
    "copy, two bytes of offset": (b"\x06\x08abc\x0a\x03\x00", b"abcabc"),
    "copy, four bytes of offset": (b"\x06\x08abc\x0b\x03\x00\x00\x00", b"abcabc"),
    "overlapping copy": (b"\x09\x00a\x1e\x01\x00", b"aaaaaaaaa"),
    "nothing": (b"\x00", b""),
}


@pytest.mark.parametrize("case", SNAPPY)
def test_snappy_is_decompressed(case: str) -> None:
    compressed, expected = SNAPPY[case]
    assert decompress(compressed) == expected


@pytest.mark.parametrize(
    "compressed",
    [
        b"",
        b"\x05\x10hell",
        b"\x04\x10hello",
        b"\x06\x10hello",
        b"\x04\x0a\x01\x00",
        b"\x04\xf4\x01",
    ],
)
def test_bad_snappy_is_named(compressed: bytes) -> None:
    with pytest.raises(errors.BadCompression):
        read_table(with_block(compressed, kind=1))


def test_a_snappy_index_is_read_as_tensorflow_does(tmp_path: Path) -> None:
    tf: Any = pytest.importorskip("tensorflow", reason="needs TensorFlow as the other party")
    zeros = bytes(16)
    (tmp_path / "b.data-00000-of-00001").write_bytes(zeros)
    value = encode_entry(Entry(1, (4,), 0, 0, 16, mask(crc32c(zeros))))
    plain = block_of((0, b"", HEADER), (0, b"key", value), (0, b"kez", value))
    # All but the last entry as a literal; its value as a copy of the one before.
    head = len(plain) - 8 - len(value)
    compressed = put_varint(len(plain)) + bytes([0xF0, head - 1]) + plain[:head]
    compressed += bytes([(len(value) - 1) << 2 | 2, len(value) + 6, 0])
    compressed += bytes([7 << 2]) + plain[-8:]
    (tmp_path / "b.index").write_bytes(with_block(compressed, kind=1))
    found = read_bundle(tmp_path / "b")
    for key in ("key", "kez"):
        theirs = tf.train.load_checkpoint(str(tmp_path / "b")).get_tensor(key)
        assert found[key.encode()].tolist() == theirs.tolist() == [0.0] * 4


# ---- the messages --------------------------------------------------------------------------


def test_unknown_fields_are_skipped() -> None:
    plain = Entry(1, (5,), 0, 7, 20, 99)
    unknown = b"\x78\x05" + b"\x7a\x02ab" + b"\x79" + bytes(8) + b"\x7d" + bytes(4)
    assert decode_entry(unknown + encode_entry(plain) + unknown) == plain
    assert decode_header(unknown + HEADER) == Header(1)


def test_the_last_of_a_repeated_scalar_counts_and_messages_merge() -> None:
    assert decode_header(b"\x08\x07" + HEADER).num_shards == 1
    dim = b"\x12\x04\x12\x02\x08\x05"  # shape { dim { size: 5 } }
    assert decode_entry(b"\x08\x01" + dim + dim).shape == (5, 5)


@pytest.mark.parametrize(
    "data",
    [b"\x08", b"\x0a\x05ab", b"\x35\x01", b"\x00\x01", b"\x0b", b"\xff" * 11, b"\x12\x01\xff"],
)
def test_what_is_no_message_is_named(data: bytes) -> None:
    with pytest.raises(errors.BadProto):
        decode_entry(data)


def test_protobuf_makes_the_same_bytes() -> None:
    pb = pytest.importorskip(
        "tensorflow.core.protobuf.tensor_bundle_pb2", reason="needs TensorFlow's messages"
    )
    header = pb.BundleHeaderProto(num_shards=300, endianness=1)
    header.version.producer = 1
    header.version.bad_consumers.extend([2, 300])
    ours = Header(300, True, bad_consumers=(2, 300))
    assert encode_header(ours) == header.SerializeToString()
    assert decode_header(header.SerializeToString()) == ours
    entry = pb.BundleEntryProto(dtype=14, shard_id=5, offset=1 << 40, size=1 << 35, crc32c=7)
    for size in (0, 1, 300, 1 << 33):
        entry.shape.dim.add(size=size)
    for extents in [((0, 5), (3, 1)), (None, (1 << 40, 2))]:
        message = entry.slices.add()
        for extent in extents:
            added = message.extent.add()
            if extent is not None:
                added.start, added.length = extent
    mine = Entry(
        14,
        (0, 1, 300, 1 << 33),
        5,
        1 << 40,
        1 << 35,
        7,
        ((Extent(0, 5), Extent(3, 1)), (WHOLE, Extent(1 << 40, 2))),
    )
    assert encode_entry(mine) == entry.SerializeToString()
    assert decode_entry(entry.SerializeToString()) == mine


# ---- what may not be written ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        ({"": np.zeros(1)}, ValueError),
        ({"a": np.zeros(1), b"a": np.zeros(1)}, ValueError),
        ({"a": np.array(["text"])}, TypeError),
        ({"a": np.array(["text"], object)}, TypeError),
        ({"a": np.zeros(1, "M8[s]")}, TypeError),
        ({"a": Partitioned((4,), [((Extent(0, 2),), np.zeros(3))])}, ValueError),
        ({"a": Partitioned((4,), [((Extent(3, 2),), np.zeros(2))])}, ValueError),
    ],
)
def test_what_cannot_be_stored_is_refused(
    tensors: Any, expected: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(expected):
        write_bundle(tmp_path / "b", tensors)
    assert not list(tmp_path.iterdir())


def test_gaps_overlaps_and_tails_in_a_data_file_are_read(prefix: Path) -> None:
    entry = read_entries(prefix)[b"floats"]
    shard(prefix).write_bytes(b"gap" + shard(prefix).read_bytes() + b"tail")
    items = [(b"", HEADER)]
    items += [(k, encode_entry(replace(entry, offset=3))) for k in (b"one", b"other")]
    index(prefix).write_bytes(build_table(items))
    found = read_bundle(prefix)
    assert found[b"one"].tolist() == found[b"other"].tolist() == [0, 1, 2, 3, 4]


def test_no_strings_in_no_bytes_are_read_as_tensorflow_does(tmp_path: Path) -> None:
    entry = Entry(7, (0, 3), crc32c=mask(0))
    items = [(b"", HEADER), (b"a", encode_entry(entry))]
    (tmp_path / "b.index").write_bytes(build_table(items))
    (tmp_path / "b.data-00000-of-00001").write_bytes(b"")
    assert read_bundle(tmp_path / "b")[b"a"].shape == (0, 3)
    tf: Any = pytest.importorskip("tensorflow", reason="needs TensorFlow as the other party")
    assert tf.train.load_checkpoint(str(tmp_path / "b")).get_tensor("a").shape == (0, 3)
