"""Locks on files: one holder, and the core's saves keep to the same rules."""

from __future__ import annotations

import gc
import os
import random
import signal

import pytest

import tensorbundle as tb
from tensorbundle.file_lock import FileLock, save_lock_path

from .helpers import listed, names_in, run_python


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


def test_ctrl_c_at_any_time_gives_it_back(tmp_path):
    path = str(tmp_path / "lock")
    chance, outcomes = random.Random(1), {True: 0, False: 0}
    before = set(names_in("/proc/self/fd"))
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    longest = 1e-4  # seconds, made to suit the machine
    try:
        while min(outcomes.values()) < 300:
            interrupted = False
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, longest))
                    with FileLock(path, "taken"):
                        pass
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                interrupted = True
            outcomes[interrupted] += 1
            longest *= 1.05 if interrupted else 0.95
            assert listed(tmp_path) == []
    finally:
        signal.signal(signal.SIGALRM, handler)
    assert set(names_in("/proc/self/fd")) == before


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


def test_what_is_no_file_is_not_taken_for_a_lock(tmp_path):
    os.mkfifo(tmp_path / "lock")
    with pytest.raises(tb.CorruptionError, match="FIFO"):
        FileLock(str(tmp_path / "lock"), "taken")
    assert listed(tmp_path) == ["lock"]


def test_the_end_of_the_interpreter_gives_it_back(tmp_path):
    run_python(
        """
        import sys
        from tensorbundle.file_lock import FileLock

        sys.held = FileLock(sys.argv[1], "taken")  # nobody clears it
        """,
        tmp_path / "lock",
    )
    assert listed(tmp_path) == []
