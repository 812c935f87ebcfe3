"""The examples run, with small sizes, and show what they say."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"

# Examples with a test in another file.
ELSEWHERE: set[str] = set()


@pytest.fixture
def example(torch, request, monkeypatch, tmp_path):
    """Import the example that the test is named for, in an empty directory."""
    name = request.node.name.removeprefix("test_")
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)  # what spawn looks up
    monkeypatch.syspath_prepend(str(EXAMPLES))
    spec.loader.exec_module(module)
    return module


def test_every_example_has_a_test():
    names = {path.stem for path in EXAMPLES.glob("*.py")} - ELSEWHERE
    assert {f"test_{name}" for name in names} <= set(globals())
    assert names


def test_resume_after_kill(example):
    assert example.main(["--steps", "8", "--kills", "1"])


def test_finetune_from_tensorflow(example, tf):
    first, last = example.main(["--steps", "10"])
    assert last < first


def test_transfer_learning(example):
    assert example.main(["--steps", "5"]) == ["head.weight", "head.bias"]


def test_serve_mmap(example):
    told = example.main(["--processes", "2", "--mb", "12"])
    assert len({row["answer"] for row in told}) == 1
    for row in told:
        assert row["shared"] >= 10
        assert row["private"] <= 1


def test_keep_the_best(example, capsys):
    losses, restored = example.main([])
    best = losses.index(min(losses)) + 1
    assert 1 < best < len(losses) - 2  # neither the first nor among the newest
    assert losses[0] > 1.2 * restored < losses[-1]
    assert restored == min(losses)
    kept = [line.split()[0] for line in capsys.readouterr().out.splitlines()[:-2]]
    assert kept == [f"ckpt-{step}" for step in (best, len(losses) - 1, len(losses))]


def test_async_training(example, tmp_path):
    pytest.importorskip("plotly", reason="plotly is not installed")
    times = example.main(
        ["--steps", "4", "--every", "2", "--width", "64", "--plot", "plot.html"]
    )
    assert [len(seconds) for seconds in times.values()] == [4, 4]
    assert "plotly" in (tmp_path / "plot.html").read_text().lower()
