"""Small files are replaced as a whole, whichever system call is disturbed."""

from __future__ import annotations

import errno

import pytest

pytestmark = pytest.mark.usefixtures("traced")


@pytest.fixture
def disturbed(tell, in_memory):
    """Give a function that tells of one kind of disturbance."""
    return lambda what: tell("small_file_calls.py", in_memory / "d", what)


def test_what_is_durable_is_synced_before_and_after_the_rename(disturbed):
    made = disturbed("order")
    assert made["durable"] == [
        "open hidden", "flock hidden", "pwrite hidden", "fdatasync hidden", "rename hidden",
        "open d", "fsync d",
    ]  # fmt: skip
    assert made["fast"] == [*made["durable"][:3], "rename hidden"]


def test_a_failure_leaves_the_old_content(disturbed):
    failures = disturbed("fail")
    for failed in failures:
        name, place = failed["name"].split()
        if name == "close" and failed["told"] is None:
            assert failed["content"] == "new content"
        else:
            number, path, text = failed["told"]
            assert number == errno.ENOSPC and name in text
            assert ".file.tmp." in path or place == "d"
            assert failed["content"] == ("new content" if place == "d" else "old")
        assert failed["left"] == []
    # Of closes only one tells of the bytes: the others let go of locks.
    assert len([f for f in failures if f["name"] == "close hidden" and f["told"]]) == 1
    assert {f["name"] for f in failures} >= {
        "open hidden", "flock hidden", "pwrite hidden", "fdatasync hidden", "rename hidden",
        "fsync d",
    }  # fmt: skip


def test_what_is_written_in_parts_is_written_whole(disturbed):
    assert disturbed("shorten") == {"told": None, "content": "new content", "left": []}


def test_whoever_sweeps_meanwhile_takes_nothing(disturbed):
    swept = disturbed("sweep")
    assert len(swept) > 5
    for found in swept:
        assert found == {"told": None, "content": "new content", "left": []}


def test_without_locks_nobody_can_tell_so_nothing_is_removed(disturbed):
    assert disturbed("no_locks") == {
        "swept": [0, None], "told": None, "content": "new content",
        "left": [".file.tmp.0123456789abcdef"],
    }  # fmt: skip
