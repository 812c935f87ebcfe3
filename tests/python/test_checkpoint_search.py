"""Looking for checkpoints: damaged ones are passed over, new ones are waited for."""

from __future__ import annotations

import logging
import os
import shutil

import numpy as np
import pytest

import tensorbundle as tb
from tensorbundle import checkpoint_search

CUT_STATES = {
    "empty": b"",
    "cut": b'model_checkpoint_path: "ckp',
    "not UTF-8": b'model_checkpoint_path: "\xff"',
}


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now = 0.0
        self.events = {}

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        for when in sorted(self.events):
            if when <= self.now:
                self.events.pop(when)()


@pytest.fixture
def clock(monkeypatch):
    fake = FakeTime()
    monkeypatch.setattr(checkpoint_search, "time", fake)
    return fake


@pytest.fixture
def run(tmp_path):
    """Make a directory of three checkpoints, of 1 to 3."""
    for step in (1, 2, 3):
        tb.save(tmp_path / f"ckpt-{step}", {"a": np.full(100, step)})
        os.utime(tmp_path / f"ckpt-{step}.index", (step, step))
    tb.update_checkpoint_state(tmp_path, "ckpt-3", ["ckpt-1", "ckpt-2", "ckpt-3"])
    return tmp_path


def damage(prefix):
    path = f"{prefix}.data-00000-of-00001"
    with open(path, "r+b") as file:
        file.seek(5)
        byte = file.read(1)
        file.seek(5)
        file.write(bytes([byte[0] ^ 1]))


def save(directory, step):
    tb.save(directory / f"ckpt-{step}", {"a": step})
    tb.update_checkpoint_state(directory, f"ckpt-{step}")


def test_the_newest_sound_one_is_found_and_why_others_are_not(run, caplog):
    assert tb.latest_checkpoint(run, valid=True) == str(run / "ckpt-3")
    assert caplog.records == []
    damage(run / "ckpt-3")
    os.truncate(run / "ckpt-2.index", 20)
    assert tb.latest_checkpoint(run) == str(run / "ckpt-3")
    assert tb.latest_checkpoint(run, valid=True) == str(run / "ckpt-1")
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "ckpt-3: passed over" in told[0] and "checksum" in told[0]
    assert "ckpt-2: passed over" in told[1]
    os.unlink(run / "ckpt-1.data-00000-of-00001")
    assert tb.latest_checkpoint(run, valid=True) is None


def test_one_kept_for_good_stands_in_though_it_is_not_listed(run):
    tb.update_checkpoint_state(run, "ckpt-3")
    damage(run / "ckpt-3")
    assert tb.latest_checkpoint(run, valid=True) == str(run / "ckpt-2")


@pytest.mark.parametrize("what", CUT_STATES)
def test_a_state_file_that_cannot_be_read_is_replaced_by_a_look_around(run, what, caplog):
    (run / "checkpoint").write_bytes(CUT_STATES[what])
    (run / ".hidden.index").touch()
    with caplog.at_level(logging.WARNING, logger="tensorbundle"):
        assert tb.latest_checkpoint(run, valid=True) == str(run / "ckpt-3")
    assert str(run / "checkpoint") in caplog.text
    damage(run / "ckpt-3")
    assert tb.latest_checkpoint(run, valid=True) == str(run / "ckpt-2")


def test_without_a_state_file_the_newest_sound_one_is_found(run):
    (run / "checkpoint").unlink()
    assert tb.latest_checkpoint(run) is None  # as TensorFlow says
    assert tb.latest_checkpoint(run, valid=True) == str(run / "ckpt-3")
    damage(run / "ckpt-3")
    assert tb.latest_checkpoint(run, valid=True) == str(run / "ckpt-2")


def test_where_there_is_nothing_nothing_is_found(tmp_path):
    assert tb.latest_checkpoint(tmp_path, valid=True) is None
    assert tb.latest_checkpoint(tmp_path / "none", valid=True) is None


def test_absolute_paths_of_a_moved_directory_are_found_in_it(run, tmp_path):
    tb.update_checkpoint_state(run, run / "ckpt-3", [run / "ckpt-2", run / "ckpt-3"])
    moved = tmp_path.parent / "moved"
    shutil.move(run, moved)
    assert tb.latest_checkpoint(moved, valid=True) == str(moved / "ckpt-3")


def test_new_checkpoints_are_given_once_each(tmp_path, clock):
    clock.events = {0: lambda: save(tmp_path, 1), 3: lambda: save(tmp_path, 2)}
    found = list(tb.checkpoints_iterator(tmp_path, timeout=5))
    assert found == [str(tmp_path / "ckpt-1"), str(tmp_path / "ckpt-2")]
    assert clock.now == 8  # found at 3, and 5 seconds of waiting


def test_a_timeout_without_a_function_ends_it(tmp_path, clock):
    assert list(tb.checkpoints_iterator(tmp_path / "none", timeout=0)) == []
    assert clock.now == 0
    assert list(tb.checkpoints_iterator(tmp_path, timeout=3)) == []
    assert clock.now == 3


def test_the_function_decides_whether_it_ends(tmp_path, clock):
    asked = []
    save(tmp_path, 1)
    clock.events = {4: lambda: save(tmp_path, 2)}

    def done():
        asked.append(clock.now)
        return len(asked) == 4

    found = list(tb.checkpoints_iterator(tmp_path, timeout=2, timeout_fn=done))
    assert found == [str(tmp_path / "ckpt-1"), str(tmp_path / "ckpt-2")]
    assert asked == [0, 2, 4, 6]


def test_there_is_time_between_two(tmp_path, clock):
    save(tmp_path, 1)
    clock.events = {1: lambda: save(tmp_path, 2), 7: lambda: save(tmp_path, 3)}
    found = list(tb.checkpoints_iterator(tmp_path, min_interval_secs=10, timeout=1))
    assert found == [str(tmp_path / "ckpt-1"), str(tmp_path / "ckpt-3")]


def test_a_state_file_in_the_making_is_waited_for(tmp_path, clock):
    (tmp_path / "checkpoint").touch()
    clock.events = {2: lambda: save(tmp_path, 1)}
    assert next(tb.checkpoints_iterator(tmp_path)) == str(tmp_path / "ckpt-1")
