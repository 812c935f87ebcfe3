"""How a pytree becomes JSON and entries, and back; docs/jax.md tells the grammar.

The JSON has the containers, and for each leaf the name of its entry and of what kind it
was. Nothing in it is trusted: it chooses among the kinds listed here, and names no
function and no class that would be looked up.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any, Final

import jax

from tensorbundle.frameworks.jax.trees import label_of, name_of_path, parts_of
from tensorbundle.structure_entry import (
    MAX_DEPTH,
    BadStructureError,
    StructureEntry,
    as_list,
    as_pairs,
    is_named_tuple,
    make_named_tuple,
    shortened,
)

__all__ = ["STRUCTURE", "build", "encode", "shown"]

STRUCTURE: Final = StructureEntry(
    name="_TENSORBUNDLE_JAX",
    format="tensorbundle.jax",
    version=1,
    content="tree",
    absence=(
        "was not saved by tensorbundle.jax.save; say by like= what is wanted, or take "
        "tensorbundle.load, which gives arrays by their names"
    ),
)
"""The entry that has the JSON."""

Node = Any


# ---- To JSON ------------------------------------------------------------------------------


def encode(tree: Any, take: Callable[[str, str, Any], dict[str, Any]]) -> str:
    """Give the JSON of a pytree.

    `take` is given each leaf, with the name of its entry and its path for messages, and
    says of what kind it is.

    Raises
    ------
    TypeError
        A key is neither text nor an integer, or what `take` raises.
    ValueError
        The tree contains itself, or is nested too deep.
    """
    return STRUCTURE.text(_Encoder(take).encode(tree, ()))


@dataclasses.dataclass
class _Encoder:
    take: Callable[[str, str, Any], dict[str, Any]]
    depth: int = 0

    def encode(self, value: Any, keys: tuple[Any, ...]) -> Node:
        if value is None:
            return None
        parts = _parts(value, keys)
        if len(parts) == 1 and parts[0][0] is None:
            name = name_of_path(keys)
            return {"leaf": name, **self.take(name, shown(keys), value)}
        if self.depth == MAX_DEPTH:
            raise ValueError(f"{shown(keys)} is nested more than {MAX_DEPTH} containers deep")
        self.depth += 1
        children = [
            (self._key(key, keys), self.encode(child, (*keys, key))) for key, child in parts
        ]
        self.depth -= 1
        return _container(value, children)

    def _key(self, key: Any, keys: tuple[Any, ...]) -> str | int:
        label = label_of(key)
        if type(label) not in (str, int):
            raise TypeError(
                f"{shown(keys)}: a key that is a {type(label).__qualname__}; keys must be "
                "strings or integers"
            )
        found: str | int = label
        return found


def _parts(value: Any, keys: tuple[Any, ...]) -> list[tuple[Any, Any]]:
    try:
        return parts_of(value)[0]
    except ValueError:  # JAX sorts the keys
        if not isinstance(value, dict):
            raise
        raise TypeError(
            f"{shown(keys)}: its keys have no order; they must be all strings or all integers"
        ) from None


def shown(keys: tuple[Any, ...], root: str = "tree") -> str:
    """Show where a leaf is: ``tree['params'].w[0]``."""
    return f"{root}{jax.tree_util.keystr(keys)}"


def _container(value: Any, children: list[tuple[str | int, Node]]) -> Node:
    kind = type(value)
    nodes = [node for _, node in children]
    if kind is list or kind is tuple:
        return {kind.__name__: nodes}
    if kind in (dict, OrderedDict, defaultdict):
        return {"dict": [list(child) for child in children]}
    if is_named_tuple(value):
        return {"namedtuple": kind.__name__, "fields": list(value._fields), "items": nodes}
    name = f"{kind.__module__}.{kind.__qualname__}"
    return {"node": name, "children": [list(child) for child in children]}


# ---- From JSON ----------------------------------------------------------------------------


def build(node: Node, make: Callable[[dict[str, Any]], Any], depth: int = 0) -> Any:
    """Make the tree of a node; `make` gives each leaf.

    Nodes of classes that JAX was told of come as dicts of their children.

    Raises
    ------
    BadStructureError
        It is no node.
    """
    if node is None:
        return None
    if depth > MAX_DEPTH:
        raise BadStructureError(f"it is nested more than {MAX_DEPTH} containers deep")
    if not isinstance(node, dict):
        raise BadStructureError(f"{shortened(node)} should be a node")
    if "leaf" in node:
        return make(node)
    below = functools.partial(build, make=make, depth=depth + 1)
    if "list" in node:
        return [below(child) for child in as_list(node["list"])]
    if "tuple" in node:
        return tuple(below(child) for child in as_list(node["tuple"]))
    if "namedtuple" in node:
        items = [below(child) for child in as_list(node.get("items"))]
        return make_named_tuple(node["namedtuple"], node.get("fields"), items)
    for tag, children in (("dict", "dict"), ("node", "children")):
        if tag in node:
            return {_key(key): below(child) for key, child in as_pairs(node.get(children))}
    raise BadStructureError(f"{shortened(node)} is a node of no kind")


def _key(value: Any) -> str | int:
    if type(value) not in (str, int):
        raise BadStructureError(f"{shortened(value)} should be a key")
    found: str | int = value
    return found
