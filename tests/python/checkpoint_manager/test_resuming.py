"""A directory that was there before: found again, moved, damaged, or in use."""

from __future__ import annotations

import logging
import os

import numpy as np
import pytest

import tensorbundle as tb

from ..helpers import listed
from .managers import Counted, manage, names

CUT_STATES = {
    "empty": b"",
    "cut": b'model_checkpoint_path: "ckp',
    "not UTF-8": b'model_checkpoint_path: "\xff"',
}


@pytest.mark.parametrize("what", CUT_STATES)
def test_a_state_file_that_cannot_be_read_is_replaced_by_a_look_around(run, what, caplog):
    manager = manage(run, monitor="loss")
    for loss in (1, 2, 3):
        manager.save(metrics={"loss": loss})
    manager.close()
    (run / "checkpoint").write_bytes(CUT_STATES[what])
    with caplog.at_level(logging.WARNING, logger="tensorbundle"):
        again = manage(run, 1, monitor="loss")
    assert str(run / "checkpoint") in caplog.text
    assert again.latest_checkpoint == str(run / "ckpt-3")
    assert again.best_checkpoint == str(run / "ckpt-1")
    # Whether they were to be kept is not known any more: so they are.
    again.save()
    again.save()
    assert again.all_steps() == [1, 2, 3, 5]


def test_a_state_file_that_is_gone_is_replaced_by_a_look_around(run, caplog):
    with tb.CheckpointManager(tb.Checkpoint(w=np.ones(3)), run) as manager:
        for _ in range(3):
            manager.save()
    tb.save(run / "other-9", {"a": 1})
    (run / "checkpoint").unlink()
    checkpoint = tb.Checkpoint(w=np.zeros(3))
    again = tb.CheckpointManager(checkpoint, run)
    assert f"{run}: has checkpoints, but no state file" in caplog.text
    assert again.latest_valid_checkpoint() == str(run / "ckpt-3")
    assert again.restore_or_initialize() == str(run / "ckpt-3")
    assert checkpoint.w.tolist() == [1, 1, 1]
    assert again.save() == str(run / "ckpt-4")


def test_a_checkpoint_that_is_not_known_is_not_replaced(run, caplog):
    with tb.CheckpointManager(tb.Checkpoint(w=np.ones(3)), run) as manager:
        for _ in range(3):
            manager.save()
    (run / "checkpoint").unlink()
    before = (run / "ckpt-1.index").stat().st_ino
    checkpoint = tb.Checkpoint(w=np.zeros(3))
    with tb.CheckpointManager(checkpoint, run) as again:
        assert again.save() == str(run / "ckpt-4")
        assert f"{run}/ckpt-1: not replaced" in caplog.text
        assert int(checkpoint.save_counter) == 4
        tb.save(run / "ckpt-5", {"a": 1})
        assert again.save() == str(run / "ckpt-6")
        assert again.save(6) == str(run / "ckpt-6")  # who gives a number means it
    assert (run / "ckpt-1.index").stat().st_ino == before


def test_a_save_that_skips_numbers_and_fails_does_not_count(run, monkeypatch):
    counted = Counted()
    tb.save(run / "ckpt-1", {"n": 1})
    tb.save(run / "ckpt-7", {"n": 7})
    manager = manage(run, value=counted)
    monkeypatch.setattr(counted, "fails", True)
    with pytest.raises(OSError, match="full"):
        manager.save()
    assert counted.save_counter == 0
    monkeypatch.setattr(counted, "fails", False)
    assert manager.save() == str(run / "ckpt-8") and counted.save_counter == 8


def test_a_newest_checkpoint_that_is_gone_gives_way_to_the_one_before(run, caplog):
    manager = manage(run)
    for _ in range(3):
        manager.save()
    manager.close()
    tb.remove_checkpoint(run / "ckpt-3")
    with caplog.at_level(logging.WARNING, logger="tensorbundle"):
        assert manage(run).latest_checkpoint == str(run / "ckpt-2")
    assert "ckpt-3: the newest checkpoint is gone" in caplog.text


def test_a_damaged_one_is_passed_over(run):
    manager = manage(run)
    manager.save()
    manager.save()
    assert manager.latest_valid_checkpoint() == str(run / "ckpt-2")
    os.truncate(run / "ckpt-2.data-00000-of-00001", 3)
    assert manager.latest_valid_checkpoint() == str(run / "ckpt-1")


def test_absolute_paths_of_a_moved_directory_are_found_in_it(run, tmp_path):
    tb.save(run / "ckpt-1", {"w": np.ones(3), "step": 1})
    tb.update_checkpoint_state(run, run / "ckpt-1", all_model_checkpoint_timestamps=[1.0])
    run.rename(tmp_path / "moved")
    manager = manage(tmp_path / "moved", 1)
    assert manager.restore_or_initialize() == str(tmp_path / "moved" / "ckpt-1")
    manager.save()
    assert manager.all_steps() == [2]


def test_the_second_manager_is_told(run):
    first, second = manage(run), manage(run)
    first.save()
    with pytest.raises(tb.LockedError, match="another CheckpointManager saves here"):
        second.save()
    assert first.all_steps() == [1]
    first.close()
    # It has not seen what the first made, but looks again.
    assert second.save() == str(run / "ckpt-2")
    assert names(second.checkpoints) == ["ckpt-1", "ckpt-2"]
    with pytest.raises(tb.LockedError):
        first.save()


def test_a_manager_that_is_gone_holds_nothing(run):
    with manage(run) as manager:
        manager.save()
    manager = manage(run)
    manager.save()
    manager = manage(run)
    assert manager.save() == str(run / "ckpt-3")
    manager.wait()
    manager.close()
    assert not any(name.startswith(".") for name in listed(run))


def test_a_relative_directory_will_do(run, monkeypatch):
    run.mkdir()
    monkeypatch.chdir(run)
    for directory in ("sub", "../run/other", "."):
        manager = manage(directory, 1)
        manager.save()
        manager.close()
        again = manage(directory, 1)
        assert again.latest_checkpoint == os.path.join(directory, "ckpt-1")
        again.save()
        assert again.all_steps() == [2]
        again.close()


def test_what_was_not_restored_is_told(run, caplog):
    tb.CheckpointManager(tb.Checkpoint(a=1, gone=[np.ones(2)]), run).save()
    with caplog.at_level(logging.WARNING, logger="tensorbundle"):
        tb.CheckpointManager(
            tb.Checkpoint(a=0, gone=[np.zeros(2)]), run
        ).restore_or_initialize()
        assert not caplog.text
        tb.CheckpointManager(tb.Checkpoint(a=0, new=2), run).restore_or_initialize()
    assert "ckpt-1: not all was restored: not in the checkpoint (1)" in caplog.text
    assert "new/.ATTRIBUTES" in caplog.text
    assert "gone/0/.ATTRIBUTES" in caplog.text
