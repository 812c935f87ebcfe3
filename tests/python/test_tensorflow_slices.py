"""What TensorFlow saves in slices: all of it is read, also what it cannot read itself."""

from __future__ import annotations

import numpy as np
import pytest

import tensorbundle as tb

from .helpers import ALL_DTYPES, assert_same, sample
from .partitions import cut, save_parts_with_tensorflow

# What NumPy has for them.
QUANTIZED = {"qint8": "int8", "quint8": "uint8", "qint16": "int16", "quint16": "uint16",
             "qint32": "int32"}  # fmt: skip
# TensorFlow's kernels can slice variables of these.
VARIABLES = ["float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64",
             "uint8", "uint16", "uint32", "uint64", "bool", "complex64", "complex128",
             "float8_e5m2", "float8_e4m3fn"]  # fmt: skip
INDEX = np.s_[1:3, ::2]


@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=str)
def test_slices_of_every_dtype_are_put_together(tf, prefix, dtype):
    array = sample(dtype, (4, 6))
    value = tb.Partitioned(array.shape, cut(array, [1, 3], [2]))
    save_parts_with_tensorflow(tf, prefix, {"v": value})
    assert len(tb.open(prefix).entry("v").slices) == 6
    assert_same(tb.load(prefix)["v"], array)
    assert_same(tb.load_variable(prefix, "v"), array)
    assert_same(tb.open(prefix).read_slice("v", INDEX), np.ascontiguousarray(array[INDEX]))
    assert tb.verify(prefix).ok


@pytest.mark.parametrize("name", QUANTIZED)
def test_slices_of_quantized_dtypes_are_integers(tf, prefix, name):
    array = sample(QUANTIZED[name], (4, 6))
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=["v", "v"],
        shape_and_slices=["4 6 0,1:-", "4 6 1,3:-"],
        tensors=[tf.bitcast(part, tf.as_dtype(name)) for part in (array[:1], array[1:])],
    )
    assert tb.open(prefix).entry("v").dtype_name == name
    assert_same(tb.load(prefix)["v"], array)
    assert_same(tb.open(prefix).read_slice("v", INDEX), np.ascontiguousarray(array[INDEX]))


def test_shards_of_a_largest_size_are_read_in_every_dtype(tf, tmp_path):
    """float16 among them: TensorFlow 2.21 writes these files and cannot read them."""
    arrays = {dtype.name: sample(dtype, (40, 50)) for dtype in ALL_DTYPES}
    policy = tf.train.experimental.MaxShardSizePolicy(max_shard_size=1500)
    options = tf.train.CheckpointOptions(experimental_sharding_callback=policy)
    for name in VARIABLES:
        checkpoint = tf.train.Checkpoint(v=tf.Variable(arrays[name]))
        prefix = checkpoint.save(str(tmp_path / name), options=options)
        key = "v/.ATTRIBUTES/VARIABLE_VALUE"
        assert len(tb.open(prefix).entry(key).slices) > 1, name
        assert_same(tb.load(prefix)[key], arrays[name])
        assert_same(tb.open(prefix).read_slice(key, 17), arrays[name][17])
