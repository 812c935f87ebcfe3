"""``tensorbundle diff``."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tensorbundle as tb


@pytest.fixture
def pair(tmp_path):
    tb.save(tmp_path / "a", {"same": np.ones(3), "gone": np.ones(2), "w": np.zeros((2, 2))})
    w = np.array([[0, 0.5], [0, 0]])
    tb.save(tmp_path / "b", {"same": np.ones(3), "new\x07": np.ones(2), "w": w})
    return str(tmp_path / "a"), str(tmp_path / "b")


def test_the_exit_status_is_that_of_diff(run, pair, tmp_path):
    assert run("diff", pair[0], pair[0]).status == 0
    assert run("diff", *pair).status == 1
    assert run("diff", pair[0], tmp_path / "none").status == 2
    (tmp_path / "b.index").write_bytes(b"anything" * 20)
    outcome = run("diff", *pair)
    assert outcome.status == 2  # where verify would say 1
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1


def test_differences_are_listed(run, pair):
    lines = run("diff", *pair).out.splitlines()
    assert [line.split() for line in lines[1:4]] == [
        ["removed", "gone", "float64", "(2,)"],
        ["added", "new\\x07", "float64", "(2,)"],
        ["different", "w", "float64", "(2,", "2)"],
    ]
    assert lines[-1] == "1 removed, 1 added, 1 different, 1 with the same checksum"
    assert run("diff", pair[0], pair[0]).out == "3 with the same checksum\n"


def test_values_are_compared_where_asked_for(run, pair, tmp_path):
    assert "1 of 4 elements unequal, by 0.5 at most" in run("diff", *pair, "--values").out
    tb.save(tmp_path / "a", {"w": np.ones(1)})
    tb.save(tmp_path / "b", {"w": np.ones(1) + 1e-9})
    assert run("diff", *pair, "--values").status == 1
    assert run("diff", *pair, "--values", "--rtol", "1e-6").status == 0
    outcome = run("diff", *pair, "--values", "--atol", "1e-6")
    assert outcome.status == 0
    assert "1 of 1 element unequal, by 1e-09 at most, 0 beyond the tolerance" in outcome.out
    assert outcome.out.endswith("1 different; by their values 0 of 1 differ\n")


def test_json_has_all_of_it(run, pair):
    outcome = run("diff", *pair, "--values", "--json")
    found = json.loads(outcome.out)
    assert outcome.status == 1
    assert (found["a"], found["b"], found["same"]) == (*pair, False)
    assert found["added"] == [{"name": "new\x07", "dtype": "float64", "shape": [2]}]
    assert found["same_checksum"] == ["same"]
    assert found["values"][0]["num_outside"] == 1


def test_wrong_usage_is_told(run, pair):
    for arguments in (
        ["--rtol", "1"],
        ["--values", "--atol", "-1"],
        ["--values", "--rtol", "x"],
    ):
        assert run("diff", *pair, *arguments).status == 2
