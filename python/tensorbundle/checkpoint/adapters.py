"""How the graph sees an object: by an adapter, which knows its kind.

An adapter gives an object's children and tensors to a walk that saves, and takes values
in a restore. Those for Python's own objects are in `containers` and `leaves`, those for
frameworks' in `tensorbundle.frameworks`; `lookup` finds the one for an object.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Hashable, Iterable
from typing import Any, NamedTuple

import numpy as np

from tensorbundle import dtypes
from tensorbundle import tensors as _tensors
from tensorbundle.bundle import Entry
from tensorbundle.checkpoint.keys import VARIABLE_VALUE, attribute_key
from tensorbundle.object_graph import Attribute, Node, ObjectGraph

__all__ = [
    "Adapter",
    "Array",
    "Children",
    "Container",
    "Leaf",
    "Saved",
    "Tensors",
    "is_stateless",
    "refusal",
]

Array = np.ndarray[Any, Any]
Children = list[tuple[str, Any]]

# What an attribute may be without holding a value: it is left out of checkpoints.
_STATELESS = (
    type(None), type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType,
    types.MethodType, functools.partial, np.ufunc, property, staticmethod, classmethod,
)  # fmt: skip


def is_stateless(value: Any) -> bool:
    """Tell whether a value is ``None``, a function, a class or a module."""
    return isinstance(value, _STATELESS)


class Tensors(NamedTuple):
    """What an object's value is saved as."""

    attributes: list[Attribute]
    values: dict[str, Any]
    """By checkpoint key; what has no value yet is in `attributes` only."""


class Saved(NamedTuple):
    """One object of a checkpoint."""

    graph: ObjectGraph
    node_id: int
    shape_at: Callable[[Attribute], tuple[int, ...] | None]
    """Gives the shape of an attribute that is one tensor; ``None`` of others."""

    @property
    def node(self) -> Node:
        """What the checkpoint says of it."""
        return self.graph.nodes[self.node_id]

    def children(self) -> dict[str, Saved]:
        """Give the objects it held, by name."""
        return {c.local_name: self._replace(node_id=c.node_id) for c in self.node.children}

    @property
    def is_leaf(self) -> bool:
        """Whether it is one tensor."""
        return [a.name for a in self.node.attributes] == [VARIABLE_VALUE]

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape, where it is one tensor."""
        return self.shape_at(self.node.attributes[0]) if self.is_leaf else None


class Adapter:
    """One object, as the graph sees it."""

    shared = True
    """Whether the same object in two places is saved once."""
    in_place = True
    """Whether a restore changes the object; else another takes its place."""

    def __init__(self, obj: Any) -> None:
        self.obj = obj
        self.place: Hashable = None

    def put(self, parent: Adapter | None, name: str) -> None:
        """Note where the object was found first."""
        if self.place is None:
            self.place = (parent.identity if parent is not None else None, name)

    @property
    def identity(self) -> Hashable:
        """What stays the same from one walk to the next."""
        return id(self.obj) if self.in_place else self.place

    def children(self) -> Children:
        """Give the objects that this one holds, by name, in the order they are saved."""
        return []

    def lookup(self, name: str, children: dict[str, Any]) -> Any:
        """Find a child by name, also one that is not saved; ``None`` if there is none."""
        return children.get(name)

    def missing_child(self, name: str, saved: Saved) -> Any:
        """Make what stands for a child that the object lacks but can take; or ``None``."""
        return None

    def defer(
        self, name: str, restore: Callable[[Any], None], again: Callable[[], None]
    ) -> None:
        """Wait for the child `name`, if the object can tell when it gets it.

        Then either ``restore(child)`` is to be called, or ``again()``, which restores this
        object once more.
        """

    @property
    def has_value(self) -> bool:
        """Whether there are tensors to save."""
        return False

    def tensors(self, path: str) -> Tensors:
        """Give the tensors to save, of an object at `path`."""
        return Tensors([], {})

    def takes(self, attribute: Attribute) -> bool:
        """Whether a restore has a use for an attribute."""
        return False

    def refusal(self, attribute: Attribute, entry: Entry) -> str | None:
        """Say why a stored tensor cannot be taken; ``None`` if it can."""
        return None

    def assign(self, values: dict[str, Array]) -> None:
        """Take values, by the names of attributes."""
        raise NotImplementedError

    def held_values(self) -> dict[str, Any]:
        """Give what `assign` would have to take to change nothing."""
        return {}

    @property
    def may_fail(self) -> bool:
        """Whether `assign` can fail though `refusal` said nothing."""
        return False


class Leaf(Adapter):
    """An object that is one tensor."""

    full_name = ""

    @property
    def has_value(self) -> bool:
        return True

    def tensor(self) -> Any:
        """Give what `tensorbundle.save` takes."""
        return self.obj

    def tensors(self, path: str) -> Tensors:
        key = attribute_key(path, VARIABLE_VALUE)
        attribute = Attribute(VARIABLE_VALUE, self.full_name, key)
        return Tensors([attribute], {key: self.tensor()})

    def takes(self, attribute: Attribute) -> bool:
        return attribute.name == VARIABLE_VALUE

    def shape_and_dtype(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Give what a stored tensor must have."""
        view = _tensors.as_view(self.tensor())
        return view.array.shape, dtypes.as_loaded(view.array.dtype, view.number)

    def refusal(self, attribute: Attribute, entry: Entry) -> str | None:
        shape, dtype = self.shape_and_dtype()
        return refusal(entry, shape, dtype)

    def target(self) -> Any:
        """Give what `tensorbundle.load` can read into; ``None`` if it cannot."""
        return None

    def assign(self, values: dict[str, Array]) -> None:
        self.set_value(values[VARIABLE_VALUE])

    def set_value(self, value: Array) -> None:
        """Change the object, where that is possible."""
        raise NotImplementedError

    def new_value(self, value: Array) -> Any:
        """Make the object that takes this one's place."""
        raise NotImplementedError


def refusal(entry: Entry, shape: tuple[int, ...], dtype: np.dtype[Any]) -> str | None:
    """Say how a stored tensor differs from what is wanted; ``None`` if it does not."""
    faults = []
    if entry.shape != shape:
        faults.append(f"shape {entry.shape} in the checkpoint, {shape} here")
    if entry.dtype != dtype:
        faults.append(
            f"dtype {entry.dtype_name} in the checkpoint, {dtypes.shown(dtype)} here"
        )
    return " and ".join(faults) or None


class Container(Adapter):
    """An object that holds others, and may have to hold others in their place."""

    def replace(self, changes: dict[str, Any]) -> Any:
        """Hold other children; give the object that does: this, or a new one."""
        raise NotImplementedError

    def undo(self, names: Iterable[str]) -> Callable[[], object]:
        """Give what takes back a later `replace` of these children."""
        held = {n: c.obj if isinstance(c, Adapter) else c for n, c in self.children()}
        before = {name: held[name] for name in names}
        return lambda: self.replace(before)
