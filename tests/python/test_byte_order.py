"""Big-endian bundles: every dtype comes back as numbers of this machine."""

from __future__ import annotations

import numpy as np
import pytest

import tensorbundle as tb
from reference.bundle import read_bundle, write_bundle

from .helpers import ALL_DTYPES, GOLDEN, assert_same, data_file, flip_byte, sample

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
