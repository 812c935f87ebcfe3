"""Keras objects of other backends than TensorFlow, in the graph of a checkpoint.

TensorFlow's are tracked by it, and keep the names that it gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

import keras
import numpy as np

from tensorbundle import dtypes, tensors
from tensorbundle.checkpoint.adapters import Adapter, Array, Children, Container, Leaf
from tensorbundle.checkpoint.containers import adapter_of
from tensorbundle.frameworks.keras.state import check_built, parts_of, values_of

__all__ = ["graph_adapter"]


class KerasLeaf(Leaf):
    """A variable."""

    def shape_and_dtype(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        view = tensors.as_view(self.obj.value)
        return view.array.shape, dtypes.as_loaded(view.array.dtype, view.number)

    def set_value(self, value: Array) -> None:
        self.obj.assign(np.array(value))

    def new_value(self, value: Array) -> Any:
        return np.array(value)


class KerasContainer(Container):
    """A layer, model or optimizer: its values by the names that `state` gives them."""

    def __init__(self, obj: Any) -> None:
        check_built(obj)
        super().__init__(obj)
        self._parts = parts_of(obj)

    def children(self) -> Children:
        return _Group(_nested(values_of(self._parts))).children()

    @property
    def identity(self) -> Hashable:
        return id(self.obj), "state"

    def replace(self, changes: dict[str, Any]) -> Any:
        arrays = dict(tensors.flatten(changes))
        for part in self._parts:
            given = {key: arrays.get(part.name_of(key)) for key in part.values}
            taken = {key: array for key, array in given.items() if array is not None}
            if taken:
                part.assign(taken)
        return self.obj

    def undo(self, names: Iterable[str]) -> Callable[[], object]:
        held = {n: _copy(value) for n, value in values_of(self._parts).items()}
        return lambda: self.replace(_nested(held))


class _Group(Container):
    """Values whose names begin alike; the whole of them is given back at once."""

    shared = False
    in_place = False

    def children(self) -> Children:
        return [(name, _part(value)) for name, value in self.obj.items()]

    def replace(self, changes: dict[str, Any]) -> Any:
        return {**self.obj, **changes}


def _part(value: Any) -> Adapter:
    if isinstance(value, dict):
        return _Group(value)
    adapter = adapter_of(value)
    if not isinstance(adapter, Leaf):
        raise TypeError(f"Keras gives a {type(value).__qualname__} as a value")
    adapter.shared = adapter.in_place = False
    return adapter


def graph_adapter(value: Any) -> Adapter | None:
    """Adapt a variable, layer, model or optimizer; ``None`` for anything else."""
    if keras.backend.backend() == "tensorflow":
        return None
    if isinstance(value, keras.Variable):
        return KerasLeaf(value)
    kinds = (keras.layers.Layer, keras.optimizers.Optimizer)
    return KerasContainer(value) if isinstance(value, kinds) else None


def _copy(value: Any) -> Array:
    return np.array(keras.ops.convert_to_numpy(value))


def _nested(values: dict[str, Any]) -> dict[str, Any]:
    """Part names at their slashes."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        *outer, last = name.split("/")
        inner = nested
        for key in outer:
            inner = inner.setdefault(key, {})
        inner[last] = value
    return nested
