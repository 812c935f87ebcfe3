"""Saving and restoring: what is managed, under which number, and when."""

from __future__ import annotations

import itertools
from types import MappingProxyType

import numpy as np
import pytest

import tensorbundle as tb

from .managers import Counted, manage, prefixes, state


def test_a_mapping_is_saved_and_restored_in_place(run):
    value = state()
    manager = manage(run, value=value)
    assert manager.latest_checkpoint is None and manager.restore_or_initialize() is None
    for step in (1, 2):
        value["w"][:] = step
        assert manager.save() == str(run / f"ckpt-{step}")
    manager.close()
    other = state()
    again = manage(run, value=other)
    assert again.restore_or_initialize() == str(run / "ckpt-2")
    assert other["w"].tolist() == [2, 2, 2]
    restored = again.restore(1)
    assert other["w"].tolist() == [1, 1, 1] and restored["w"] is other["w"]
    assert again.save() == str(run / "ckpt-3")
    assert again.all_steps() == [1, 2, 3]


def test_jax_arrays_and_numbers_are_restored_where_they_are(jax, run):
    value = {"w": jax.numpy.ones(2), "inner": {"step": 5, "name": "a"}}
    manage(run, value=value).save()
    value = {"w": jax.numpy.zeros(2), "inner": {"step": 0, "name": ""}}
    assert manage(run, value=value).restore_or_initialize() == str(run / "ckpt-1")
    assert isinstance(value["w"], jax.Array) and value["w"].tolist() == [1, 1]
    assert value["inner"] == {"step": 5, "name": "a"}


def test_what_cannot_be_restored_where_it_is_is_told(run, caplog):
    manage(run, value=MappingProxyType({"step": 5})).save()
    manage(run, value=MappingProxyType({"step": 0})).restore_or_initialize()
    assert "only returned:\n  step" in caplog.text


def test_a_function_is_asked_for_each_save(run):
    count = itertools.count(5)
    manager = tb.CheckpointManager(lambda: {"n": next(count)}, run)
    manager.save()
    manager.save()
    assert manager.restore()["n"] == 6 and manager.restore(1)["n"] == 5


def test_models_are_restored_in_place(torch, tf, tmp_path):
    import keras

    net = torch.nn.Linear(2, 1)
    manager = manage(tmp_path / "torch", value=net)
    before = net.weight.tolist()
    manager.save()
    torch.nn.init.zeros_(net.weight)
    manager.restore()
    assert net.weight.tolist() == before
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    manager = manage(tmp_path / "keras", value=model)
    manager.save()
    model.layers[0].kernel.assign(np.zeros((2, 1)))
    manager.restore()
    assert model.layers[0].kernel.numpy().any()


def test_tensorflows_checkpoint_is_managed_and_found_by_it(tf, run):
    v = tf.Variable(1.0)
    checkpoint = tf.train.Checkpoint(v=v)
    manager = manage(run, 2, value=checkpoint)
    for step in (1, 2, 3):
        v.assign(step)
        manager.save(options=tf.train.CheckpointOptions())
    assert int(checkpoint.save_counter) == 3 and prefixes(run) == ["ckpt-2", "ckpt-3"]
    v.assign(0)
    manager.restore(2)
    assert v.numpy() == 2 and int(checkpoint.save_counter) == 2
    theirs = tf.train.CheckpointManager(checkpoint, str(run), 2)
    assert theirs.latest_checkpoint == str(run / "ckpt-3")
    assert theirs.checkpoints == manager.checkpoints


class Waiting:
    waited = 0
    synced = 0

    def write(self, prefix):
        tb.save(prefix, {"a": 1})

    def restore(self, prefix):
        return prefix

    def wait(self):
        self.waited += 1

    def sync(self):
        self.synced += 1


def test_what_is_under_way_is_waited_for(run):
    waiting = Waiting()
    with manage(run, value=waiting) as manager:
        assert manager.save() == manager.restore()
        manager.wait()
    assert (waiting.waited, waiting.synced) == (2, 0)


def test_an_object_counts_its_saves(run):
    counted = Counted()
    manager = manage(run, value=counted)
    manager.save()
    assert manager.save(100) == str(run / "ckpt-100")
    assert manager.save(options={"num_shards": 2}) == str(run / "ckpt-3")
    manager.restore(100)
    assert counted.save_counter == 2
    counted.fails = True
    with pytest.raises(OSError, match="full"):
        manager.save()
    assert counted.save_counter == 2
    assert manager.latest_checkpoint == str(run / "ckpt-3")


def test_what_cannot_be_saved_is_refused(run):
    with pytest.raises(TypeError):
        tb.CheckpointManager(3, run)


def test_a_checkpoint_that_is_not_there_is_told(run):
    manager = manage(run, monitor="loss")
    for which in ("latest", "best", 7):
        with pytest.raises(FileNotFoundError, match=r"there are steps \[\]"):
            manager.restore(which)
    with pytest.raises(ValueError, match="'latest', 'best' or a step"):
        manager.restore("newest")
    with pytest.raises(ValueError, match="nothing is monitored"):
        manage(run).restore("best")


def test_steps_between_saves(run):
    value = state()
    options = {"step_counter": value["step"], "checkpoint_interval": 3}
    manager = manage(run, value=value, **options)
    saved = []
    for step in range(8):
        value["step"][...] = step
        saved.append(manager.save() is not None)
    assert saved == [True, False, False, True, False, False, True, False]
    assert manager.save(check_interval=False) and not manager.save(check_interval=False)
    manager.close()
    again = manage(run, value=value, **options)
    again.restore_or_initialize()
    assert again.save() is None


def test_a_step_whose_save_failed_is_saved_again(run, monkeypatch):
    counted = Counted()
    counted.fails = True
    manager = manage(run, value=counted, step_counter=lambda: 5, checkpoint_interval=3)
    with pytest.raises(OSError, match="full"):
        manager.save()
    counted.fails = False
    assert manager.save() is not None


def test_without_checkpoints_the_function_initializes(run):
    calls = []
    manager = manage(run, init_fn=lambda: calls.append(1))
    assert manager.restore_or_initialize() is None and calls == [1]
    manager.save()
    assert manager.restore_or_initialize() and calls == [1]


@pytest.mark.parametrize("options", [
    {"max_to_keep": 0}, {"checkpoint_interval": 3}, {"checkpoint_name": "a/b"},
    {"checkpoint_name": ""}, {"keep_best": 1}, {"monitor": "a", "best_fn": len},
    {"monitor": "a", "mode": "best"},
], ids=str)  # fmt: skip
def test_options_that_make_no_sense_are_refused(run, options):
    with pytest.raises(ValueError):
        manage(run, **options)


def test_options_are_those_of_a_checkpoints_saves_too(run):
    checkpoint = tb.Checkpoint(a=np.ones(5), b=np.ones(5))
    options = {"durability": "none", "num_shards": 2}
    with tb.CheckpointManager(checkpoint, run, save_options=options) as manager:
        first = manager.save()
        second = manager.save(options={"num_shards": 3})
        third = manager.save(blocking=False).result().prefix
        found = [tb.open(path).num_shards for path in (first, second, third)]
    assert found == [2, 3, 2]
    assert checkpoint.save_counter == 3
