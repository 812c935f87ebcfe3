"""Variables of every framework: named, checked and written in place."""

from __future__ import annotations

from types import MappingProxyType

import ml_dtypes
import numpy as np
import pytest

import tensorbundle as tb
from tensorbundle.tensors import as_view
from tensorbundle.variables import as_variable, describe, named_variables, variables_of

from .helpers import ALL_DTYPES, assert_same, sample, strings


def put(value, array):
    variable = as_variable(value)
    assert variable.mismatch(array.shape, array.dtype) is None
    return variable.put(array)


@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (3, 4)], ids=str)
def test_arrays_are_filled(dtype, shape):
    array, value = np.zeros(shape, dtype), sample(dtype, shape)
    assert put(array, value) is array
    assert_same(array, value)


def test_any_layout_and_byte_order_is_filled():
    value = sample("float32", (3, 4))
    for array in (np.zeros((4, 3), "f4").T, np.zeros((6, 8), "f4")[::2, ::-2]):
        put(array, value)
        assert_same(np.ascontiguousarray(array), value)
    big = np.zeros((3, 4), ">f4")
    put(big, value)
    assert (big == value).all() and big.dtype == ">f4"


def test_strings_are_filled_or_given():
    array = strings(b"a", b"b")
    assert put(array, strings(b"c", b"longer")).tolist() == [b"c", b"longer"]
    assert array.tolist() == [b"c", b"longer"]
    fixed = np.array(["a", "b"])
    assert put(fixed, strings(b"c", b"longer")).tolist() == [b"c", b"longer"]
    assert fixed.tolist() == ["a", "b"]


def test_what_cannot_be_written_is_given():
    for value in (1.5, np.float64(1.5)):
        assert put(value, np.array(7.0)) == 7.0
    assert put("text", np.array(b"x", dtype=object)) == b"x"


def test_what_is_read_only_is_refused():
    array = np.zeros(3)
    array.flags.writeable = False
    assert "read-only" in as_variable(array).mismatch((3,), array.dtype)


def test_every_difference_is_told():
    variable = as_variable(np.zeros((2, 3), "f4"))
    assert variable.mismatch((2, 3), np.dtype("f4")) is None
    told = variable.mismatch((3, 2), np.dtype("f8"))
    assert "shape (3, 2) in the checkpoint, (2, 3) here" in told
    assert "dtype float64 in the checkpoint, float32 here" in told
    assert variable.mismatch((3, 2), np.dtype("f4"), reshape=True) is None
    assert variable.mismatch((7,), np.dtype("f4"), reshape=True)
    assert "string" in variable.mismatch((2, 3), np.dtype(object))


TORCH_DTYPES = ["float32", "bfloat16", "float16", "bool", "int64", "uint16", "complex64",
                "float8_e4m3fn", "float8_e5m2"]  # fmt: skip


@pytest.mark.parametrize("name", TORCH_DTYPES)
@pytest.mark.parametrize("shape", [(), (4, 3)], ids=str)
def test_torch_tensors_are_filled(torch, name, shape):
    tensor = torch.zeros(shape[::-1], dtype=getattr(torch, name))
    tensor = tensor.permute(tuple(reversed(range(len(shape)))))
    value = sample(getattr(ml_dtypes, name, name), shape)
    assert put(tensor, value) is tensor
    assert as_view(tensor).array.tobytes() == value.tobytes()


def test_torch_parameters_keep_their_gradients_history(torch):
    parameter = torch.nn.Parameter(torch.zeros(3))
    put(parameter, np.ones(3, "f4"))
    assert parameter.tolist() == [1, 1, 1] and parameter.requires_grad


def test_torch_tensors_that_cannot_be_written_are_refused(torch):
    expanded = as_variable(torch.zeros(1).expand(3))
    assert "expanded" in expanded.mismatch((3,), np.dtype("f4"))
    for tensor in (torch.zeros(3, device="meta"), torch.zeros(3).to_sparse()):
        with pytest.raises(TypeError):
            as_variable(tensor)


TF_DTYPES = ["float32", "bfloat16", "float16", "bool", "int64", "uint16", "complex64",
             "float8_e4m3fn", "int4"]  # fmt: skip


@pytest.mark.parametrize("name", TF_DTYPES)
@pytest.mark.parametrize("shape", [(), (4, 3)], ids=str)
def test_tensorflow_variables_are_assigned(tf, name, shape):
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    variable = tf.Variable(np.zeros(shape, dtype))
    value = sample(dtype, shape)
    assert put(variable, value) is variable
    assert_same(variable.numpy(), value)


def test_tensorflow_variables_of_strings_and_of_any_shape(tf):
    variable = tf.Variable(["a", "b"])
    put(variable, strings(b"c", b"longer"))
    assert variable.numpy().tolist() == [b"c", b"longer"]
    variable = tf.Variable(np.zeros((2, 3)), shape=(None, 3))
    put(variable, np.ones((5, 3)))
    assert variable.shape == (None, 3) and variable.numpy().shape == (5, 3)
    assert as_variable(variable).mismatch((5, 4), np.dtype("f8"))


def test_keras_variables_are_assigned(tf):
    import keras

    variable = keras.Variable(np.zeros((2, 3), "f4"))
    assert put(variable, np.ones((2, 3), "f4")) is variable
    assert np.asarray(variable).tolist() == [[1] * 3] * 2
    half = keras.Variable(np.zeros(2), dtype="bfloat16")
    put(half, sample(ml_dtypes.bfloat16, (2,)))
    assert as_variable(half).mismatch((2,), np.dtype("f4"))


def test_jax_arrays_give_the_value(jax):
    assert put(jax.numpy.zeros(3), np.ones(3, "f4")).tolist() == [1, 1, 1]


# ---- What is replaced where it is -----------------------------------------------------------


REPLACED = {
    "int": (0, 7), "bool": (False, True), "float": (0.0, 1.5), "complex": (0j, 1 + 2j),
    "str": ("", "grün"), "bytes": (b"", b"\xff"), "np.float32": (np.float32(0), np.float32(7)),
    "np.str_": (np.str_("a"), np.str_("longer")),
    "np.bytes_": (np.bytes_(b"a"), np.bytes_(b"bc")),
    "bfloat16": (ml_dtypes.bfloat16(0), ml_dtypes.bfloat16(2)),
}  # fmt: skip


@pytest.mark.parametrize("kind", REPLACED)
def test_numbers_and_text_are_replaced_in_the_mapping_by_their_kind(prefix, kind):
    old, new = REPLACED[kind]
    tb.save(prefix, {"a": {"b": new}})
    mapping = {"a": {"b": old}}
    assert tb.Saver(mapping).restore(prefix)["a/b"] is mapping["a"]["b"]
    assert mapping["a"]["b"] == new and type(mapping["a"]["b"]) is type(old)


@pytest.mark.parametrize("dtype", ["U", "S"])
def test_arrays_of_text_are_replaced_and_nothing_is_cut(dtype):
    mapping = {"a": np.array(["a", "b"], dtype)}
    variables_of(mapping)["a"].put(strings(b"c", b"longer"))
    assert mapping["a"].tolist() == np.array(["c", "longer"], dtype).tolist()
    variables_of(mapping)["a"].put(strings(b"c", b"zero\0"))
    assert mapping["a"].tolist() == [b"c", b"zero\0"]


def test_jax_arrays_are_replaced_on_their_devices(jax):
    mapping = {"a": jax.device_put(np.zeros(3, "f4"), jax.devices()[-1])}
    new = variables_of(mapping)["a"].put(np.ones(3, "f4"))
    assert new is mapping["a"] and new.tolist() == [1, 1, 1]
    assert new.devices() == {jax.devices()[-1]}


class FrozenDict(dict):
    def __setitem__(self, key, value):
        raise RuntimeError("frozen")


@pytest.mark.parametrize("mapping", [MappingProxyType({"a": 1}), FrozenDict(a=1)], ids=repr)
def test_what_a_mapping_does_not_replace_is_fixed(mapping):
    variable = variables_of({"m": mapping})["m/a"]
    assert variable.is_fixed and variable.put(np.array(7)) == 7 and mapping["a"] == 1
    assert not variables_of({"m": dict(mapping)})["m/a"].is_fixed


def test_a_value_that_is_no_variable_is_told_by_its_name():
    with pytest.raises(TypeError, match=r"variable 'a/b': cannot save a builtins\.list"):
        variables_of({"a": {"b": [1]}})


# ---- Names --------------------------------------------------------------------------------


def test_names_of_mappings_are_paths():
    named = named_variables({"a": {"b": 1, 0: 2}, "c": 3})
    assert named == {"a/b": 1, "a/0": 2, "c": 3}


def test_names_of_models_are_their_frameworks(tf, torch):
    import keras

    names = named_variables(
        torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    )
    assert {"0.weight", "0.bias", "1.running_mean", "1.num_batches_tracked"} <= set(names)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="d")])
    assert set(named_variables(model)) == {v.path for v in model.variables}
    module = tf.Module()
    module.v = tf.Variable(1.0, name="scope/v")
    assert named_variables(module) == {"scope/v": module.v}


def test_names_of_listed_variables_are_their_own(tf):
    import keras

    v, k = tf.Variable(1.0, name="v"), keras.Variable(1.0, name="k")
    assert list(named_variables([v, k])) == ["v", k.path]
    with pytest.raises(ValueError, match="two variables have the name 'v'"):
        named_variables([v, tf.Variable(1.0, name="v")])


@pytest.mark.parametrize("target", ["text", 1, [np.zeros(3)], {1.5: 2}], ids=repr)
def test_what_has_no_names_is_refused(target):
    with pytest.raises(TypeError):
        named_variables(target)


def test_long_lists_are_cut():
    assert describe(["a", "b"]) == "\n  a\n  b"
    assert describe(map(str, range(12)), most=2) == "\n  0\n  1\n  ... and 10 more"
