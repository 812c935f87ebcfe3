"""What the objects of a checkpoint were like at the last save, and whether they still are.

To find the objects, their names and their graph takes longer than to save a few thousand
small variables. So it is kept from one save to the next. Nothing is taken on trust: every
object is asked again what it holds, and if one says anything else than before, all are
walked over anew. Objects are known by weak references, so nothing lives longer by it.
"""

from __future__ import annotations

import dataclasses
import weakref
from typing import Any

import numpy as np

from tensorbundle.checkpoint.adapters import Adapter, Tensors
from tensorbundle.checkpoint.walk import LiveNode, Saving
from tensorbundle.frameworks.tensorflow.graph import TrackableAdapter, has_own_saver
from tensorbundle.frameworks.tensorflow.resource_variable import (
    children_are_none,
    read,
    resource_variable,
)
from tensorbundle.object_graph import Attribute

__all__ = ["Structure"]

# Below this a copy of a variable is cheaper than a call that avoids it.
_SMALL_BYTES = 1 << 16


@dataclasses.dataclass(slots=True)
class _Known:
    """One object of the last save."""

    reference: weakref.ref[Any]
    path: str
    names: list[str]
    children: list[int]
    """By the numbers of the nodes, in the order of `names`."""
    attributes: list[Attribute]
    key: str | None
    """Of a variable: that of its only tensor."""
    is_small: bool


class Structure:
    """The objects of one save."""

    def __init__(self, saving: Saving) -> None:
        self._graph = saving.graph
        self._nodes = [_known(node, saving) for node in saving.nodes]

    @staticmethod
    def of(saving: Saving) -> Structure | None:
        """Keep what a walk found; ``None`` where it cannot be looked at again so easily.

        That is so of optimizers of TensorFlow 1, which keep variables for others.
        """
        if any(hasattr(type(node.adapter.obj), "get_slot_names") for node in saving.nodes):
            return None
        try:
            return Structure(saving)
        except TypeError:  # an object that cannot be referred to weakly
            return None

    def gather(self, root: Adapter) -> Saving | None:
        """Give what a checkpoint of the objects holds; ``None`` if they have changed."""
        objects = [known.reference() for known in self._nodes]
        if objects[0] is not root.obj or any(obj is None for obj in objects):
            return None
        tensors: dict[str, Any] = {}
        for known, obj in zip(self._nodes, objects, strict=True):
            if known.key is not None:
                variable = resource_variable(obj)
                if variable is None or not children_are_none(obj) or has_own_saver(obj):
                    return None
                value = read(variable, is_small=known.is_small)
                if value is not None:
                    tensors[known.key] = value
                continue
            adapter = root if obj is root.obj else TrackableAdapter(obj)
            if not _holds_the_same(adapter, known, objects):
                return None
            found = _tensors_of(adapter, known.path)
            if found.attributes != known.attributes:
                return None
            tensors.update(found.values)
        return Saving(self._graph, tensors, [])


def _known(node: LiveNode, saving: Saving) -> _Known:
    obj = node.adapter.obj
    key = None
    if resource_variable(obj) is not None and not node.children and len(node.attributes) == 1:
        key = node.attributes[0].checkpoint_key
    value = saving.tensors.get(key) if key is not None else None
    return _Known(
        reference=weakref.ref(obj),
        path=node.path,
        names=[name for name, _ in node.children],
        children=[child.node_id for _, child in node.children],
        attributes=node.attributes,
        key=key,
        is_small=isinstance(value, np.ndarray) and value.nbytes < _SMALL_BYTES,
    )


def _holds_the_same(adapter: Adapter, known: _Known, objects: list[Any]) -> bool:
    now = adapter.children()
    return len(now) == len(known.names) and all(
        name == was and child is objects[number]
        for (name, child), was, number in zip(now, known.names, known.children, strict=True)
    )


def _tensors_of(adapter: Adapter, path: str) -> Tensors:
    if isinstance(adapter, TrackableAdapter) and not adapter.may_have_value:
        return Tensors([], {})
    return adapter.tensors(path)
