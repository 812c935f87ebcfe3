"""Finds which live object each saved object belongs to: by structure, not by name.

Both graphs are walked together from their roots: what two objects call by the same name
belongs together. Kinds of objects are not compared. A live object takes the first saved
object it is met with, breadth first; a saved object goes to every live object that is
met with it.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Any

from tensorbundle.checkpoint.adapters import Adapter, Saved
from tensorbundle.checkpoint.lookup import adapter_of
from tensorbundle.checkpoint.walk import children_of

__all__ = ["Pair", "Slot", "match"]


@dataclasses.dataclass(eq=False)
class Pair:
    """A saved object and the live one it belongs to."""

    saved: Saved
    adapter: Adapter
    names: tuple[str, ...]
    children: list[tuple[str, Pair]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Slot:
    """A variable that an optimizer has kept, and does not keep yet, for another one."""

    saved: Saved
    optimizer: Adapter
    variable: Adapter
    name: str


# Called for children that the live object lacks: it, the name, the saved child.
Missing = Callable[[Pair, str, Saved], None]


def match(root: Pair, missing: Missing) -> tuple[list[Pair], list[Slot]]:
    """Pair the objects below a pair, breadth first.

    Raises
    ------
    TypeError, ValueError
        A live object cannot be looked into; the message has its path.
    """
    pairs = [root]
    known: dict[tuple[int, Hashable], Pair] = {_identity(root): root}
    queue = deque(pairs)
    while queue:
        pair = queue.popleft()
        for name, child, below in _children(pair, missing):
            child.put(pair.adapter, name)
            found = Pair(below, child, (*pair.names, name))
            first = known.setdefault(_identity(found), found)
            pair.children.append((name, first))
            if first is found:
                pairs.append(found)
                queue.append(found)
    return pairs, list(_slots(pairs, known))


def _identity(pair: Pair) -> tuple[int, Hashable]:
    return pair.saved.node_id, pair.adapter.identity


def _children(pair: Pair, missing: Missing) -> Iterator[tuple[str, Adapter, Saved]]:
    saved = pair.saved.children()
    if not saved:
        return
    live: dict[str, Any] = dict(children_of(pair.adapter, pair.names))
    for name, below in saved.items():
        child = pair.adapter.lookup(name, live)
        if child is None:
            child = pair.adapter.missing_child(name, below)
        if child is not None:
            yield name, adapter_of(child), below
        else:
            missing(pair, name, below)


def _slots(pairs: list[Pair], known: dict[tuple[int, Hashable], Pair]) -> Iterator[Slot]:
    """Pair what optimizers keep for variables, or tell what they would have to keep."""
    by_node: dict[int, list[Pair]] = {}
    for pair in pairs:
        by_node.setdefault(pair.saved.node_id, []).append(pair)
    for optimizer in list(pairs):
        get_slot = getattr(optimizer.adapter.obj, "get_slot", None)
        if get_slot is None:
            continue
        for reference in optimizer.saved.node.slot_variables:
            saved = optimizer.saved._replace(node_id=reference.slot_variable_node_id)
            for original in by_node.get(reference.original_variable_node_id, ()):
                try:
                    slot = get_slot(original.adapter.obj, reference.slot_name)
                except (AttributeError, KeyError):
                    slot = None
                if slot is None:
                    name = reference.slot_name
                    yield Slot(saved, optimizer.adapter, original.adapter, name)
                    continue
                names = (*original.names, reference.slot_name)
                pair = Pair(saved, adapter_of(slot), names)
                if known.setdefault(_identity(pair), pair) is pair:
                    pairs.append(pair)
