"""Adapters for the root of a checkpoint's graph."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

from tensorbundle.bundle import Entry
from tensorbundle.checkpoint.adapters import (
    Adapter,
    Array,
    Children,
    Container,
    Saved,
    Tensors,
)
from tensorbundle.checkpoint.containers import ModuleContainer
from tensorbundle.object_graph import Attribute

__all__ = ["ForeignRoot", "OwnRoot"]


class OwnRoot(ModuleContainer):
    """A `Checkpoint`, whose attributes are the children."""

    def __init__(self, obj: Any, objects: Callable[[], dict[str, Any]]) -> None:
        super().__init__(obj)
        self._objects = objects

    def _attributes(self) -> dict[str, Any]:
        return self._objects()

    @property
    def empty(self) -> set[str]:
        """The attributes that are ``None``."""
        return {name for name, value in self._objects().items() if value is None}

    def replace(self, changes: dict[str, Any]) -> Any:
        for name, value in changes.items():
            object.__setattr__(self.obj, name, value)
        return self.obj


class ForeignRoot(Container):
    """An object given as the root, and what the `Checkpoint` adds to its children."""

    def __init__(self, root: Adapter, own: OwnRoot) -> None:
        super().__init__(root.obj)
        if not root.in_place:
            raise TypeError("the root object cannot be changed; give it a name: model=...")
        self._whole = root
        self._own = own

    def children(self) -> Children:
        held = self._whole.children()
        known = {name for name, _ in held}
        return held + [(n, v) for n, v in self._own.children() if n not in known]

    def lookup(self, name: str, children: dict[str, Any]) -> Any:
        found = self._whole.lookup(name, children)
        return children.get(name) if found is None else found

    def missing_child(self, name: str, saved: Saved) -> Any:
        found = self._whole.missing_child(name, saved)
        return self._own.missing_child(name, saved) if found is None else found

    def defer(
        self, name: str, restore: Callable[[Any], None], again: Callable[[], None]
    ) -> None:
        self._whole.defer(name, restore, again)
        self._own.defer(name, restore, again)

    def replace(self, changes: dict[str, Any]) -> Any:
        own, whole = self._parts(changes)
        self._own.replace({name: changes[name] for name in own})
        if whole:
            assert isinstance(self._whole, Container)
            self._whole.replace({name: changes[name] for name in whole})
        return self.obj

    def undo(self, names: Iterable[str]) -> Callable[[], object]:
        own, whole = self._parts(names)
        undo = [self._own.undo(own)]
        if whole:
            assert isinstance(self._whole, Container)
            undo.append(self._whole.undo(whole))
        return lambda: [take_back() for take_back in undo]

    def _parts(self, names: Iterable[str]) -> tuple[list[str], list[str]]:
        held = {name for name, _ in self._own.children()} | self._own.empty
        mine = held - {name for name, _ in self._whole.children()}
        names = list(names)
        return [n for n in names if n in mine], [n for n in names if n not in mine]

    # The rest is the root's own.

    @property
    def identity(self) -> Hashable:
        return self._whole.identity

    @property
    def has_value(self) -> bool:
        return self._whole.has_value

    @property
    def may_fail(self) -> bool:
        return self._whole.may_fail

    def tensors(self, path: str) -> Tensors:
        return self._whole.tensors(path)

    def takes(self, attribute: Attribute) -> bool:
        return self._whole.takes(attribute)

    def refusal(self, attribute: Attribute, entry: Entry) -> str | None:
        return self._whole.refusal(attribute, entry)

    def held_values(self) -> dict[str, Any]:
        return self._whole.held_values()

    def assign(self, values: dict[str, Array]) -> None:
        self._whole.assign(values)
