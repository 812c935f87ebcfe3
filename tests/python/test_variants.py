"""Variant tensors: their elements as TensorFlow serialized them."""

from __future__ import annotations

import numpy as np
import pytest

import tensorbundle as tb
from reference.bundle import read_bundle, write_bundle
from reference.dtypes import VARIANT

from .helpers import GOLDEN, assert_same, data_file, flip_byte

VARIANTS = str(GOLDEN / "variants")


def test_every_way_to_read_gives_the_serialized_elements():
    expected = {name.decode(): array for name, array in read_bundle(VARIANTS).items()}
    for found in (tb.load(VARIANTS), tb.load(VARIANTS, mmap=True), tb.open(VARIANTS)):
        for name, array in expected.items():
            assert_same(found[name], array)
            assert all(isinstance(element, bytes) for element in array.flat)
    assert tb.load_variable(VARIANTS, "scalar") == expected["scalar"][()]


def test_an_element_is_what_tensorflow_parses(tf):
    from tensorflow.core.framework import tensor_pb2

    value = tf.raw_ops.TensorListFromTensor(
        tensor=tf.constant([[1.0, 2.0], [3.0, 4.0]]), element_shape=[2]
    )
    theirs = tf.io.parse_tensor(tf.io.serialize_tensor(value), tf.variant)
    assert theirs is not None
    proto = tensor_pb2.VariantTensorDataProto.FromString(tb.load(VARIANTS)["scalar"][()])
    assert proto.type_name == "tensorflow::TensorList"
    assert [tensor.float_val[:] or tensor.tensor_content for tensor in proto.tensors]


@pytest.mark.parametrize("shape", [(), (3,), (0,)])
def test_variants_make_the_same_bytes_as_tensorflow_makes(tf, tmp_path, shape):
    one = tf.raw_ops.TensorListFromTensor(
        tensor=tf.constant([[1.0, 2.0], [3.0, 4.0]]), element_shape=[2]
    )
    value = tf.stack([one] * 3)[: shape[0]] if shape else one
    ours, theirs = str(tmp_path / "ours"), str(tmp_path / "theirs")
    tb.save(ours, {"v": value}, alignment=1)
    tf.raw_ops.SaveV2(
        prefix=theirs, tensor_names=["v"], shape_and_slices=[""], tensors=[value]
    )
    assert data_file(ours).read_bytes() == data_file(theirs).read_bytes()
    assert tb.open(ours).entry("v") == tb.open(theirs).entry("v")
    assert tb.open(ours).entry("v").shape == shape
    assert tb.verify(ours).ok
    (read,) = tf.raw_ops.RestoreV2(
        prefix=ours, tensor_names=["v"], shape_and_slices=[""], dtypes=[tf.variant]
    )
    assert read.shape == shape


def test_they_are_listed_by_their_dtype():
    reader = tb.load_checkpoint(VARIANTS)
    assert reader.debug_string() == b"scalar (DT_VARIANT) []\nvector (DT_VARIANT) [2]\n"
    assert reader.get_variable_to_dtype_map()["vector"] == np.dtype(object)
    assert tb.open(VARIANTS).entry("vector").dtype_name == "variant"


def test_each_element_is_verified(prefix):
    elements = np.array([b"first", b"second"], object)
    write_bundle(prefix, {"v": elements}, dtypes={"v": VARIANT})
    assert tb.verify(prefix).ok
    flip_byte(data_file(prefix), 1 + 5 + 4 + 1 + 2)  # in the second
    (fault,) = tb.verify(prefix).faults
    assert fault.code == "DataChecksumMismatch"
    assert "variant 1" in fault.detail
    for options in ({}, {"mmap": True, "verify": True}):
        with pytest.raises(tb.CorruptionError):
            tb.load(prefix, **options)
    assert_same(tb.load(prefix, verify=False)["v"], np.array([b"first", b"se\x9cond"], object))


def test_a_length_beyond_the_tensor_is_named(prefix):
    write_bundle(prefix, {"v": np.array([b"first"], object)}, dtypes={"v": VARIANT})
    flip_byte(data_file(prefix), 0)  # 5 becomes 250, of two bytes
    with pytest.raises(tb.CorruptionError) as caught:
        tb.load(prefix, verify=False)
    assert (caught.value.code, caught.value.key) == ("BadStringLengths", "v")
