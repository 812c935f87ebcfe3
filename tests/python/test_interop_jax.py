"""JAX's and Keras's arrays are saved; mapped arrays go into JAX."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import tensorbundle as tb

from .helpers import ALL_DTYPES, assert_same, names_in, run_python, sample


@pytest.mark.parametrize("dtype", [d for d in ALL_DTYPES if d.itemsize < 8], ids=str)
def test_arrays_come_back_with_their_dtype(jax, prefix, dtype):
    array = jax.numpy.asarray(sample(dtype))
    assert array.dtype == dtype
    tb.save(prefix, {"a": array, "scalar": array[1, 1], "transposed": array.T})
    found = tb.load(prefix)
    assert_same(found["a"], np.asarray(array))
    assert_same(found["scalar"], np.asarray(array[1, 1]))
    assert_same(found["transposed"], np.asarray(array).T)


def test_large_arrays_are_written_from_jaxs_memory(jax, prefix):
    array = jax.numpy.ones((1000, 1000), jax.numpy.bfloat16)
    report = tb.save(prefix, {"params": {"w": array}})
    assert (report.zero_copy_bytes, report.staged_bytes) == (2_000_000, 0)


def test_mapped_arrays_go_into_jax(jax, prefix):
    tb.save(prefix, {"w": sample("bfloat16", (30, 40))})
    array = jax.numpy.asarray(tb.load(prefix, mmap=True)["w"])
    assert array.dtype == jax.numpy.bfloat16
    assert_same(np.asarray(array), sample("bfloat16", (30, 40)))


def test_an_array_spread_over_devices_is_saved_whole(tmp_path):
    pytest.importorskip("jax", reason="JAX is not installed")
    run_python(
        """
        import os, sys
        os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
        import jax, numpy as np
        import tensorbundle as tb
        from jax.sharding import Mesh, NamedSharding, PartitionSpec

        mesh = Mesh(np.array(jax.devices()).reshape(2, 2), ("x", "y"))
        value = np.arange(64.0, dtype=np.float32).reshape(8, 8)
        array = jax.device_put(value, NamedSharding(mesh, PartitionSpec("x", "y")))
        assert len(array.addressable_shards) == 4
        tb.save(sys.argv[1], {"a": array})
        assert (tb.load(sys.argv[1])["a"] == value).all()
        """,
        tmp_path / "ckpt",
    )


def deleted(jax):
    array = jax.numpy.ones(3)
    array.delete()
    return array


@pytest.mark.parametrize(
    "make", [lambda jax: jax.random.key(0), deleted], ids=["keys", "deleted"]
)
def test_what_has_no_value_is_told_by_name(jax, tmp_path, make):
    with pytest.raises(TypeError, match="params/bad"):
        tb.save(tmp_path / "new" / "ckpt", {"params": {"bad": make(jax)}})
    assert names_in(tmp_path) == []


def test_a_traced_array_is_told_by_name(jax, tmp_path):
    @jax.jit
    def step(x):
        tb.save(tmp_path / "new" / "ckpt", {"bad": x})
        return x

    with pytest.raises(TypeError, match="bad"):
        step(jax.numpy.ones(3))
    assert names_in(tmp_path) == []


# ---- Keras and TensorFlow -------------------------------------------------------------------


def test_keras_variables_are_saved(tf, prefix):
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    model = keras.Sequential([keras.Input((300,)), keras.layers.Dense(400)])
    report = tb.save(prefix, {v.path: v for v in model.variables} | {"v": keras.Variable(2.0)})
    found = tb.load(prefix)
    for variable in model.variables:
        assert_same(found[variable.path], variable.numpy())
    assert_same(found["v"], np.float32(2))
    assert report.zero_copy_bytes == 300 * 400 * 4


@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (3, 4), (0, 2)], ids=str)
def test_tensorflow_tensors_are_saved(tf, prefix, dtype, shape):
    tensor = tf.constant(sample(dtype, shape))
    tb.save(prefix, {"t": tensor})
    assert_same(tb.load(prefix)["t"], sample(dtype, shape))


@pytest.mark.parametrize("name", ["float32", "bfloat16", "bool", "complex64", "int64"])
@pytest.mark.parametrize("shape", [(), (3, 4)], ids=str)
def test_tensorflow_variables_are_saved(tf, prefix, name, shape):
    array = sample(getattr(ml_dtypes, name, name), shape)
    tb.save(prefix, {"v": tf.Variable(array)})
    assert_same(tb.load(prefix)["v"], array)


def test_large_tensorflow_tensors_are_written_from_their_memory(tf, prefix):
    report = tb.save(prefix, {"t": tf.ones((500, 500)), "v": tf.Variable(tf.ones((500, 500)))})
    assert (report.zero_copy_bytes, report.staged_bytes) == (2_000_000, 0)


def test_a_tensorflow_variable_can_change_after_the_save(tf, prefix):
    variable = tf.Variable(tf.ones((500, 500)))
    tb.save(prefix, {"v": variable})
    variable.assign_add(tf.ones((500, 500)))
    assert (tb.load(prefix)["v"] == 1).all()
    assert (variable.numpy() == 2).all()


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_keras_variables_of_other_backends_are_saved(tmp_path, backend):
    for package in (backend, "keras"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    run_python(
        f"""
        import os, sys
        os.environ["KERAS_BACKEND"] = "{backend}"
        import keras
        import tensorbundle as tb

        model = keras.Sequential([keras.Input((300,)), keras.layers.Dense(400)])
        half = keras.Variable([[1.0, 2.0]], dtype="bfloat16")
        weights = {{v.path: v for v in model.variables}}
        report = tb.save(sys.argv[1], {{**weights, "half": half}})
        found = tb.load(sys.argv[1])
        for v in model.variables:
            assert (found[v.path] == keras.ops.convert_to_numpy(v)).all()
        assert found["half"].dtype.name == "bfloat16"
        assert found["half"].tolist() == [[1, 2]]
        assert report.zero_copy_bytes == 300 * 400 * 4
        """,
        tmp_path / "ckpt",
    )


def test_tensorflow_strings_are_saved(tf, prefix):
    tb.save(
        prefix,
        {"s": tf.constant(["a", "größe"]), "v": tf.Variable("x"), "m": tf.constant([[b"\0"]])},
    )
    found = tb.load(prefix)
    assert found["s"].tolist() == [b"a", "größe".encode()]
    assert found["v"][()] == b"x"
    assert found["m"].tolist() == [[b"\0"]]


BAD_TENSORS = {
    "sparse": lambda tf: tf.sparse.eye(3),
    "ragged": lambda tf: tf.ragged.constant([[1], [2, 3]]),
    "slices": lambda tf: tf.IndexedSlices(tf.ones(2), tf.constant([0, 1])),
    "dataset": lambda tf: tf.data.experimental.to_variant(tf.data.Dataset.range(3)),
    "resource": lambda tf: tf.Variable(1.0).handle,
    "array of tensors": lambda tf: tf.TensorArray(tf.float32, 2),
}


@pytest.mark.parametrize("what", BAD_TENSORS)
def test_what_is_not_dense_is_told_by_name(tf, tmp_path, what):
    with pytest.raises(TypeError, match="bad one"):
        tb.save(
            tmp_path / "new" / "ckpt", {"fine": tf.ones(2), "bad one": BAD_TENSORS[what](tf)}
        )
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("kind", ["tensor", "variable"])
def test_a_symbolic_tensor_is_told_by_name(tf, tmp_path, kind):
    with tf.Graph().as_default():
        value = tf.ones(3) if kind == "tensor" else tf.compat.v1.get_variable("v", [3])
        with pytest.raises(TypeError, match="bad"):
            tb.save(tmp_path / "new" / "ckpt", {"bad": value})
    assert names_in(tmp_path) == []
