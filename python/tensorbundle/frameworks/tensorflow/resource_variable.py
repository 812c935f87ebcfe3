"""Variables whose value is one tensor in memory: read without a copy, written in one call.

Nearly all of what programs save are such variables, so they have a short way of their
own; all others go the way that TensorFlow has for them (`graph`).
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import tensorflow as tf
from tensorflow.python.ops.resource_variable_ops import BaseResourceVariable

from tensorbundle import dtypes

__all__ = ["children_are_none", "read", "resource_variable"]

# Types that NumPy has itself. Of the others it cannot view a scalar of TensorFlow's.
_NUMPYS_OWN = frozenset(tf.as_dtype(dtype) for dtype in dtypes.NUMBERS if dtype.isbuiltin == 1)


def resource_variable(obj: Any) -> Any:
    """Give the variable that all of an object's value is in; ``None`` if there is none.

    It is the object itself, or what a Keras variable holds. Variables that are spread over
    devices, or are saved in another way than TensorFlow's own, are none.
    """
    kind = _kind(type(obj))
    if kind == "own":
        return obj
    if kind == "keras":
        held = getattr(obj, "_value", None)
        return held if _kind(type(held)) == "own" else None
    return None


_kinds: WeakKeyDictionary[type, str] = WeakKeyDictionary()


def _kind(cls: type) -> str:
    kind = _kinds.get(cls)
    if kind is None:
        kind = _kinds[cls] = _kind_of(cls)
    return kind


def _kind_of(cls: type) -> str:
    if issubclass(cls, BaseResourceVariable):
        methods = ("_serialize_to_tensors", "_restore_from_tensors")
        inherits = all(getattr(cls, m) is getattr(BaseResourceVariable, m) for m in methods)
        return "own" if inherits else ""
    acts = getattr(cls, "_should_act_as_resource_variable", False)
    return "keras" if acts and cls.__module__.startswith("keras.") else ""


def children_are_none(obj: Any) -> bool:
    """Tell whether nothing was attached to a variable."""
    return not getattr(obj, "_self_unconditional_checkpoint_dependencies", None)


def read(variable: Any, *, is_small: bool = False) -> Any:
    """View a variable's memory; ``None`` of one that has not been initialized.

    The view keeps its values: TensorFlow copies on write while it lives. What NumPy cannot
    view comes as a tensor.

    Parameters
    ----------
    variable
        As `resource_variable` gives it.
    is_small
        Take a copy where TensorFlow would make one (after sparse updates it copies on
        read), instead of telling it not to, which takes longer than to copy a little.
    """
    try:
        if not is_small:
            tf.raw_ops.DisableCopyOnRead(resource=variable.handle)
        value = tf.raw_ops.ReadVariableOp(resource=variable.handle, dtype=variable.dtype)
    except tf.errors.OpError:
        if variable.is_initialized():
            raise
        return None
    if variable.dtype not in _NUMPYS_OWN:
        return value
    array = np.asarray(value)
    # Of some that have not been initialized no elements are read.
    return array if array.size or variable.is_initialized() else None
