from __future__ import annotations

import json
import os
import re

import numpy as np
import pytest

import tensorbundle as tb


@pytest.fixture
def parts(tmp_path):
    """Two checkpoints, of two and one data files."""
    prefixes = [str(tmp_path / name) for name in ("a", "b")]
    tb.save(prefixes[0], {"x": np.ones(300), "y": np.ones(200)}, num_shards=2)
    tb.save(prefixes[1], {"z": np.ones(100)})
    return prefixes


def test_checkpoints_are_merged(run, parts, tmp_path):
    out = str(tmp_path / "out")
    outcome = run("merge", out, *parts)
    assert outcome.status == 0
    line = r": 3 tensors in 3 data files, 4\.\d+ kB linked, in \S+ \S+\n"
    assert re.fullmatch(re.escape(out) + line, outcome.out)
    assert set(tb.load(out)) == {"x", "y", "z"}
    assert os.path.exists(parts[0] + ".index")


def test_sources_are_deleted_and_missing_ones_passed_over(run, parts, tmp_path):
    out = str(tmp_path / "out")
    missing = str(tmp_path / "no")
    assert run("merge", out, *parts, missing).status == 2
    outcome = run("merge", out, missing, *parts, "--delete-sources", "--allow-missing")
    assert outcome.status == 0
    assert outcome.out.startswith(f"missing {missing}\n")
    assert not os.path.exists(parts[0] + ".index")


def test_json_has_the_report(run, parts, tmp_path):
    report = json.loads(run("merge", tmp_path / "out", *parts, "--json").out)
    assert report["num_tensors"] == 3
    assert report["copied_bytes"] == 0


def test_a_source_that_stays_is_told(run, parts, tmp_path):
    from tensorbundle.file_lock import FileLock, save_lock_path

    with FileLock(save_lock_path(parts[0]), ""):
        outcome = run("merge", tmp_path / "out", *parts, "--delete-sources")
    assert outcome.status == 2
    assert outcome.out.splitlines()[1].startswith(f"not removed {parts[0]}")
    assert not os.path.exists(parts[1] + ".index")


def test_a_tensor_in_two_checkpoints_is_an_error(run, parts, tmp_path):
    tb.save(tmp_path / "c", {"x": np.ones(1)})
    outcome = run("merge", tmp_path / "out", *parts, tmp_path / "c")
    assert outcome.status == 2
    assert 'tensor "x"' in outcome.err
    assert parts[0] in outcome.err


def test_a_directory_is_no_destination(run, parts, tmp_path):
    directory = tmp_path / "run"
    directory.mkdir()
    outcome = run("merge", directory, *parts)
    assert outcome.status == 2
    assert f"give a prefix in it, as '{directory}/ckpt'" in outcome.err
    assert not os.path.exists(f"{directory}.index")
    tb.save(str(directory), {"old": np.ones(1)})  # a checkpoint of the directory's name
    assert run("merge", directory, *parts, "--overwrite").status == 0
    assert set(tb.load(str(directory))) == {"x", "y", "z"}


@pytest.mark.parametrize("sources", [1, 2])
def test_a_destination_that_is_there_is_replaced_only_where_asked(
    run, parts, tmp_path, sources
):
    there = str(tmp_path / "there")
    tb.save(there, {"old": np.ones(1)})
    outcome = run("merge", there, *parts[:sources])
    assert (outcome.status, outcome.out) == (2, "")
    assert f"{there}: there is a checkpoint already; the first argument is" in outcome.err
    assert "--overwrite" in outcome.err
    assert list(tb.load(there)) == ["old"]
    assert run("merge", there, *parts[:sources], "--overwrite").status == 0
    assert "old" not in tb.load(there)
    assert "x" in tb.load(there)


def test_a_destination_that_is_a_source_needs_no_word(run, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    assert run("merge", "link/a", *parts).status == 0
    assert set(tb.load(parts[0])) == {"x", "y", "z"}
