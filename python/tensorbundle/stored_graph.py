"""Reading the object graph that a checkpoint holds."""

from __future__ import annotations

from tensorbundle import reading
from tensorbundle.core import _core
from tensorbundle.errors import CorruptionError
from tensorbundle.object_graph import OBJECT_GRAPH_KEY, ObjectGraph, decode

__all__ = ["read_graph"]


def read_graph(core: _core.Bundle, prefix: str) -> ObjectGraph | None:
    """Read the object graph of a checkpoint; ``None`` if it was saved by names.

    Raises
    ------
    CorruptionError
        The tensor of that name is no string, is damaged, or is no object graph.
    """
    if not reading.has(core, OBJECT_GRAPH_KEY):
        return None
    options = reading.read_options(verify=True)
    value = reading.read_tensors(core, [OBJECT_GRAPH_KEY], options)[0][0]
    path = f"{prefix}.index"
    if value.dtype != object or value.shape != ():
        raise CorruptionError(
            f"{path}: the object graph is no string",
            code="BadObjectGraph",
            path=path,
            key=OBJECT_GRAPH_KEY,
        )
    return decode(value.item(), path=path)
