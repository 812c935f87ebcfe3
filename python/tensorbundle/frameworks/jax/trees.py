"""Pytrees, one level at a time, and the names of their leaves."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import jax

__all__ = ["label_of", "name_of_path", "parts_of"]

_ROOT = "value"


def parts_of(node: Any) -> tuple[list[tuple[Any, Any]], Any]:
    """Give the children of a node with their keys, and the structure to make it anew.

    A leaf has itself as the only child, with ``None`` as the key.
    """
    # Asked first of the node itself, then of its children: one of them may be the node.
    asked = itertools.count()
    found, structure = jax.tree_util.tree_flatten_with_path(
        node, is_leaf=lambda _: next(asked) > 0
    )
    return [(keys[0] if keys else None, value) for keys, value in found], structure


def label_of(key: Any) -> Any:
    """Give the attribute, the key or the number that a child is found by."""
    for attribute in ("name", "key", "idx"):
        if hasattr(key, attribute):
            return getattr(key, attribute)
    return str(key)


def name_of_path(keys: Sequence[Any]) -> str:
    """Name the entry of a leaf: ``"params/layers/0/w"``."""
    return "/".join(str(label_of(key)) for key in keys) or _ROOT
