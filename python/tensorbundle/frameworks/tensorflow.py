"""TensorFlow tensors and variables as NumPy views of their memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tensorbundle import dtypes
from tensorbundle.tensors import View

__all__ = ["as_view"]


def as_view(value: Any) -> View | None:
    """View an eager tensor or a variable; ``None`` for what is neither.

    Raises
    ------
    TypeError
        The tensor is symbolic, not dense, or its dtype cannot be stored.
    """
    if isinstance(value, tf.Variable):
        # Reading does not copy; TensorFlow copies on write while the view lives.
        value = value.read_value()
    if isinstance(value, (tf.SparseTensor, tf.RaggedTensor, tf.IndexedSlices)):
        raise TypeError(f"a {type(value).__name__} is not dense; save its parts")
    if not isinstance(value, tf.Tensor):
        return None
    if not hasattr(value, "numpy"):
        raise TypeError("a symbolic tensor of a graph has no value to save")
    number = int(value.dtype.as_datatype_enum) % 100
    if number == dtypes.STRING:
        return View(np.array(value.numpy(), dtype=object))
    if number not in dtypes.TO_NUMPY:
        raise TypeError(f"a tensor of {value.dtype.name} cannot be stored")
    # NumPy cannot take TensorFlow's view of a scalar that only ml_dtypes has.
    return View(np.asarray(value.numpy() if value.ndim == 0 else value), number)
