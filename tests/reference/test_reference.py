"""The oracle against known bytes, and against the real TensorFlow in both directions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from .bundle import (
    Extent,
    Key,
    Partitioned,
    crc32c,
    mask,
    read_bundle,
    read_entries,
    unmask,
    write_bundle,
)
from .dtypes import DTYPES, STRING, VARIANT
from .elements import Array, encode
from .proto import Entry, Header, Slice, decode_entry, encode_entry, encode_header
from .slices import decode_slice_key, encode_slice_key, put_number, put_signed
from .table import build_table, separator, successor

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

WHOLE = Extent()


# ---- known bytes (bundle_format.md) --------------------------------------------------------


def test_crc32c_has_its_check_value() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert mask(0xE3069283) == 0xC78AB0E5
    assert unmask(0xC78AB0E5) == 0xE3069283
    assert mask(0) == 0xA282EAD8


def test_crc32c_of_the_iscsi_vectors() -> None:  # RFC 3720, B.4
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"6789", crc32c(b"12345")) == 0xE3069283


def test_header_has_its_known_bytes() -> None:
    assert encode_header(Header(1)) == bytes.fromhex("08011a020801")
    assert encode_header(Header(2)) == bytes.fromhex("08021a020801")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (Entry(1, (), 0, 24, 4, 0x897DFDD8), "08011200201828 0435d8fd7d89"),
        (Entry(3, (0, 4), 0, 28, 0, 0xA282EAD8), "08031206120012020804201c35d8ea82a2"),
    ],
)
def test_entry_has_its_known_bytes(entry: Entry, expected: str) -> None:
    assert encode_entry(entry) == bytes.fromhex(expected)
    assert decode_entry(bytes.fromhex(expected)) == entry


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([b"hello", b"", b"x" * 300], b"\x05\x00\xac\x02\x81\x2c\x1d\x6dhello" + b"x" * 300),
        (b"scalar", b"\x06\x1c\x03\xee\x55scalar"),
        ([b""], bytes.fromhex("00a67b113a")),
        ([b"hello"], bytes.fromhex("05d9c69c43") + b"hello"),
    ],
)
def test_strings_have_their_known_bytes(values: Any, expected: bytes) -> None:
    data, _ = encode(np.array(values, object), DTYPES[STRING], big_endian=False)
    assert data == expected


def test_no_strings_have_their_known_bytes_and_checksum() -> None:
    data, crc = encode(np.zeros([0], object), DTYPES[STRING], big_endian=False)
    assert (data.hex(), mask(crc)) == ("d8ea82a2", 0x640CC1F6)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "00"), (1, "0101"), (255, "01ff"), (256, "020100"), (65536, "03010000")],
)
def test_unsigned_number_has_its_known_bytes(value: int, expected: str) -> None:
    assert put_number(value).hex() == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "80"),
        (1, "81"),
        (63, "bf"),
        (64, "c040"),
        (127, "c07f"),
        (128, "c080"),
        (8191, "dfff"),
        (8192, "e02000"),
        (1048575, "efffff"),
        (1048576, "f0100000"),
        (134217728, "f808000000"),
        (99999997, "f5f5e0fd"),
        (2**33, "fa00000000"),
        (2**34, "fc0400000000"),
        (2**41, "fe020000000000"),
        (2**48, "ff01000000000000"),
        (2**55, "ff8080000000000000"),
        (2**62, "ffc04000000000000000"),
        (-1, "7f"),
        (-64, "40"),
        (-65, "3fbf"),
    ],
)
def test_signed_number_has_its_known_bytes(value: int, expected: str) -> None:
    assert put_signed(value).hex() == expected


def test_slice_key_has_its_known_bytes() -> None:
    extents = (Extent(0, 2), WHOLE)
    key = bytes.fromhex("00760001010280 82807f")
    assert encode_slice_key(b"v", extents) == key
    assert decode_slice_key(key) == (b"v", extents)


def test_slice_key_is_decoded_to_what_was_encoded() -> None:
    numbers = [0, 63, 64, *(2**k + d for k in range(7, 63) for d in (-1, 0)), 2**63 - 1]
    for number in numbers:
        for name in (b"", b"a\x00b", b"\xff\xfe\x00\x01", "größe".encode()):
            extents = (Extent(number, 1), Extent(0, max(number, 1)), WHOLE)
            assert decode_slice_key(encode_slice_key(name, extents)) == (name, extents)


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"plain",
        b"\x00",
        b"\x00v",
        b"\x00v\x00\x01\x01",  # no rank
        bytes.fromhex("0076000101028082 80"),  # the last length is missing
        bytes.fromhex("0076000101028082807f00"),  # something follows
        bytes.fromhex("007600010102c00082807f"),  # 0 in two bytes: not canonical
        bytes.fromhex("00 76 0001 02 0002 80 82 80 7f"),  # rank in two bytes
    ],
)
def test_other_keys_are_no_slice_keys(key: bytes) -> None:
    assert decode_slice_key(key) is None


def test_index_ends_with_its_known_bytes() -> None:
    # The dump's data block has 291 bytes and the last key ff fe; the rest follows from that.
    table = build_table([(b"", bytes.fromhex("08011a020801")), (b"\xff\xfe", bytes(268))])
    tail = bytes.fromhex(
        "00000000 01000000 00 c0f2a1b0"  # metaindex
        "00 02 03 ffff 00a302 00000000 01000000 00 c1e2540e"  # index
        "a802 08 b502 10"  # footer
    )
    assert table[296:] == tail.ljust(len(tail) + 34, b"\0") + bytes.fromhex("57fb808b247547db")


def test_index_keys_are_short() -> None:
    assert separator(b"abcd", b"abzz") == b"abd"
    assert separator(b"abc", b"abd") == b"abc"  # nothing between c and d
    assert separator(b"ab", b"abc") == b"ab"
    assert separator(b"a\xff", b"b") == b"a\xff"
    assert successor(b"abc") == b"b"
    assert successor(b"\xff\xfe") == b"\xff\xff"
    assert successor(b"\xff\xff") == b"\xff\xff"


# ---- what it writes is what TensorFlow writes ----------------------------------------------


@pytest.fixture(scope="session")
def tf() -> Any:
    """Return TensorFlow, or skip."""
    return pytest.importorskip("tensorflow", reason="needs TensorFlow as the other party")


def constant(tf: Any, value: Any, number: int | None = None) -> Any:
    """Return a tensor; of a quantized dtype by its bits, which is all that they are."""
    tensor = tf.constant(value)
    return tensor if number is None else tf.bitcast(tensor, tf.as_dtype(number))


def save(tf: Any, prefix: Path, tensors: Mapping[Key, Any], specs: Any = None) -> None:
    """Write tensors with TensorFlow's own writer, in their order."""
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(tensors),
        shape_and_slices=specs or [""] * len(tensors),
        tensors=list(tensors.values()),
    )


def restore(tf: Any, prefix: Path, key: Key, dtype: Any, spec: str = "") -> Any:
    """Return a tensor's value as TensorFlow's own reader has it."""
    (tensor,) = tf.raw_ops.RestoreV2(
        prefix=str(prefix), tensor_names=[key], shape_and_slices=[spec], dtypes=[dtype]
    )
    return tensor.numpy()


def assert_same_files(theirs: Path, ours: Path) -> None:
    """Compare two bundles of one shard byte by byte."""
    for suffix in (".data-00000-of-00001", ".index"):
        expected = theirs.with_name(theirs.name + suffix).read_bytes()
        found = ours.with_name(ours.name + suffix).read_bytes()
        assert found == expected, suffix


def assert_same_values(found: Array, expected: Array) -> None:
    """Compare dtype, shape and bits; for strings the values."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    if found.dtype == object:
        assert found.tolist() == expected.tolist()
    else:
        assert found.tobytes() == expected.tobytes()


def check(
    tf: Any,
    directory: Path,
    tensors: Mapping[Key, Any],
    dtypes: Mapping[Key, int] | None = None,
) -> None:
    """Write `tensors` with both; compare the files, and what is read from TensorFlow's."""
    numbers = dtypes or {}
    theirs = {key: constant(tf, value, numbers.get(key)) for key, value in tensors.items()}
    save(tf, directory / "theirs", theirs)
    write_bundle(directory / "ours", tensors, dtypes=dtypes)
    assert_same_files(directory / "theirs", directory / "ours")
    found = read_bundle(directory / "theirs")
    names = {key.encode() if isinstance(key, str) else key: key for key in tensors}
    assert list(found) == sorted(names)
    for name, array in found.items():
        value = tensors[names[name]]
        is_text = isinstance(value, bytes | list)
        assert_same_values(array, np.array(value, object) if is_text else np.asarray(value))


PLAIN = [n for n, dtype in DTYPES.items() if n not in (STRING, VARIANT)]
QUANTIZED = (11, 12, 13, 15, 16)


@pytest.mark.parametrize("number", PLAIN, ids=lambda n: DTYPES[n].name)
def test_writes_every_dtype_as_tensorflow_does(number: int, tf: Any, tmp_path: Path) -> None:
    dtype = DTYPES[number].numpy
    if dtype.kind == "b":
        vector = np.array([True, False, True, True])
    elif DTYPES[number].bits:
        vector = np.arange(1 << DTYPES[number].bits, dtype=np.uint8).view(dtype)
    else:  # every byte value, so that no bit pattern is favoured: NaNs, infinities, both zeros
        vector = np.random.default_rng(number).permutation(256).astype(np.uint8).view(dtype)
    tensors: dict[Key, Any] = {
        "vector": vector,
        "scalar": vector[1],
        "empty": vector[:0],
        "empty_3": vector[:0].reshape(3, 0, 2),
        "matrix": vector[:4].reshape(2, 2),
        "last": vector[-1:],
    }
    quantized = dict.fromkeys(tensors, number) if number in QUANTIZED else None
    check(tf, tmp_path, tensors, quantized)


def test_covers_every_dtype_that_tensorflow_stores(tf: Any) -> None:
    types_pb2 = pytest.importorskip("tensorflow.core.framework.types_pb2")
    names = {
        name: number
        for name, number in types_pb2.DataType.items()
        if number < 100 and name not in ("DT_INVALID", "DT_RESOURCE")
    }
    assert sorted(names.values()) == sorted(DTYPES)
    for number, dtype in DTYPES.items():
        assert tf.as_dtype(number).name == dtype.name


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("int4", range(-8, 8)),
        ("uint4", range(16)),
        ("int2", range(-2, 2)),
        ("uint2", range(4)),
    ],
)
def test_narrow_integers_keep_their_values(
    name: str, values: range, tf: Any, tmp_path: Path
) -> None:
    array = np.array(list(values)).astype(getattr(ml_dtypes, name))
    check(tf, tmp_path, {"a": array})
    low_bits = bytes(value & (len(values) - 1) for value in values)
    assert (tmp_path / "ours.data-00000-of-00001").read_bytes() == low_bits
    assert read_bundle(tmp_path / "theirs")[b"a"].astype(int).tolist() == list(values)


def test_high_bits_of_narrow_elements_count_for_nothing(tf: Any, tmp_path: Path) -> None:
    dirty = np.array([0xFF, 0xF8, 0x7F], np.uint8).view(ml_dtypes.int4)
    # TensorFlow copies them from memory; we clear them, both ways.
    save(tf, tmp_path / "theirs", {"a": tf.constant(dirty)})
    assert (tmp_path / "theirs.data-00000-of-00001").read_bytes() == b"\xff\xf8\x7f"
    found = read_bundle(tmp_path / "theirs")[b"a"]
    assert found.view(np.uint8).tolist() == [0x0F, 0x08, 0x0F]
    assert found.astype(int).tolist() == [-1, -8, -1]
    write_bundle(tmp_path / "ours", {"a": dirty})
    assert (tmp_path / "ours.data-00000-of-00001").read_bytes() == b"\x0f\x08\x0f"


def test_writes_strings_as_tensorflow_does(tf: Any, tmp_path: Path) -> None:
    check(
        tf,
        tmp_path,
        {
            "scalar": b"scalar",
            "empty scalar": b"",
            "none": np.zeros([0], object),
            "none, rank 2": np.zeros([0, 5], object),
            "one": [b"one"],
            "three": [b"hello", b"", b"x" * 300],
            "matrix": [[b"a", b"b"], [b"cc", b"trailing zero\0"]],
            "not text": [bytes(range(256)), b"\xff\xfe"],
            "lengths": [b"a" * n for n in (127, 128, 16383, 16384)],
            "long": [b"m" * 2_100_000],  # four bytes of length, more than one read buffer
            "after": np.float32(1),
        },
    )


def test_writes_many_keys_as_tensorflow_does(tf: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors: dict[Key, Any] = {}
    for i in rng.permutation(20_000).tolist():
        tensors[f"model/layer_{i % 97}/block_{i:05d}/kernel/.ATTRIBUTES/VALUE"] = np.int32(i)
    check(tf, tmp_path, tensors)
    index = (tmp_path / "theirs.index").read_bytes()
    assert len(index) > 2 * 262144  # or it was not about several blocks


def test_writes_odd_keys_as_tensorflow_does(tf: Any, tmp_path: Path) -> None:
    keys: list[Key] = [
        b"\xff\xfe",
        b"\xff\xff",
        b"\xff",
        b"\x00",
        b"\x00\x01",
        "größe/検査",
        "a",
        "a" * 1000,
        "a" * 1000 + "b",
        " ",
    ]
    check(tf, tmp_path, {key: np.uint8(i) for i, key in enumerate(keys)})


@pytest.mark.parametrize("size", [262144 + d for d in (-54, -53, -52, -51, -50, -49, 0)])
def test_cuts_blocks_as_tensorflow_does(size: int, tf: Any, tmp_path: Path) -> None:
    # The rest of the block takes 50 bytes: one key brings it to the limit, or not quite.
    keys = ["a", "b" * size, "c", "d"]
    check(tf, tmp_path, {key: np.uint8(1) for key in keys})


@pytest.mark.parametrize("size", [524288 + d for d in (-15, -14, -13, -12, -11, 0, 99)])
def test_gives_a_giant_entry_its_own_block_as_tensorflow_does(
    size: int, tf: Any, tmp_path: Path
) -> None:
    # Its value takes 11 bytes at offset 0 and 13 at the others.
    for first in ([], ["a"]):
        keys = [*first, "b" * size, "c", "d" * size, "e" * size]
        check(tf, tmp_path, {key: np.uint8(1) for key in keys})


PARTS: list[tuple[Key, tuple[int, ...], str, Slice]] = [
    ("rows", (4, 6), "0,2:-", (Extent(0, 2), WHOLE)),
    ("rows", (4, 6), "2,2:-", (Extent(2, 2), WHOLE)),
    ("columns", (4, 6), "0,4:1,5", (Extent(0, 4), Extent(1, 5))),
    ("columns", (4, 6), "0,4:0,1", (Extent(0, 4), Extent(0, 1))),
    ("everything", (4, 6), "-:0,6", (WHOLE, Extent(0, 6))),
    ("long", (3000,), "0,64", (Extent(0, 64),)),
    ("long", (3000,), "64,2936", (Extent(64, 2936),)),
    (b"z\x00\xff", (2,), "1,1", (Extent(1, 1),)),
    (b"z\x00\xff", (2,), "0,1", (Extent(0, 1),)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float16, object])
def test_writes_partitioned_tensors_as_tensorflow_does(
    dtype: Any, tf: Any, tmp_path: Path
) -> None:
    whole: dict[Key, Array] = {}
    tensors: dict[Key, Any] = {}
    pieces = []
    for key, shape, _, extents in PARTS:
        if key not in whole:
            numbers = np.arange(np.prod(shape)).reshape(shape)
            texts = np.array([b"%d" % n for n in numbers.flat], object).reshape(shape)
            whole[key] = texts if dtype is object else numbers.astype(dtype)
            tensors[key] = Partitioned(shape, [])
        region = tuple(
            slice(None) if e == WHOLE else slice(e.start, e.start + e.length) for e in extents
        )
        pieces.append(whole[key][region])
        tensors[key].slices.append((extents, whole[key][region]))
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "theirs"),
        tensor_names=[key for key, _, _, _ in PARTS],
        shape_and_slices=[
            f"{' '.join(map(str, shape))} {spec}" for _, shape, spec, _ in PARTS
        ],
        tensors=[tf.constant(piece) for piece in pieces],
    )
    write_bundle(tmp_path / "ours", tensors)
    assert_same_files(tmp_path / "theirs", tmp_path / "ours")
    found = read_bundle(tmp_path / "theirs")
    assert len(found) == len(whole)  # the slices are not listed
    for key, expected in whole.items():
        assert_same_values(found[key.encode() if isinstance(key, str) else key], expected)


def test_writes_variants_as_tensorflow_does(tf: Any, tmp_path: Path) -> None:
    variant = tf.raw_ops.TensorListFromTensor(
        tensor=tf.constant([[1.0, 2.0], [3.0, 4.0]]), element_shape=tf.constant([2])
    )
    save(tf, tmp_path / "theirs", {"scalar": variant, "vector": tf.stack([variant] * 3)})
    found = read_bundle(tmp_path / "theirs")
    assert b"tensorflow::TensorList" in found[b"scalar"].item()
    assert found[b"vector"].tolist() == [found[b"scalar"].item()] * 3
    write_bundle(tmp_path / "ours", found, dtypes=dict.fromkeys(found, VARIANT))
    assert_same_files(tmp_path / "theirs", tmp_path / "ours")


# ---- what it writes otherwise, TensorFlow reads --------------------------------------------


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("alignment", [1, 64])
@pytest.mark.parametrize("num_shards", [1, 3])
def test_tensorflow_reads_other_layouts(
    num_shards: int, alignment: int, big_endian: bool, tf: Any, tmp_path: Path
) -> None:
    tensors: dict[Key, Any] = {
        "f32": np.arange(7, dtype=np.float32),
        "i16": np.arange(-3, 3, dtype=np.int16),
        "c64": np.array([1 + 2j, 3 - 4j], np.complex64),
        "c128": np.array([1 + 2j, 3 - 4j]),
        "bf16": np.arange(3).astype(ml_dtypes.bfloat16),
        "bool": np.array([True, False]),
        "text": np.array([b"hello", b"", b"x" * 300], object),
        "i64": np.array(-5),
    }
    prefix = tmp_path / "b"
    write_bundle(
        prefix,
        tensors,
        num_shards=num_shards,
        alignment=alignment,
        placement={"text": num_shards - 1},
        big_endian=big_endian,
    )
    entries = read_entries(prefix)
    assert entries[b"text"].shard_id == num_shards - 1
    assert all(entry.offset % alignment == 0 for entry in entries.values())
    found = read_bundle(prefix)
    for key, expected in tensors.items():
        dtype = tf.string if key == "text" else tf.as_dtype(expected.dtype)
        assert_same_values(np.asarray(restore(tf, prefix, key, dtype)), expected)
        assert_same_values(found[str(key).encode()], expected)


def test_input_byte_order_and_memory_order_do_not_matter(tmp_path: Path) -> None:
    matrix = np.arange(12, dtype=np.int32).reshape(3, 4)
    for i, same in enumerate((matrix, matrix.astype(">i4"), np.asfortranarray(matrix))):
        write_bundle(tmp_path / f"{i}", {"a": same})
    for i in (1, 2):
        assert_same_files(tmp_path / "0", tmp_path / f"{i}")


# ---- it reads what TensorFlow's savers write -----------------------------------------------


def test_reads_a_checkpoint(tf: Any, tmp_path: Path) -> None:
    module = tf.Module()
    module.layers = [tf.Variable(np.eye(3, dtype=np.float32)), tf.Variable([1, 2], tf.int64)]
    module.scale = tf.Variable(0.5, dtype=tf.float16)
    prefix = tf.train.Checkpoint(module=module).save(str(tmp_path / "ckpt"))
    found = read_bundle(prefix)
    value = "/.ATTRIBUTES/VARIABLE_VALUE"
    assert_same_values(found[f"module/layers/0{value}".encode()], np.eye(3, dtype=np.float32))
    assert found[f"module/scale{value}".encode()] == np.float16(0.5)
    assert found[f"save_counter{value}".encode()] == 1
    assert b"VARIABLE_VALUE" in found[b"_CHECKPOINTABLE_OBJECT_GRAPH"].item()
    reader = tf.train.load_checkpoint(prefix)
    assert sorted(reader.get_variable_to_shape_map()) == [key.decode() for key in found]
    for key, array in found.items():
        assert_same_values(array, np.array(reader.get_tensor(key.decode()), array.dtype))


def test_reads_what_a_v1_saver_wrote(tf: Any, tmp_path: Path) -> None:
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        a = v1.get_variable(
            "scope/a", initializer=np.arange(6.0).reshape(2, 3), use_resource=1
        )
        b = v1.get_variable("b", initializer=np.int32(7), use_resource=False)
        session.run([a.initializer, b.initializer])
        prefix = v1.train.Saver([a, b]).save(session, str(tmp_path / "model"), global_step=3)
    assert prefix.endswith("model-3")
    found = read_bundle(prefix)
    assert list(found) == [b"b", b"scope/a"]
    assert_same_values(found[b"scope/a"], np.arange(6.0).reshape(2, 3))
    assert_same_values(found[b"b"], np.array(7, np.int32))


def test_reads_a_v1_partitioned_variable(tf: Any, tmp_path: Path) -> None:
    v1 = tf.compat.v1
    value = np.arange(40, dtype=np.float32).reshape(10, 4)

    def part(shape: list[int], dtype: Any, partition_info: Any) -> Any:
        start = partition_info.var_offset[0]
        return tf.constant(value[start : start + shape[0]], dtype)

    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable(
            "p",
            shape=value.shape,
            initializer=part,
            partitioner=v1.fixed_size_partitioner(3),
        )
        session.run(v1.global_variables_initializer())
        prefix = v1.train.Saver().save(session, str(tmp_path / "model"))
    assert len(read_entries(prefix)[b"p"].slices) == 3
    found = read_bundle(prefix)
    assert list(found) == [b"p"]
    assert_same_values(found[b"p"], value)


def test_reads_what_tensorflow_merged(tf: Any, tmp_path: Path) -> None:
    save(tf, tmp_path / "0", {"a": tf.constant([1, 2]), "c": tf.constant("text")})
    save(tf, tmp_path / "1", {"b": tf.constant([3.0])})
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=[str(tmp_path / "0"), str(tmp_path / "1")],
        destination_prefix=str(tmp_path / "merged"),
    )
    found = read_bundle(tmp_path / "merged")
    assert {key: array.tolist() for key, array in found.items()} == {
        b"a": [1, 2],
        b"b": [3.0],
        b"c": b"text",
    }
    assert read_entries(tmp_path / "merged")[b"b"].shard_id == 1
