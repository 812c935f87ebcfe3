"""Intervals between checkpoints, counted in steps."""

from __future__ import annotations

import numpy as np
import pytest

from tensorbundle.step_interval import StepInterval, as_step


def test_the_next_is_due_after_so_many_steps():
    step = np.array(0)
    interval = StepInterval(3, step, None)
    assert interval.is_over()
    interval.begin()
    due = []
    for now in range(1, 5):
        step[...] = now
        due.append((interval.is_over(), interval.is_over(check=False)))
    assert due == [(False, True), (False, True), (True, True), (True, True)]
    interval.begin()
    assert not interval.is_over(check=False)


def test_the_last_step_may_be_known():
    assert not StepInterval(3, lambda: 6, 5).is_over()
    assert StepInterval(3, lambda: 8, 5).is_over()


def test_without_an_interval_it_is_always_time():
    interval = StepInterval(None, None, 5)
    interval.begin()
    assert interval.is_over()
    with pytest.raises(ValueError, match="step_counter"):
        StepInterval(3, None, None)


def test_what_is_no_step_is_told():
    for value, error in [("x", ValueError), (None, TypeError), ([1], TypeError)]:
        with pytest.raises(error, match="step_counter must be an integer, or a variable"):
            as_step(value)


def test_steps_are_read_from_anything(tf, torch):
    import keras

    for value in (7, np.int64(7), np.array(7), lambda: 7, tf.Variable(7), torch.tensor(7),
                  keras.Variable(7, dtype="int32")):  # fmt: skip
        assert as_step(value) == 7
