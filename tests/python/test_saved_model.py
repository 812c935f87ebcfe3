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


@pytest.fixture
def twice(tf, tmp_path):
    """Export a model of Keras, with each variable twice; give it with what it serves."""
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    import tensorbundle.tensorflow as tbtf

    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2), keras.layers.BatchNormalization()]
    )
    model.export(str(tmp_path / "model"), verbose=False)

    def served():
        loaded = tf.saved_model.load(str(tmp_path / "model"))
        return loaded, loaded.serve(np.ones((1, 3), np.float32)).numpy()

    return tbtf.SavedModel(tmp_path / "model"), served


def copy_of(exported, name):
    """Find the copy of a variable by the name that both have in the object graph."""
    from tensorbundle.object_graph import OBJECT_GRAPH_KEY, decode

    graph = decode(tb.load_variable(exported.prefix, OBJECT_GRAPH_KEY), path="")
    values = [value for node in graph.nodes for value in node.attributes]
    names = {v.checkpoint_key.partition("/.")[0]: v.full_name for v in values}
    return next(n for n in names if n != name and names[n] == names[name])


@pytest.mark.parametrize("by_copy", [False, True])
def test_a_variable_that_an_export_has_twice_is_replaced_in_both(twice, by_copy):
    exported, served = twice
    names = [f"variables/{i}" for i in range(6)]
    assert [name for name, _ in exported.list_variables()] == names == list(exported.load())
    copy = copy_of(exported, "variables/0")
    assert copy.startswith("_all_variables/")
    exported.replace_variables({copy if by_copy else "variables/0": np.zeros((3, 2), "f")})
    exported.replace_variables({"variables/1": np.float32([4, 5])})
    loaded, output = served()
    np.testing.assert_allclose(output, [[4, 5]], rtol=1e-3)
    assert exported.load([copy])[copy].tolist() == [[0, 0]] * 3
    assert [v.numpy().sum() for v in loaded._all_variables if v.shape == (3, 2)] == [0]
    values = exported.load()
    exported.replace_variables({**values, "variables/1": values["variables/1"] + 1})
    np.testing.assert_allclose(served()[1], [[5, 6]], rtol=1e-3)
    with pytest.raises(tb.RestoreMismatchError, match=f"{copy}: the same variable as var"):
        exported.replace_variables(exported.load(["variables/0", copy]))


def test_a_copy_of_variables_that_share_a_name_is_refused(tf, tmp_path):
    import tensorbundle.tensorflow as tbtf

    holder = tf.train.Checkpoint()
    holder.variables = [tf.Variable([1.0, 2.0], name="w") for _ in range(2)]
    holder._all_variables = [tf.Variable([1.0, 2.0], name="w"), tf.Variable([3.0], name="w")]
    tf.saved_model.save(holder, str(tmp_path / "model"))
    found = tbtf.SavedModel(tmp_path / "model")
    names = {"_all_variables/1", "save_counter", "variables/0", "variables/1"}
    assert {name for name, _ in found.list_variables()} == names
    with pytest.raises(tb.RestoreMismatchError, match="copy of variables/0 or variables/1"):
        found.replace_variables({"_all_variables/0": np.zeros(2, np.float32)})
    found.replace_variables({"variables/1": np.float32([5, 6])})
    assert found.load()["variables/1"].tolist() == [5, 6]
    assert found.load()["variables/0"].tolist() == [1, 2]
    found.replace_variables({"_all_variables/1": np.float32([7])})
    assert found.load()["_all_variables/1"].tolist() == [7]


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
