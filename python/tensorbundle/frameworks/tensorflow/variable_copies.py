"""Which variables an exported model of Keras 3 has twice.

Its export holds the variables that its functions use, as ``variables/N``, and Keras's own
objects for them, as ``_all_variables/N``. TensorFlow takes these for variables of their own,
in another order, so that the checkpoint has each value twice; what is served is the first.
Only the variable's own name, which the object graph keeps, tells which is whose.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator

from tensorbundle.checkpoint.keys import VARIABLE_VALUE
from tensorbundle.object_graph import Attribute, ObjectGraph

__all__ = ["originals_of_copies"]

_USED, _COPIES = "variables", "_all_variables"


def originals_of_copies(
    graph: ObjectGraph | None, kind_of: Callable[[str], Hashable]
) -> dict[str, list[str]]:
    """Give the tensors that are copies, each with that which it may be a copy of.

    There are several where variables share their name and their kind: which of them it is
    cannot be told then.

    Parameters
    ----------
    graph
        The checkpoint's; ``None`` where it has none.
    kind_of
        Gives the shape and dtype of a tensor by its name.
    """
    if graph is None or not graph.nodes:
        return {}
    used: dict[Hashable, list[str]] = {}
    own = set()
    for value in _values(graph, _USED):
        own.add(value.checkpoint_key)
        if value.full_name:
            kind = value.full_name, kind_of(value.checkpoint_key)
            used.setdefault(kind, []).append(value.checkpoint_key)
    return {
        value.checkpoint_key: used[kind]
        for value in _values(graph, _COPIES)
        if value.checkpoint_key not in own
        and (kind := (value.full_name, kind_of(value.checkpoint_key))) in used
    }


def _values(graph: ObjectGraph, local_name: str) -> Iterator[Attribute]:
    """Give the tensors of the variables in a list that the root has."""
    for held in graph.nodes[0].children:
        if held.local_name != local_name:
            continue
        for child in graph.nodes[held.node_id].children:
            yield from (
                attribute
                for attribute in graph.nodes[child.node_id].attributes
                if attribute.name == VARIABLE_VALUE
            )
