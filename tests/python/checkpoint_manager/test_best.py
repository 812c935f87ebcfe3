"""Metrics, and which checkpoint is the best."""

from __future__ import annotations

import math

import pytest

import tensorbundle as tb

from ..helpers import listed
from .managers import Counted, manage, names, prefixes


def test_the_best_and_the_newest_stay(run):
    manager = manage(run, 2, monitor="loss", keep_best=2)
    for loss in (3, 1, 4, 1, math.nan, 5, 2, math.nan):
        manager.save(metrics={"loss": loss})
    assert names(manager.checkpoints) == ["ckpt-2", "ckpt-4", "ckpt-7", "ckpt-8"]
    assert prefixes(run) == ["ckpt-2", "ckpt-4", "ckpt-7", "ckpt-8"]
    assert manager.best_checkpoint == str(run / "ckpt-2")
    assert manager.metrics(7) == {"loss": 2}
    assert sum(name.endswith(".metrics.json") for name in listed(run)) == 4


def test_one_best_stays_where_something_is_monitored(run):
    manager = manage(run, 1, best_fn=lambda metrics: metrics["a"] + metrics["b"], mode="max")
    for a in (1, 5, 2, 3):
        manager.save(metrics={"a": a, "b": 1})
    assert names(manager.checkpoints) == ["ckpt-2", "ckpt-4"]
    assert manager.restore("best")


def test_a_metric_that_is_nan_is_never_the_best(run):
    manager = manage(run, monitor="loss", mode="max")
    manager.save(metrics={"loss": math.nan})
    manager.save()
    assert manager.best_checkpoint is None
    manager.save(metrics={"loss": -math.inf})
    assert manager.best_checkpoint == str(run / "ckpt-3")


def test_metrics_survive_a_resume_and_a_move(run, tmp_path, clock):
    options = {"monitor": "loss", "keep_best": 1, "keep_checkpoint_every_n_hours": 1}
    manager = manage(run, 1, **options)
    for loss in (3, 1, 2, 5):
        clock.now += 3600
        manager.save(metrics={"loss": loss})
    manager.close()
    moved = tmp_path / "moved"
    run.rename(moved)
    again = manage(moved, 1, **options)
    # Older than those that were kept for good meanwhile, and still counted.
    assert names(again.checkpoints) == ["ckpt-2", "ckpt-4"]
    assert again.best_checkpoint == str(moved / "ckpt-2")
    again.save(metrics={"loss": 0})
    assert again.best_checkpoint == str(moved / "ckpt-5")
    assert names(again.checkpoints) == ["ckpt-5"]


def test_one_kept_for_good_may_be_the_best(run):
    manager = manage(run, 1, monitor="loss", policy=tb.EveryNSteps(2))
    for loss in (5, 0, 3, 1):
        manager.save(metrics={"loss": loss})
    assert manager.best_checkpoint == str(run / "ckpt-2")
    manager.save(metrics={"loss": 4})
    assert manager.all_steps() == [2, 4, 5]


def test_a_metric_is_checked_before_anything_is_written(run):
    manager = manage(run, monitor="loss")
    for metrics in ({"los": 1.0}, {"loss": None}, {"loss": 1, "x": "?"}):
        with pytest.raises((ValueError, TypeError)):
            manager.save(metrics=metrics)
    assert not run.exists()


def test_a_replaced_checkpoint_loses_its_metrics(run):
    manager = manage(run, monitor="loss")
    manager.save(5, metrics={"loss": 1.0})
    manager.save(5)
    assert manager.metrics(5) == {} and manager.best_checkpoint is None


def test_one_that_was_replaced_before_ctrl_c_has_not_the_metrics_of_another(run):
    counted = Counted()
    with manage(run, value=counted, monitor="loss") as manager:
        manager.save(5, metrics={"loss": 1.0})
        counted.fails_late = True
        with pytest.raises(KeyboardInterrupt):
            manager.save(5, metrics={"loss": 2.0})
    assert manage(run, value=counted, monitor="loss").metrics(5) == {}


def test_one_that_could_not_be_replaced_keeps_its_metrics(run):
    counted = Counted()
    manager = manage(run, value=counted, monitor="loss")
    manager.save(5, metrics={"loss": 1.0})
    counted.fails = True
    with pytest.raises(OSError, match="full"):
        manager.save(5, metrics={"loss": 2.0})
    assert manager.metrics(5) == {"loss": 1.0}
    manager.close()
    assert manage(run, value=counted, monitor="loss").metrics(5) == {"loss": 1.0}


def test_numbers_with_zeros_before_them_are_others(run):
    tb.save(run / "ckpt-007", {"a": 1})
    manager = manage(run)
    assert manager.save() == str(run / "ckpt-1") and manager.all_steps() == [1]
