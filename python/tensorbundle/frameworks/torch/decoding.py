"""From the JSON of a checkpoint back to the object; nothing in it is trusted.

The JSON chooses among the kinds of value listed here. It names no module, no attribute
and no function; what it says of a tensor is compared with the entry that it names before
anything is read.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
import torch

from tensorbundle import dtypes
from tensorbundle.frameworks.torch.structure import CONSTANTS
from tensorbundle.structure_entry import (
    MAX_DEPTH,
    BadStructureError,
    as_list,
    as_pairs,
    make_named_tuple,
    shortened,
)

__all__ = ["Decoder"]

_SCALARS: Final = {dtype.name: dtype for dtype in dtypes.NUMBERS}
_FLOATS: Final = ("nan", "inf", "-inf")

Node = Any


class Decoder:
    """Makes the object; its leaves are made by `leaf`, which is called once for each.

    ``leaf(tag, node)`` gets ``"$tensor"``, ``"$array"``, ``"$bytes"`` or ``"$bytearray"``.
    """

    def __init__(self, leaf: Callable[[str, dict[str, Any]], Any]) -> None:
        self._make_leaf = leaf
        self._leaves: list[Any] = []
        self._depth = 0

    def decode(self, node: Node) -> Any:
        """Make the value of a node.

        Raises
        ------
        BadStructureError
            It is none.
        """
        if isinstance(node, dict):
            tag = next(iter(node), "")
            if not tag.startswith("$"):
                return self._inside(lambda: {k: self.decode(v) for k, v in node.items()})
            method = _METHODS.get(tag)
            if method is None:
                raise BadStructureError(f"it has a value of an unknown kind, {tag!r}")
            return method(self, tag, node)
        if isinstance(node, list):
            return self._list(node)
        return node

    # ---- Plain values

    def _int(self, tag: str, node: Node) -> int:
        text = _text(node[tag])
        if not re.fullmatch("-?[0-9a-f]+", text):
            raise BadStructureError(f"{shortened(text)} is no integer")
        return int(text, 16)

    def _float(self, tag: str, node: Node) -> float:
        text = _text(node[tag])
        if text in _FLOATS:
            return float(text)
        return float(np.frombuffer(_from_hex(text, 8), ">f8")[0])

    def _complex(self, tag: str, node: Node) -> complex:
        parts = [self.decode(part) for part in as_list(node[tag])]
        if len(parts) != 2 or not all(isinstance(part, float) for part in parts):
            raise BadStructureError("a complex number has a real and an imaginary part")
        return complex(*parts)

    def _bytes(self, tag: str, node: Node) -> Any:
        made: Any
        if isinstance(node[tag], dict):
            made = self._leaf(tag, node)
        else:
            try:
                made = base64.b64decode(_text(node[tag]), validate=True)
            except (binascii.Error, ValueError) as error:
                raise BadStructureError(f"bytes are not base64: {error}") from None
        return bytearray(made) if tag == "$bytearray" else bytes(made)

    def _scalar(self, tag: str, node: Node) -> Any:
        dtype = _SCALARS.get(_text(node[tag]))
        if dtype is None:
            raise BadStructureError(f"{shortened(node[tag])} is no dtype of NumPy")
        return np.frombuffer(_from_hex(_text(node.get("bytes")), dtype.itemsize), dtype)[0]

    def _constant(self, tag: str, node: Node) -> Any:
        name = _text(node[tag])
        if name not in CONSTANTS:
            raise BadStructureError(f"this torch has no {shortened(name)}")
        return CONSTANTS[name]

    def _device(self, tag: str, node: Node) -> torch.device:
        try:
            return torch.device(_text(node[tag]))
        except RuntimeError as error:
            raise BadStructureError(f"{shortened(node[tag])} is no device: {error}") from None

    # ---- Leaves

    def _leaf(self, tag: str, node: Node) -> Any:
        made = self._make_leaf(tag, node)
        self._leaves.append(made)
        return made

    def _ref(self, tag: str, node: Node) -> Any:
        number = node[tag]
        if type(number) is not int or not 0 <= number < len(self._leaves):
            raise BadStructureError(
                f"it refers to leaf {shortened(number)}, which is not before"
            )
        return self._leaves[number]

    # ---- Containers

    def _inside(self, make: Callable[[], Any]) -> Any:
        if self._depth == MAX_DEPTH:
            raise BadStructureError(f"it is nested more than {MAX_DEPTH} containers deep")
        self._depth += 1
        made = make()
        self._depth -= 1
        return made

    def _list(self, nodes: Iterable[Node]) -> list[Any]:
        made: list[Any] = self._inside(lambda: [self.decode(node) for node in nodes])
        return made

    def _tuple(self, tag: str, node: Node) -> tuple[Any, ...]:
        return tuple(self._list(as_list(node[tag])))

    def _size(self, tag: str, node: Node) -> torch.Size:
        sizes = as_list(node[tag])
        if not all(_is_index(size) for size in sizes):
            raise BadStructureError("a torch.Size has other than sizes")
        return torch.Size(sizes)

    def _named_tuple(self, tag: str, node: Node) -> Any:
        items = self._list(as_list(node.get("items")))
        return make_named_tuple(node[tag], node.get("fields"), items)

    def _set(self, tag: str, node: Node) -> Any:
        elements = [self._key(element) for element in as_list(node[tag])]
        return frozenset(elements) if tag == "$frozenset" else set(elements)

    def _dict(self, tag: str, node: Node) -> Any:
        made: dict[Any, Any] = _DICTS[tag]()
        body = node[tag]
        if isinstance(body, dict):
            self._inside(lambda: made.update({k: self.decode(v) for k, v in body.items()}))
        else:
            pairs = as_pairs(body)
            self._inside(lambda: made.update({self._key(k): self.decode(v) for k, v in pairs}))
        if tag == "$ordered" and "metadata" in node:
            made._metadata = self.decode(node["metadata"])  # type: ignore[attr-defined]
        return made

    def _key(self, node: Node) -> Any:
        before = len(self._leaves)
        key = self.decode(node)
        if len(self._leaves) != before or (isinstance(node, dict) and "$ref" in node):
            raise BadStructureError("a key is a tensor or an array")
        try:
            hash(key)
        except TypeError as error:
            raise BadStructureError(f"a key is none: {error}") from None
        return key


_DICTS: Final[dict[str, Any]] = {
    "$dict": dict,
    "$ordered": OrderedDict,
    "$counter": Counter,
}

_METHODS: Final[dict[str, Callable[[Decoder, str, Node], Any]]] = {
    "$array": Decoder._leaf,
    "$bytearray": Decoder._bytes,
    "$bytes": Decoder._bytes,
    "$complex": Decoder._complex,
    "$counter": Decoder._dict,
    "$device": Decoder._device,
    "$dict": Decoder._dict,
    "$float": Decoder._float,
    "$frozenset": Decoder._set,
    "$int": Decoder._int,
    "$namedtuple": Decoder._named_tuple,
    "$ordered": Decoder._dict,
    "$ref": Decoder._ref,
    "$scalar": Decoder._scalar,
    "$set": Decoder._set,
    "$size": Decoder._size,
    "$tensor": Decoder._leaf,
    "$torch": Decoder._constant,
    "$tuple": Decoder._tuple,
}


def _is_index(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadStructureError(f"{shortened(value)} should be text")
    return value


def _from_hex(text: str, size: int) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError as error:
        raise BadStructureError(f"{shortened(text)} is not hexadecimal: {error}") from None
    if len(found) != size:
        raise BadStructureError(f"{shortened(text)} should have {size} bytes")
    return found
