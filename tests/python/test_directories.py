"""Directories that survive a power cut, and lists of names."""

from __future__ import annotations

import errno
import os

import pytest

from tensorbundle import directories
from tensorbundle.directories import make_directories, names_in, sync_directory
from tensorbundle.regular_file import read_file

from .reliability.steps import Steps


@pytest.fixture
def synced(monkeypatch):
    """List the directories that were synced, by their real paths."""
    found = []
    real = os.fsync

    def fsync(descriptor):
        found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return found


def test_each_level_is_synced_in_its_parent_before_the_next_is_made(tmp_path, synced):
    (tmp_path / "file").touch()
    make_directories(str(tmp_path / "a/b/c"))
    assert synced == [str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a/b")]
    assert (tmp_path / "a/b/c").is_dir()
    synced.clear()
    make_directories(str(tmp_path / "a/b/c"))
    make_directories(str(tmp_path / "d"), durable=False)
    assert synced == []


def test_an_empty_one_above_may_be_new_and_is_synced_too(tmp_path, synced):
    (tmp_path / "a").mkdir()
    make_directories(str(tmp_path / "a/b"))
    assert synced == [str(tmp_path), str(tmp_path / "a")]


def test_relative_paths_will_do(tmp_path, monkeypatch, synced):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    make_directories("a/b/")
    assert synced == [str(tmp_path), str(tmp_path / "a")]
    assert sorted(names_in("")) == ["a", "file"]


def test_a_file_in_the_way_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="mkdir"):
        make_directories(str(tmp_path / "file/a"))
    assert names_in(str(tmp_path / "file")) == names_in(str(tmp_path / "nothing")) == []


def test_a_failed_sync_is_told_and_a_missing_one_is_not(tmp_path, monkeypatch):
    for number, is_told in ((errno.EINVAL, False), (errno.EIO, True)):

        def fail(descriptor, number=number):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", fail)
        if not is_told:
            sync_directory(str(tmp_path))
            continue
        with pytest.raises(OSError, match="fsync: Input/output error") as caught:
            sync_directory(str(tmp_path))
        assert caught.value.filename == str(tmp_path)


def test_listing_is_begun_again_where_a_signal_ends_it(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    real, signals = os.scandir, [1, 2]

    def interrupted(path):
        if signals:
            signals.pop()
            raise InterruptedError(errno.EINTR, "a signal")
        return real(path)

    monkeypatch.setattr(directories.os, "scandir", interrupted)
    assert names_in(str(tmp_path)) == ["file"]


@pytest.mark.parametrize(
    "call",
    [sync_directory, lambda directory: read_file(f"{directory}/file", most_bytes=10)],
)
def test_ctrl_c_leaves_no_descriptor_open(tmp_path, call):
    (tmp_path / "file").write_bytes(b"content")
    call(str(tmp_path))
    before, steps = names_in("/proc/self/fd"), 1
    while Steps(steps).interrupt(lambda: call(str(tmp_path))):
        assert names_in("/proc/self/fd") == before, steps
        steps += 1
    assert steps > 5
