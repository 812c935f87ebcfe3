"""The walk over a graph of objects: breadth first, as TensorFlow's."""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import Any

from tensorbundle.checkpoint.adapters import Adapter, Children, Tensors
from tensorbundle.checkpoint.keys import path_of, slot_path
from tensorbundle.checkpoint.lookup import adapter_of
from tensorbundle.errors import GraphChangedError
from tensorbundle.object_graph import (
    Attribute,
    Child,
    Node,
    ObjectGraph,
    SlotVariable,
    encode,
)

__all__ = ["LiveNode", "Saving", "children_of", "gather", "walk"]

# An object graph of more messages than this is not read back (object_graph.py).
_MOST_NODES = 1 << 23


@dataclasses.dataclass
class LiveNode:
    """One object, and where it was found."""

    node_id: int
    adapter: Adapter
    names: tuple[str, ...]
    children: list[tuple[str, LiveNode]] = dataclasses.field(default_factory=list)
    slots: list[SlotVariable] = dataclasses.field(default_factory=list)
    slot_of: str | None = None
    attributes: list[Attribute] = dataclasses.field(default_factory=list)
    """What its value was saved as, once it has been gathered."""

    @property
    def path(self) -> str:
        """The names that lead here, escaped and joined."""
        return path_of(self.names) if self.slot_of is None else self.slot_of

    @property
    def shown(self) -> str:
        """The path for messages."""
        return shown(self.names)


def shown(names: tuple[str, ...]) -> str:
    """Show where an object is."""
    return ".".join(("root", *names)) if names else "the root object"


def children_of(adapter: Adapter, names: tuple[str, ...]) -> list[tuple[str, Adapter]]:
    """Give the adapters of an object's children; faults are told with their paths.

    Raises
    ------
    TypeError
        A child, or a key, is of a kind that cannot be saved.
    ValueError
        Two children have the same name.
    """
    try:
        children: Children = adapter.children()
    except (TypeError, ValueError) as error:
        raise type(error)(f"{shown(names)}: {error}") from None
    found = []
    for name, child in children:
        try:
            below = adapter_of(child)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{shown((*names, name))}: {error}") from None
        below.put(adapter, name)
        found.append((name, below))
    return found


def walk(root: Adapter) -> list[LiveNode]:
    """Find all objects, the root first; those that optimizers keep for others come last.

    Raises
    ------
    TypeError, ValueError
        As `children_of` does.
    """
    root.put(None, "")
    nodes = [LiveNode(0, root, ())]
    known: dict[int, LiveNode] = {_sameness(root): nodes[0]}
    queue = deque(nodes)
    while queue:
        node = queue.popleft()
        for name, adapter in children_of(node.adapter, node.names):
            child = known.get(_sameness(adapter))
            if child is None:
                child = LiveNode(len(nodes), adapter, (*node.names, name))
                if len(nodes) >= _MOST_NODES:
                    raise ValueError(f"{child.shown}: more than {_MOST_NODES} objects")
                known[_sameness(adapter)] = child
                nodes.append(child)
                queue.append(child)
            node.children.append((name, child))
    _add_slots(nodes, known)
    return nodes


def _sameness(adapter: Adapter) -> int:
    """Identify what is saved once; all adapters live as long as the walk."""
    return id(adapter.obj) if adapter.shared else id(adapter)


def _add_slots(nodes: list[LiveNode], known: dict[int, LiveNode]) -> None:
    """Add the variables that optimizers of TensorFlow 1 keep for other variables."""
    others = list(nodes)
    for optimizer in others:
        if not callable(getattr(type(optimizer.adapter.obj), "get_slot_names", None)):
            continue
        for slot_name in optimizer.adapter.obj.get_slot_names():
            for original in others:
                slot = _slot_of(optimizer.adapter.obj, original.adapter.obj, slot_name)
                if slot is not None:
                    path = slot_path(original.path, optimizer.path, slot_name)
                    names = (*original.names, ".OPTIMIZER_SLOT", *optimizer.names, slot_name)
                    node = LiveNode(len(nodes), adapter_of(slot), names, slot_of=path)
                    if _sameness(node.adapter) in known:
                        raise ValueError(
                            f"{node.shown}: a slot variable that is also the object "
                            f"{known[_sameness(node.adapter)].shown}"
                        )
                    known[_sameness(node.adapter)] = node
                    nodes.append(node)
                    optimizer.slots.append(
                        SlotVariable(original.node_id, slot_name, node.node_id)
                    )


def _slot_of(optimizer: Any, variable: Any, slot_name: str) -> Any:
    try:
        return optimizer.get_slot(variable, slot_name)
    except (AttributeError, KeyError):
        return None


# ---- What a checkpoint of the objects holds ----------------------------------------------


@dataclasses.dataclass
class Saving:
    """The content of a checkpoint to be."""

    graph: bytes
    tensors: dict[str, Any]
    """By key; what `tensorbundle.save` takes."""
    nodes: list[LiveNode]
    """The objects, the root first."""


def gather(root: Adapter) -> Saving:
    """Walk the objects and give the graph and the tensors of their checkpoint.

    Raises
    ------
    TypeError
        An object is of a kind that cannot be saved; the message has its path.
    ValueError
        Two objects have the same key.
    GraphChangedError
        An object got or lost children meanwhile.
    """
    nodes = walk(root)
    graph = ObjectGraph(
        [
            Node(
                children=[Child(child.node_id, name) for name, child in node.children],
                slot_variables=node.slots,
            )
            for node in nodes
        ]
    )
    tensors: dict[str, Any] = {}
    for node in nodes:
        found = _tensors_of(node)
        graph.nodes[node.node_id].attributes = node.attributes = found.attributes
        for key, value in found.values.items():
            if key in tensors:
                raise ValueError(f"{node.shown}: another object has the key {key!r} too")
            tensors[key] = value
    _check_unchanged(nodes)
    _mark_values(graph)
    return Saving(encode(graph), tensors, nodes)


def _tensors_of(node: LiveNode) -> Tensors:
    try:
        return node.adapter.tensors(node.path)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{node.shown}: {error}") from None


def _check_unchanged(nodes: list[LiveNode]) -> None:
    """Compare what objects hold now with what they held when the walk passed."""
    for node in nodes:
        if not node.adapter.shared or not node.adapter.in_place:
            continue
        before = [(name, child.adapter.obj) for name, child in node.children]
        now = [
            (name, child.obj if isinstance(child, Adapter) else child)
            for name, child in node.adapter.children()
        ]
        if len(before) != len(now) or any(
            was != name or (held is not child and not _is_made_anew(node, name))
            for (was, held), (name, child) in zip(before, now, strict=True)
        ):
            raise GraphChangedError(
                f"{node.shown}: it got or lost children while the objects were walked over",
                code="GraphChanged",
            )


def _is_made_anew(node: LiveNode, name: str) -> bool:
    """Tell whether a child is no object of its own, but made whenever asked for."""
    return any(n == name and not child.adapter.shared for n, child in node.children)


def _mark_values(graph: ObjectGraph) -> None:
    """Set which objects have values, in themselves or below."""
    parents: dict[int, list[int]] = {}
    marked = []
    for node_id, node in enumerate(graph.nodes):
        node.has_checkpoint_values = bool(node.attributes or node.slot_variables)
        if node.has_checkpoint_values:
            marked.append(node_id)
        for child in node.children:
            parents.setdefault(child.node_id, []).append(node_id)
    while marked:
        for parent in parents.get(marked.pop(), ()):
            if not graph.nodes[parent].has_checkpoint_values:
                graph.nodes[parent].has_checkpoint_values = True
                marked.append(parent)
