"""Merging: the same as TensorFlow's, without its faults, and no byte of data is copied."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import numpy as np
import pytest

import tensorbundle as tb
from reference.bundle import read_bundle, read_entries, read_header, write_bundle

from .helpers import (
    ALL_DTYPES,
    MIB,
    PLAIN_DTYPES,
    assert_all_same,
    assert_same,
    data_file,
    listing,
    names_in,
    run_python,
    sample,
    snapshot,
    strings,
)


@pytest.fixture
def paths(tmp_path):
    """Give the prefixes of two checkpoints, not saved yet, and of a third to merge into."""
    directory = tmp_path / "checkpoints"
    directory.mkdir()
    return tuple(str(directory / name) for name in ("left", "right", "out"))


def two_models():
    left = {f"l{i}": sample(dtype, (3, i), i) for i, dtype in enumerate(ALL_DTYPES)}
    right = {f"k{i}": sample(dtype, (200, i), i) for i, dtype in enumerate(ALL_DTYPES)} | {
        "text": strings(b"one", b"\0two"),
        "k/empty": np.zeros((0, 3), np.float32),
    }
    return left, right


def save_v2(tf, prefix, tensors, slices=None):
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=list(tensors),
        shape_and_slices=slices or [""] * len(tensors),
        tensors=list(tensors.values()),
    )


def merge_v2(tf, prefixes, destination):
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=prefixes, destination_prefix=destination, delete_old_dirs=False
    )


def inodes(prefix, directory):
    return [path.stat().st_ino for path in sorted(Path(directory).glob(f"{prefix}.data-*"))]


# ---- what comes out -------------------------------------------------------------------------


def test_both_witnesses_read_a_merged_checkpoint(paths, tf):
    left, right, out = paths
    models = two_models()
    tb.save(left, models[0], num_shards=3)
    tb.save(right, models[1])
    report = tb.merge([left, right], out)
    expected = {**models[0], **models[1]}
    assert_all_same(tb.load(out), expected)
    assert tb.verify(out).ok
    reader = tf.train.load_checkpoint(out)
    assert set(reader.get_variable_to_shape_map()) == set(expected)
    for name, array in expected.items():
        if array.dtype in PLAIN_DTYPES:
            found = reader.get_tensor(name)
            assert_same(found, array)
    oracle = read_bundle(out)
    assert set(oracle) == {name.encode() for name in expected}
    assert_same(oracle[b"k1"], expected["k1"])
    assert report.num_tensors == len(expected)
    assert report.num_shards == 4
    assert report.prefix == out
    assert report.as_dict()["copied_bytes"] == 0


@pytest.mark.parametrize("writers", ["both ours", "both TensorFlow's", "one of each"])
def test_the_index_is_that_of_tensorflows_own_merge(tmp_path, tf, writers):
    rng = np.random.default_rng(1)
    models = [
        {f"m{i}/{k:03}": rng.standard_normal((k % 7, 3)).astype(np.float32)
         for k in range(400)} for i in range(3)
    ]  # fmt: skip
    prefixes = [str(tmp_path / f"part{i}") for i in range(3)]
    for i, prefix in enumerate(prefixes):
        if writers == "both ours" or (writers == "one of each" and i == 1):
            tb.save(prefix, models[i])
        else:
            save_v2(tf, prefix, models[i])
    ours, theirs = str(tmp_path / "ours"), str(tmp_path / "theirs")
    tb.merge(prefixes, ours)
    merge_v2(tf, prefixes, theirs)  # which uses up the sources
    assert Path(ours + ".index").read_bytes() == Path(theirs + ".index").read_bytes()
    for shard in range(3):
        assert data_file(ours, shard).read_bytes() == data_file(theirs, shard).read_bytes()
    assert_all_same(tb.load(ours), {**models[0], **models[1], **models[2]})


def test_parts_of_one_tensor_are_united_as_tensorflow_does(tmp_path, tf):
    whole = sample("float32", (6, 4))
    vector = sample("float32", (10,), 3)
    prefixes = [str(tmp_path / name) for name in ("b", "a")]
    save_v2(
        tf,
        prefixes[0],
        {"m": whole[:2], "v": vector[7:], "x": np.float32(1)},
        ["6 4 0,2:-", "10 7,3", ""],
    )
    save_v2(tf, prefixes[1], {"m": whole[2:], "v": vector[:7]}, ["6 4 2,4:-", "10 0,7"])
    ours, theirs = str(tmp_path / "ours"), str(tmp_path / "theirs")
    report = tb.merge(prefixes, ours)
    merge_v2(tf, prefixes, theirs)
    assert report.num_tensors == 3
    # TensorFlow gives the entry of the whole a shard, which means nothing.
    mine, other = read_entries(ours), read_entries(theirs)
    assert list(mine) == list(other)
    for key, entry in mine.items():
        if entry.slices:
            assert entry.slices == other[key].slices
            assert entry.shape == other[key].shape
        else:
            assert entry == other[key]
    reader = tf.train.load_checkpoint(ours)
    assert_same(reader.get_tensor("m"), whole)
    assert_same(reader.get_tensor("v"), vector)
    assert_same(read_bundle(ours)[b"m"], whole)


def test_data_files_are_the_same_files_in_the_order_of_the_sources(paths):
    left, right, out = paths
    directory = Path(out).parent
    tb.save(
        left, {"z": sample("float32", (100,)), "y": sample("float32", (99,))}, num_shards=2
    )
    tb.save(right, {"a": sample("float32", (98,))})
    report = tb.merge([left, right], out)
    expected = inodes("left", directory) + inodes("right", directory)
    assert inodes("out", directory) == expected
    assert report.linked_bytes == sum(
        path.stat().st_size for path in directory.glob("out.data*")
    )
    assert report.file_bytes == report.linked_bytes + Path(out + ".index").stat().st_size
    assert report.copy_reason == ""
    assert report.remains == ()


def test_a_merged_checkpoint_outlives_its_sources_and_they_outlive_it(paths):
    left, right, out = paths
    models = two_models()
    tb.save(left, models[0])
    tb.save(right, models[1])
    tb.merge([left, right], out)
    tb.remove_checkpoint(left)
    assert_all_same(tb.load(out), {**models[0], **models[1]})
    tb.remove_checkpoint(out)
    assert_all_same(tb.load(right), models[1])
    assert tb.verify(right).ok


def test_later_saves_leave_a_shared_file_alone(paths):
    left, right, out = paths
    tb.save(left, {"w": sample("float32", (MIB,))})
    tb.save(right, {"v": np.ones(3)})
    tb.merge([left, right], out)
    file = data_file(out)
    before = (file.stat().st_ino, file.stat().st_mtime_ns, file.read_bytes())
    for backend in ("buffered", "direct", "uring"):
        try:
            tb.save(left, {"w": np.zeros(MIB, np.float32)}, backend=backend)
        except tb.UnsupportedError:
            continue
        tb.save(left, {"w": np.zeros(2 * MIB, np.float32)}, backend=backend)
    assert (file.stat().st_ino, file.stat().st_mtime_ns, file.read_bytes()) == before
    assert file.stat().st_nlink == 1


def test_delete_sources_leaves_the_merged_checkpoint_alone(paths):
    left, right, out = paths
    models = two_models()
    tb.save(left, models[0], num_shards=2)
    tb.save(left, models[0], num_shards=2)  # so that its files count from another number
    tb.save(right, models[1])
    Path(left + "er").write_text("of another name")
    Path(left + ".data-00000-of-00001.bak").write_text("no data file")
    tb.merge([left, right], out, delete_sources=True)
    assert_all_same(tb.load(out), {**models[0], **models[1]})
    assert listing(out) == [
        "left.data-00000-of-00001.bak", "lefter",
        "out.data-00000-of-00003", "out.data-00001-of-00003", "out.data-00002-of-00003",
        "out.index",
    ]  # fmt: skip


@pytest.mark.parametrize("delete_sources", [False, True])
def test_the_destination_may_be_a_source(paths, monkeypatch, delete_sources):
    left, right, _ = paths
    models = two_models()
    tb.save(left, models[0])
    tb.save(right, models[1])
    monkeypatch.chdir(Path(left).parent)
    tb.merge([left, right], "./left", delete_sources=delete_sources)
    assert_all_same(tb.load(left), {**models[0], **models[1]})
    assert os.path.exists(right + ".index") == (not delete_sources)
    tb.merge([left], left, delete_sources=True)
    assert_all_same(tb.load(left), {**models[0], **models[1]})


def test_a_merge_onto_a_longer_checkpoint_leaves_none_of_its_files(paths):
    left, right, out = paths
    tb.save(left, {"a": np.ones(3)})
    tb.save(right, {"b": np.ones(4)})
    tb.save(out, {f"old{i}": np.ones(5) for i in range(8)}, num_shards=5)
    tb.merge([left, right], out, delete_sources=True)
    assert listing(out) == ["out.data-00000-of-00002", "out.data-00001-of-00002", "out.index"]


def test_checkpoints_without_tensors_are_merged_too(paths, tf):
    left, right, out = paths
    tb.save(left, {})
    tb.save(right, {"w": np.ones(3, np.float32)})
    tb.merge([left, right], out)
    assert_same(tf.train.load_checkpoint(out).get_tensor("w"), np.ones(3, np.float32))
    assert read_header(out).num_shards == 1
    tb.merge([left], out)
    assert tb.load(out) == {}


def test_a_data_file_may_be_a_symbolic_link(paths):
    left = paths[0]
    tb.save(left, {"w": np.arange(9)})
    elsewhere = Path(left).parent / "elsewhere"
    elsewhere.mkdir()
    file = data_file(left)
    file.rename(elsewhere / file.name)
    file.symlink_to(Path("elsewhere") / file.name)
    tb.merge([left], str(elsewhere / "out"))
    assert_same(tb.load(str(elsewhere / "out"))["w"], np.arange(9))


def test_another_file_system_gets_copies_and_the_report_says_why(paths, small_disk):
    left, right, _ = paths
    models = two_models()
    tb.save(left, models[0])
    tb.save(right, models[1], num_shards=2)
    out = str(small_disk.path / "out")
    report = tb.merge([left, right], out, delete_sources=True)
    assert report.linked_bytes == 0
    assert report.copied_bytes == report.file_bytes - Path(out + ".index").stat().st_size
    assert "Invalid cross-device link" in report.copy_reason
    assert listing(left) == []
    assert_all_same(tb.load(out), {**models[0], **models[1]})


def test_a_full_disk_leaves_everything_as_it_was(paths, small_disk):
    left, _, _ = paths
    tb.save(left, {"w": sample("float32", (2 * MIB,))})
    before = snapshot(left)
    with pytest.raises(OSError, match="No space left"):
        tb.merge([left], str(small_disk.path / "out"), delete_sources=True)
    assert snapshot(left) == before
    assert names_in(small_disk.path) == []


def save_many(directory, number):
    """Save more checkpoints than there will be descriptors."""
    for i in range(number):
        tensors = {f"t{i:04}": np.full(3, i, np.float32), f"u{i % 7}/{i}": np.int8(1)}
        write_bundle(str(directory / f"part-{i:04}"), tensors)


def run_with_few_descriptors(code, *arguments):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))\n"
    return run_python(limit + textwrap.dedent(code), *arguments)


def test_thousands_of_checkpoints_are_merged_with_few_descriptors(tmp_path):
    """Also read: the merged one has as many data files as there were sources."""
    save_many(tmp_path, 2000)
    told = run_with_few_descriptors(
        """
        import sys, numpy as np, tensorbundle as tb
        directory, number = sys.argv[1], int(sys.argv[2])
        prefixes = [f"{directory}/part-{i:04}" for i in range(number)]
        out = f"{directory}/out"
        report = tb.merge(prefixes, out, delete_sources=True)
        loaded, mapped = tb.load(out), tb.load(out, mmap=True)
        for i in range(number):
            assert (loaded[f"t{i:04}"] == np.full(3, i, np.float32)).all(), i
            assert mapped[f"t{i:04}"][2] == i
        print(len(loaded), report.num_shards, report.remains, tb.verify(out).ok)
        """,
        tmp_path,
        2000,
    )
    assert told.split() == ["4000", "2000", "()", "True"]
    assert len(list(tmp_path.iterdir())) == 2001  # the data files, and an index


def test_one_bad_checkpoint_of_many_leaves_all_as_they_were(tmp_path):
    save_many(tmp_path, 400)
    path = data_file(str(tmp_path / "part-0399"))
    path.write_bytes(b"")
    before = [(path.name, path.stat().st_nlink) for path in sorted(tmp_path.iterdir())]
    told = run_with_few_descriptors(
        """
        import sys, tensorbundle as tb
        directory, number = sys.argv[1], int(sys.argv[2])
        prefixes = [f"{directory}/part-{i:04}" for i in range(number)]
        try:
            tb.merge(prefixes, f"{directory}/out", delete_sources=True)
        except tb.CorruptionError as error:
            print(error.code, error.path)
        """,
        tmp_path,
        400,
    )
    assert told.split() == ["OutOfBounds", str(path)]
    assert [(p.name, p.stat().st_nlink) for p in sorted(tmp_path.iterdir())] == before


# ---- what is refused ------------------------------------------------------------------------


def test_a_tensor_in_two_checkpoints_is_refused_with_both_prefixes(paths):
    left, right, out = paths
    tb.save(left, {"a": np.ones(3), "same": np.ones(3)})
    tb.save(right, {"b": np.ones(3), "same": np.ones(3)})
    before = snapshot(left)
    with pytest.raises(tb.DuplicateTensorError) as caught:
        tb.merge([left, right], out, delete_sources=True)
    assert caught.value.key == "same"
    assert left in str(caught.value)
    assert right in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert snapshot(left) == before


def test_checkpoints_of_both_byte_orders_are_refused(paths):
    left, right, out = paths
    write_bundle(left, {"a": np.ones(3, np.float32)})
    write_bundle(right, {"b": np.ones(3, np.float32)}, big_endian=True)
    before = snapshot(left)
    with pytest.raises(tb.UnsupportedError, match="big-endian") as caught:
        tb.merge([left, right], out)
    assert left in str(caught.value)
    assert right in str(caught.value)
    assert snapshot(left) == before


def test_big_endian_checkpoints_stay_so(paths):
    left, right, out = paths
    write_bundle(left, {"a": np.arange(3, dtype=np.float32)}, big_endian=True)
    write_bundle(right, {"b": np.arange(4, dtype=np.int16)}, big_endian=True)
    tb.merge([left, right], out)
    assert read_header(out).big_endian
    assert_same(read_bundle(out)[b"b"], np.arange(4, dtype=np.int16))


def test_missing_checkpoints_are_refused_or_passed_over(paths):
    left, right, out = paths
    tb.save(left, {"a": np.ones(3)})
    with pytest.raises(FileNotFoundError) as caught:
        tb.merge([left, right], out)
    assert caught.value.filename == right + ".index"
    with pytest.raises(FileNotFoundError, match="without suffix"):
        tb.merge([left + ".index"], out)
    report = tb.merge([right, left], out, allow_missing=True)
    assert report.missing == (right,)
    assert set(tb.load(out)) == {"a"}
    with pytest.raises(FileNotFoundError, match="none of the checkpoints"):
        tb.merge([right], out, allow_missing=True)


def test_wrong_arguments_are_refused(paths, monkeypatch):
    left, _, out = paths
    tb.save(left, {"a": np.ones(3)})
    with pytest.raises(TypeError, match="several"):
        tb.merge(left, out)
    with pytest.raises(ValueError, match="nothing to merge"):
        tb.merge([], out)
    monkeypatch.chdir(Path(left).parent)
    with pytest.raises(ValueError, match="given twice"):
        tb.merge([left, "../" + Path(left).parent.name + "/left"], out)
    with pytest.raises(ValueError, match="ends in no name"):
        tb.merge([left], "")


def test_a_damaged_source_is_refused(paths):
    left, right, out = paths
    tb.save(left, {"a": np.ones(3)})
    tb.save(right, {"b": np.ones(3000)})
    data_file(right).write_bytes(b"short")
    with pytest.raises(tb.CorruptionError) as caught:
        tb.merge([left, right], out, delete_sources=True)
    assert caught.value.code == "OutOfBounds"
    data_file(right).unlink()
    with pytest.raises(tb.MissingShardError):
        tb.merge([left, right], out)
    os.mkfifo(right + ".data-00000-of-00001")
    with pytest.raises(tb.CorruptionError, match="FIFO"):
        tb.merge([left, right], out)
    assert not list(Path(out).parent.glob("out*"))


def test_what_the_progress_raises_cancels(paths, small_disk):
    left, _, _ = paths
    tb.save(left, {"w": sample("uint8", (3 * MIB,))})

    def refuse(done, total):
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        tb.merge([left], str(small_disk.path / "out"), progress=refuse, num_threads=2)
    assert names_in(small_disk.path) == []


@pytest.mark.parametrize("delete_sources", [False, True])
def test_a_source_that_is_replaced_meanwhile_is_found_out(paths, delete_sources):
    left, right, out = paths
    tb.save(left, {"a": np.ones(3)})
    tb.save(right, {"b": np.ones(4)})
    calls = []

    def replace(done, total):
        if not calls:
            for value in 2.0, 3.0:  # the second has data files of the first names again
                tb.save(right, {"b": np.full(4, value)})
        calls.append(done)

    with pytest.raises(tb.CheckpointGoneError) as caught:
        tb.merge([left, right], out, delete_sources=delete_sources, progress=replace)
    assert caught.value.path == right + ".index"
    assert calls
    assert not list(Path(out).parent.glob("out*"))
    assert_same(tb.load(left)["a"], np.ones(3))
    assert_same(tb.load(right)["b"], np.full(4, 3.0))
