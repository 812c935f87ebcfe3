"""Which checkpoints go, when, and what is never removed."""

from __future__ import annotations

import errno
import logging
import os

import numpy as np
import pytest

import tensorbundle as tb
from tensorbundle import rotation

from ..helpers import listed
from .managers import Counted, manage, names, prefixes


def test_rules_add_up(run, clock):
    manager = manage(
        run, 1, policy=[tb.EveryNSteps(4), lambda saved: [s for s in saved if s.step == 3]],
        keep_checkpoint_every_n_hours=2,
    )  # fmt: skip
    for _ in range(8):
        clock.now += 1800
        manager.save()
    assert manager.all_steps() == [3, 4, 8]
    assert names(manager.checkpoints) == ["ckpt-3", "ckpt-8"]


def test_the_newest_stays_whatever_the_rules(run):
    manager = manage(run, policy=lambda saved: [])
    for _ in range(3):
        manager.save()
    assert manager.all_steps() == [3]


def test_a_rule_that_raises_removes_nothing_and_the_save_counts(run):
    def fail(saved):
        raise RuntimeError("rule")

    manager = manage(run, 1, policy=fail)
    for step in (1, 2):
        with pytest.raises(RuntimeError, match="rule"):
            manager.save()
        assert manager.latest_checkpoint == str(run / f"ckpt-{step}")
    assert manager.all_steps() == [1, 2]
    assert tb.latest_checkpoint(run) == str(run / "ckpt-2")


def test_a_callback_that_raises_does_not_undo_the_save(run):
    calls = []

    def fail(path):
        calls.append(path)
        raise RuntimeError("callback")

    manager = manage(run, 1, callbacks=[fail, calls.append])
    for step in (1, 2):
        with pytest.raises(RuntimeError, match="callback"):
            manager.save()
        assert calls == [str(run / f"ckpt-{step}")] * 2
        calls.clear()
    assert tb.latest_checkpoint(run) == str(run / "ckpt-2") and manager.all_steps() == [2]


# ---- What is removed, and what never ------------------------------------------------------


def test_a_failed_save_removes_nothing(run, monkeypatch):
    counted = Counted()
    manager = manage(run, 1, value=counted)
    manager.save()
    counted.fails = True
    with pytest.raises(OSError, match="full"):
        manager.save()
    counted.fails = False
    assert manager.latest_checkpoint == str(run / "ckpt-1") and 1 in manager.all_steps()

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "state")

    monkeypatch.setattr(rotation, "update_checkpoint_state", fail)
    with pytest.raises(OSError, match="state"):
        manager.save()
    assert 1 in manager.all_steps()


def test_the_new_one_is_recorded_before_old_ones_go(run, monkeypatch):
    manager = manage(run, 1)
    manager.save()
    seen = []

    def removed(prefix, spares):
        seen.append((os.path.basename(prefix), tb.latest_checkpoint(run)))

    monkeypatch.setattr(rotation, "remove_bundle", removed)
    manager.save()
    assert seen == [("ckpt-1", str(run / "ckpt-2"))]


def test_other_files_stay(run):
    manager = manage(run, 1)
    manager.save()
    others = {"ckpt-1.txt", "ckpt-10.index", "ckpt-1.data-00000-of-00001.bak", "xckpt-1.index"}
    for name in others:
        (run / name).touch()
    manager.save(2)
    manager.close()
    own = {"checkpoint", "ckpt-2.index", "ckpt-2.data-00000-of-00001"}
    assert set(listed(run)) == others | own


@pytest.mark.parametrize("name", ["[a]", "*", "?", "back\\slash", "größe", "a b"])
def test_names_are_no_patterns(run, name):
    directory = run / name
    manager = manage(directory, 1, checkpoint_name=name)
    (run / "a").mkdir(parents=True)
    (run / "a" / f"{name}-1.index").touch()
    for _ in range(3):
        manager.save()
    assert prefixes(directory) == [f"{name}-3"]
    assert listed(run / "a") == [f"{name}-1.index"]


def test_a_state_file_that_leads_outside_is_followed_and_nothing_there_removed(run, tmp_path):
    for step in (1, 2):
        tb.save(tmp_path / "other" / f"ckpt-{step}", {"w": np.full(3, step), "step": step})
    tb.save(run / "ckpt-0", {"a": 1})
    paths = ["../other/ckpt-1", "ckpt-0", str(tmp_path / "other" / "ckpt-2")]
    tb.update_checkpoint_state(
        run, paths[-1], paths, all_model_checkpoint_timestamps=[1.0, 2.0, 3.0]
    )
    value = {"w": np.zeros(3, int), "step": np.array(0)}
    manager = manage(run, 1, value=value)
    assert manager.latest_checkpoint == paths[-1]
    assert manager.restore_or_initialize() == paths[-1] and value["step"] == 2
    manager.save()
    manager.save()
    assert prefixes(tmp_path / "other") == ["ckpt-1", "ckpt-2"]
    assert prefixes(run) == ["ckpt-2"]


def test_what_cannot_be_removed_is_tried_again(run, monkeypatch, caplog):
    manager = manage(run, 1)
    manager.save()
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "tensorbundle"):

        def fail(_, spares):
            raise OSError(errno.EACCES, "no")

        patch.setattr(rotation, "remove_bundle", fail)
        manager.save()
    assert "ckpt-1: an old checkpoint stays" in caplog.text
    manager.save()
    assert manager.all_steps() == [3]
