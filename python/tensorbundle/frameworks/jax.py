"""JAX arrays as NumPy views of their memory; pytrees in the graph of a checkpoint."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from tensorbundle.checkpoint.adapters import Adapter, Array, Children, Leaf, is_stateless
from tensorbundle.checkpoint.containers import TupleContainer
from tensorbundle.tensors import View
from tensorbundle.variables import Variable

__all__ = ["as_variable", "as_view", "graph_adapter", "name_of", "named_variables"]


def as_view(value: Any) -> View | None:
    """View an array in host memory, or fetch it; ``None`` for what is no JAX array.

    Raises
    ------
    TypeError
        The array has no value here: traced, deleted, of other processes, or of keys.
    """
    if not isinstance(value, jax.Array):
        return None
    if isinstance(value, jax.core.Tracer):
        raise TypeError("a traced array has no value; save outside of jit and grad")
    if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        raise TypeError("an array of random keys; save jax.random.key_data(it)")
    if value.is_deleted():
        raise TypeError("the array was deleted or donated")
    if not value.is_fully_addressable:
        raise TypeError("the array is spread over processes; save each process's shards")
    return View(np.asarray(value))


def as_variable(value: Any) -> Variable | None:
    """Describe an array, which nothing can be written to; ``None`` for anything else."""
    if not isinstance(value, jax.Array):
        return None
    return Variable(value, value.shape, np.dtype(value.dtype), None)


def named_variables(target: Any) -> None:
    """Find nothing: JAX has no models of its own."""


def name_of(value: Any) -> None:
    """Find nothing: arrays have no names."""


# ---- In the graph of a Checkpoint ---------------------------------------------------------


class JaxLeaf(Leaf):
    """An array, which another one takes the place of: on the same devices."""

    in_place = False

    def shape_and_dtype(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        return tuple(self.obj.shape), np.dtype(self.obj.dtype)

    def new_value(self, value: Array) -> Any:
        return jax.device_put(np.array(value), self.obj.sharding)


class PytreeContainer(TupleContainer):
    """A node of a registered kind, which is made anew when what it holds is replaced."""

    def children(self) -> Children:
        return [(name, value) for name, value in self._parts() if not is_stateless(value)]

    def _parts(self) -> Children:
        found, _ = jax.tree_util.tree_flatten_with_path(self.obj, is_leaf=self._is_below)
        return [(_name_of(keys[0]), value) for keys, value in found if keys]

    def _is_below(self, value: Any) -> bool:
        return value is not self.obj

    def replace(self, changes: dict[str, Any]) -> Any:
        held = [changes.get(name, value) for name, value in self._parts()]
        return jax.tree_util.tree_structure(self.obj, is_leaf=self._is_below).unflatten(held)


def _name_of(key: Any) -> str:
    """Name a child: by attribute, key or number."""
    for attribute in ("name", "key", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)


def graph_adapter(value: Any) -> Adapter | None:
    """Adapt an array or a node of a registered kind; ``None`` for anything else."""
    if isinstance(value, jax.Array):
        return JaxLeaf(value)
    if isinstance(value, (tuple, list, dict)) or jax.tree_util.all_leaves([value]):
        return None
    return PytreeContainer(value)
