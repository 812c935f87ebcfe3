"""What a manager can save: things that save themselves, and plain values."""

from __future__ import annotations

import numpy as np
import pytest

import tensorbundle as tb
from tensorbundle.managed_state import managed_state


class SelfSaving:
    """Has what is asked for, and notes what is called."""

    def __init__(self):
        self.calls = []

    def write(self, prefix, **options):
        self.calls.append(("write", prefix, options))

    def restore(self, prefix):
        return f"restored {prefix}"

    def sync(self):
        self.calls.append("sync")


def test_an_object_is_asked_to_save_itself():
    value = SelfSaving()
    state = managed_state(value, {"alignment": 1})
    state.write("a", None)
    state.write("b", {"x": 1})
    assert value.calls == [("write", "a", {}), ("write", "b", {"x": 1})]
    assert state.restore("a") == "restored a"
    assert state.next_number() is None
    state.undo_number()
    state.wait()  # sync() is another word for it in TensorFlow only
    assert len(value.calls) == 2


def test_tensorflows_saves_are_synced(tf, monkeypatch):
    calls = []
    monkeypatch.setattr(tf.train.Checkpoint, "sync", lambda self: calls.append(1))
    managed_state(tf.train.Checkpoint(), {}).wait()
    assert calls == [1]


def test_a_counter_that_is_set_by_a_method(prefix):
    class Counting(SelfSaving):
        def __init__(self):
            super().__init__()
            self._count = 4

        save_counter = property(lambda self: self._count)

        def set_save_counter(self, number):
            self._count = number

    value = Counting()
    state = managed_state(value, {})
    assert state.next_number() == 5 and value.save_counter == 5
    state.undo_number()
    assert value.save_counter == 4


def test_values_are_saved_with_the_options_given(prefix):
    state = managed_state({"a": np.arange(3), "b": {"c": 1.5}}, {"num_shards": 2})
    state.write(prefix, {"num_shards": 3, "alignment": 1})
    assert tb.load(prefix).keys() == {"a", "b/c"}
    assert state.restore(prefix)["b/c"] == 1.5
    assert state.next_number() is None


@pytest.mark.parametrize("value", [3, "text", [object()]], ids=repr)
def test_nothing_else_is_taken(value):
    with pytest.raises(TypeError):
        managed_state(value, {})
