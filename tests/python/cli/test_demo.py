from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import subprocess

import pytest

from tensorbundle.cli import demo, peers, steps
from tensorbundle.cli.model import shapes_of

SMALL = ("--gb", "0.02", "--runs", "1")


def test_measures_all_operations_and_leaves_nothing(run, tmp_path):
    outcome = run("demo", *SMALL, "--peers", "none", "--dir", tmp_path)
    assert outcome.status == 0
    table, closing = outcome.out.splitlines()[:-2], outcome.out.splitlines()[-1]
    titles = ["save", "load", "load again", "map, all views", "first tensor", "verify"]
    for title, row in zip(titles, table[1:], strict=True):
        assert row.startswith(f"{title} ")
        assert " tensorbundle " in row
    assert closing.startswith("tensorbundle saved 20.0 MB durably in ")
    assert list(tmp_path.iterdir()) == []


def test_json_has_seconds_of_every_run(run, tmp_path):
    outcome = run(
        "demo", "--gb", "0.005", "--runs", "3", "--peers", "none", "--dir", tmp_path, "--json"
    )
    report = json.loads(outcome.out)
    assert [row["operation"] for row in report["rows"]] == list(steps.OPERATIONS)
    assert all(len(row["seconds"]) == 3 for row in report["rows"])
    assert report["failures"] == {}


@pytest.mark.parametrize("peer", ["torch", "safetensors", "tensorflow"])
def test_a_peer_runs_side_by_side(run, tmp_path, peer):
    pytest.importorskip(peer)
    outcome = run("demo", *SMALL, "--peers", peer, "--dir", tmp_path, "--json")
    report = json.loads(outcome.out)
    assert report["failures"] == {}
    operations = {row["operation"] for row in report["rows"] if row["engine"] == peer}
    assert {"save", "load", "load again", "first"} <= operations
    save = next(r for r in report["rows"] if (r["operation"], r["engine"]) == ("save", peer))
    own = next(r for r in report["rows"] if r["operation"] == "save")
    assert save["times_slower"] == pytest.approx(save["median"] / own["median"])
    assert f"{peer} took " in report["summary"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("failing_torch")
def test_a_peer_that_fails_gets_a_row_and_the_rest_goes_on(run, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "choose_peers", lambda text: ["torch"])
    outcome = run("demo", "--gb", "0.005", "--runs", "2", "--dir", tmp_path)
    assert outcome.status == 0
    row = next(row for row in outcome.out.splitlines() if row.startswith("failed"))
    assert "torch" in row
    assert row.endswith(r"save: RuntimeError: no \x1b luck")
    assert "run 2 of 2: tensorbundle" in outcome.err
    assert "run 2 of 2: torch" not in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_load_is_noticed(run, tmp_path, monkeypatch):
    real = peers.load

    def wrong(prefix, **options):
        loaded = real(prefix, **options)
        if not options:
            loaded["model.norm.weight"][0] += 1
        return loaded

    monkeypatch.setattr(peers, "load", wrong)
    outcome = run("demo", *SMALL, "--peers", "none", "--dir", tmp_path)
    assert outcome.status == 2
    assert "what was loaded is not what was saved" in outcome.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), KeyboardInterrupt()]
)
@pytest.mark.parametrize("operation", ["save", "load", "verify"])
def test_errors_and_ctrl_c_leave_nothing(run, tmp_path, monkeypatch, error, operation):
    real = getattr(peers, operation)

    def fail(*arguments, **options):
        real(*arguments, **options)
        raise error

    monkeypatch.setattr(peers, operation, fail)
    outcome = run("demo", *SMALL, "--peers", "none", "--dir", tmp_path)
    assert outcome.status == (130 if isinstance(error, KeyboardInterrupt) else 2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signals_leave_nothing(command, tmp_path, number, status):
    """A process that would run for days is stopped while it works on its second run."""
    process = subprocess.Popen(
        [*command, "demo", "--gb", "0.02", "--runs", "1000000", "--peers", "none",
         "--dir", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("run 2 of"):
            break
    assert len(list(tmp_path.iterdir())) == 1
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == status
    assert out == ""
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_signal_handlers_are_as_they_were(run, tmp_path):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    run("demo", *SMALL, "--peers", "none", "--dir", tmp_path)
    after = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert after == before


def test_a_disk_that_is_too_small_is_refused_before_anything(run, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=30_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    outcome = run("demo", *SMALL, "--peers", "none", "--dir", tmp_path)
    assert outcome.status == 2
    assert "40.0 MB of free disk space are needed, 30.0 MB are free" in outcome.err
    assert outcome.err.count("\n") == 1


def test_too_little_memory_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "available_memory", lambda: 1_000_000)
    outcome = run("demo", *SMALL, "--peers", "none", "--dir", tmp_path)
    assert outcome.status == 2
    assert "of memory are needed, 1.00 MB are available" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--gb", "0"], "--gb must be between"),
        (["--gb", "nan"], "--gb must be between"),
        (["--gb", "-1"], "--gb must be between"),
        (["--gb", "x"], "invalid float"),
        (["--runs", "0"], "positive"),
        (["--peers", "jax"], "'jax' is none of"),
        (["--peers", ""], "is none of"),
        (["--dir", "/nope"], "/nope: No such file"),
    ],
)
def test_bad_options_are_one_line(run, arguments, told):
    outcome = run("demo", *arguments)
    assert outcome.status == 2
    assert told in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_peer_that_is_not_installed_is_an_error_only_when_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert peers.choose_peers("auto") == []
    with pytest.raises(Exception, match="torch is not installed"):
        peers.choose_peers("torch")


def test_peers_are_taken_in_the_order_given():
    assert peers.choose_peers("none") == []
    if importlib.util.find_spec("torch") and importlib.util.find_spec("safetensors"):
        assert peers.choose_peers("safetensors, torch,torch") == ["safetensors", "torch"]


@pytest.mark.parametrize("gb", [0.001, 0.02, 2.0, 14.0])
def test_the_model_is_as_large_as_asked(gb):
    shapes = shapes_of(gb)
    size = 4 * sum(rows * (columns or [1])[0] for rows, *columns in shapes.values())
    assert size == pytest.approx(gb * 1e9, rel=0.01)
    assert len(shapes) == 84
    assert "model.layers.0.self_attn.q_proj.weight" in shapes
