"""Small files are replaced as a whole, or not at all."""

from __future__ import annotations

import errno
import os

import pytest

from tensorbundle import file_lock, small_file
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


@pytest.mark.parametrize("fails, told", [("fsync", "fsync"), ("replace", "rename to 'file'")])
def test_a_failure_leaves_the_old_content(tmp_path, monkeypatch, fails, told):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, fails, fail)
    with pytest.raises(OSError, match=f"{told}: full") as caught:
        replace_file(str(path), b"new")
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename.startswith(str(tmp_path / ".file.tmp."))
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


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path, monkeypatch):
    left = [".file.tmp.0123456789abcdef", ".größe.tmp.0000000000000000"]
    others = ["file", "file.tmp.0123456789abcdef", ".x.tmp.0123456789abcdef"]
    others += [f".file.tmp.0123456789abcde{end}" for end in ("", "g", "f0")]
    for name in left + others:
        (tmp_path / name).touch()
    (tmp_path / ".file.tmp.1111111111111111").symlink_to(tmp_path / "file")
    sweep_unfinished(str(tmp_path), {"file", "größe"})
    assert listed(tmp_path) == sorted([*others, ".file.tmp.1111111111111111"])


def test_a_file_that_is_being_written_is_not_removed(tmp_path, monkeypatch):
    replace, before = os.replace, []

    def look(temporary, path):
        sweep_unfinished(str(tmp_path), {"file"})
        before.extend(listed(tmp_path))
        replace(temporary, path)

    monkeypatch.setattr(os, "replace", look)
    replace_file(str(tmp_path / "file"), b"new")
    assert len(before) == 1 and listed(tmp_path) == ["file"]


def test_without_locks_nobody_can_tell_so_nothing_is_removed(tmp_path, monkeypatch):
    (tmp_path / ".file.tmp.0123456789abcdef").touch()

    def fail(*_):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(file_lock.fcntl, "flock", fail)
    sweep_unfinished(str(tmp_path), {"file"})
    replace_file(str(tmp_path / "file"), b"new")
    assert listed(tmp_path) == [".file.tmp.0123456789abcdef", "file"]


def test_one_that_was_taken_for_abandoned_is_begun_anew(tmp_path, monkeypatch):
    real, taken = small_file.lock_file, []

    def lose_one(path, opened):
        if not taken:
            taken.append(path)
            return False
        return real(path, opened)

    monkeypatch.setattr(small_file, "lock_file", lose_one)
    replace_file(str(tmp_path / "file"), b"new")
    assert (tmp_path / "file").read_bytes() == b"new" and taken


def test_what_is_written_in_parts_is_written_whole(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    replace_file(str(tmp_path / "file"), b"content")
    assert (tmp_path / "file").read_bytes() == b"content"


def test_a_file_that_takes_nothing_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "write", lambda fd, data: 0)
    with pytest.raises(OSError, match="write: the file took no bytes"):
        replace_file(str(tmp_path / "file"), b"content")
    assert listed(tmp_path) == []
