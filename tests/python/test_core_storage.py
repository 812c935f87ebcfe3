"""What the core offers beside bundles: files in memory, and probes of directories."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tensorbundle import reading, tensors
from tensorbundle.core import _core

TENSORS = {"big": np.arange(9_000_000, dtype=np.uint8), "text": "hello"}
OPTIONS = {
    "num_shards": 2, "alignment": 64, "durable": True, "backend": "auto", "snapshot": False,
    "num_threads": 2, "block_size": 0, "queue_depth": 0, "progress": None,
    "borrowed_written": None,
}  # fmt: skip


def test_a_bundle_in_memory_is_loaded_again_and_touches_no_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage = _core.MemoryStorage()
    items = tensors.gather(TENSORS)
    report = _core.save(b"/ckpt", items, **OPTIONS, storage=storage)
    assert report["num_shards"] == 2
    bundle = _core.Bundle(b"/ckpt", "auto", storage)
    options = reading.read_options(verify=True)
    arrays, _ = reading.read_tensors(bundle, ["big", "text"], options)
    np.testing.assert_array_equal(arrays[0], TENSORS["big"])
    assert arrays[1] == b"hello"
    assert not os.path.exists("/ckpt.index")
    assert list(tmp_path.iterdir()) == []


def test_files_in_memory_belong_to_one_storage():
    items = tensors.gather({"a": 1})
    _core.save(b"/ckpt", items, **OPTIONS, storage=_core.MemoryStorage())
    with pytest.raises(FileNotFoundError):
        _core.Bundle(b"/ckpt", "auto", _core.MemoryStorage())


def test_a_probe_leaves_nothing_and_tells_what_auto_takes(tmp_path):
    told = _core.probe_directory(os.fsencode(tmp_path))
    assert list(tmp_path.iterdir()) == []
    if told["direct"]:
        assert told["auto"] in ("direct", "uring")
        assert told["offset_granule"] >= 512
    else:
        assert told["auto"] == "buffered"
        assert told["auto_reason"] == told["direct_reason"] != ""


def test_a_probe_of_a_directory_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        _core.probe_directory(os.fsencode(tmp_path / "nope"))
