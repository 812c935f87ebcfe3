"""The whole command: on a disk, in memory and through FUSE; and everything it refuses."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
from importlib import resources

import pytest

import tensorbundle as tb
from tensorbundle.cli import peers
from tensorbundle.cli.bench import command as bench_command
from tensorbundle.cli.bench import own_cases, places
from tensorbundle.config import read_config


def schema():
    text = resources.files("tensorbundle.cli.bench").joinpath("schema.json").read_text()
    return json.loads(text)


def check_json(text):
    """Hold a result against the schema, and against what a schema cannot say."""
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    result = json.loads(text)
    jsonschema.validate(result, schema(), cls=jsonschema.Draft202012Validator)
    for row in result["rows"]:
        assert row["failure"] == "", row
        assert row["runs"] == len(row["seconds"]) > 0
        assert row["min"] <= row["median"] <= row["max"]
    return result


def assert_refused(outcome, told, *directories):
    assert outcome.status == 2
    assert re.search(told, outcome.err)
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""
    for directory in directories:
        assert list(directory.iterdir()) == []


@pytest.fixture
def small_default(monkeypatch):
    """Make the default grid one of a few MB."""
    monkeypatch.setattr(bench_command, "_DEFAULT_GB", 0.024)


def test_the_default_grid_on_a_disk(run, tmp_path, small_default):
    outcome = run("bench", tmp_path, "--runs", "2", "--wait", "0", "--json")
    assert outcome.status == 0
    result = check_json(outcome.out)
    (place,) = result["places"]
    rows = result["rows"]
    for backend in place["backends"]:
        assert any(
            row["operation"] == "save" and (row["settings"] or {}).get("backend") == backend
            for row in rows
        )
    assert set(place["backends"]) | set(place["skipped"]) >= {"buffered", "direct", "uring"}
    assert {row["workload"] for row in rows} == {
        "llama-0.024gb", "llama-0.006gb", "llama-0.0015gb",
    }  # fmt: skip
    saves = [r for r in rows if r["operation"] == "save" and r["settings"]]
    assert {row["durable"] for row in saves} == {True, False}
    assert all(row["stages"] and row["limit"]["sentence"] for row in saves)
    assert all(row["floor_ratio"] for row in saves)
    cold = [row for row in rows if row["operation"] == "cold-load"]
    assert all(row["verified"] and row["cache"] == "cold" for row in cold)
    assert list(tmp_path.iterdir()) == []


def test_the_default_grid_in_memory(run, memory_disk, small_default):
    outcome = run("bench", memory_disk, "--runs", "1", "--wait", "0", "--json")
    assert outcome.status == 0
    result = check_json(outcome.out)
    (place,) = result["places"]
    assert place["backends"] == ["buffered", "memory"]
    assert "tmpfs is in memory" in place["skipped"]["direct"]
    assert "nothing there is ever cold" in place["skipped"]["cold-load"]
    assert not {"cold-load", "first-tensor", "floor-read"} & {
        row["operation"] for row in result["rows"]
    }
    assert os.listdir(memory_disk) == []  # noqa: PTH208


def test_the_default_grid_through_fuse(run, fuse_disk, small_default):
    outcome = run("bench", fuse_disk, "--runs", "1", "--wait", "0", "--json")
    assert outcome.status == 0
    result = check_json(outcome.out)
    (place,) = result["places"]
    assert place["backends"] == ["buffered", "memory"]
    assert "not a local device" in place["skipped"]["uring"]
    assert any("what lies behind the mount" in note for note in place["notes"])
    if not place["keeps_cache"]:
        assert "warm-load" in place["skipped"]
        assert {r["cache"] for r in result["rows"] if r["operation"] == "map"} == {"cold"}
    assert os.listdir(fuse_disk) == []  # noqa: PTH208


def test_tables_tell_ratios_sentences_skipped_and_best(run, memory_disk, small):
    outcome = run("bench", memory_disk, *small)
    assert outcome.status == 0
    assert "of floor" in outcome.out
    assert "Where the time goes" in outcome.out
    assert re.search(
        r"^save +buffered \(auto\).* durable .*(% of the time\)|%, )", outcome.out, re.M
    )
    assert "not run: direct: tmpfs is in memory" in outcome.out
    assert "best for save: buffered" in outcome.out
    assert "best for load: buffered" in outcome.out


def test_lists_settings_and_models_are_what_is_run(run, tmp_path):
    outcome = run(
        "bench", tmp_path, "--models", "resnet50", "--backends", "buffered", "--shards", "1,3",
        "--threads", "2", "--block-sizes", "64k,1m", "--operations", "save,warm-load",
        "--runs", "1", "--wait", "0", "--json",
    )  # fmt: skip
    assert outcome.status == 0
    rows = check_json(outcome.out)["rows"]
    saves = [row["settings"] for row in rows if row["operation"] == "save"]
    assert len(saves) == 4
    assert {(s["num_shards"], s["block_size"]) for s in saves} == {
        (1, 65536), (1, 1 << 20), (3, 65536), (3, 1 << 20),
    }  # fmt: skip
    assert {row["workload"] for row in rows} == {"resnet50"}
    assert {row["operation"] for row in rows} == {
        "save", "warm-load", "floor-write", "floor-read", "floor-copy",
    }  # fmt: skip


def test_the_recommendation_is_taken_by_save_and_load(run, memory_disk, small, tmp_path):
    file = tmp_path / "best.toml"
    assert run("bench", memory_disk, *small, "--recommend", file).status == 0
    config = read_config(file)
    assert config["save"]["backend"] == "buffered"
    prefix = str(tmp_path / "ckpt")
    tb.save(prefix, {"a": 1.0}, config=file)
    assert tb.load(prefix, config=file)["a"] == 1.0


def test_rounds_stop_in_time_and_rows_say_how_many(run, memory_disk):
    outcome = run(
        "bench", memory_disk, "--gb", "0.01", "--runs", "50", "--minutes", "0", "--wait", "0",
        "--threads", "1", "--json",
    )  # fmt: skip
    assert {row["runs"] for row in check_json(outcome.out)["rows"]} == {1}


@pytest.mark.usefixtures("failing_torch")
def test_a_peer_that_fails_gets_a_row_and_the_rest_goes_on(
    run, memory_disk, small, monkeypatch
):
    monkeypatch.setattr(peers, "_is_installed", lambda peer: peer == "torch")
    outcome = run("bench", memory_disk, *small, "--threads", "1", "--peers")
    assert outcome.status == 0
    assert r"failed: RuntimeError: no \x1b luck" in outcome.out
    assert "best for save" in outcome.out
    assert os.listdir(memory_disk) == []  # noqa: PTH208


def test_real_peers_run_side_by_side(run, memory_disk, small):
    names = peers.choose_peers("auto", peers.ALL_PEERS)
    if not names:
        pytest.skip("no peer is installed")
    outcome = run("bench", memory_disk, *small, "--threads", "1", "--peers", "--json")
    rows = check_json(outcome.out)["rows"]
    for name in names:
        (save,) = [r for r in rows if (r["engine"], r["operation"]) == (name, "save")]
        assert save["durable"] is True
        assert save["version"]


def test_a_failure_of_our_own_is_told_and_is_the_status(run, memory_disk, small, monkeypatch):
    def fail(prefix, **options):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(own_cases, "load", fail)
    outcome = run("bench", memory_disk, *small, "--threads", "1")
    assert outcome.status == 2
    assert "failed: OSError: [Errno 5] Input/output error" in outcome.out
    assert "of the time)" in outcome.out or "%, " in outcome.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["/nope"], "/nope: does not exist"),
        (["/etc/hostname"], "/etc/hostname: is not a directory"),
        (["--backends", "magic"], "'magic' is none of buffered, direct, uring, memory"),
        (["--models", "gpt-5"], "'gpt-5' is none of llama-8b-shard, resnet50, many-small"),
        (["--peers", "pickle"], "'pickle' is none of auto, none, torch"),
        (["--operations", "delete"], "'delete' is none of save, cold-load"),
        (["--gb", "0"], "--gb must be between"),
        (["--gb", "much"], "must be a number of GB"),
        (["--gb", "nan"], "--gb must be between"),
        (["--runs", "0"], "positive"),
        (["--threads", "0"], "positive"),
        (["--block-sizes", "1000"], "multiple of 64k"),
        (["--block-sizes", "4x"], "must be a size like 4m"),
        (["--minutes", "nan"], "--minutes must be a number"),
        (["--html", "/nope/a.html"], "cannot be written to"),
        (["--recommend", "/nope/a.toml"], "cannot be written to"),
        ([".", "."], "given twice"),
        (["--recommend", "x", ".", ".."], "give one"),
    ],
)
def test_bad_options_are_one_line_and_write_nothing(
    run, tmp_path, monkeypatch, arguments, told
):
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    gb = [] if "--gb" in arguments else ["--gb", "0.001"]
    assert_refused(run("bench", *arguments, *gb), told, directory)


def test_a_directory_that_cannot_be_written_to_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    assert_refused(run("bench", tmp_path, "--gb", "0.001"), "not writable", tmp_path)


def test_a_read_only_file_system_is_refused(run, small_disk):
    small_disk.make_read_only()
    assert_refused(run("bench", small_disk.path, "--gb", "0.001"), "not writable")


def test_a_disk_that_is_too_small_is_refused(run, small_disk):
    outcome = run("bench", small_disk.path, "--gb", "0.01")
    assert_refused(outcome, "of free disk space are needed", small_disk.path)


def test_some_of_the_disk_stays_free(run, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(total=10**12, free=10**10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert_refused(
        run("bench", tmp_path, "--gb", "0.01"), "2% of the disk stay free", tmp_path
    )


def test_too_little_memory_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "available_memory", lambda: 1_000_000)
    assert_refused(run("bench", tmp_path, "--gb", "0.01"), "of memory are needed", tmp_path)


def test_peers_with_none_installed_are_one_line(run, tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "_is_installed", lambda peer: False)
    assert_refused(
        run("bench", tmp_path, "--gb", "0.001", "--peers"), "none of torch", tmp_path
    )
    outcome = run("bench", tmp_path, "--gb", "0.001", "--peers", "dcp")
    assert_refused(outcome, "dcp is not installed", tmp_path)


def test_fio_that_is_not_installed_is_one_line(run, tmp_path, monkeypatch):
    monkeypatch.setattr(bench_command, "has_fio", lambda: False)
    assert_refused(run("bench", tmp_path, "--gb", "0.001", "--fio"), "not installed", tmp_path)


def test_plotting_that_is_not_installed_is_one_line(run, tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "plotly" else real(name)
    )
    outcome = run("bench", tmp_path, "--gb", "0.001", "--html", tmp_path / "a.html")
    assert_refused(outcome, r"pip install 'tensorbundle\[bench\]'", tmp_path)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signals_leave_nothing(command, tmp_path, number, status):
    """A process that would run for long is stopped while it works on its second round."""
    process = subprocess.Popen(
        [*command, "bench", str(tmp_path), "--gb", "0.01", "--runs", "1000000", "--wait", "0",
         "--minutes", "1000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("2/"):
            break
    assert len(list(tmp_path.iterdir())) == 1
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == status
    assert out == ""
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_middle_leaves_nothing(run, tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(own_cases, "load", interrupted)
    outcome = run("bench", tmp_path, "--gb", "0.005", "--wait", "0", "--runs", "1")
    assert outcome.status == 130
    assert list(tmp_path.iterdir()) == []
