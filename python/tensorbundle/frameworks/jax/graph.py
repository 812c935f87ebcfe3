"""JAX arrays and pytrees in the graph of a checkpoint."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from tensorbundle.checkpoint.adapters import Adapter, Array, Children, Leaf, is_stateless
from tensorbundle.checkpoint.containers import TupleContainer
from tensorbundle.frameworks.jax.trees import label_of, parts_of

__all__ = ["graph_adapter"]


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
        found, _ = parts_of(self.obj)
        return [(str(label_of(key)), value) for key, value in found]

    def replace(self, changes: dict[str, Any]) -> Any:
        held = [changes.get(name, value) for name, value in self._parts()]
        return parts_of(self.obj)[1].unflatten(held)


def graph_adapter(value: Any) -> Adapter | None:
    """Adapt an array or a node of a registered kind; ``None`` for anything else."""
    if isinstance(value, jax.Array):
        return JaxLeaf(value)
    if isinstance(value, (tuple, list, dict)) or jax.tree_util.all_leaves([value]):
        return None
    return PytreeContainer(value)
