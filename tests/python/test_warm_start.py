"""Warm starts: rules, reports, and nothing silent."""

from __future__ import annotations

import logging
import re
from types import MappingProxyType

import ml_dtypes
import numpy as np
import pytest

import tensorbundle as tb

from .helpers import strings

VALUES = {
    "old/dense/kernel": np.full((2, 3), 1.0, "f4"),
    "old/dense/bias": np.full(3, 2.0, "f4"),
    "old/head": np.full(10, 3.0, "f4"),
    "step": np.array(9),
}


@pytest.fixture
def path(prefix):
    tb.save(prefix, VALUES)
    return prefix


def model():
    return {
        "new": {"dense": {"kernel": np.zeros((2, 3), "f4"), "bias": np.zeros(3, "f4")},
                "head": np.zeros(5, "f4")},
        "extra": np.zeros(1),
    }  # fmt: skip


def test_what_fits_is_taken_and_the_rest_is_told(path, caplog):
    target = model()
    with caplog.at_level(logging.WARNING, logger="tensorbundle"):
        report = tb.init_from_checkpoint(path, {"old/": "new/"}, target=target, strict=False)
    assert target["new"]["dense"]["kernel"].tolist() == [[1] * 3] * 2
    assert target["new"]["dense"]["bias"].tolist() == [2] * 3
    assert not target["new"]["head"].any()
    assert report.initialized == {
        "new/dense/kernel": "old/dense/kernel",
        "new/dense/bias": "old/dense/bias",
    }
    (mismatch,) = report.mismatched_keys
    assert (mismatch.variable, mismatch.tensor) == ("new/head", "old/head")
    assert "shape (10,) in the checkpoint, (5,) here" in mismatch.reason
    assert (report.missing_keys, report.unexpected_keys) == ([], [])
    assert (report.untouched, report.unused) == (["extra"], ["step"])
    assert not report.ok and "new/head" in caplog.text
    assert report.values["new/dense/bias"] is target["new"]["dense"]["bias"]


def test_strict_writes_nothing_and_tells_all(path):
    target = model()
    rules = {"old/dense/": "new/dense/", "step": "steps", "odl/": "extra/"}
    target["new"]["dense"]["scale"] = np.zeros(1)
    with pytest.raises(ValueError, match="nothing was initialized") as raised:
        tb.init_from_checkpoint(path, rules, target=target)
    for told in ("new/dense/scale", "step", "'odl/': 'extra/'"):
        assert told in str(raised.value)
    assert not any(array.any() for array in target["new"]["dense"].values())


def test_equal_names_are_the_default(path):
    target = {name: np.zeros_like(value) for name, value in VALUES.items()}
    report = tb.init_from_checkpoint(path, target=target)
    assert report.ok and set(report.initialized) == set(VALUES)
    assert target["step"] == 9
    with pytest.raises(ValueError, match=r"(?s)without a variable:.*old/head"):
        tb.init_from_checkpoint(path, target={"step": np.array(0)})


def test_variables_in_the_map_need_no_target(path, tf):
    bias, other = tf.Variable(np.zeros(3, "f4")), np.zeros(3, "f4")
    pairs = [("old/dense/bias", bias), ("old/dense/bias", other)]
    report = tb.init_from_checkpoint(path, pairs)
    assert bias.numpy().tolist() == other.tolist() == [2] * 3
    assert report.ok and len(report.initialized) == 2
    with pytest.raises(ValueError, match="gone"):
        tb.init_from_checkpoint(path, {"gone": bias})
    for rules in (None, {"a": "b"}, {re.compile("a"): "b"}, lambda name: name):
        with pytest.raises(TypeError, match="target= is needed"):
            tb.init_from_checkpoint(path, rules)


def test_a_torch_module_is_initialized_by_pattern(path, torch):
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
    rules = {
        "old/dense/kernel": "0.weight",
        re.compile(r"old/(\w+)/bias"): lambda match: {"dense": "1.bias"}[match[1]],
    }
    before = net[1].bias.tolist()
    report = tb.init_from_checkpoint(path, rules, target=net, strict=False)
    assert net[0].weight.tolist() == [[1] * 3] * 2
    assert net[1].bias.tolist() == before
    assert [m.variable for m in report.mismatched_keys] == ["1.bias"]
    assert report.untouched == ["0.bias", "1.weight"]


def test_a_keras_model_is_initialized(path, tf):
    import keras

    keras.utils.clear_session()
    net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="dense")])
    scope = net.variables[0].path.removesuffix("dense/kernel") or "/"
    report = tb.init_from_checkpoint(
        path, {"old/dense/": f"{scope}dense/".lstrip("/")}, target=net
    )
    assert len(report.initialized) == 2
    assert net.layers[0].kernel.numpy().tolist() == [[1] * 3] * 2


def test_values_are_cast_only_if_asked(path):
    half = {"old": {"dense": {"bias": np.zeros(3, ml_dtypes.bfloat16)}}}
    rules = {"old/dense/bias": "old/dense/bias"}
    with pytest.raises(ValueError, match="dtype float32 in the checkpoint, bfloat16 here"):
        tb.init_from_checkpoint(path, rules, target=half)
    assert tb.init_from_checkpoint(path, rules, target=half, cast=True).ok
    assert half["old"]["dense"]["bias"].tolist() == [2] * 3
    text = {"old": {"dense": {"bias": strings(b"a", b"b", b"c")}}}
    with pytest.raises(ValueError, match="string here"):
        tb.init_from_checkpoint(path, rules, target=text, cast=True)


def test_what_cannot_be_written_is_replaced_in_the_target(path, jax):
    target = {"a": {"head": jax.numpy.zeros(10, "f4"), "step": 0}}
    rules = [("old/head", target["a"]["head"]), ("step", "a/step")]
    report = tb.init_from_checkpoint(path, rules, target=target)
    assert isinstance(target["a"]["head"], jax.Array) and target["a"]["step"] == 9
    assert target["a"]["head"].tolist() == [3] * 10
    assert report.values["a/head"] is target["a"]["head"]
    assert list(report.initialized) == ["a/head", "a/step"]


def test_what_nothing_can_be_written_to_is_a_mismatch(path, jax, caplog):
    head = jax.numpy.zeros(10, "f4")
    cases = [
        ({"old/head": head}, None),
        ({"old/head": "head"}, MappingProxyType({"head": head})),
    ]
    for rules, target in cases:
        with pytest.raises(
            ValueError, match="head: a value of type ArrayImpl cannot be written"
        ):
            tb.init_from_checkpoint(path, rules, target=target)
        report = tb.init_from_checkpoint(path, rules, target=target, strict=False)
        assert [m.tensor for m in report.mismatched_keys] == ["old/head"]
        assert report.initialized == {} and "head" in caplog.text


def test_a_value_that_several_entries_have_is_ambiguous(path, jax):
    head = jax.numpy.zeros(10, "f4")
    with pytest.raises(ValueError, match=r"\['a', 'b'\] are all this value"):
        tb.init_from_checkpoint(path, {"old/head": head}, target={"a": head, "b": head})


def test_a_directory_stands_for_its_newest_checkpoint(tmp_path):
    path = tb.Saver().save({"a": 5}, tmp_path / "c", 1)
    target = {"a": np.array(0)}
    assert tb.init_from_checkpoint(tmp_path, target=target).prefix == path
    assert target["a"] == 5
    with pytest.raises(ValueError, match="no 'checkpoint' file"):
        tb.init_from_checkpoint(tmp_path.parent, target=target)


def test_names_of_object_based_checkpoints_are_short_and_long(tf, tmp_path):
    saved = tf.train.Checkpoint(model=tf.train.Checkpoint(w=tf.Variable([1.0, 2.0])))
    path = saved.save(str(tmp_path / "c"))
    target = {"net.w": np.zeros(2, "f4")}
    report = tb.init_from_checkpoint(path, {"model/": "net."}, target=target)
    assert report.ok and report.unused == [] and target["net.w"].tolist() == [1, 2]
    long = "model/w/.ATTRIBUTES/VARIABLE_VALUE"
    for rules in ({long: "net.w"}, [(long, target["net.w"])]):
        target["net.w"][:] = 0
        tb.init_from_checkpoint(path, rules, target=target)
        assert target["net.w"].tolist() == [1, 2]
    assert tb.init_from_checkpoint(path, target={"model": {"w": np.zeros(2, "f4")}}).ok
    counter = {"n": np.zeros((), "i8")}
    tb.init_from_checkpoint(path, {"save_counter": "n"}, target=counter)
    assert counter["n"] == 1


def test_damage_leaves_every_variable(path):
    end = tb.open(path).entry("old/head")
    with open(f"{path}.data-00000-of-00001", "r+b") as file:
        file.seek(end.offset)
        file.write(b"\xaa")
    target = {"old/dense/bias": np.zeros(3, "f4"), "old/head": np.zeros(10, "f4")}
    with pytest.raises(tb.CorruptionError):
        tb.init_from_checkpoint(path, target=target, strict=False)
    assert not target["old/dense/bias"].any()


def test_it_agrees_with_tensorflow_on_scopes_and_names(tf, path):
    rules = {"old/dense/": "new/dense/", "old/head": "top/head"}
    shapes = {"new/dense/kernel": (2, 3), "new/dense/bias": (3,), "top/head": (10,)}
    with tf.Graph().as_default():
        variables = {n: tf.compat.v1.get_variable(n, s) for n, s in shapes.items()}
        tf.compat.v1.train.init_from_checkpoint(path, rules)
        with tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.global_variables_initializer())
            theirs = session.run(variables)
    ours = {name: np.zeros(shape, "f4") for name, shape in shapes.items()}
    tb.init_from_checkpoint(path, rules, target=ours)
    assert {n: v.tolist() for n, v in ours.items()} == {
        n: v.tolist() for n, v in theirs.items()
    }
