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
