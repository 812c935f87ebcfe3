"""Cold is what mincore says is cold; removed is removed; a scratch directory never stays."""

from __future__ import annotations

import os

import pytest

from tensorbundle.cli import files, scratch


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(os.urandom(3_000_000))
    (tmp_path / "empty").touch()
    return str(tmp_path)


def test_a_cache_is_dropped_and_filled_again(directory):
    path = os.path.join(directory, "deep", "file")
    try:
        files.drop_cache(directory)
    except files.StillCachedError as error:
        pytest.skip(f"the cache cannot be dropped here: {error}")
    assert files.resident_pages(path) == 0
    files.fill_cache(directory)
    assert files.resident_pages(path) == -(-3_000_000 // 4096)


def test_pages_that_stay_are_an_error(directory, monkeypatch):
    monkeypatch.setattr(os, "posix_fadvise", lambda *arguments: None)
    files.fill_cache(directory)
    with pytest.raises(files.StillCachedError, match="733 pages are still cached"):
        files.drop_cache(directory)


def test_removing_empties_a_directory_but_keeps_it(directory):
    files.remove_files(directory)
    assert not any(os.scandir(directory))


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(1)])
def test_scratch_directories_go_whatever_happens(tmp_path, error):
    parents = [tmp_path / "a", tmp_path / "b"]
    for parent in parents:
        parent.mkdir()
    with (
        pytest.raises(type(error)),
        scratch.scratch_directories([str(p) for p in parents], "x") as made,
    ):
        for path in made:
            (tmp_path / path / "litter").touch()
        raise error
    assert [list(p.iterdir()) for p in parents] == [[], []]


def test_where_one_scratch_directory_cannot_be_made_the_other_goes(tmp_path):
    with (
        pytest.raises(FileNotFoundError),
        scratch.scratch_directories([str(tmp_path), str(tmp_path / "nope")], "x"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
