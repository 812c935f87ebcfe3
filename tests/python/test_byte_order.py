"""Big-endian bundles: every dtype comes back as numbers of this machine."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import tensorbundle as tb
from reference.bundle import Extent, Partitioned, read_bundle, write_bundle

from .helpers import ALL_DTYPES, GOLDEN, assert_same, data_file, flip_byte, sample
from .partitions import cut

BIG = str(GOLDEN / "big_endian")


@pytest.fixture(scope="module")
def expected():
    """What the little-endian bundles have, which real TensorFlow wrote."""
    return {
        f"{source}/{name.decode()}": array
        for source in ("dtypes", "strings", "variants")
        for name, array in read_bundle(GOLDEN / source).items()
        if name != b"lengths"
    }


@pytest.mark.parametrize("backend", ["auto", "buffered"])
def test_a_load_gives_owned_arrays_in_native_order(expected, backend):
    found = tb.load(BIG, backend=backend)
    assert set(found) == set(expected)
    for name, array in found.items():
        assert_same(array, expected[name])
        assert array.dtype.isnative
        assert array.flags.writeable


@pytest.mark.parametrize("verify", [False, True])
def test_a_mapped_load_reads_what_it_would_have_to_turn_round(expected, verify):
    found = tb.load(BIG, mmap=True, verify=verify)
    for name, array in found.items():
        assert_same(array, expected[name])
        assert not array.flags.writeable or array.dtype == object
    assert found.report.mmap_reason == "the bundle is big-endian"
    assert 0 < found.report.zero_copy_bytes < found.report.tensor_bytes  # of one byte each


def test_an_open_bundle_and_its_readers_give_the_same(expected):
    reader = tb.load_checkpoint(BIG)
    with tb.open(BIG, verify=True) as bundle:
        for name, array in expected.items():
            assert_same(bundle[name], array)
            assert_same(bundle.read(name), array)
            assert_same(reader.get_tensor(name), array)
        assert_same(bundle.read_slice("dtypes/int32/vector", np.s_[1:3]),
                    expected["dtypes/int32/vector"][1:3])  # fmt: skip


@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=str)
def test_arrays_of_the_caller_are_filled(prefix, dtype):
    array = sample(dtype, (5, 7))
    write_bundle(prefix, {"a": array}, big_endian=True)
    mine = np.zeros_like(array)
    tb.load(prefix, into={"a": mine})
    assert_same(mine, array)


def test_the_stored_bytes_are_verified(prefix):
    strings = np.array([b"one", b"two"], object)
    write_bundle(prefix, {"a": np.arange(3), "s": strings}, big_endian=True)
    assert tb.verify(prefix).ok
    flip_byte(data_file(prefix), 5)
    report = tb.verify(prefix)
    assert [(fault.name, fault.code) for fault in report.faults] == [
        ("a", "DataChecksumMismatch")
    ]
    assert not report.unchecked
    assert_same(tb.load(prefix, ["s"])["s"], strings)


def test_lengths_of_strings_are_checked_in_their_byte_order(prefix):
    write_bundle(prefix, {"s": np.array([b"one", b"two"], object)}, big_endian=True)
    flip_byte(data_file(prefix), 3)  # of the checksum behind two lengths
    with pytest.raises(tb.CorruptionError) as caught:
        tb.load(prefix, verify=False)
    assert caught.value.code == "DataChecksumMismatch"


# ---- in parts -------------------------------------------------------------------------------

# Of each rank a shape, and where it is cut.
RANKS = {
    1: ((7,), [3]),
    2: ((4, 6), [1, 3], [2]),
    3: ((3, 2, 5), [], [1], [4]),
    4: ((2, 3, 2, 2), [1], [2], [], [1]),
    8: ((2, 1, 2, 1, 2, 1, 2, 3), [1], [], [], [], [1], [], [], [2]),
    10: ((2, *[1] * 8, 4), [1], *[[]] * 8, [3]),
}
WORDS = [b"", b"one", b"\0two\xff", b"x" * 300]


def of_rank(dtype, rank):
    shape = RANKS[rank][0]
    if dtype.kind != "O":
        return sample(dtype, shape, seed=rank)
    count = int(np.prod(shape))
    words = np.empty(count, object)
    words[:] = [WORDS[i % len(WORDS)] for i in range(count)]
    return words.reshape(shape)


def big_endian_bytes(array):
    """Give the numbers of a part as a big-endian machine's TensorFlow writes them.

    Complex numbers are two words; an element of 4 or 2 bits has a byte of its own.
    """
    raw = np.ascontiguousarray(array)
    if array.dtype.kind == "c":
        raw = raw.view(f"f{array.dtype.itemsize // 2}")
    elif array.dtype.kind == "V" or array.dtype.itemsize == 1:  # those of ml_dtypes
        raw = raw.view(f"u{array.dtype.itemsize}")
    stored = raw.astype(raw.dtype.newbyteorder(">")).tobytes()
    bits = {"int4": 4, "uint4": 4, "float4_e2m1fn": 4, "int2": 2, "uint2": 2}
    used = (1 << bits.get(array.dtype.name, 8)) - 1
    return bytes(byte & used for byte in stored)


def test_big_endian_bytes_are_the_known_ones():
    known = [
        (np.array([1, -2], np.int16), "0001fffe"),
        (np.array([1.5], np.float64), "3ff8000000000000"),
        (np.array([1 - 2j], np.complex64), "3f800000c0000000"),
        (np.array([-3.5], ml_dtypes.bfloat16), "c060"),
        (np.array([-1, 7], ml_dtypes.int4), "0f07"),
        (np.array([1.5], ml_dtypes.float8_e4m3fn), "3c"),
    ]
    for array, expected in known:
        assert big_endian_bytes(array).hex() == expected


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("dtype", [*ALL_DTYPES, np.dtype(object)], ids=str)
def test_parts_of_every_dtype_and_rank_are_put_together(prefix, dtype, rank):
    array = of_rank(dtype, rank)
    parts = cut(array, *RANKS[rank][1:])
    slices = [
        (tuple(Extent(b, s) for b, s in zip(begin, part.shape, strict=True)), part)
        for begin, part in parts
    ]
    value = Partitioned(array.shape, slices)
    write_bundle(prefix, {"v": value, "w": array}, num_shards=2, big_endian=True,
                 placement={"v": 0, "w": 1})  # fmt: skip
    if dtype.kind != "O":  # known bytes, before what reads them back
        stored = data_file(prefix).read_bytes()
        assert stored == b"".join(big_endian_bytes(part) for _, part in parts)
    assert_same(read_bundle(prefix)[b"v"], array)
    index = (slice(None), *(0,) * (rank - 2), slice(1, 3)) if rank > 1 else np.s_[2:5]
    expected = np.array(array[index])
    with tb.open(prefix) as bundle:
        for name in "v", "w":
            assert_same(tb.load(prefix)[name], array)
            assert_same(bundle[name], array)
            assert_same(bundle.read_slice(name, index), expected)
            assert_same(bundle.read_slice(name, np.s_[...]), array)
    assert tb.verify(prefix).ok
    # What is saved again is little-endian, and the same.
    tb.save(prefix + "-again", tb.load(prefix))
    assert_same(read_bundle(prefix + "-again")[b"v"], array)


def test_big_endian_parts_of_several_bundles_are_merged(tmp_path):
    array = sample("float64", (4, 6))
    whole = (Extent(0, 2), Extent(0, 6)), (Extent(2, 2), Extent(0, 6))
    prefixes = [str(tmp_path / name) for name in "ab"]
    for prefix, extents, part in zip(prefixes, whole, (array[:2], array[2:]), strict=True):
        write_bundle(prefix, {"v": Partitioned((4, 6), [(extents, part)])}, big_endian=True)
    tb.merge(prefixes, tmp_path / "out")
    assert_same(tb.load(tmp_path / "out")["v"], array)
    assert_same(read_bundle(tmp_path / "out")[b"v"], array)
