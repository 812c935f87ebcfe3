"""Small files are replaced as a whole, or not at all."""

from __future__ import annotations

import errno
import os

import pytest

from tensorbundle.small_file import replace_file

from .helpers import listed


def test_content_is_replaced_and_nothing_is_left_behind(tmp_path):
    path = tmp_path / "file"
    for content in (b"first", b"", b"third"):
        replace_file(str(path), content)
        assert path.read_bytes() == content
        assert listed(tmp_path) == ["file"]


def test_a_relative_path_without_a_directory_will_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    replace_file("file", b"x")
    assert (tmp_path / "file").read_bytes() == b"x"


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_failure_leaves_the_old_content(tmp_path, monkeypatch, fails):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, fails, fail)
    with pytest.raises(OSError, match="full"):
        replace_file(str(path), b"new")
    assert path.read_bytes() == b"old"
    assert listed(tmp_path) == ["file"]


def test_what_is_durable_is_synced_before_and_after_the_rename(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("fsync"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda *a: (calls.append("rename"), replace(*a)))
    replace_file(str(tmp_path / "file"), b"x")
    assert calls == ["fsync", "rename", "fsync"]
    calls.clear()
    replace_file(str(tmp_path / "file"), b"x", durable=False)
    assert calls == ["rename"]
