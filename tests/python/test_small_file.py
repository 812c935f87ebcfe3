"""Small files are replaced as a whole, or not at all.

What happens where a system call fails is in ``reliability/test_small_files.py``.
"""

from __future__ import annotations

import fcntl
import os

import pytest

from tensorbundle.small_file import replace_file, sweep_unfinished

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


def test_a_failure_leaves_what_was_there(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError, match="rename to") as caught:
        replace_file(str(tmp_path / "file"), b"new")
    assert caught.value.filename.startswith(str(tmp_path / ".file.tmp."))
    assert listed(tmp_path) == ["file"]
    with pytest.raises(FileNotFoundError, match="open"):
        replace_file(str(tmp_path / "none" / "file"), b"new")


def test_names_that_are_no_utf8(tmp_path):
    path = os.fsdecode(os.fsencode(str(tmp_path)) + b"/\xff")
    replace_file(path, b"x")
    with open(path, "rb") as file:
        assert file.read() == b"x"
    os.unlink(path)


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path):
    left = [".file.tmp.0123456789abcdef", ".größe.tmp.0000000000000000"]
    others = ["file", "file.tmp.0123456789abcdef", ".x.tmp.0123456789abcdef"]
    others += [f".file.tmp.0123456789abcde{end}" for end in ("", "g", "f0")]
    for name in left + others:
        (tmp_path / name).touch()
    (tmp_path / ".file.tmp.1111111111111111").symlink_to(tmp_path / "file")
    sweep_unfinished(str(tmp_path), {"file", "größe"})
    assert listed(tmp_path) == sorted([*others, ".file.tmp.1111111111111111"])


def test_a_file_that_is_being_written_is_not_removed(tmp_path):
    held = tmp_path / ".file.tmp.0123456789abcdef"
    with open(held, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        sweep_unfinished(str(tmp_path), {"file"})
        assert held.exists()
    sweep_unfinished(str(tmp_path), {"file"})
    assert listed(tmp_path) == []
