"""The same saves through TensorFlow's manager and ours: the same files."""

from __future__ import annotations

import os

import pytest

import tensorbundle as tb

from .managers import names, prefixes

OPTIONS = {
    "all": {"max_to_keep": None},
    "one": {"max_to_keep": 1},
    "three": {"max_to_keep": 3},
    "every hour": {"max_to_keep": 2, "keep_checkpoint_every_n_hours": 1},
    "every two and a half": {"max_to_keep": 1, "keep_checkpoint_every_n_hours": 2.5},
    "all, every hour": {"max_to_keep": None, "keep_checkpoint_every_n_hours": 1},
    "another name": {"max_to_keep": 2, "checkpoint_name": "gr'öße"},
}
# Hours that pass before each save, and the number that it is given.
SEQUENCE = [(0, None), (0.5, None), (0.5, None), (1.1, None), (0, 1), (2, 77), (0, None),
            (0.2, 3), (3, None), (0.9, None), ("new", None), (0.2, None), (1, None),
            (-5, None), (0.1, None), ("new", None), (0.5, None), (7, None)]  # fmt: skip


@pytest.mark.parametrize("before", ["nothing", "Checkpoint.save"])
@pytest.mark.parametrize("what", OPTIONS)
@pytest.mark.parametrize("where", ["absolute", "relative"])
def test_rotation_and_state_are_tensorflows(
    tf, tmp_path, monkeypatch, clock, what, before, where
):
    from tensorflow.python.checkpoint import checkpoint_management

    monkeypatch.setattr(checkpoint_management, "time", clock)
    monkeypatch.chdir(tmp_path)
    root = str(tmp_path) if where == "absolute" else ""
    managers = []
    for name, make in (("ours", tb.CheckpointManager), ("tf", tf.train.CheckpointManager)):
        checkpoint = tf.train.Checkpoint(v=tf.Variable(1.0))
        directory = os.path.join(root, name)
        if before != "nothing":
            for _ in range(2):
                checkpoint.save(os.path.join(directory, "ckpt"))

        def new(make=make, checkpoint=checkpoint, directory=directory):
            return make(checkpoint, directory, **OPTIONS[what])

        managers.append((new, directory))
    made = [new() for new, _ in managers]
    for hours, number in SEQUENCE:
        if hours == "new":
            made[0].close()
            made = [new() for new, _ in managers]
            continue
        clock.now += 3600 * hours
        found = []
        for manager, (_, directory) in zip(made, managers, strict=True):
            path = manager.save(number)
            with open(os.path.join(directory, "checkpoint"), "rb") as file:
                text = file.read()
            latest = manager.latest_checkpoint
            found.append(
                (names([path, latest, *manager.checkpoints]), text, prefixes(directory))
            )
        assert found[0] == found[1], (hours, number)
