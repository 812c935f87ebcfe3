"""Variant tensors as what a checkpoint holds of them: each element's serialized message.

TensorFlow serializes a variant tensor into one string: the sizes of all elements as varints,
then the elements, each a ``VariantTensorDataProto``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from tensorbundle.checkpoint.adapters import Array

__all__ = ["from_elements", "to_elements"]


def to_elements(tensor: Any) -> Array:
    """Serialize the elements of a tensor; give an array of ``bytes``.

    Raises
    ------
    TypeError
        TensorFlow has no way to serialize them, as of datasets.
    """
    try:
        message = tf.io.serialize_tensor(tensor).numpy()
    except tf.errors.OpError as error:
        raise TypeError(
            f"a variant that TensorFlow cannot serialize: {error.message}"
        ) from None
    content = tensor_pb2.TensorProto.FromString(message).tensor_content
    sizes, at = [], 0
    for _ in range(int(tf.size(tensor))):
        size, at = _varint(content, at)
        sizes.append(size)
    if at + sum(sizes) != len(content):
        raise TypeError("a variant that this version of TensorFlow serializes in another way")
    elements = np.empty(len(sizes), dtype=object)
    for number, size in enumerate(sizes):
        elements[number] = element = content[at : at + size]
        kind = tensor_pb2.VariantTensorDataProto.FromString(element).type_name
        if kind.endswith("DatasetVariantWrapper"):  # of which TensorFlow writes the name only
            raise TypeError("a dataset has no bytes; save an iterator of it")
        at += size
    return elements.reshape(tensor.shape)


def from_elements(elements: Array) -> Any:
    """Make a tensor of serialized elements.

    Raises
    ------
    tf.errors.InvalidArgumentError
        They are not what TensorFlow has serialized.
    """
    parts = elements.reshape(-1).tolist()
    message = tensor_pb2.TensorProto(
        dtype=tf.variant.as_datatype_enum,
        tensor_shape=tf.TensorShape(elements.shape).as_proto(),
        tensor_content=b"".join([*(_as_varint(len(part)) for part in parts), *parts]),
    )
    with tf.device("CPU:0"):
        return tf.io.parse_tensor(message.SerializeToString(), tf.variant)


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _as_varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
