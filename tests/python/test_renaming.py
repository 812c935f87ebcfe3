"""Other names for tensors, in place: only the index is written."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

import tensorbundle as tb
from reference.bundle import Partitioned, read_bundle, read_entries, write_bundle
from reference.proto import Extent
from reference.v1 import write_v1
from tensorbundle.file_lock import FileLock, save_lock_path
from tensorbundle.object_graph import OBJECT_GRAPH_KEY

from .helpers import assert_all_same, assert_same, flip_byte, listed, snapshot

TENSORS = {
    "model/a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "model/b/kernel": np.arange(4),
    "step": np.int64(7),
    "text": np.array([b"x", b"yy"], object),
}


@pytest.fixture
def saved(prefix):
    tb.save(prefix, TENSORS, num_shards=2)
    return prefix


def data_files(prefix):
    return {name: content for name, content in snapshot(prefix).items() if "data" in name}


def test_a_mapping_gives_new_names(saved):
    before = data_files(saved)
    report = tb.rename(saved, {"step": "global_step", "text": "text"})
    assert report.renamed == (("step", "global_step"),)
    assert (report.prefix, report.num_tensors, report.dry_run) == (saved, 4, False)
    expected = {**TENSORS, "global_step": TENSORS["step"]}
    del expected["step"]
    assert_all_same(tb.load(saved), expected)
    assert tb.verify(saved).ok
    assert data_files(saved) == before
    assert_all_same({k.decode(): v for k, v in read_bundle(saved).items()}, expected)


def test_a_function_gives_new_names(saved):
    report = tb.rename(saved, lambda name: re.sub(r"^model/(\w)/", r"\1.", name))
    assert report.renamed == (("model/a/kernel", "a.kernel"), ("model/b/kernel", "b.kernel"))
    assert list(tb.open(saved)) == ["a.kernel", "b.kernel", "step", "text"]


def test_tensorflow_reads_it_by_the_new_names(saved, tf):
    tb.rename(saved, {"model/a/kernel": "zz"})
    reader = tf.train.load_checkpoint(saved)
    assert_same(reader.get_tensor("zz"), TENSORS["model/a/kernel"])
    assert not reader.has_tensor("model/a/kernel")


def test_names_may_be_exchanged(saved):
    tb.rename(saved, {"step": "text", "text": "step"})
    assert_same(tb.load(saved)["text"], TENSORS["step"])
    assert_same(tb.load(saved)["step"], TENSORS["text"])


def test_parts_follow_their_tensor(prefix):
    grid = np.arange(24, dtype=np.float32).reshape(4, 6)
    parts = [((Extent(0, 2), Extent()), grid[:2]), ((Extent(2, 2), Extent()), grid[2:])]
    write_bundle(prefix, {"grid": Partitioned((4, 6), parts), "z": np.ones(1)})
    tb.rename(prefix, {"grid": "a\0b", "z": "grid"})
    found = read_bundle(prefix)
    assert set(found) == {b"a\0b", b"grid"}
    assert_same(found[b"a\0b"], grid)
    assert len(read_entries(prefix)) == 4


def test_names_that_are_not_utf8_are_renamed(prefix):
    tb.save(prefix, {b"\xff/a": np.ones(1), "b": np.ones(1)})
    tb.rename(prefix, lambda name: name.replace("\udcff/", "\udcfe/"))
    assert set(read_bundle(prefix)) == {b"\xfe/a", b"b"}


def test_a_rehearsal_writes_nothing(saved):
    before = snapshot(saved)
    report = tb.rename(saved, {"step": "x"}, dry_run=True)
    assert report.renamed == (("step", "x"),)
    assert report.dry_run
    assert snapshot(saved) == before


def test_no_new_name_writes_nothing(saved):
    inode = os.stat(f"{saved}.index").st_ino
    assert tb.rename(saved, lambda name: name).renamed == ()
    assert os.stat(f"{saved}.index").st_ino == inode


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("names", "error", "told"),
    [
        ({"step": "text"}, tb.DuplicateTensorError, "'step' and 'text'.*both be named 'text'"),
        (lambda name: "same", ValueError, "'model/a/kernel' and 'model/b/kernel'"),
        ({"step": ""}, ValueError, "'step': its new name would be empty"),
        ({"none": "x"}, KeyError, "'none'"),
        ({"step": 7}, TypeError, "must be str, not int"),
    ],
)
def test_what_cannot_be_is_refused_by_name(saved, names, error, told, dry_run):
    before = snapshot(saved)
    with pytest.raises(error, match=told):
        tb.rename(saved, names, dry_run=dry_run)
    assert snapshot(saved) == before


def test_a_save_under_way_is_respected(saved):
    before = snapshot(saved)
    with FileLock(save_lock_path(saved), "test"), pytest.raises(tb.LockedError):
        tb.rename(saved, {"step": "x"})
    assert {k: v for k, v in snapshot(saved).items() if "lock" not in k} == before


def test_damage_and_absence_are_errors(saved, tmp_path):
    with pytest.raises(FileNotFoundError):
        tb.rename(tmp_path / "none" / "c", {})
    assert listed(tmp_path) == ["checkpoints"]
    flip_byte(f"{saved}.index", 30)
    with pytest.raises(tb.CorruptionError):
        tb.rename(saved, lambda name: name + "x")


# ---- beside the checkpoint ------------------------------------------------------------------

RENAMED = {
    **{name: TENSORS[name] for name in TENSORS if name != "step"},
    "now": TENSORS["step"],
}


def identities(prefix):
    return [path.stat().st_ino for path in sorted(Path(prefix).parent.glob(
        Path(prefix).name + ".data-*"))]  # fmt: skip


def test_the_renamed_checkpoint_stands_beside_the_other(saved, tf):
    before = snapshot(saved)
    output = saved + "-renamed"
    report = tb.rename(saved, {"step": "now"}, output=output)
    assert (report.prefix, report.output) == (saved, output)
    assert report.renamed == (("step", "now"),)
    sizes = [len(content) for name, content in before.items() if "data" in name]
    assert (report.linked_bytes, report.copied_bytes, report.copy_reason) == (
        sum(sizes),
        0,
        "",
    )
    assert_all_same(tb.load(output), RENAMED)
    assert_all_same(tb.load(saved), TENSORS)
    assert {name: snapshot(saved)[name] for name in before} == before
    assert identities(output) == identities(saved)
    assert tb.verify(output).ok
    assert_all_same({k.decode(): v for k, v in read_bundle(output).items()}, RENAMED)
    assert_same(tf.train.load_variable(output, "now"), TENSORS["step"])
    tb.remove_checkpoint(saved)
    assert_all_same(tb.load(output), RENAMED)


def test_a_function_that_changes_nothing_makes_a_second_checkpoint(saved):
    tb.rename(saved, lambda name: name, output=saved + "2")
    assert_all_same(tb.load(saved + "2"), TENSORS)


def test_the_output_replaces_what_is_there_also_itself(saved, monkeypatch):
    output = saved + "-2"
    tb.save(output, {"old": np.ones(3)}, num_shards=2)
    for _ in range(2):
        tb.rename(saved, {"step": "now"}, output=output)
        assert_all_same(tb.load(output), RENAMED)
        assert len(identities(output)) == 2
    monkeypatch.chdir(Path(saved).parent)
    tb.rename(saved, {"step": "now"}, output=Path(saved).name)
    assert_all_same(tb.load(saved), RENAMED)
    assert len(identities(output)) == 2


def test_parts_and_the_other_byte_order_go_along(prefix):
    grid = np.arange(24, dtype=np.float32).reshape(4, 6)
    parts = [((Extent(0, 2), Extent()), grid[:2]), ((Extent(2, 2), Extent()), grid[2:])]
    write_bundle(
        prefix, {"grid": Partitioned((4, 6), parts), "z": np.ones(1)}, num_shards=2,
        big_endian=True,
    )  # fmt: skip
    tb.rename(prefix, {"grid": "a/grid"}, output=prefix + "2")
    assert_same(read_bundle(prefix + "2")[b"a/grid"], grid)
    assert_same(tb.load(prefix + "2")["a/grid"], grid)


def test_another_file_system_gets_copies_and_the_report_says_why(saved, small_disk):
    output = str(small_disk.path / "new" / "c")
    report = tb.rename(saved, {"step": "now"}, output=output)
    assert report.linked_bytes == 0
    assert report.copied_bytes == sum(map(len, data_files(saved).values()))
    assert "Invalid cross-device link" in report.copy_reason
    assert_all_same(tb.load(output), RENAMED)


def test_what_fails_leaves_both_places_alone(saved, small_disk):
    tb.save(saved, {"large": np.random.default_rng(0).bytes(6 << 20)})
    before = snapshot(saved)
    output = str(small_disk.path / "c")
    with pytest.raises(OSError, match="No space left"):
        tb.rename(saved, {"large": "x"}, output=output)

    def refuse(done, total):
        raise KeyError("enough")

    with pytest.raises((KeyError, OSError)):
        tb.rename(saved, {"large": "x"}, output=output, progress=refuse)
    for names in {"none": "x"}, {"large": ""}:
        with pytest.raises((KeyError, ValueError)):
            tb.rename(saved, names, output=output)
    Path(saved + ".data-00000-of-00001").unlink()
    with pytest.raises(tb.MissingShardError):
        tb.rename(saved, {"large": "x"}, output=output)
    assert listed(small_disk.path) == []
    assert snapshot(saved).keys() == before.keys() - {"ckpt.data-00000-of-00001"}


def test_a_checkpoint_that_is_replaced_meanwhile_is_found_out(saved):
    calls = []

    def replace(done, total):
        if not calls:
            for value in 2.0, 3.0:
                tb.save(saved, {"step": np.full(4, value)}, num_shards=2)
        calls.append(done)

    with pytest.raises(tb.CheckpointGoneError):
        tb.rename(saved, {"step": "now"}, output=saved + "2", progress=replace)
    assert calls
    assert not list(Path(saved).parent.glob("ckpt2*"))
    assert_same(tb.load(saved)["step"], np.full(4, 3.0))


def test_a_rehearsal_of_an_output_writes_nothing(saved):
    before = snapshot(saved)
    report = tb.rename(saved, {"step": "x"}, output=saved + "2", dry_run=True)
    assert (report.output, report.linked_bytes) == (saved + "2", 0)
    assert listed(Path(saved).parent) == sorted(before)


@pytest.mark.parametrize("output", ["", "run/", "a\0b"])
def test_an_output_that_is_no_prefix_is_refused(saved, output):
    with pytest.raises(ValueError, match=r"prefix|null byte"):
        tb.rename(saved, {"step": "x"}, output=output)


def test_v1_checkpoints_are_not_renamed(tmp_path):
    write_v1(tmp_path / "c", {b"a": np.ones(1)})
    with pytest.raises(tb.UnsupportedError, match="V1"):
        tb.rename(tmp_path / "c", {"a": "b"})


def test_the_object_graph_keeps_its_name_and_its_losses_are_told(prefix):
    path = tb.Checkpoint(w=tb.Module(), step=np.zeros(3)).write(prefix)
    key = next(name for name in tb.open(path) if name.startswith("step"))
    report = tb.rename(path, lambda name: "renamed/" + name)
    assert key in report.lost_to_objects
    assert OBJECT_GRAPH_KEY in tb.open(path)
    with pytest.raises(tb.BundleError):
        tb.Checkpoint(step=np.ones(3)).read(path).assert_consumed()
    report = tb.rename(path, lambda name: name.removeprefix("renamed/"))
    assert key in report.renamed[0][1] or any(key == new for _, new in report.renamed)
    restored = np.ones(3)
    tb.Checkpoint(step=restored).read(path)
    assert_same(restored, np.zeros(3))
    with pytest.raises(ValueError, match="object graph"):
        tb.rename(path, {OBJECT_GRAPH_KEY: "x"})


def test_readers_that_hold_the_old_index_are_told(saved):
    bundle = tb.open(saved)
    tb.rename(saved, {"step": "x"})
    with pytest.raises(tb.CheckpointGoneError):
        bundle.read("step")
    assert Path(f"{saved}.index").exists()
