"""The files of a checkpoint: exact names, never patterns."""

from __future__ import annotations

import os

import pytest

import tensorbundle as tb
from tensorbundle.checkpoint_files import numbered_checkpoints, sweep_dead_saves
from tensorbundle.file_lock import FileLock, save_lock_path

from .helpers import listed

# Glob characters that TensorFlow would take for patterns.
NAMES = ["ckpt-1", "c*", "c?pt", "[a]", "back\\slash", "größe", "-", "a b"]


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_exists_from_its_save_to_its_removal(tmp_path, name):
    prefix = tmp_path / name
    assert not tb.checkpoint_exists(prefix)
    tb.save(prefix, {"a": 1}, num_shards=3)
    assert tb.checkpoint_exists(prefix)
    tb.remove_checkpoint(prefix)
    assert not tb.checkpoint_exists(prefix)
    assert listed(tmp_path) == []


def test_a_prefix_is_no_pattern(tmp_path):
    tb.save(tmp_path / "ckpt-1", {"a": 1})
    for pattern in ("ckpt-*", "ckpt-?", "ckpt-[1]", "*"):
        assert not tb.checkpoint_exists(tmp_path / pattern)
        assert tb.get_checkpoint_mtimes([tmp_path / pattern]) == []
        tb.remove_checkpoint(tmp_path / pattern)
    assert tb.checkpoint_exists(tmp_path / "ckpt-1")


def test_only_the_files_of_the_checkpoint_are_removed(tmp_path):
    tb.save(tmp_path / "ckpt-1", {"a": 1}, num_shards=2)
    own = set(listed(tmp_path)) | {
        "ckpt-1.meta", "ckpt-1.data-00002-of-00007", "ckpt-1.data-00006-of-00007"
    }  # fmt: skip
    others = {
        "ckpt-1", "ckpt-10.index", "ckpt-1.index.bak", "xckpt-1.index", "ckpt-1.data",
        "ckpt-1.data-00000-of-00001.bak", "ckpt-1.data-0000a-of-00001", "ckpt-1.json",
        "ckpt-1.data-00001-of-00001", "ckpt-1.data-000000-of-000001", "ckpt-1-2.index",
        "ckpt-1.data-0000\u0660-of-00001", "ckpt-1.data-00000-of-00001\n", "checkpoint",
    }  # fmt: skip
    for name in own | others:
        with open(tmp_path / name, "a"):
            pass
    tb.remove_checkpoint(tmp_path / "ckpt-1")
    assert set(listed(tmp_path)) == others


def test_a_directory_of_such_a_name_is_left_alone(tmp_path):
    tb.save(tmp_path / "c", {"a": 1})
    (tmp_path / "c.meta").mkdir()
    tb.remove_checkpoint(tmp_path / "c")
    assert listed(tmp_path) == ["c.meta"]


def test_a_symbolic_link_is_removed_and_not_followed(tmp_path):
    tb.save(tmp_path / "real", {"a": 1})
    before = set(listed(tmp_path))
    (tmp_path / "link.index").symlink_to("real.index")
    tb.remove_checkpoint(tmp_path / "link")
    assert set(listed(tmp_path)) == before


def test_what_is_being_saved_is_not_removed(prefix):
    tb.save(prefix, {"a": 1})
    with (
        FileLock(save_lock_path(prefix), "saving"),
        pytest.raises(tb.LockedError, match="not removed"),
    ):
        tb.remove_checkpoint(prefix)
    assert tb.checkpoint_exists(prefix)


def test_removing_nothing_is_no_error(tmp_path):
    tb.remove_checkpoint(tmp_path / "none")
    tb.remove_checkpoint(tmp_path / "no" / "directory")
    assert listed(tmp_path) == []


def test_a_v1_checkpoint_is_one_file(tmp_path):
    for name in ("old", "old.meta", "old.index"):
        (tmp_path / name).touch()
    assert tb.checkpoint_exists(tmp_path / "old")
    tb.remove_checkpoint(tmp_path / "old", 1)
    assert listed(tmp_path) == ["old.index"]


def test_tensorflow_removes_the_same_files(tf, tmp_path):
    for library, directory in ((tb, tmp_path / "ours"), (tf.compat.v1.train, tmp_path / "tf")):
        tb.save(directory / "c", {"a": 1}, num_shards=3)
        (directory / "c.txt").touch()
        (directory / "c.graph").touch()
        library.remove_checkpoint(str(directory / "c"), meta_graph_suffix="graph")
    assert listed(tmp_path / "ours") == listed(tmp_path / "tf") == ["c.txt"]


def test_times_are_the_indexes_in_seconds(tf, tmp_path):
    for step in (1, 2):
        tb.save(tmp_path / f"c-{step}", {"a": step})
        os.utime(tmp_path / f"c-{step}.index", (0, 1000.5 + step))
    asked = [str(tmp_path / f"c-{step}") for step in (2, 7, 1)]
    assert tb.get_checkpoint_mtimes(asked) == [1002.5, 1001.5]
    # TensorFlow's file system gives whole seconds only.
    assert tf.compat.v1.train.get_checkpoint_mtimes(asked) == [1002.0, 1001.0]


def test_numbered_checkpoints_are_listed_by_number(tmp_path):
    for name in ("c-2", "c-10", "c-0003", "c-x", "d-1", "c", "c-1-1", "c-\u0663"):
        (tmp_path / f"{name}.index").touch()
    found = numbered_checkpoints(str(tmp_path), "c")
    assert found == [
        (n, str(tmp_path / s)) for n, s in ((2, "c-2"), (3, "c-0003"), (10, "c-10"))
    ]
    assert numbered_checkpoints(str(tmp_path / "none"), "c") == []


# ---- what killed saves left -----------------------------------------------------------------


TEMPORARY = ".tmp.0123456789abcdef"


def test_what_dead_saves_left_is_removed_and_nothing_else(tmp_path):
    tb.save(tmp_path / "ckpt-1", {"a": 1})
    whole = listed(tmp_path)
    dead = [
        ".ckpt-1.tensorbundle-lock", ".ckpt-1.index" + TEMPORARY, "ckpt-1.data-00000-of-00002",
        ".ckpt-1.fingerprints" + TEMPORARY, ".ckpt-2.tensorbundle-lock",
        "ckpt-2.data-00000-of-00001",
        ".ckpt-3.data-00000-of-00001" + TEMPORARY, "ckpt-3.data-00001-of-00004",
    ]  # fmt: skip
    others = [
        "ckpt-4.data-00000-of-00001", ".ckpt-x.tensorbundle-lock", ".ckpt-2.x" + TEMPORARY,
        "ckpt-2.data-00001-of-00001", ".other-2.index" + TEMPORARY, "ckpt-2.metrics.json",
        "ckpt-22.data-00000-of-00001", ".ckpt-1.index" + TEMPORARY + "0", ".ckpt-.index",
    ]  # fmt: skip
    for name in dead + others:
        (tmp_path / name).touch()
    (tmp_path / ".ckpt-5.index" / "inside").mkdir(parents=True)
    sweep_dead_saves(str(tmp_path), "ckpt")
    assert listed(tmp_path) == sorted([*whole, *others, ".ckpt-5.index"])
    assert tb.load(tmp_path / "ckpt-1")["a"] == 1


def test_what_a_living_save_is_making_stays(tmp_path):
    left = [".ckpt-1.index" + TEMPORARY, "ckpt-1.data-00000-of-00001"]
    for name in left:
        (tmp_path / name).touch()
    with FileLock(save_lock_path(str(tmp_path / "ckpt-1")), "taken"):
        sweep_dead_saves(str(tmp_path), "ckpt")
        assert set(left) < set(listed(tmp_path))
    sweep_dead_saves(str(tmp_path), "ckpt")
    assert listed(tmp_path) == []


def test_beside_an_index_that_cannot_be_read_no_data_file_is_removed(tmp_path):
    for name in (".ckpt-1.tensorbundle-lock", "ckpt-1.index", "ckpt-1.data-00000-of-00001"):
        (tmp_path / name).write_bytes(b"damaged")
    sweep_dead_saves(str(tmp_path), "ckpt")
    assert listed(tmp_path) == ["ckpt-1.data-00000-of-00001", "ckpt-1.index"]


def test_where_there_is_no_directory_there_is_nothing_to_sweep(tmp_path):
    sweep_dead_saves(str(tmp_path / "none"), "ckpt")
