"""Checkpoint and Saver in the background: copied, recorded when durable, errors told."""

from __future__ import annotations

import numpy as np
import pytest

import tensorbundle as tb

from .helpers import Gate, names_in


def fail(done, total):
    raise OSError(28, "full")


class OfObjects:
    """A `Checkpoint` of one array, and the calls that it shares with `OfNames`."""

    def __init__(self, w):
        self.held = tb.Checkpoint(w=w)
        self.wait = self.held.wait
        self.restore = self.held.restore

    def save(self, path, **options):
        return self.held.save(path, durability="none", blocking=False, **options)


class OfNames:
    """A `Saver` of one array."""

    def __init__(self, w):
        self.held = tb.Saver({"w": w}, max_to_keep=1, durability="none")
        self.wait = self.held.wait
        self.restore = self.held.restore
        self.count = 0

    def save(self, path, **options):
        self.count += 1
        return self.held.save(None, path, self.count, blocking=False, **options)


@pytest.fixture(params=[OfObjects, OfNames])
def kind(request):
    return request.param


def test_it_is_copied_and_named_as_the_newest_when_durable(kind, tmp_path):
    w = np.ones(4)
    made = kind(w)
    made.save(tmp_path / "ckpt").result()
    gate = Gate()
    w[:] = 2
    handle = made.save(tmp_path / "ckpt", progress=gate)
    assert gate.reached.wait(30)
    w[:] = 3
    assert tb.latest_checkpoint(tmp_path) == str(tmp_path / "ckpt-1")
    gate.open.set()
    assert handle.result().prefix == str(tmp_path / "ckpt-2")
    assert tb.latest_checkpoint(tmp_path) == handle.prefix
    made.restore(handle.prefix)
    assert w.tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize("what", ["save", "restore", "wait"])
def test_the_next_call_waits_for_it(kind, tmp_path, monkeypatch, what):
    made = kind(np.ones(4))
    made.save(tmp_path / "ckpt").result()
    gate = Gate()
    handle = made.save(tmp_path / "ckpt", progress=gate)
    gate.open_at(monkeypatch, tb.SaveHandle, "wait")
    {
        "save": lambda: made.save(tmp_path / "ckpt"),
        "restore": lambda: made.restore(tmp_path / "ckpt-2"),
        "wait": made.wait,
    }[what]()
    assert handle.done()
    made.wait()


@pytest.mark.parametrize("what", ["save", "restore", "wait"])
def test_its_error_comes_from_the_next_call(kind, tmp_path, what):
    w = np.ones(4)
    made = kind(w)
    made.save(tmp_path / "ckpt").result()
    w[:] = 2
    before = names_in(tmp_path)
    assert made.save(tmp_path / "ckpt", progress=fail).wait()
    with pytest.raises(OSError, match="full"):
        {
            "save": lambda: made.save(tmp_path / "ckpt"),
            "restore": lambda: made.restore(tmp_path / "ckpt-1"),
            "wait": made.wait,
        }[what]()
    assert names_in(tmp_path) == before and w.tolist() == [2, 2, 2, 2]
    assert tb.latest_checkpoint(tmp_path) == str(tmp_path / "ckpt-1")


def test_a_checkpoints_counter_is_what_it_was(tmp_path):
    checkpoint = tb.Checkpoint(w=np.ones(4))
    handle = checkpoint.save(tmp_path / "ckpt", progress=fail, blocking=False)
    with pytest.raises(OSError, match="full"):
        handle.result()
    assert checkpoint.save(tmp_path / "ckpt") == str(tmp_path / "ckpt-1")
    assert checkpoint.write(tmp_path / "other", blocking=False).result().num_tensors == 3
    assert tb.latest_checkpoint(tmp_path) == str(tmp_path / "ckpt-1")


def test_a_saver_removes_old_ones_when_the_new_one_is_durable(tmp_path):
    made = OfNames(np.ones(4))
    made.save(tmp_path / "a").result()
    gate = Gate()
    handle = made.save(tmp_path / "a", progress=gate)
    assert gate.reached.wait(30)
    assert made.held.last_checkpoints == [str(tmp_path / "a-1")]
    assert tb.checkpoint_exists(tmp_path / "a-1")
    gate.open.set()
    handle.result()
    assert made.held.last_checkpoints == [str(tmp_path / "a-2")]
    assert not tb.checkpoint_exists(tmp_path / "a-1")
