"""Restored values as TensorFlow's tensors, without a copy where that is worth it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import tensorflow as tf

from tensorbundle.checkpoint.adapters import Array
from tensorbundle.frameworks.tensorflow.variants import from_elements

__all__ = ["Blank", "as_tensor", "as_tensors", "blank", "with_dtype"]

# TensorFlow computes on memory as if it began at such an address; it stops the process
# where it does not.
_ALIGNMENT = 64

# Below this a copy is cheaper than to hand the memory over.
_LEAST_SHARED_BYTES = 1 << 16

_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


class Blank(NamedTuple):
    """A tensor whose elements are still to be written, before anybody else gets it."""

    tensor: Any
    array: Array
    """Its memory, which lives as long as the tensor."""


def blank(shape: tuple[int, ...], dtype: np.dtype[Any], size: int) -> Blank | None:
    """Make a tensor of `size` bytes to read into; ``None`` where a copy is as good.

    The memory is TensorFlow's own, so a variable that takes the tensor goes on with it: to
    memory of others it would write only a copy, at its first update.
    """
    if size < _LEAST_SHARED_BYTES:
        return None
    if dtype.kind not in "fiucb" and dtype != _BFLOAT16:  # TensorFlow has no empty ones
        return None
    with tf.device("CPU:0"):
        tensor = tf.raw_ops.Empty(shape=shape, dtype=tf.as_dtype(dtype), init=False)
    view = np.asarray(tensor)
    if view.flags.owndata:  # not its memory
        return None
    memory = memoryview((ctypes.c_ubyte * view.nbytes).from_address(view.ctypes.data))
    return Blank(tensor, np.frombuffer(memory, dtype).reshape(shape))


def as_tensor(value: Array, dtype: Any = None) -> Any:
    """Make a tensor of an array, in host memory.

    A large array is not copied: it must not be written to any more. TensorFlow does not
    write to it either, a variable that it is assigned to moves away with its first update.

    Parameters
    ----------
    value
        Strings, and the elements of variants, as an object array of ``bytes``.
    dtype
        TensorFlow's; ``None`` means the array's own.
    """
    return as_tensors([(value, dtype)])[0]


def as_tensors(values: Iterable[tuple[Array, Any]]) -> list[Any]:
    """Make tensors of arrays and their dtypes; see `as_tensor`."""
    with tf.device("CPU:0"):  # to enter it takes as long as to make a small tensor
        return [_as_tensor(value, dtype) for value, dtype in values]


def _as_tensor(value: Array, dtype: Any) -> Any:
    wanted = tf.as_dtype(dtype or (tf.string if value.dtype == object else value.dtype))
    if wanted == tf.variant:
        return from_elements(value)
    if value.nbytes < _LEAST_SHARED_BYTES or not _can_be_shared(value):
        return tf.constant(value, dtype=wanted)
    if value.dtype == _BFLOAT16:  # which the exchange between libraries does not know
        shared = tf.experimental.dlpack.from_dlpack(value.view(np.uint16).__dlpack__())
    else:
        shared = tf.experimental.dlpack.from_dlpack(value.__dlpack__())
    return with_dtype(shared, wanted)


def with_dtype(tensor: Any, dtype: Any) -> Any:
    """Give a tensor of the same bytes: of quantized numbers, for example."""
    return tensor if tensor.dtype == dtype else tf.bitcast(tensor, dtype)


def _can_be_shared(value: Array) -> bool:
    return (
        value.ctypes.data % _ALIGNMENT == 0
        and value.flags.c_contiguous
        and value.flags.writeable
        and (value.dtype.kind in "fiuc" or value.dtype == _BFLOAT16)
    )
