"""How a nested object becomes JSON and leaves, without pickle; docs/torch.md tells all tags.

A value that JSON has is itself. Anything else is an object whose first key begins with
"$" and names its kind. Tensors, arrays and long ``bytes`` are leaves: they lie in the
checkpoint as entries of their own, and the JSON names these.
"""

from __future__ import annotations

import base64
import dataclasses
import math
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch

from tensorbundle import dtypes
from tensorbundle.frameworks.torch.views import check_dense
from tensorbundle.structure_entry import MAX_DEPTH, StructureEntry, is_named_tuple

__all__ = ["CONSTANTS", "STRUCTURE", "Leaf", "encode"]

STRUCTURE: Final = StructureEntry(
    name="_TENSORBUNDLE_TORCH",
    format="tensorbundle.torch",
    version=1,
    content="value",
    absence=(
        "was not saved by tensorbundle.torch.save; tensorbundle.load gives its tensors by "
        "their names"
    ),
)
"""The entry that has the JSON."""

# Python and JavaScript agree on integers up to here.
_MAX_JSON_INT = 2**53

_MAX_INLINE_BYTES = 1024

# What torch has names for, by them: dtypes, layouts, memory formats.
CONSTANTS: Final[dict[str, Any]] = {
    str(value).removeprefix("torch."): value
    for value in vars(torch).values()
    if isinstance(value, (torch.dtype, torch.layout, torch.memory_format))
}

Node = Any


@dataclasses.dataclass(slots=True)
class Leaf:
    """What gets an entry of its own."""

    value: Any
    """A tensor, or an array."""
    path: str
    """Where it is, for messages: ``obj['model']['w']``."""
    name: str
    """Where it is, as an entry's name: ``"model/w"``; not yet unique."""
    node: dict[str, Any]
    """What stands for it in the JSON; to be completed."""


def encode(obj: Any) -> tuple[Node, list[Leaf]]:
    """Give the JSON of an object, and its leaves in the order of the document.

    Raises
    ------
    TypeError
        Something in it can be held neither by JSON nor by tensors.
    ValueError
        It contains itself, or is nested too deep.
    """
    encoder = _Encoder()
    return encoder.encode(obj), encoder.leaves


class _Encoder:
    def __init__(self) -> None:
        self.leaves: list[Leaf] = []
        self._refs: dict[int, int] = {}  # the number of a leaf by the id of its value
        self._around: dict[int, str] = {}  # the containers that we are in, by id
        self._steps: list[tuple[str, str]] = []  # for the message, for the name

    def encode(self, value: Any) -> Node:
        method = _METHODS.get(type(value))
        if method is not None:
            return method(self, value)
        if isinstance(value, np.generic):
            return self._numpy_scalar(value)
        if is_named_tuple(value):
            return self._named_tuple(value)
        raise TypeError(f"{self._path()}: {_refusal(value)}")

    # ---- Plain values

    def _itself(self, value: Any) -> Node:
        return value

    def _int(self, value: int) -> Node:
        return value if abs(value) < _MAX_JSON_INT else {"$int": f"{value:x}"}

    def _float(self, value: float) -> Node:
        if math.isfinite(value):
            return value
        bits = struct.pack(">d", value)
        if math.isnan(value) and bits != struct.pack(">d", math.nan):
            return {"$float": bits.hex()}
        return {"$float": repr(value)}

    def _complex(self, value: complex) -> Node:
        return {"$complex": [self._float(value.real), self._float(value.imag)]}

    def _bytes(self, value: bytes | bytearray) -> Node:
        tag = f"${type(value).__name__}"
        if len(value) <= _MAX_INLINE_BYTES:
            return {tag: base64.b64encode(value).decode("ascii")}
        return self._leaf(np.frombuffer(value, np.uint8), {tag: {}})

    def _numpy_scalar(self, value: np.generic) -> Node:
        if value.dtype not in dtypes.NUMBERS:
            raise TypeError(f"{self._path()}: {_refusal(value)}")
        return {"$scalar": value.dtype.name, "bytes": value.tobytes().hex()}

    def _constant(self, value: Any) -> Node:
        return {"$torch": str(value).removeprefix("torch.")}

    def _device(self, value: torch.device) -> Node:
        return {"$device": str(value)}

    # ---- Leaves

    def _tensor(self, value: torch.Tensor) -> Node:
        return self._shared(value, {"$tensor": None})

    def _array(self, value: np.ndarray[Any, Any]) -> Node:
        if dtypes.number_of(value.dtype) is None:
            raise TypeError(
                f"{self._path()}: an array of dtype {value.dtype}; save .tolist(), or "
                "convert it to numbers"
            )
        return self._shared(value, {"$array": None})

    def _shared(self, value: Any, node: Node) -> Node:
        """Note a leaf; what is there already is only referred to."""
        number = self._refs.get(id(value))
        if number is not None:
            return {"$ref": number}
        self._refs[id(value)] = len(self.leaves)
        return self._leaf(value, node)

    def _leaf(self, value: Any, node: dict[str, Any]) -> Node:
        name = "/".join(step for _, step in self._steps) or "value"
        self.leaves.append(Leaf(value, self._path(), name, node))
        return node

    # ---- Containers

    def _list(self, value: Iterable[Any]) -> list[Node]:
        with self._inside(value):
            return [self._at(f"[{i}]", str(i), item) for i, item in enumerate(value)]

    def _tuple(self, value: tuple[Any, ...]) -> Node:
        return {"$tuple": self._list(value)}

    def _size(self, value: torch.Size) -> Node:
        return {"$size": list(value)}

    def _named_tuple(self, value: Any) -> Node:
        with self._inside(value):
            items = [
                self._at(f".{field}", field, item)
                for field, item in zip(value._fields, value, strict=True)
            ]
        return {
            "$namedtuple": type(value).__name__,
            "fields": list(value._fields),
            "items": items,
        }

    def _set(self, value: set[Any] | frozenset[Any]) -> Node:
        return {f"${type(value).__name__}": [self._key(item) for item in value]}

    def _dict(self, value: dict[Any, Any]) -> Node:
        items = self._items(value)
        simple = type(items) is dict and not any(key.startswith("$") for key in items)
        return items if simple else {"$dict": items}

    def _ordered(self, value: OrderedDict[Any, Any]) -> Node:
        node = {"$ordered": self._items(value)}
        metadata = getattr(value, "_metadata", None)  # of a module's state_dict()
        if metadata is not None:
            node["metadata"] = self._at("._metadata", "_metadata", metadata)
        return node

    def _counter(self, value: Counter[Any]) -> Node:
        return {"$counter": self._items(value)}

    def _items(self, value: dict[Any, Any]) -> Node:
        """Give an object where all keys are text, or pairs."""
        with self._inside(value):
            if all(type(key) is str for key in value):
                return {key: self._at(f"[{key!r}]", key, item) for key, item in value.items()}
            return [
                [self._key(key), self._at(f"[{key!r}]", _text(key), item)]
                for key, item in value.items()
            ]

    def _key(self, key: Any) -> Node:
        """Encode what must be hashable: no tensors."""
        before = len(self.leaves)
        node = self.encode(key)
        if len(self.leaves) != before or (isinstance(node, dict) and "$ref" in node):
            raise TypeError(
                f"{self._path()}: a key or element of a set that is, or has, a tensor, an "
                "array or a long string of bytes; use a number or a short string"
            )
        return node

    # ---- Where we are

    def _at(self, shown: str, name: str, value: Any) -> Node:
        self._steps.append((shown, name))
        node = self.encode(value)
        self._steps.pop()
        return node

    def _path(self) -> str:
        return "obj" + "".join(shown for shown, _ in self._steps)

    @contextmanager
    def _inside(self, value: Any) -> Iterator[None]:
        if id(value) in self._around:
            raise ValueError(f"{self._path()} is {self._around[id(value)]}, which contains it")
        if len(self._around) == MAX_DEPTH:
            raise ValueError(f"{self._path()} is nested more than {MAX_DEPTH} containers deep")
        self._around[id(value)] = self._path()
        yield
        del self._around[id(value)]


_METHODS: Final[dict[type, Callable[[_Encoder, Any], Node]]] = {
    type(None): _Encoder._itself,
    bool: _Encoder._itself,
    str: _Encoder._itself,
    int: _Encoder._int,
    float: _Encoder._float,
    complex: _Encoder._complex,
    bytes: _Encoder._bytes,
    bytearray: _Encoder._bytes,
    list: _Encoder._list,
    tuple: _Encoder._tuple,
    set: _Encoder._set,
    frozenset: _Encoder._set,
    dict: _Encoder._dict,
    OrderedDict: _Encoder._ordered,
    Counter: _Encoder._counter,
    np.ndarray: _Encoder._array,
    np.memmap: _Encoder._array,
    torch.Tensor: _Encoder._tensor,
    torch.nn.Parameter: _Encoder._tensor,
    torch.Size: _Encoder._size,
    torch.device: _Encoder._device,
    torch.dtype: _Encoder._constant,
    torch.layout: _Encoder._constant,
    torch.memory_format: _Encoder._constant,
}


def _text(key: Any) -> str:
    """Give the part of an entry's name that a key is."""
    return key if isinstance(key, str) else str(key)


def _refusal(value: Any) -> str:
    """Say why a value cannot be saved, and what can be done."""
    kind = f"a {type(value).__module__}.{type(value).__qualname__}"
    if torch.nn.parameter.is_lazy(value):
        return f"{kind} has no values yet; run the module once before"
    if isinstance(value, torch.Tensor):
        try:
            check_dense(value)
        except TypeError as error:
            return str(error)
        return f"{kind}, which is more than a tensor; save .as_subclass(torch.Tensor)"
    if callable(getattr(value, "state_dict", None)):
        return f"cannot save {kind} itself; save its .state_dict()"
    for base, advice in (
        (dict, "dict(it)"), (list, "list(it)"), (tuple, "tuple(it)"), (str, "str(it)"),
        (int, "int(it)"), (float, "float(it)"), (np.ndarray, "numpy.asarray(it)"),
        (torch.UntypedStorage, "a tensor of it"), (torch.TypedStorage, "a tensor of it"),
    ):  # fmt: skip
        if isinstance(value, base):
            return f"cannot save {kind}, whose type would be lost; save {advice}"
    return (
        f"cannot save {kind}: neither JSON nor tensors hold it; save the tensors, numbers, "
        "strings, lists and dicts that it is made of"
    )
