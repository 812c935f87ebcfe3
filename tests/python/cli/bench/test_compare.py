"""Two results side by side: faster and slower only where runs do not overlap."""

from __future__ import annotations

import json

import pytest

from tensorbundle.cli.bench.compare import pairs_of
from tensorbundle.cli.bench.results import Settings
from tensorbundle.cli.errors import CommandError


def test_verdicts_are_of_the_runs_not_of_the_medians(make_row, make_result):
    def of(*lists):
        settings = [Settings("uring", num_threads=n) for n in (1, 2, 3)]
        return make_result(
            *[make_row("save", s, t) for s, t in zip(lists, settings, strict=True)]
        )

    before = of([1.0, 1.1, 1.2], [1.0, 1.1, 1.2], [1.0, 1.1, 1.2])
    after = of([0.8, 0.85, 0.9], [0.9, 1.0, 1.1], [1.3, 1.4, 1.5])
    assert [pair.verdict for pair in pairs_of(before, after)] == ["faster", "same", "slower"]
    assert pairs_of(before, after)[0].ratio == pytest.approx(0.85 / 1.1)


@pytest.mark.parametrize("runs", [1, 2])
def test_a_run_or_two_give_no_verdict(make_row, make_result, runs):
    many = make_result(make_row("save", [1.0, 1.1, 1.2], Settings("uring")))
    few = make_result(make_row("save", [0.5] * runs, Settings("uring")))
    assert [pair.verdict for pair in pairs_of(many, few)] == ["unknown"]
    assert [pair.verdict for pair in pairs_of(few, many)] == ["unknown"]


def test_a_verdict_that_is_unknown_is_explained(run, result, tmp_path):
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    paths[0].write_text(json.dumps(result.as_dict()))
    result.rows[1].seconds.pop()
    paths[1].write_text(json.dumps(result.as_dict()))
    out = run("bench", "--compare", *paths).out
    assert any(line.endswith("  unknown") for line in out.splitlines())
    assert "; unknown: one of them has fewer than 3;" in out.splitlines()[-1]


def test_one_place_is_compared_with_another(make_row, make_result):
    before = make_result(make_row("save", [1.0], Settings("uring")))
    after = make_result(make_row("save", [2.0], Settings("uring"), path="/disk"))
    after.rows[0].path = "/other"
    assert len(pairs_of(before, after)) == 1


def test_durable_is_not_compared_with_not_durable(make_row, make_result):
    before = make_result(make_row("save", [1.0], Settings("uring")))
    after = make_result(make_row("save", [1.0], Settings("uring"), durable=False))
    with pytest.raises(CommandError, match="no row in common"):
        pairs_of(before, after)


def test_the_command_prints_pairs_and_counts_the_rest(run, result, tmp_path):
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    paths[0].write_text(json.dumps(result.as_dict()))
    result.rows.pop()
    paths[1].write_text(json.dumps(result.as_dict()))
    outcome = run("bench", "--compare", *paths)
    assert outcome.status == 0
    lines = outcome.out.splitlines()
    assert lines[0].split()[0] == "operation"
    assert any("uring, 4 threads" in line and line.endswith("1.00  same") for line in lines)
    assert "without a counterpart" in lines[-1]


def test_json_has_the_pairs_and_their_runs(run, result, tmp_path):
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    paths[0].write_text(json.dumps(result.as_dict()))
    dropped = result.rows.pop()
    paths[1].write_text(json.dumps(result.as_dict()))
    outcome = run("bench", "--compare", *paths, "--json")
    assert outcome.status == 0
    found = json.loads(outcome.out)
    assert set(found) == {"before", "after", "pairs", "unmatched"}
    assert (found["before"], found["after"]) == tuple(map(str, paths))
    pair = found["pairs"][0]
    assert set(pair) == {"operation", "engine", "workload", "path", "settings", "durable",
                         "before_seconds", "after_seconds", "ratio", "verdict"}  # fmt: skip
    assert pair["before_seconds"] == pair["after_seconds"]
    assert (pair["ratio"], pair["verdict"]) == (1, "same")
    assert found["unmatched"] >= 1, dropped


def test_what_cannot_be_compared_is_one_line(run, tmp_path):
    outcome = run("bench", "--compare", tmp_path / "a", tmp_path / "b")
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
