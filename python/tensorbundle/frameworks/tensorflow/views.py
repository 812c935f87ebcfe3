"""TensorFlow tensors as NumPy views of their memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tensorbundle import dtypes
from tensorbundle.frameworks.tensorflow.variants import to_elements
from tensorbundle.tensors import View
from tensorbundle.variables import Variable

__all__ = ["as_variable", "as_view", "name_of", "named_variables"]


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
    if number == dtypes.VARIANT:
        return View(to_elements(value), number)
    if number not in dtypes.TO_NUMPY:
        raise TypeError(f"a tensor of {value.dtype.name} cannot be stored")
    # NumPy cannot take TensorFlow's view of a scalar that only ml_dtypes has.
    return View(np.asarray(value.numpy() if value.ndim == 0 else value), number)


def as_variable(value: Any) -> Variable | None:
    """Give what writes to a variable; ``None`` for what is none.

    Raises
    ------
    TypeError
        The format has no such dtype.
    """
    if not isinstance(value, tf.Variable):
        return None
    number = int(value.dtype.as_datatype_enum) % 100
    if number != dtypes.STRING and number not in dtypes.TO_NUMPY:
        raise TypeError(f"a variable of {value.dtype.name} cannot be restored")
    static = value.shape if value.shape.rank is not None else value.read_value().shape
    return Variable(value, tuple(static), dtypes.numpy_dtype(number), value.assign)


def named_variables(target: Any) -> list[tuple[str, Any]] | None:
    """Give the variables of a module by their names; ``None`` for what is no module."""
    if not isinstance(target, tf.Module):
        return None
    return [(_name(variable), variable) for variable in target.variables]


def name_of(value: Any) -> str | None:
    """Give a variable's name, without ":0"; ``None`` for what is no variable."""
    return _name(value) if isinstance(value, tf.Variable) else None


def _name(variable: Any) -> str:
    name: str = variable.name
    return name.removesuffix(":0")
