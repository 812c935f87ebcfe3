"""tb.Checkpoint and tf.train.Checkpoint: the same bytes, and each restores the other's."""

from __future__ import annotations

import numpy as np
import pytest

import tensorbundle as tb
from tensorbundle.object_graph import OBJECT_GRAPH_KEY, decode

from .helpers import assert_all_same, assert_same
from .tensorflow_objects import (
    first_version_optimizer,
    model_and_optimizer,
    module,
    others,
    structures,
)

EVERYTHING = [model_and_optimizer, module, structures, others, first_version_optimizer]


def values(tf, objects, prefix):
    """Give all values of objects, by means of TensorFlow."""
    found = dict(tb.load(tf.train.Checkpoint(**objects).write(prefix)))
    del found[OBJECT_GRAPH_KEY]
    return found


@pytest.mark.parametrize("make", EVERYTHING)
def test_the_same_objects_make_the_same_graph_and_tensors(tf, prefix, make):
    objects = make(tf, 3)
    theirs = tb.load(tf.train.Checkpoint(**objects).save(prefix + "-theirs"))
    ours = tb.load(tb.Checkpoint(**objects).save(prefix + "-ours"))
    assert list(ours) == list(theirs)
    assert decode(ours[OBJECT_GRAPH_KEY].item()) == decode(theirs[OBJECT_GRAPH_KEY].item())
    assert_all_same(ours, theirs)


@pytest.mark.parametrize("make", EVERYTHING)
def test_tensorflow_restores_what_we_save(tf, prefix, make):
    path = tb.Checkpoint(**make(tf, 3)).save(prefix)
    target = make(tf, 4)
    tf.train.Checkpoint(**target).restore(path).assert_consumed()
    assert_all_same(values(tf, target, prefix + "-x"), values(tf, make(tf, 3), prefix + "-y"))


@pytest.mark.parametrize("make", EVERYTHING)
@pytest.mark.parametrize("staged", [True, False])
def test_we_restore_what_tensorflow_saves(tf, prefix, make, staged, monkeypatch):
    if not staged:
        monkeypatch.setattr("tensorbundle.checkpoint.restoring._STAGED_BYTES", 0)
    path = tf.train.Checkpoint(**make(tf, 3)).save(prefix)
    target = make(tf, 4)
    tb.Checkpoint(**target).restore(path).assert_consumed()
    assert_all_same(values(tf, target, prefix + "-x"), values(tf, make(tf, 3), prefix + "-y"))


def test_a_root_and_what_is_beside_it_make_the_same_graph(tf, prefix):
    root, step = module(tf, 3)["net"], tf.Variable(5)
    theirs = tb.load(tf.train.Checkpoint(root, step=step).save(prefix + "-theirs"))
    path = tb.Checkpoint(root, step=step).save(prefix + "-ours")
    assert_all_same(tb.load(path), theirs)
    target, other_step = module(tf, 4)["net"], tf.Variable(0)
    tf.train.Checkpoint(target, step=other_step).restore(path).assert_consumed()
    assert other_step.numpy() == 5
    tb.Checkpoint(target, step=other_step.assign(0)).restore(path).assert_consumed()
    assert other_step.numpy() == 5


def test_plain_structures_and_trackables_take_each_others_values(tf, prefix):
    plain = {"net": {"w": np.ones((2, 3), np.float32), "parts": [np.float32(5)]}, "step": 7}
    path = tb.Checkpoint(**plain).save(prefix)
    net = tf.Module()
    net.w, net.parts = tf.Variable(tf.zeros((2, 3))), [tf.Variable(0.0)]
    step = tf.Variable(0, dtype=tf.int64)
    tf.train.Checkpoint(net=net, step=step).restore(path).assert_consumed()
    assert (net.w.numpy().sum(), net.parts[0].numpy(), step.numpy()) == (6, 5, 7)
    net.w.assign_add(net.w)
    path = tf.train.Checkpoint(net=net, step=step).save(prefix + "-theirs")
    checkpoint = tb.Checkpoint(**plain)
    checkpoint.restore(path).assert_consumed()
    assert_same(plain["net"]["w"], np.full((2, 3), 2, np.float32))


def test_a_model_built_later_takes_its_values_as_it_is_built(tf, prefix):
    saved = model_and_optimizer(tf, 3)
    path = tf.train.Checkpoint(**saved).save(prefix)
    later = model_and_optimizer(tf, 4, built=False)
    status = tb.Checkpoint(**later).restore(path)
    later["model"].build((None, 3))
    for found, expected in zip(later["model"].weights, saved["model"].weights, strict=True):
        assert_same(found.numpy(), expected.numpy())
    later["optimizer"].build(later["model"].trainable_variables)
    assert status.assert_consumed().report().ok


def test_a_part_is_restored_from_a_checkpoint_of_more(tf, prefix):
    saved = model_and_optimizer(tf, 3)
    path = tf.train.Checkpoint(**saved).save(prefix)
    model = model_and_optimizer(tf, 4)["model"]
    status = tb.Checkpoint(model=model).restore(path).assert_existing_objects_matched()
    assert_same(model.weights[0].numpy(), saved["model"].weights[0].numpy())
    assert all(name.startswith("optimizer/") for name in status.report().unexpected)


def test_another_shape_or_dtype_changes_no_variable(tf, prefix):
    path = tb.Checkpoint(a=tf.Variable([1.0, 2.0]), b=tf.Variable([1.0])).write(prefix)
    a = tf.Variable([0.0, 0.0])
    for b, told in ((tf.Variable([[1.0]]), r"\(1,\) in the checkpoint, \(1, 1\) here"),
                    (tf.Variable([1]), "float32 in the checkpoint, int32 here")):  # fmt: skip
        with pytest.raises(tb.RestoreMismatchError, match=told):
            tb.Checkpoint(a=a, b=b).read(path)
        assert a.numpy().tolist() == [0.0, 0.0]


def test_names_of_own_tensors_are_escaped_once(tf, prefix):
    class Own(tf.train.experimental.PythonState.__mro__[1]):
        def __init__(self, value):
            self.value = tf.constant(value)

        def _serialize_to_tensors(self):
            return {"y/z.w": self.value}

        def _restore_from_tensors(self, restored):
            self.value = restored["y/z.w"]

    path = tb.Checkpoint(own=Own(3)).write(prefix)
    assert "own/.ATTRIBUTES/y.Sz..w" in tb.open(path)
    target = Own(0)
    tb.Checkpoint(own=target).read(path).assert_consumed()
    assert target.value.numpy() == 3
    # What TensorFlow wrote, and cannot restore, we do.
    path = tf.train.Checkpoint(own=Own(4)).write(prefix + "-theirs")
    tb.Checkpoint(own=target).read(path).assert_consumed()
    assert target.value.numpy() == 4


def test_python_state_is_restored(tf, prefix):
    class Words(tf.train.experimental.PythonState):
        def __init__(self, words):
            self.words = words

        def serialize(self):
            return self.words

        def deserialize(self, words):
            self.words = words

    path = tb.Checkpoint(words=Words(b"saved")).write(prefix)
    for checkpoint in (tb.Checkpoint, tf.train.Checkpoint):
        target = Words(b"")
        checkpoint(words=target).read(path).assert_consumed()
        assert target.words == b"saved"


def test_an_object_that_refuses_its_value_takes_all_back(tf, prefix):
    class Words(tf.train.experimental.PythonState):
        def __init__(self, words, refuses=False):
            self.words, self.refuses = words, refuses

        def serialize(self):
            return self.words

        def deserialize(self, words):
            if self.refuses:
                raise RuntimeError("not that")
            self.words = words

    table = others(tf, 3)["table"]
    path = tb.Checkpoint(a=Words(b"3"), b=Words(b"3"), n=3, t=table, v=tf.Variable(3)).save(
        prefix
    )
    a, table, v = Words(b"4"), others(tf, 4)["table"], tf.Variable(4)
    checkpoint = tb.Checkpoint(a=a, b=Words(b"4", refuses=True), n=4, t=table, v=v)
    with pytest.raises(RuntimeError, match="not that"):
        checkpoint.restore(path)
    assert (a.words, checkpoint.n, v.numpy()) == (b"4", 4, 4)
    assert table.export()[1].numpy().tolist() == [4]


def test_a_roots_own_counter_counts(tf, prefix):
    inner = tf.train.Checkpoint(w=tf.Variable(1.0))
    inner.save_counter.assign(4)
    checkpoint = tb.Checkpoint(inner)
    path = checkpoint.save(prefix)
    assert path == prefix + "-5"
    assert inner.save_counter.numpy() == checkpoint.save_counter == 5
    tf.train.Checkpoint(w=tf.Variable(0.0)).restore(path).assert_consumed()


def test_a_saved_model_is_restored_by_its_directory(tf, tmp_path):
    saved, target = tf.Module(), tf.Module()
    saved.w, target.w = tf.Variable([3.0]), tf.Variable([0.0])
    tf.saved_model.save(saved, str(tmp_path / "model"))
    tb.Checkpoint(target).restore(tmp_path / "model")
    assert target.w.numpy() == [3.0]


def test_iterators_go_on_where_they_were(tf, prefix):
    def iterator(number):
        made = iter(tf.data.Dataset.range(100).shuffle(10, seed=1).batch(2))
        for _ in range(number):
            next(made)
        return made

    path = tb.Checkpoint(iterator=iterator(3)).write(prefix)
    expected = next(iterator(3)).numpy().tolist()
    for kind in (tb.Checkpoint, tf.train.Checkpoint):
        target = iterator(0)
        kind(iterator=target).read(path).assert_consumed()
        assert next(target).numpy().tolist() == expected


def test_an_iterator_is_taken_back_if_another_object_refuses(tf, prefix):
    class Refuses:
        def state_dict(self):
            return {"a": 1}

        def load_state_dict(self, state):
            raise RuntimeError("no")

    saved = iter(tf.data.Dataset.range(100))
    path = tb.Checkpoint(a=saved, b=Refuses()).write(prefix)
    target = iter(tf.data.Dataset.range(100))
    for _ in range(7):
        next(target)
    with pytest.raises(RuntimeError, match="no"):
        tb.Checkpoint(a=target, b=Refuses()).read(path)
    assert next(target).numpy() == 7
