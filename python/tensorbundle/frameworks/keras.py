"""Keras variables, of whichever backend."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tensorbundle import dtypes, tensors
from tensorbundle.checkpoint.adapters import Adapter, Array, Leaf
from tensorbundle.tensors import View

__all__ = ["as_view", "graph_adapter"]


def as_view(value: Any) -> View | None:
    """View the backend's tensor behind a variable; ``None`` for what is no variable."""
    if not isinstance(value, keras.Variable):
        return None
    return tensors.as_view(value.value)


# ---- In the graph of a Checkpoint ---------------------------------------------------------


class KerasLeaf(Leaf):
    """A variable of a backend other than TensorFlow, whose own are tracked by it."""

    def shape_and_dtype(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        view = tensors.as_view(self.obj.value)
        number = view.number or dtypes.number_of(view.array.dtype) or 0
        return view.array.shape, dtypes.numpy_dtype(number)

    def set_value(self, value: Array) -> None:
        self.obj.assign(np.array(value))


def graph_adapter(value: Any) -> Adapter | None:
    """Adapt a variable; ``None`` for anything else."""
    return KerasLeaf(value) if isinstance(value, keras.Variable) else None
