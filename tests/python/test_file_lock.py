"""Locks on files: one holder, and the core's saves keep to the same rules."""

from __future__ import annotations

import fcntl
import gc
import os

import pytest

import tensorbundle as tb
from tensorbundle.file_lock import FileLock, save_lock_path

from .helpers import listed, names_in


def test_one_at_a_time(tmp_path):
    path = str(tmp_path / "lock")
    with FileLock(path, "taken"):
        with pytest.raises(tb.LockedError, match="taken"):
            FileLock(path, "taken")
        assert os.path.exists(path)
    assert listed(tmp_path) == []
    FileLock(path, "taken").release()


def test_a_lock_that_nobody_refers_to_is_given_back(tmp_path):
    path = str(tmp_path / "lock")
    lock = FileLock(path, "taken")
    del lock
    gc.collect()
    assert listed(tmp_path) == []


def test_a_left_file_is_no_lock(tmp_path):
    path = tmp_path / "lock"
    path.write_bytes(b"")
    with FileLock(str(path), "taken"):
        pass


def test_a_forked_child_does_not_give_it_back(tmp_path):
    path = str(tmp_path / "lock")
    lock = FileLock(path, "taken")
    child = os.fork()
    if child == 0:
        lock.release()
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(tb.LockedError):
        FileLock(path, "taken")
    lock.release()


@pytest.mark.parametrize("at", ["flock", "lstat"])
def test_ctrl_c_while_it_is_taken_gives_it_back(tmp_path, monkeypatch, at):
    path = str(tmp_path / "lock")
    before = set(names_in("/proc/self/fd"))
    where = fcntl if at == "flock" else os
    real = getattr(where, at)

    def interrupt(*arguments):
        monkeypatch.setattr(where, at, real)
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(where, at, interrupt)
    with pytest.raises(KeyboardInterrupt):
        FileLock(path, "taken")
    assert listed(tmp_path) == []
    assert set(names_in("/proc/self/fd")) == before
    FileLock(path, "taken").release()


def test_where_another_holds_it_nothing_of_his_is_removed(tmp_path):
    path = str(tmp_path / "lock")
    with FileLock(path, "taken"):
        for _ in range(3):
            with pytest.raises(tb.LockedError):
                FileLock(path, "taken")
        assert listed(tmp_path) == ["lock"]


def test_it_excludes_the_cores_save(prefix):
    with FileLock(save_lock_path(prefix), "taken"), pytest.raises(tb.LockedError):
        tb.save(prefix, {"a": 1})
    tb.save(prefix, {"a": 1})
