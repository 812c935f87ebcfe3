"""An open bundle: a mapping of views, the records behind them, and their verification."""

from __future__ import annotations

import collections.abc
import concurrent.futures
import copy
import multiprocessing
import os
import pickle
import threading

import numpy as np
import pytest

import tensorbundle as tb

from .helpers import assert_same, data_file, flip_byte, listing, sample, strings

TENSORS = {
    "a": sample("float32", (30, 40)),
    "a/b": sample("bfloat16", (2, 3)),
    "empty": sample("int32", (4, 0)),
    "scalar": np.array(2.5),
    "text": strings(b"one", b"two"),
}


@pytest.fixture
def saved(prefix):
    tb.save(prefix, TENSORS)
    return prefix


# ---- the mapping ----------------------------------------------------------------------------


def test_a_bundle_is_a_mapping_in_index_order(saved):
    bundle = tb.open(saved)
    assert isinstance(bundle, collections.abc.Mapping)
    assert list(bundle) == list(bundle.keys()) == sorted(TENSORS)
    assert len(bundle) == len(TENSORS)
    assert "a" in bundle
    assert "b" not in bundle
    assert 3 not in bundle
    assert "" not in bundle
    assert bundle.get("b") is None
    for name, array in bundle.items():
        assert_same(array, TENSORS[name])


def test_a_name_may_be_given_as_bytes(saved):
    bundle = tb.open(saved)
    assert b"a/b" in bundle
    assert_same(bundle[b"a/b"], TENSORS["a/b"])
    assert bundle.entry(b"a/b") == bundle.entry("a/b")


def test_the_key_of_the_header_is_no_tensor(saved):
    with pytest.raises(tb.MissingTensorError):
        tb.open(saved)[""]


@pytest.mark.parametrize("key", [3, None, ("a",)])
def test_what_is_no_name_is_a_missing_key(saved, key):
    with pytest.raises(KeyError):
        tb.open(saved)[key]


def test_a_name_that_cannot_be_encoded_is_missing(saved):
    bundle = tb.open(saved)
    assert "\ud800" not in bundle
    assert bundle.get("\ud800") is None
    with pytest.raises(KeyError):
        bundle["\ud800"]


def test_bundles_can_be_compared(saved):
    bundle = tb.open(saved)
    assert bundle == bundle
    assert bundle != {"a": TENSORS["a"]}


def test_items_are_views_of_the_file(saved):
    bundle = tb.open(saved)
    assert not bundle["a"].flags.writeable
    assert bundle["a"].ctypes.data == bundle["a"].ctypes.data
    assert bundle["a"].ctypes.data % 64 == 0


def test_a_bundle_tells_its_prefix_and_shards(prefix, tmp_path):
    tb.save(prefix, {f"{i}": np.ones(100) for i in range(8)}, num_shards=3)
    bundle = tb.open(prefix)
    assert (bundle.prefix, bundle.num_shards) == (prefix, 3)
    assert prefix in repr(bundle)
    assert "8 tensors" in repr(bundle)


def test_a_closed_bundle_refuses_but_its_arrays_live(saved):
    with tb.open(saved) as bundle:
        array = bundle["a"]
    assert_same(array, TENSORS["a"])
    assert "closed" in repr(bundle)
    for use in (lambda: bundle["a"], lambda: bundle.entry("a"), lambda: len(bundle),
                lambda: "a" in bundle, bundle.verify, lambda: bundle.num_shards):  # fmt: skip
        with pytest.raises(ValueError, match="closed"):
            use()
    bundle.close()


def test_a_pickled_bundle_is_opened_anew_with_its_options(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(os.path.dirname(saved))
    with tb.open(os.path.basename(saved), mmap=False, verify=True) as bundle:
        text = pickle.dumps(bundle)
        monkeypatch.chdir(tmp_path)
        found = pickle.loads(text)
        assert found.prefix == saved and list(found) == list(bundle)
        for name, array in found.items():
            assert_same(array, bundle[name])
        twin = copy.copy(bundle)
    flip_byte(data_file(saved), found.entry("a").offset)
    with pytest.raises(tb.CorruptionError):  # verify=True
        twin["a"]
    with pytest.raises(ValueError, match="is closed"):
        pickle.dumps(bundle)


def test_a_process_that_is_spawned_gets_a_bundle(saved):
    with tb.open(saved) as bundle:
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
            assert pool.submit(sorted, bundle).result() == sorted(bundle)


def test_any_thread_may_use_a_bundle(saved):
    bundle, found = tb.open(saved), []

    def use():
        found.append(all(bundle[name] is not None for name in bundle for _ in range(50)))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8


# ---- records --------------------------------------------------------------------------------


def test_an_entry_tells_where_the_bytes_are(saved):
    bundle = tb.open(saved)
    entry = bundle.entry("a")
    assert (entry.dtype, entry.dtype_name) == (np.float32, "float32")
    assert (entry.shape, entry.size, entry.slices) == ((30, 40), 4800, ())
    content = data_file(saved, entry.shard_id).read_bytes()
    stored = content[entry.offset : entry.offset + entry.size]
    assert stored == TENSORS["a"].tobytes()
    text = bundle.entry("text")
    assert (text.dtype, text.dtype_name, text.shape) == (np.dtype(object), "string", (2,))
    assert bundle.entry("scalar").shape == ()
    assert bundle.entry("empty").size == 0


def test_an_entry_has_the_checksum_of_its_bytes(prefix):
    tb.save(prefix, {"a": np.frombuffer(b"123456789", np.uint8), "empty": np.ones(0)})
    bundle = tb.open(prefix)
    assert bundle.entry("a").crc32c == 0xE3069283  # the check value of CRC-32C
    assert bundle.entry("empty").crc32c == 0


def test_a_partitioned_tensor_is_listed_with_its_parts(tf, prefix):
    whole = tf.constant(sample("float32", (4, 6)))
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=["v", "v"],
        shape_and_slices=["4 6 0,2:-", "4 6 2,2:-"],
        tensors=[whole[:2], whole[2:]],
    )
    bundle = tb.open(prefix)
    assert list(bundle) == ["v"]
    assert bundle.entry("v").shape == (4, 6)
    assert bundle.entry("v").slices == (((0, 2), (0, -1)), ((2, 2), (0, -1)))
    assert tb.list_variables(prefix) == [("v", [4, 6])]
    assert_same(bundle["v"], whole.numpy())
    assert_same(bundle.read("v"), whole.numpy())
    assert bundle["v"].flags.writeable is False
    assert bundle.read("v").flags.writeable is True


@pytest.mark.parametrize(
    "index", [np.s_[3], np.s_[2:9, ::3], np.s_[..., -1], np.s_[()]], ids=str
)
def test_a_slice_is_a_copy_of_its_own(saved, index):
    found = tb.open(saved).read_slice("a", index)
    assert_same(found, TENSORS["a"][index])
    assert found.flags.owndata
    assert found.flags.writeable


# ---- verification ---------------------------------------------------------------------------


@pytest.fixture
def damaged(prefix):
    """Save three tensors in two shards, then change a byte of the second."""
    tensors = {name: sample("float32", (100, 100), i) for i, name in enumerate("abc")}
    tb.save(prefix, tensors, num_shards=2)
    entry = tb.open(prefix).entry("b")
    flip_byte(data_file(prefix, entry.shard_id), entry.offset + entry.size - 1)
    return prefix


def test_verification_finds_nothing_in_a_sound_checkpoint(saved):
    report = tb.verify(saved)
    assert report.ok
    assert report.faults == ()
    assert report.num_tensors == len(TENSORS)
    assert report.prefix == saved


def test_verification_names_the_damaged_tensor(damaged):
    entry = tb.open(damaged).entry("b")
    report = tb.verify(damaged)
    assert not report.ok
    (fault,) = report.faults
    assert (fault.name, fault.code) == ("b", "DataChecksumMismatch")
    assert (fault.shard, fault.begin) == (entry.shard_id, entry.offset)
    assert fault.end == entry.offset + entry.size
    assert fault.path == str(data_file(damaged, entry.shard_id))
    assert "checksum" in fault.message


def test_verification_looks_only_at_the_names_given(damaged):
    bundle = tb.open(damaged)
    assert bundle.verify(["a", "c"]).ok
    assert [fault.name for fault in bundle.verify(["c", "b"]).faults] == ["b"]


def test_verification_goes_on_after_a_missing_shard(damaged):
    bundle = tb.open(damaged)
    lost = bundle.entry("a").shard_id
    in_it = {name for name in bundle if bundle.entry(name).shard_id == lost}
    data_file(damaged, lost).unlink()
    faults = {fault.name: fault for fault in tb.verify(damaged).faults}
    assert set(faults) == in_it | {"b"}
    assert {faults[name].code for name in in_it} == {"MissingShard"}
    assert all(faults[name].shard == lost for name in in_it)
    assert faults["a"].path.endswith(f"data-{lost:05d}-of-00002")


def test_verification_names_what_lies_beyond_a_short_file(damaged):
    bundle = tb.open(damaged)
    entry = bundle.entry("a")
    path = data_file(damaged, entry.shard_id)
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: entry.offset + entry.size - 1])
    faults = {fault.name: fault.code for fault in tb.verify(damaged).faults}
    assert faults["a"] == "OutOfBounds"


def test_verification_finds_damaged_strings(saved):
    entry = tb.open(saved).entry("text")
    flip_byte(data_file(saved), entry.offset + entry.size - 1)
    assert [fault.name for fault in tb.verify(saved).faults] == ["text"]


def test_an_open_bundle_verifies_only_when_asked(damaged):
    tb.open(damaged)["b"]
    bundle = tb.open(damaged, verify=True)
    bundle["a"]
    for _ in range(2):  # a tensor that failed is not taken for verified
        with pytest.raises(tb.CorruptionError) as caught:
            bundle["b"]
    assert (caught.value.code, caught.value.key) == ("DataChecksumMismatch", "b")
    with pytest.raises(tb.CorruptionError):
        bundle.read_slice("b", 0)


def test_a_tensor_is_verified_once(saved):
    bundle = tb.open(saved, verify=True)
    bundle["a"]
    path = data_file(saved)
    with path.open("r+b") as file:  # in place: the map sees it
        file.seek(bundle.entry("a").offset)
        file.write(b"\xff\xff")
    bundle["a"]
    with pytest.raises(tb.CorruptionError):
        tb.open(saved, verify=True)["a"]


def test_reading_never_changes_the_files(saved):
    before = listing(saved)
    tb.load(saved)
    tb.verify(saved)
    tb.open(saved)["a"]
    assert listing(saved) == before
