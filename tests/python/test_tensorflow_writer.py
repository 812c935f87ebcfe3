"""What TensorFlow's own writer still writes for tensorbundle.tensorflow: whole, and synced."""

from __future__ import annotations

import functools
import os

import pytest

import tensorbundle as tb

from .helpers import flip_byte, names_in


@pytest.fixture(scope="module")
def tbtf(tf):
    import tensorbundle.tensorflow

    return tensorbundle.tensorflow


@pytest.fixture
def synced(monkeypatch):
    """Note the files and directories that Python syncs."""
    noted, fsync = [], os.fsync

    def note(descriptor):
        noted.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    return noted


def chosen_shards(tf):
    policy = tf.train.experimental.MaxShardSizePolicy(max_shard_size=1000)
    return {}, tf.train.CheckpointOptions(experimental_sharding_callback=policy)


class Part:
    """What is saved to a file of its own."""

    value = "mine"


def own_saver(tf):
    return {"part": registered(tf)()}, None


@functools.cache
def registered(tf):
    """Register a saver for a class, once; give the class."""
    from tensorflow.python.saved_model import registration

    class Tracked(tf.__internal__.tracking.AutoTrackable, Part):
        pass

    def save(trackables, file_prefix):
        for name, part in trackables.items():
            tf.io.write_file(tf.strings.join([file_prefix, "-part/", name]), part.value)

    registration.register_checkpoint_saver(
        package="writer_tests",
        name="Tracked",
        predicate=lambda x: isinstance(x, Part),
        save_fn=save,
        restore_fn=lambda trackables, merged_prefix: None,
    )
    return Tracked


@pytest.mark.parametrize("make", [chosen_shards, own_saver])
@pytest.mark.parametrize("durability", ["full", "none"])
def test_files_that_tensorflow_writes_are_synced_before_the_state_file_names_them(
    tf, tbtf, prefix, synced, monkeypatch, make, durability
):
    from tensorbundle.frameworks.tensorflow import checkpoint as module

    held, options = make(tf)
    checkpoint = tbtf.Checkpoint(v=tf.Variable(tf.range(1000.0)), **held)
    update = module.update_checkpoint_state
    monkeypatch.setattr(
        module,
        "update_checkpoint_state",
        lambda *given, **more: synced.append("state") or update(*given, **more),
    )
    path = checkpoint.save(prefix, options, durability=durability)
    assert checkpoint.save_report is None
    assert tb.verify(path).ok
    directory = os.path.dirname(prefix)
    written = {
        os.path.join(found, name) for found, _, names in os.walk(directory) for name in names
    }
    written.remove(os.path.join(directory, "checkpoint"))
    assert len(written) >= 3
    if durability == "none":
        assert not written & set(synced)
        return
    assert written | {directory} <= set(synced[: synced.index("state")])


@pytest.mark.parametrize("make", [chosen_shards, own_saver])
def test_damage_in_what_tensorflow_wrote_changes_no_variable(tf, tbtf, prefix, make):
    held, options = make(tf)
    path = tbtf.Checkpoint(v=tf.Variable(tf.range(1000.0)), **held).write(prefix, options)
    damaged = next(n for n in names_in(os.path.dirname(path)) if "data" in n)
    flip_byte(os.path.join(os.path.dirname(path), damaged), 4)
    variable = tf.Variable(tf.zeros(1000))
    with pytest.raises((tb.CorruptionError, tf.errors.DataLossError)):
        tbtf.Checkpoint(v=variable, **held).read(path)
    assert not variable.numpy().any()
