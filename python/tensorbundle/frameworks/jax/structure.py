"""How a pytree becomes JSON and entries, and back; docs/jax.md tells the grammar.

The JSON has the containers, and for each leaf the name of its entry and of what kind it
was. Nothing in it is trusted: it chooses among the kinds listed here, and names no
function and no class that would be looked up.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from typing import Any, Final

import jax

from tensorbundle.frameworks.jax.trees import label_of, name_of_path, parts_of

__all__ = [
    "STRUCTURE",
    "BadStructureError",
    "UnknownVersionError",
    "build",
    "encode",
    "parse",
    "shown",
]

STRUCTURE: Final = "_TENSORBUNDLE_JAX"
"""The entry that has the JSON."""

_FORMAT: Final = "tensorbundle.jax"
_VERSION: Final = 1
_MAX_DEPTH: Final = 100
_MAX_FIELDS: Final = 1000

Node = Any


class BadStructureError(Exception):
    """The JSON is not what `encode` writes; the message says why."""


class UnknownVersionError(BadStructureError):
    """The JSON is of a later version."""


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
    node = _Encoder(take).encode(tree, ())
    document = {"format": _FORMAT, "version": _VERSION, "tree": node}
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


@dataclasses.dataclass
class _Encoder:
    take: Callable[[str, str, Any], dict[str, Any]]
    depth: int = 0

    def encode(self, value: Any, keys: tuple[Any, ...]) -> Node:
        if value is None:
            return None
        parts, _ = parts_of(value)
        if len(parts) == 1 and parts[0][0] is None:
            name = name_of_path(keys)
            return {"leaf": name, **self.take(name, shown(keys), value)}
        if self.depth == _MAX_DEPTH:
            raise ValueError(f"{shown(keys)} is nested more than {_MAX_DEPTH} containers deep")
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


def shown(keys: tuple[Any, ...]) -> str:
    """Show where a leaf is: ``tree['params'].w[0]``."""
    return f"tree{jax.tree_util.keystr(keys)}"


def _container(value: Any, children: list[tuple[str | int, Node]]) -> Node:
    kind = type(value)
    nodes = [node for _, node in children]
    if kind is list or kind is tuple:
        return {kind.__name__: nodes}
    if kind in (dict, OrderedDict, defaultdict):
        return {"dict": [list(child) for child in children]}
    fields = getattr(kind, "_fields", None)
    if isinstance(value, tuple) and kind.__bases__ == (tuple,) and isinstance(fields, tuple):
        return {"namedtuple": kind.__name__, "fields": list(fields), "items": nodes}
    name = f"{kind.__module__}.{kind.__qualname__}"
    return {"node": name, "children": [list(child) for child in children]}


# ---- From JSON ----------------------------------------------------------------------------


def parse(text: bytes) -> Node:
    """Give the tree of a document, after a look at what that says of itself."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadStructureError(f"it is not JSON: {error}") from None
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise BadStructureError(f"it is not marked as {_FORMAT!r}")
    version = document.get("version")
    if version != _VERSION:
        raise UnknownVersionError(
            f"it is of version {version!r}; this library knows {_VERSION}"
        )
    if "tree" not in document:
        raise BadStructureError("it has no tree")
    return document["tree"]


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
    if depth > _MAX_DEPTH:
        raise BadStructureError(f"it is nested more than {_MAX_DEPTH} containers deep")
    if not isinstance(node, dict):
        raise BadStructureError(f"{_short(node)} should be a node")
    if "leaf" in node:
        return make(node)
    below = functools.partial(build, make=make, depth=depth + 1)
    if "list" in node:
        return [below(child) for child in _list(node["list"])]
    if "tuple" in node:
        return tuple(below(child) for child in _list(node["tuple"]))
    if "namedtuple" in node:
        return _named_tuple(node, [below(child) for child in _list(node.get("items"))])
    for tag, children in (("dict", "dict"), ("node", "children")):
        if tag in node:
            return {_key(key): below(child) for key, child in _pairs(node.get(children))}
    raise BadStructureError(f"{_short(node)} is a node of no kind")


def _named_tuple(node: Node, items: list[Any]) -> Any:
    fields = _list(node.get("fields"))
    if len(items) != len(fields) or len(fields) > _MAX_FIELDS:
        raise BadStructureError(f"a named tuple has {len(fields)} fields, {len(items)} items")
    names = [node["namedtuple"], *fields]
    # namedtuple() puts these into code: nothing but identifiers may get there, which it
    # checks as well.
    if not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise BadStructureError("a named tuple has names that are no identifiers")
    try:
        return _named_tuple_type(names[0], tuple(fields))(*items)
    except ValueError as error:
        raise BadStructureError(f"no named tuple: {error}") from None


@functools.lru_cache
def _named_tuple_type(name: str, fields: tuple[str, ...]) -> Any:
    return namedtuple(name, fields)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BadStructureError(f"{_short(value)} should be a list")
    return value


def _pairs(value: Any) -> list[list[Any]]:
    pairs = [_list(pair) for pair in _list(value)]
    if not all(len(pair) == 2 for pair in pairs):
        raise BadStructureError("a pair of key and value is none")
    return pairs


def _key(value: Any) -> str | int:
    if type(value) not in (str, int):
        raise BadStructureError(f"{_short(value)} should be a key")
    found: str | int = value
    return found


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
