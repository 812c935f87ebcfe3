"""Restores by names: read into place where that is safe, and nothing half-done."""

from __future__ import annotations

import numpy as np
import pytest

import tensorbundle as tb
from tensorbundle import named_restore, reading
from tensorbundle.cli.files import drop_cache, resident_pages
from tensorbundle.core import _core

from .helpers import assert_same, data_file, flip_byte


@pytest.fixture
def staged(monkeypatch):
    """Note which tensors are read into memory of their own, and which into place."""
    monkeypatch.setattr(named_restore, "_STAGED_BYTES", 1000)
    read, noted = reading.read_tensors, {"own": [], "place": []}

    def note(core, wanted, options, into=None):
        noted["own" if into is None else "place"] += wanted
        return read(core, wanted, options, into)

    monkeypatch.setattr(reading, "read_tensors", note)
    return noted


def test_large_arrays_are_read_into_place(prefix, torch, staged):
    saved = {
        "array": np.arange(300.0),
        "matrix": np.arange(12, dtype=np.int16).reshape(3, 4),
        "half": torch.full((50,), 1.5, dtype=torch.bfloat16),
        "net": torch.arange(70.0),
        "strided": np.arange(20.0),
        "number": 5,
        "text": "x",
    }
    tb.save(prefix, saved)
    held = {
        "array": np.zeros(300),
        "matrix": np.zeros((4, 3), np.int16),
        "half": torch.zeros(50, dtype=torch.bfloat16),
        "net": torch.nn.Parameter(torch.zeros(70)),
        "strided": np.zeros(40)[::2],
        "number": 0,
        "text": "y",
    }
    found = tb.Saver(held, reshape=True).restore(prefix)
    assert sorted(staged["place"]) == ["array", "half", "matrix", "net"]
    assert sorted(staged["own"]) == ["number", "strided", "text"]
    for name in ("array", "strided"):
        assert found[name] is held[name]
        assert_same(held[name], saved[name])
    assert_same(held["matrix"], saved["matrix"].reshape(4, 3))
    assert torch.equal(held["half"], saved["half"]) and torch.equal(held["net"], saved["net"])
    assert found["number"] == 5 and found["text"] == "x"


def test_memory_that_variables_share_is_written_in_their_order(prefix, staged):
    tb.save(prefix, {"a": np.full(200, 1.0), "b": np.full(200, 2.0), "c": np.full(200, 3.0)})
    memory, alone = np.zeros(300), np.zeros(200)
    tb.Saver({"a": memory[:200], "b": memory[100:], "c": alone}).restore(prefix)
    assert staged == {"own": ["a", "b"], "place": ["c"]}
    assert memory.tolist() == [1.0] * 100 + [2.0] * 200 and alone.tolist() == [3.0] * 200


def test_damage_is_found_before_anything_is_written(prefix, staged):
    tb.save(prefix, {"a": np.full(300, 1.0), "b": np.full(300, 2.0)})
    flip_byte(data_file(prefix), tb.open(prefix).entry("b").offset)
    held = {"a": np.zeros(300), "b": np.zeros(300)}
    with pytest.raises(tb.CorruptionError, match='"b"'):
        tb.Saver(held).restore(prefix)
    assert staged["place"] == [] and not held["a"].any() and not held["b"].any()


def test_a_manager_restores_as_a_saver_does(tmp_path, staged):
    w = np.arange(300.0)
    manager = tb.CheckpointManager({"w": w}, tmp_path)
    manager.save()
    w[:] = 0
    manager.restore()
    assert staged["place"] == ["w"] and w[299] == 299


def test_little_is_read_once(prefix, staged, monkeypatch):
    monkeypatch.setattr(named_restore, "_STAGED_BYTES", 1 << 20)
    tb.save(prefix, {"a": np.arange(300.0)})
    a = np.zeros(300)
    tb.Saver({"a": a}).restore(prefix)
    assert staged["place"] == [] and a[299] == 299


@pytest.mark.parametrize("objects", [False, True])
@pytest.mark.parametrize("room", [True, False])
def test_what_is_read_twice_comes_from_the_disk_once_where_memory_allows(
    tmp_path, monkeypatch, staged, objects, room
):
    if not _core.probe_directory(bytes(tmp_path))["direct"]:
        pytest.skip("the file system of temporary files has no direct reads")
    a = np.arange(1_000_000.0)
    prefix = tmp_path / "ckpt"
    monkeypatch.setattr("tensorbundle.checkpoint.restoring._STAGED_BYTES", 100)
    monkeypatch.setattr(
        reading, "available_memory", lambda: 16_000_100 if room else 15_999_000
    )
    target = tb.Checkpoint(a=a) if objects else tb.Saver({"a": a})
    path = target.write(prefix) if objects else tb.save(prefix, {"a": a}).prefix
    drop_cache(str(tmp_path))
    a[:] = 0
    target.restore(path)
    assert a[-1] == 999_999
    pages = resident_pages(str(data_file(path)))
    assert pages * 4096 > 7_900_000 if room else pages * 4096 < 4_000_000
