"""The names that objects' tensors have in a checkpoint, by the path to the object.

They are TensorFlow's (trackable_utils.py), as in
``model/layer-0/kernel/.ATTRIBUTES/VARIABLE_VALUE``.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["VARIABLE_VALUE", "attribute_key", "escape", "path_of", "slot_path"]

VARIABLE_VALUE = "VARIABLE_VALUE"
"""The attribute that a variable's only tensor is."""


def escape(name: str) -> str:
    """Make a name fit between slashes: ``"a.b/c"`` becomes ``"a..b.Sc"``."""
    return name.replace(".", "..").replace("/", ".S")


def path_of(names: Iterable[str]) -> str:
    """Join the names that lead from the root to an object; the root's path is empty."""
    return "/".join(map(escape, names))


def slot_path(variable_path: str, optimizer_path: str, slot_name: str) -> str:
    """Give the path of what an optimizer keeps for a variable."""
    return f"{variable_path}/.OPTIMIZER_SLOT/{optimizer_path}/{escape(slot_name)}"


def attribute_key(object_path: str, name: str) -> str:
    """Give the key of an object's tensor."""
    return f"{object_path}/.ATTRIBUTES/{escape(name)}"
