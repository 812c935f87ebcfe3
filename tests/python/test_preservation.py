"""Rules about which checkpoints stay."""

from __future__ import annotations

import math

import pytest

import tensorbundle as tb
from tensorbundle.preservation import plain_policies, ranked

LOSSES = [3.0, 1.0, math.nan, 2.0, 1.0, math.inf, -math.inf]
SAVED = [
    *(tb.SavedCheckpoint(f"c-{i}", i, 100.0 * i, {"loss": x}) for i, x in enumerate(LOSSES)),
    tb.SavedCheckpoint("c-7", 7, 700.0),
    tb.SavedCheckpoint("c-8", 8, 800.0, {"other": 0.0}),
]


def steps(checkpoints):
    return [saved.step for saved in checkpoints]


def test_the_newest_are_the_last():
    assert steps(tb.LatestN(2)(SAVED)) == [7, 8]
    assert steps(tb.LatestN(99)(SAVED)) == list(range(9))
    assert steps(tb.KeepAll()(SAVED)) == list(range(9))


def test_the_best_come_first_and_nan_never():
    assert steps(ranked(SAVED, "loss")) == [6, 1, 4, 3, 0, 5]
    assert steps(ranked(SAVED, "loss", "max")) == [5, 0, 3, 1, 4, 6]
    assert steps(tb.BestN(2, "loss")(SAVED)) == [6, 1]
    assert steps(tb.BestN(9, "gone")(SAVED)) == []


def test_the_best_may_be_a_functions():
    best = tb.BestN(2, lambda metrics: abs(metrics.get("loss", math.nan) - 2.1))
    assert steps(best(SAVED)) == [3, 0]


def test_some_stay_for_their_step_or_their_time():
    assert [s.step for s in SAVED if tb.EveryNSteps(3).wants(s, 0)] == [0, 3, 6]
    assert not tb.EveryNSteps(3).wants(tb.SavedCheckpoint("x", None, 0), 0)
    hour = tb.EveryNHours(1 / 36)  # 100 seconds
    assert [s.step for s in SAVED if hour.wants(s, 500.0)] == [6, 7, 8]


@pytest.mark.parametrize(
    "make",
    [
        lambda: tb.LatestN(0),
        lambda: tb.LatestN(True),
        lambda: tb.BestN(0, "loss"),
        lambda: tb.BestN(1, "loss", "best"),
        lambda: tb.EveryNSteps(-1),
        lambda: tb.EveryNHours(0),
        lambda: ranked([], "loss", "best"),
        lambda: plain_policies(0, None, None, None, None),
        lambda: plain_policies(None, None, None, 1, None),
        lambda: plain_policies(None, None, tb.BestN(1, "x"), 0, None),
    ],
)
def test_what_is_out_of_range_is_refused(make):
    with pytest.raises(ValueError):
        make()


def test_plain_options_become_rules():
    best = tb.BestN(1, "loss", "max")
    assert plain_policies(None, None, None, None, None) == []
    assert plain_policies(None, 2, best, None, None) == []
    assert plain_policies(3, 2, None, None, None) == [tb.LatestN(3), tb.EveryNHours(2)]
    assert plain_policies(3, None, best, None, None) == [tb.LatestN(3), best]
    assert plain_policies(None, None, best, 2, None) == [tb.BestN(2, "loss", "max")]
    assert plain_policies(None, None, None, None, tb.LatestN(1)) == [tb.LatestN(1)]
    several = (tb.EveryNSteps(5), tb.KeepAll())
    assert plain_policies(2, None, None, None, several) == [tb.LatestN(2), *several]
