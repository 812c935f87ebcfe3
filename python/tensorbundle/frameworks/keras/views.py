"""Keras variables of every backend as NumPy views of their memory."""

from __future__ import annotations

from typing import Any

import keras
import ml_dtypes
import numpy as np

from tensorbundle import tensors
from tensorbundle.tensors import View
from tensorbundle.variables import Variable

__all__ = ["as_variable", "as_view", "name_of", "named_variables"]


def as_view(value: Any) -> View | None:
    """View the backend's tensor behind a variable; ``None`` for what is no variable."""
    if not isinstance(value, keras.Variable):
        return None
    return tensors.as_view(value.value)


def as_variable(value: Any) -> Variable | None:
    """Give what writes to a variable; ``None`` for what is no variable."""
    if not isinstance(value, keras.Variable):
        return None
    name = "object" if value.dtype == "string" else value.dtype
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    return Variable(value, tuple(value.shape), dtype, value.assign)


def named_variables(target: Any) -> list[tuple[str, Any]] | None:
    """Give the variables of a layer, model or optimizer by their paths; or ``None``."""
    if not isinstance(target, (keras.layers.Layer, keras.optimizers.Optimizer)):
        return None
    return [(variable.path, variable) for variable in target.variables]


def name_of(value: Any) -> str | None:
    """Give a variable's path; ``None`` for what is no variable."""
    return value.path if isinstance(value, keras.Variable) else None
