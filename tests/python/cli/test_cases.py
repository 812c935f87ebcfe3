"""Cases take turns, fail alone, and stop in time."""

from __future__ import annotations

import math

from tensorbundle.cli import cases
from tensorbundle.cli.cases import Case, interleave


def quiet(title):
    pass


def test_cases_take_turns_after_a_round_that_is_not_measured():
    order = []
    made = [Case(n, lambda n=n: order.append(n)) for n in "ab"]
    assert interleave(made, 2, begin=quiet, wait=0) == 2
    assert order == ["a", "b"] * 3
    assert [len(case.seconds) for case in made] == [2, 2]


def test_without_warm_up_every_round_is_measured():
    case = Case("a", lambda: 7.0, own_clock=True, keep=lambda result: result + 1)
    interleave([case], 3, begin=quiet, warm_up=False, wait=0)
    assert (case.seconds, case.notes, case.median) == ([7.0] * 3, [8.0] * 3, 7.0)


def test_a_case_that_fails_is_left_out_and_the_rest_goes_on():
    def fail():
        raise RuntimeError("no luck\nsecond line")

    made = [Case("bad", fail), Case("good", lambda: None)]
    titles = []
    interleave(made, 2, begin=titles.append, wait=0)
    assert made[0].failure == "RuntimeError: no luck"
    assert math.isnan(made[0].median)
    assert titles == ["0/2 bad", "0/2 good", "1/2 good", "2/2 good"]


def test_no_round_begins_that_would_end_too_late(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(cases.time, "monotonic", lambda: now[0])

    def work():
        now[0] += 10

    case = Case("a", work)
    assert interleave([case], 9, begin=quiet, warm_up=False, most_seconds=35, wait=0) == 3
    case = Case("a", work)
    assert interleave([case], 9, begin=quiet, warm_up=False, most_seconds=1, wait=0) == 1


def test_busy_processors_are_noted(monkeypatch):
    ticks = iter([(0, 0), (0, 100)])
    monkeypatch.setattr(cases, "_processor_ticks", lambda: next(ticks))
    monkeypatch.setattr(cases, "_LOOK_SECONDS", 0.01)
    case = Case("a", lambda: None)
    interleave([case], 1, begin=quiet, warm_up=False, wait=0.001)
    assert case.num_busy == 1
