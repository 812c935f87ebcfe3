"""JSON in one string tensor: how a framework's `save` keeps what is around its tensors.

Which values the JSON has is for the framework to say. What all of them share is here: the
entry, what the JSON says of itself, and how a structure that is none is told. Nothing in
it is trusted.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from tensorbundle import dtypes, reading
from tensorbundle.core import _core
from tensorbundle.errors import CorruptionError, UnsupportedError

__all__ = [
    "MAX_DEPTH",
    "BadStructureError",
    "StructureEntry",
    "as_list",
    "as_pairs",
    "is_named_tuple",
    "make_named_tuple",
    "shortened",
]

MAX_DEPTH: Final = 100
"""Containers inside of containers; pickle's own recursion ends not far above."""

_MAX_FIELDS: Final = 1000

Node = Any


class BadStructureError(Exception):
    """The JSON is not what `save` writes; the message says why."""


@dataclasses.dataclass(frozen=True)
class StructureEntry:
    """The entry of one framework."""

    name: str
    """Of the string tensor."""
    format: str
    """What the JSON says that it is."""
    version: int
    """The only one that is known."""
    content: str
    """The key, in the JSON, of what is for the framework."""
    absence: str
    """What to say of a checkpoint without the entry: who saves one, how else to load."""

    def text(self, content: Node) -> str:
        """Give what is to be saved."""
        document = {"format": self.format, "version": self.version, self.content: content}
        return json.dumps(document, separators=(",", ":"), allow_nan=False)

    def read(self, core: _core.Bundle, path: str) -> Node:
        """Read what `text` was given, verified.

        Raises
        ------
        UnsupportedError
            There is no such entry, or it is of a later version.
        BadStructureError
            It is not what `text` gives.
        """
        if not reading.has(core, self.name):
            raise UnsupportedError(f"{path}: {self.absence}", code="NoStructure", path=path)
        number, shape = reading.find(core, self.name)[:2]
        if number != dtypes.STRING or tuple(shape) != ():
            raise BadStructureError("it is not one string")
        options = reading.read_options(verify=True)
        document = _parsed(reading.read_tensors(core, [self.name], options)[0][0].item())
        if not isinstance(document, dict) or document.get("format") != self.format:
            raise BadStructureError(f"it is not marked as {self.format!r}")
        version = document.get("version")
        if version != self.version:
            raise UnsupportedError(
                self._told(
                    path, f"it is of version {version!r}; this library knows {self.version}"
                ),
                code="UnknownStructure",
                path=path,
                key=self.name,
            )
        if self.content not in document:
            raise BadStructureError(f"it has no {self.content}")
        return document[self.content]

    @contextmanager
    def explained(self, path: str) -> Iterator[None]:
        """Make a `BadStructureError` the `CorruptionError` that a caller gets."""
        try:
            yield
        except BadStructureError as error:
            raise CorruptionError(
                self._told(path, str(error)), code="BadStructure", path=path, key=self.name
            ) from None

    def _told(self, path: str, why: str) -> str:
        return f"{path}: {self.name} does not describe the checkpoint: {why}"


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadStructureError(f"it is not JSON: {error}") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number of JSON")


# ---- What several structures have -----------------------------------------------------------


def is_named_tuple(value: Any) -> bool:
    """Tell whether a value is of a type that ``namedtuple`` has made."""
    fields = getattr(type(value), "_fields", None)
    return type(value).__bases__ == (tuple,) and isinstance(fields, tuple)


def make_named_tuple(name: Any, fields: Any, items: list[Any]) -> Any:
    """Make a named tuple, of a new type, of what the JSON says and its items, already made.

    Raises
    ------
    BadStructureError
        There are not as many fields as items, or they have names that no field may have.
    """
    fields = as_list(fields)
    if len(items) != len(fields) or len(fields) > _MAX_FIELDS:
        raise BadStructureError(f"a named tuple has {len(fields)} fields, {len(items)} items")
    # namedtuple() puts these into code: nothing but identifiers may get there, which it
    # checks as well.
    if not all(isinstance(text, str) and text.isidentifier() for text in (name, *fields)):
        raise BadStructureError("a named tuple has names that are no identifiers")
    try:
        return _named_tuple_type(name, tuple(fields))(*items)
    except ValueError as error:
        raise BadStructureError(f"no named tuple: {error}") from None


@functools.lru_cache
def _named_tuple_type(name: str, fields: tuple[str, ...]) -> Any:
    return namedtuple(name, fields)


def as_list(value: Any) -> list[Any]:
    """Give a node that has to be a list.

    Raises
    ------
    BadStructureError
        It is none.
    """
    if not isinstance(value, list):
        raise BadStructureError(f"{shortened(value)} should be a list")
    return value


def as_pairs(value: Any) -> list[list[Any]]:
    """Give a node that has to be a list of pairs: keys and values.

    Raises
    ------
    BadStructureError
        It is none.
    """
    pairs = [as_list(pair) for pair in as_list(value)]
    if not all(len(pair) == 2 for pair in pairs):
        raise BadStructureError("a pair of key and value is none")
    return pairs


def shortened(value: Any) -> str:
    """Show a node in a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
