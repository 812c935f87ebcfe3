"""The variables of SavedModels: listed, read, verified, replaced."""

from __future__ import annotations

import numpy as np
import pytest

import tensorbundle as tb

from .helpers import data_file, flip_byte, snapshot


@pytest.fixture
def exported(tf, tmp_path):
    import tensorbundle.tensorflow as tbtf

    model = tf.Module()
    model.w = tf.Variable([[1.0, 2.0]])
    model.inner = [tf.Variable(tf.cast([3, 4], tf.bfloat16)), tf.Variable("text")]
    call = lambda x: x @ tf.transpose(model.w)  # noqa: E731
    model.call = tf.function(call, [tf.TensorSpec([None, 2])])
    tf.saved_model.save(model, str(tmp_path / "model"))
    return tbtf.SavedModel(tmp_path / "model")


def test_variables_are_listed_read_and_verified(exported):
    assert exported.list_variables() == [("inner/0", (2,)), ("inner/1", ()), ("w", (1, 2))]
    loaded = exported.load()
    assert loaded["w"].tolist() == [[1, 2]]
    assert loaded["inner/1"].item() == b"text"
    assert list(exported.load(["w/.ATTRIBUTES/VARIABLE_VALUE"], mmap=True)) == ["w"]
    assert exported.verify().ok
    with pytest.raises(tb.MissingTensorError):
        exported.load(["v"])


def test_tensorflow_loads_the_values_that_were_put_in(tf, exported):
    bf16 = exported.load()["inner/0"].dtype
    exported.replace_variables(
        {"w": tf.constant([[5.0, 6.0]]), "inner/0": np.array([7, 8], bf16), "inner/1": "new"}
    )
    model = tf.saved_model.load(exported.directory)
    assert model.w.numpy().tolist() == [[5, 6]]
    assert model.call([[1.0, 1.0]]).numpy() == 11
    assert model.inner[0].numpy().tolist() == [7, 8]
    assert model.inner[1].numpy() == b"new"
    assert exported.verify().ok
    exported.replace_variables({"w": np.float32([[0, 1]])}, num_shards=2)
    model = tf.saved_model.load(exported.directory)
    assert (model.w.numpy().tolist(), model.inner[1].numpy()) == ([[0, 1]], b"new")


def test_what_does_not_fit_is_told_together_and_changes_nothing(exported):
    before = snapshot(exported.prefix)
    with pytest.raises(tb.RestoreMismatchError) as caught:
        exported.replace_variables({"w": np.zeros(2), "inner/1": 5, "v": 1})
    told = str(caught.value)
    assert "w: shape (2,) given, (1, 2) in the model and dtype float64 given, float32" in told
    assert "inner/1: dtype int64 given, string in the model" in told
    assert "v: no such variable" in told
    with pytest.raises(tb.MissingTensorError, match="v"):
        exported.replace_variables({"v": 1})
    flip_byte(data_file(exported.prefix), tb.open(exported.prefix).entry(
        "w/.ATTRIBUTES/VARIABLE_VALUE").offset)  # fmt: skip
    before = snapshot(exported.prefix)
    with pytest.raises(tb.CorruptionError):
        exported.replace_variables({"inner/1": "new"})
    assert snapshot(exported.prefix) == before


def test_a_directory_that_is_none_is_told(tf, tmp_path):
    import tensorbundle.tensorflow as tbtf

    with pytest.raises(FileNotFoundError, match="not a SavedModel"):
        tbtf.SavedModel(tmp_path)
