"""Loading: what comes back, in whose memory, checked or not."""

from __future__ import annotations

import numpy as np
import pytest

import tensorbundle as tb

from .helpers import (
    ALL_DTYPES,
    MIB,
    assert_all_same,
    assert_same,
    data_file,
    flip_byte,
    sample,
    strings,
)


class Refused(Exception):
    """Raised by a progress callback."""


TENSORS = {
    "a": sample("float32", (300, 400)),
    "b": sample("int8", (5,)),
    "c/d": sample("bfloat16", (3, 4, 5)),
    "empty": sample("float64", (0, 3)),
    "scalar": np.array(7, np.int64),
    "text": strings(b"x", b"", b"yz").reshape(3, 1),
}


@pytest.fixture
def saved(prefix):
    tb.save(prefix, TENSORS, num_shards=2)
    return prefix


# ---- which tensors --------------------------------------------------------------------------


@pytest.mark.parametrize("mmap", [False, True])
def test_all_tensors_come_in_index_order(saved, mmap):
    loaded = tb.load(saved, mmap=mmap)
    assert list(loaded) == sorted(TENSORS)
    assert_all_same(loaded, TENSORS)


@pytest.mark.parametrize("mmap", [False, True])
def test_chosen_tensors_come_in_the_order_asked_for(saved, mmap):
    loaded = tb.load(saved, ["scalar", "a", "text"], mmap=mmap)
    assert list(loaded) == ["scalar", "a", "text"]
    for name, array in loaded.items():
        assert_same(array, TENSORS[name])


@pytest.mark.parametrize("names", ["c/d", ("c/d",), {"c/d"}, {"c/d": 1}, [b"c/d"]], ids=repr)
def test_names_may_be_any_iterable_or_one_name(saved, names):
    (array,) = tb.load(saved, names).values()
    assert_same(array, TENSORS["c/d"])


@pytest.mark.parametrize("mmap", [False, True])
def test_no_names_give_no_tensors(saved, mmap):
    assert tb.load(saved, [], mmap=mmap) == {}


@pytest.mark.parametrize("mmap", [False, True])
def test_a_name_may_be_asked_for_twice(saved, mmap):
    assert_same(tb.load(saved, ["a", "b", "a"], mmap=mmap)["a"], TENSORS["a"])


# ---- whose memory ---------------------------------------------------------------------------


def test_loaded_arrays_are_owned_aligned_and_writable(saved):
    for name, array in tb.load(saved).items():
        assert array.flags.writeable
        assert array.flags.c_contiguous
        assert array.dtype == object or array.ctypes.data % 64 == 0 or array.size == 0
        array[...] = array.flat[0] if array.size else 0
        assert_same(tb.load(saved)[name], TENSORS[name])


def test_mapped_arrays_are_read_only_views(saved):
    loaded = tb.load(saved, mmap=True)
    for name, array in loaded.items():
        if array.dtype == object:
            continue
        assert not array.flags.writeable
        assert not array.flags.owndata
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
        assert_same(array, TENSORS[name])


def test_mapping_reports_what_it_mapped(saved):
    report = tb.load(saved, ["a", "b"], mmap=True).report
    assert report.zero_copy_bytes == report.tensor_bytes == 480_005
    assert (report.copied, report.verified, report.backend) == ((), False, "mmap")


def test_reading_reports_what_it_read(saved):
    report = tb.load(saved, ["a", "b"], num_threads=1).report
    assert (report.zero_copy_bytes, report.tensor_bytes) == (0, 480_005)
    assert (report.num_tensors, report.num_threads, report.verified) == (2, 1, True)
    assert report.backend == "buffered"
    assert not tb.load(saved, verify=False).report.verified
    assert tb.load(saved, mmap=True, verify=True).report.verified


@pytest.mark.parametrize("dtype", [d for d in ALL_DTYPES if d.itemsize > 1], ids=str)
def test_tensors_at_odd_places_are_copied_and_named(prefix, dtype):
    array = sample(dtype)
    tb.save(prefix, {"odd": np.uint8(1), "array": array, "fine": np.int8(2)}, alignment=1)
    loaded = tb.load(prefix, mmap=True)
    assert loaded.report.copied == ("array",)
    assert loaded["array"].flags.aligned
    assert_all_same(loaded, {"odd": np.uint8(1), "array": array, "fine": np.int8(2)})


def test_a_mapped_tensor_sees_the_pages_of_the_file(saved):
    mapped = tb.load(saved, mmap=True)["a"]
    other = tb.load(saved, mmap=True)["a"]
    assert mapped.ctypes.data != other.ctypes.data
    assert_same(mapped, other)


# ---- checks ---------------------------------------------------------------------------------


def damage(prefix, name):
    """Change one byte of a tensor's data; give the change to its array."""
    entry = tb.open(prefix).entry(name)
    flip_byte(data_file(prefix, entry.shard_id), entry.offset + entry.size // 2)


def test_reading_finds_a_damaged_tensor(saved):
    damage(saved, "a")
    entry = tb.open(saved).entry("a")
    with pytest.raises(tb.CorruptionError) as caught:
        tb.load(saved)
    error = caught.value
    assert (error.code, error.key) == ("DataChecksumMismatch", "a")
    assert (error.shard, error.offset) == (entry.shard_id, entry.offset)
    assert error.path == str(data_file(saved, entry.shard_id))
    assert "'a'" in str(error) or '"a"' in str(error)
    assert error.path in str(error)


def test_other_tensors_can_be_loaded_from_a_damaged_checkpoint(saved):
    damage(saved, "a")
    others = [name for name in TENSORS if name != "a"]
    assert_all_same(tb.load(saved, others), {name: TENSORS[name] for name in others})


def test_without_verification_a_damaged_tensor_is_given_as_it_is(saved):
    damage(saved, "a")
    array = tb.load(saved, verify=False)["a"]
    assert (array.view(np.uint8) != TENSORS["a"].view(np.uint8)).sum() == 1


def test_mapping_checks_nothing_unless_asked(saved):
    damage(saved, "a")
    array = tb.load(saved, mmap=True)["a"]
    assert (array.view(np.uint8) != TENSORS["a"].view(np.uint8)).sum() == 1
    with pytest.raises(tb.CorruptionError, match="checksum"):
        tb.load(saved, mmap=True, verify=True)


def test_a_damaged_tensor_that_must_be_copied_is_found_when_asked(prefix):
    tb.save(prefix, {"odd": np.uint8(1), "a": sample("float32", (100, 100))}, alignment=1)
    damage(prefix, "a")
    assert tb.load(prefix, mmap=True).report.copied == ("a",)
    with pytest.raises(tb.CorruptionError, match="checksum"):
        tb.load(prefix, mmap=True, verify=True)


@pytest.mark.parametrize("mmap", [False, True])
def test_damaged_strings_are_found(prefix, mmap):
    tb.save(prefix, {"s": strings(b"hello", b"world")})
    end = data_file(prefix).stat().st_size
    flip_byte(data_file(prefix), end - 1)
    assert tb.load(prefix, mmap=mmap, verify=False)["s"][0] == b"hello"
    with pytest.raises(tb.CorruptionError) as caught:
        tb.load(prefix, mmap=mmap, verify=True)
    assert caught.value.key == "s"


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("verify", [False, True])
def test_damaged_string_lengths_are_always_found(prefix, mmap, verify):
    tb.save(prefix, {"s": strings(b"hello", b"world")})
    flip_byte(data_file(prefix), 0)
    with pytest.raises(tb.CorruptionError) as caught:
        tb.load(prefix, mmap=mmap, verify=verify)
    assert caught.value.key == "s"


# ---- into= ----------------------------------------------------------------------------------


def test_arrays_given_are_filled_in_place(saved):
    into = {name: np.empty_like(array) for name, array in TENSORS.items()}
    loaded = tb.load(saved, into=into)
    assert all(loaded[name] is into[name] for name in into)
    assert list(loaded) == list(into)
    assert_all_same(into, TENSORS)


def test_names_that_are_not_given_get_arrays_of_their_own(saved):
    target = np.empty_like(TENSORS["a"])
    loaded = tb.load(saved, ["b", "a", "text"], into={"a": target})
    assert loaded["a"] is target
    assert list(loaded) == ["b", "a", "text"]
    for name, array in loaded.items():
        assert_same(array, TENSORS[name])


def test_a_contiguous_part_of_a_larger_array_can_be_filled(saved):
    whole = np.zeros((3, 300, 400), np.float32)
    tb.load(saved, into={"a": whole[1]})
    assert_same(whole[1], TENSORS["a"])
    assert not whole[0].any()
    assert not whole[2].any()


def read_only(array):
    array.flags.writeable = False
    return array


WRONG_TARGETS = {
    "wrong shape": lambda: np.ones((400, 300), np.float32),
    "wrong rank": lambda: np.ones(120_000, np.float32),
    "wrong dtype": lambda: np.ones((300, 400), np.float64),
    "same size, other dtype": lambda: np.ones((300, 400), np.int32),
    "big-endian": lambda: np.ones((300, 400), ">f4"),
    "read-only": lambda: read_only(np.ones((300, 400), np.float32)),
    "Fortran order": lambda: np.ones((400, 300), np.float32).T,
    "every other": lambda: np.ones((300, 800), np.float32)[:, ::2],
    "no array": lambda: [[1.0]],
    "a number": lambda: 1.0,
    "None": lambda: None,
}


@pytest.mark.parametrize("wrong", WRONG_TARGETS)
def test_a_wrong_target_is_named_and_nothing_is_written(saved, wrong):
    target, good = WRONG_TARGETS[wrong](), np.ones(5, np.int8)
    with pytest.raises(ValueError, match=r"into\['a'\]"):
        tb.load(saved, into={"b": good, "a": target})
    assert good.tolist() == [1] * 5
    if isinstance(target, np.ndarray):
        assert (target == 1).all()


def test_a_target_for_a_tensor_that_is_not_there_is_refused(saved):
    good = np.ones(5, np.int8)
    with pytest.raises(tb.MissingTensorError, match="nothing"):
        tb.load(saved, into={"b": good, "nothing": np.ones(5)})
    assert good.tolist() == [1] * 5


def test_a_target_whose_name_was_not_asked_for_is_refused(saved):
    with pytest.raises(ValueError, match="'b'"):
        tb.load(saved, ["a"], into={"b": np.ones(5, np.int8)})


def test_targets_cannot_be_mapped(saved):
    with pytest.raises(ValueError, match="mmap"):
        tb.load(saved, mmap=True, into={"b": np.ones(5, np.int8)})


def test_strings_can_be_filled_into_an_object_array(saved):
    target = np.empty((3, 1), dtype=object)
    assert tb.load(saved, into={"text": target})["text"] is target
    assert_same(target, TENSORS["text"])


# ---- progress and options -------------------------------------------------------------------


@pytest.mark.parametrize("kind", [KeyboardInterrupt, Refused])
@pytest.mark.parametrize("size", [10, 32 * MIB])
def test_what_progress_raises_cancels_the_load(prefix, kind, size):
    tb.save(prefix, {"a": np.ones(size, np.uint8)})

    def progress(done, total):
        raise kind("stop")

    with pytest.raises(kind, match="stop"):
        tb.load(prefix, progress=progress)
    with pytest.raises(kind, match="stop"):
        tb.verify(prefix, progress=progress)
    with pytest.raises(kind, match="stop"):
        tb.load(prefix, mmap=True, verify=True, progress=progress)


@pytest.mark.parametrize("read", [tb.load, tb.verify])
def test_progress_counts_up_to_all_bytes(prefix, read):
    tb.save(prefix, {f"{i}": np.ones(3 * MIB + i, np.uint8) for i in range(9)})
    calls = []
    read(prefix, progress=lambda *call: calls.append(call))
    total = sum(3 * MIB + i for i in range(9))
    assert calls == sorted(calls)
    assert calls[-1] == (total, total)


@pytest.mark.parametrize("options", [{"num_threads": 0}, {"backend": "magic"}], ids=str)
def test_options_out_of_range_are_refused(saved, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        tb.load(saved, **options)


@pytest.mark.parametrize("num_threads", [1, 2, 7])
def test_any_number_of_threads_reads_the_same(prefix, num_threads):
    tensors = {f"{i}": sample("uint16", (1000, 700), i) for i in range(9)}
    tensors |= {f"small/{i}": sample("uint16", (i,), i) for i in range(200)}
    tb.save(prefix, tensors, num_shards=3)
    assert_all_same(tb.load(prefix, num_threads=num_threads), tensors)
    report = tb.verify(prefix, num_threads=num_threads)
    assert (report.ok, report.num_tensors) == (True, len(tensors))
