"""Settings come from where the caller says; arguments win; what is wrong is named."""

from __future__ import annotations

import numpy as np
import pytest

import tensorbundle as tb

TENSORS = {"a": np.arange(1000.0), "b": np.arange(10.0)}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "settings.toml"

    def write(text):
        path.write_text(text)
        return path

    return write


def test_a_save_takes_what_the_file_says(prefix, file):
    path = file(
        '[save]\nbackend = "buffered"\nnum_shards = 2\nnum_threads = 1\nsnapshot = true'
    )
    report = tb.save(prefix, TENSORS, config=path)
    assert (report.num_shards, report.num_threads) == (2, 1)
    assert report.backend == "buffered"
    assert report.backend_reason == ""  # not "smaller than ...": it was asked for
    assert report.zero_copy_bytes == 0


def test_arguments_win_over_the_file_even_where_they_are_the_default(prefix, file):
    path = file('[save]\nbackend = "buffered"\nnum_shards = 2\nsnapshot = true')
    report = tb.save(
        prefix, TENSORS, num_shards=1, backend="auto", snapshot=False, config=str(path)
    )
    assert report.num_shards == 1
    assert "smaller than" in report.backend_reason


def test_a_load_takes_its_own_section(prefix, file):
    tb.save(prefix, {str(i): np.zeros(1 << 20, np.uint8) for i in range(64)})  # work for all
    path = file('[save]\nnum_threads = 7\n[load]\nnum_threads = 3\nbackend = "buffered"')
    assert tb.load(prefix, config=path).report.num_threads == 3
    assert tb.load(prefix, config=path, num_threads=2).report.num_threads == 2


@pytest.mark.parametrize("key", ["block_size", "queue_depth"])
def test_blocks_and_depth_are_passed_on_and_checked(prefix, key):
    tb.save(prefix, TENSORS, config={"save": {key: 65536 if key == "block_size" else 4}})
    wrong = {key: 1 << 31 if key == "block_size" else 5000}
    with pytest.raises(ValueError, match=f"{key} must be"):
        tb.save(prefix, TENSORS, config={"save": wrong})
    with pytest.raises(ValueError, match=f"{key} must be"):
        tb.load(prefix, config={"load": wrong})


def test_a_mapping_does_as_well(prefix):
    report = tb.save(prefix, TENSORS, config={"save": {"num_shards": 2}})
    assert report.num_shards == 2


def test_nothing_is_read_unasked(prefix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tensorbundle.toml").write_text("[save]\nnum_shards = 2")
    assert tb.save(prefix, TENSORS).num_shards == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[save]\ncolour = 1", r"'colour' in \[save\] is unknown"),
        ("[load]\nnum_shards = 1", r"'num_shards' in \[load\] is unknown"),
        ("[store]\nbackend = 'auto'", "unknown section 'store'"),
        ("save = 1", "'save' must be a section"),
        ("[save]\nnum_threads = '2'", r"'num_threads' in \[save\] must be of type int"),
        ("[save]\nnum_threads = true", "must be of type int, not True"),
        ("[save]\nnum_threads = 0", "must be a positive number"),
        ("[save]\nbackend = 'magic'", "must be one of auto, buffered, direct, uring"),
        ("[save]\nsnapshot = 1", "must be of type bool"),
        ("[save", "Expected ']'"),
        ("a = '\udcff'", "utf-8"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(prefix, tmp_path, text, told):
    path = tmp_path / "settings.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    for call in (
        lambda: tb.save(prefix, TENSORS, config=path),
        lambda: tb.load(prefix, config=path),
    ):
        with pytest.raises(ValueError, match=told) as caught:
            call()
        assert str(caught.value).startswith(f"{path}: ")


def test_a_file_that_is_not_there_is_an_os_error(prefix, tmp_path):
    with pytest.raises(FileNotFoundError):
        tb.save(prefix, TENSORS, config=tmp_path / "nope.toml")
