"""Paths that begin with ``~``: they are for shells, and no directory is made of them."""

from __future__ import annotations

import os

import numpy as np
import pytest

import tensorbundle as tb


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def merge(path):
    tb.save("m", {"a": 1})
    try:
        tb.merge(["m"], path)
    finally:
        tb.remove_checkpoint("m")


SAVES = {
    "save": lambda path: tb.save(path, {"a": 1}),
    "bytes": lambda path: tb.save(os.fsencode(path), {"a": 1}),
    "writer": tb.Writer,
    "saver": lambda path: tb.Saver({"a": 1}).save(None, path),
    "checkpoint": lambda path: tb.Checkpoint(a=np.ones(1)).save(path),
    "manager": lambda path: tb.CheckpointManager({"a": 1}, path),
    "merge": merge,
}


@pytest.mark.parametrize("how", SAVES)
@pytest.mark.parametrize("path", ["~/x", "~root/x"])
def test_a_save_at_home_is_refused(here, how, path):
    with pytest.raises(ValueError, match=rf"give os.path.expanduser\('{path}"):
        SAVES[how](path)
    assert list(here.iterdir()) == []


def test_a_manager_of_home_itself_is_refused(here):
    with pytest.raises(ValueError, match="expanduser"):
        tb.CheckpointManager({"a": 1}, "~")


def test_a_load_from_home_tells_what_to_give(here):
    for call in (tb.load, tb.open, tb.verify, tb.Saver({"a": 1}).restore):
        with pytest.raises(FileNotFoundError, match=r"give os.path.expanduser\('~/x'\)"):
            call("~/x")


def test_names_that_no_shell_expands_are_taken(here):
    for path in ("~x", "~nobody-of-this-name/x", "./~/x"):
        tb.save(path, {"a": 1})
        assert tb.load(path)["a"] == 1


def test_a_directory_of_that_name_is_taken(here):
    (here / "~").mkdir()
    tb.save("~/x", {"a": 1})
    assert tb.load("~/x")["a"] == 1 and (here / "~" / "x.index").exists()
