"""Restored arrays as TensorFlow's tensors, without a copy where that is worth it."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import tensorflow as tf

from tensorbundle.checkpoint.adapters import Array

__all__ = ["as_tensor", "aligned_empty"]

# TensorFlow computes on memory as if it began at such an address; it stops the process
# where it does not.
_ALIGNMENT = 64

# Below this a copy is cheaper than to hand the memory over.
_LEAST_SHARED_BYTES = 1 << 16

_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Allocate an array that `as_tensor` need not copy, and that is freed on its own."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % _ALIGNMENT
    return memory[begin : begin + size].view(dtype).reshape(shape)


def as_tensor(value: Array, dtype: Any = None) -> Any:
    """Make a tensor of an array, in host memory.

    A large array is not copied: it must not be written to any more. TensorFlow does not
    write to it either, a variable that it is assigned to moves away with its first update.

    Parameters
    ----------
    value
        Strings as an object array of ``bytes``.
    dtype
        TensorFlow's; ``None`` means the array's own.
    """
    wanted = tf.as_dtype(dtype or (tf.string if value.dtype == object else value.dtype))
    if value.nbytes < _LEAST_SHARED_BYTES or not _can_be_shared(value):
        with tf.device("CPU:0"):
            return tf.constant(value, dtype=wanted)
    if value.dtype == _BFLOAT16:  # which the exchange between libraries does not know
        shared = tf.experimental.dlpack.from_dlpack(value.view(np.uint16).__dlpack__())
    else:
        shared = tf.experimental.dlpack.from_dlpack(value.__dlpack__())
    return shared if shared.dtype == wanted else tf.bitcast(shared, wanted)


def _can_be_shared(value: Array) -> bool:
    return (
        value.ctypes.data % _ALIGNMENT == 0
        and value.flags.c_contiguous
        and value.flags.writeable
        and (value.dtype.kind in "fiuc" or value.dtype == _BFLOAT16)
    )
