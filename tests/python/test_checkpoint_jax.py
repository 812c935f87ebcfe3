"""tb.Checkpoint with JAX arrays and pytrees, which cannot be changed in place."""

from __future__ import annotations

import dataclasses
from collections import namedtuple

import numpy as np
import pytest

import tensorbundle as tb

Moments = namedtuple("Moments", "mu nu")


@pytest.fixture(scope="module")
def state(jax):
    @jax.tree_util.register_dataclass
    @dataclasses.dataclass(frozen=True)
    class Params:
        w: jax.Array
        b: jax.Array

    def make(number):
        full = jax.numpy.full
        return {
            "params": Params(full((2,), number, jax.numpy.bfloat16), full((3,), number)),
            "optimizer": (Moments(full((2,), number), {"x": full((), number)}), ()),
            "step": number,
        }

    return make


@pytest.mark.parametrize("staged", [True, False])
def test_a_pytree_comes_back_in_the_same_outer_dict(jax, prefix, state, staged, monkeypatch):
    if not staged:
        monkeypatch.setattr("tensorbundle.checkpoint.restoring._STAGED_BYTES", 0)
    path = tb.Checkpoint(state=state(1)).save(prefix)
    target = state(2)
    inner = target["optimizer"][0].nu
    tb.Checkpoint(state=target).restore(path).assert_consumed()
    assert jax.tree_util.tree_structure(target) == jax.tree_util.tree_structure(state(1))
    for found, expected in zip(
        *map(jax.tree_util.tree_leaves, (target, state(1))), strict=True
    ):
        assert np.array_equal(found, expected)
        assert np.asarray(found).dtype == np.asarray(expected).dtype
    assert target["optimizer"][0].nu is inner


def test_another_shape_changes_nothing(jax, prefix, state):
    path = tb.Checkpoint(state=state(1)).save(prefix)
    target = state(2)
    target["optimizer"] = (Moments(jax.numpy.zeros(5), {}), ())
    with pytest.raises(
        tb.RestoreMismatchError, match=r"\(2,\) in the checkpoint, \(5,\) here"
    ):
        tb.Checkpoint(state=target).restore(path)
    assert target["step"] == 2
