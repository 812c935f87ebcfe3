"""Adapters for what holds other objects: Python's containers, and objects with attributes."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tensorbundle.checkpoint.adapters import (
    Adapter,
    Array,
    Children,
    Container,
    Leaf,
    Saved,
    is_stateless,
)
from tensorbundle.checkpoint.leaves import NewLeaf
from tensorbundle.checkpoint.module import PENDING

__all__ = [
    "AttributeContainer",
    "FrozenContainer",
    "MappingContainer",
    "ModuleContainer",
    "NamedTupleContainer",
    "SequenceContainer",
    "StateDictContainer",
    "TupleContainer",
    "is_frozen_dataclass",
    "names_of",
    "plain_value",
]


def names_of(keys: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Give each key's name: a string's own, or an integer's digits.

    Raises
    ------
    TypeError
        A key is something else.
    ValueError
        Two keys have one name.
    """
    known: dict[str, Any] = {}
    for key in keys:
        if isinstance(key, bool) or not isinstance(key, (str, int, np.integer)):
            raise TypeError(f"a key must be str or int, not {type(key).__name__}: {key!r}")
        name = str(key)
        if name in known:
            raise ValueError(f"the keys {known[name]!r} and {key!r} have the same name")
        known[name] = key
        yield name, key


# What a restore lengthens by numbers and text; other classes may have rules of their own.
_EXTENDED = (dict, OrderedDict, defaultdict, list, deque)

# More elements are no list of anything that a program counts.
_MOST_ADDED = 1 << 24


def _number_of(name: str) -> int | None:
    """Give the integer that has a name; ``None`` if none has."""
    return int(name) if re.fullmatch("0|-?[1-9][0-9]{0,18}", name) else None


class MappingContainer(Container):
    """A mapping that can be written to."""

    def children(self) -> Children:
        # A copy is made at once, whatever other threads do.
        items = dict(self.obj)
        return [(n, items[k]) for n, k in names_of(items) if not is_stateless(items[k])]

    def missing_child(self, name: str, saved: Saved) -> Any:
        number = _number_of(name)
        for key in (name, number):
            if key is not None and key in self.obj:
                return plain_value(saved) if self.obj[key] is None else None
        # A name of digits may have been a number.
        is_text = number is None and type(self.obj) in _EXTENDED
        return plain_value(saved) if is_text else None

    def replace(self, changes: dict[str, Any]) -> Any:
        keys = dict(names_of(dict(self.obj)))
        for name, value in changes.items():
            self.obj[keys.get(name, name)] = value
        return self.obj

    def undo(self, names: Iterable[str]) -> Callable[[], object]:
        if type(self.obj) not in _EXTENDED:
            return super().undo(names)
        before = dict(self.obj)

        def take_back() -> None:
            self.obj.clear()
            self.obj.update(before)

        return take_back


class SequenceContainer(Container):
    """A list, or what is used like one."""

    def children(self) -> Children:
        return [(str(i), v) for i, v in enumerate(list(self.obj)) if not is_stateless(v)]

    def missing_child(self, name: str, saved: Saved) -> Any:
        number = _number_of(name)
        if number is None or number < 0:
            return None
        if number < len(self.obj):
            return plain_value(saved) if self.obj[number] is None else None
        most = getattr(self.obj, "maxlen", None)
        has_room = number < (_MOST_ADDED if most is None else most)
        return plain_value(saved) if has_room and type(self.obj) in _EXTENDED else None

    def replace(self, changes: dict[str, Any]) -> Any:
        longest = max(map(int, changes), default=-1) + 1
        if longest > len(self.obj):
            self.obj.extend([None] * (longest - len(self.obj)))
        for name, value in changes.items():
            self.obj[int(name)] = value
        return self.obj

    def undo(self, names: Iterable[str]) -> Callable[[], object]:
        before = list(self.obj)

        def take_back() -> None:
            for _ in range(len(self.obj) - len(before)):
                self.obj.pop()
            self.replace(
                {name: before[int(name)] for name in names if int(name) < len(before)}
            )

        return take_back


class TupleContainer(Container):
    """A tuple, which a restore makes anew if what it holds is replaced."""

    shared = False
    in_place = False

    def children(self) -> Children:
        return [(str(i), v) for i, v in enumerate(self.obj) if not is_stateless(v)]

    def missing_child(self, name: str, saved: Saved) -> Any:
        number = _number_of(name)
        is_place = number is not None and 0 <= number < len(self.obj)
        return plain_value(saved) if is_place and self.obj[number] is None else None

    def replace(self, changes: dict[str, Any]) -> Any:
        values = list(self.obj)
        for name, value in changes.items():
            values[int(name)] = value
        return self._made(values)

    def _made(self, values: list[Any]) -> Any:
        return type(self.obj)(values)


class NamedTupleContainer(TupleContainer):
    """A named tuple; TensorFlow lists its fields by name, then again by number."""

    def children(self) -> Children:
        numbered = []
        for name, value in super().children():
            # One adapter for both names: a number in it is one object.
            numbered.append((name, adapter_of(value)))
        fields = self.obj._fields
        return [(fields[int(name)], value) for name, value in numbered] + list(numbered)

    def replace(self, changes: dict[str, Any]) -> Any:
        fields = self.obj._fields
        number = {name: str(i) for i, name in enumerate(fields)}
        return super().replace({number.get(n, n): v for n, v in changes.items()})

    def _made(self, values: list[Any]) -> Any:
        return type(self.obj)(*values)


class AttributeContainer(Container):
    """An object with attributes, a dataclass among them."""

    def children(self) -> Children:
        return [(n, v) for n, v in self._attributes().items() if not is_stateless(v)]

    def missing_child(self, name: str, saved: Saved) -> Any:
        held = self._attributes()
        return plain_value(saved) if name in held and held[name] is None else None

    def undo(self, names: Iterable[str]) -> Callable[[], object]:
        held = self._attributes()
        before = {name: held[name] for name in names}
        return lambda: self.replace(before)

    def _attributes(self) -> dict[str, Any]:
        found = dict(getattr(self.obj, "__dict__", {}))
        for cls in type(self.obj).__mro__:
            slots = cls.__dict__.get("__slots__", ())
            for slot in (slots,) if isinstance(slots, str) else slots:
                if slot not in ("__dict__", "__weakref__") and hasattr(self.obj, slot):
                    found.setdefault(slot, getattr(self.obj, slot))
        return found

    def replace(self, changes: dict[str, Any]) -> Any:
        for name, value in changes.items():
            setattr(self.obj, name, value)
        return self.obj


class ModuleContainer(AttributeContainer):
    """A `Module`, which tells when it gets an attribute."""

    def _attributes(self) -> dict[str, Any]:
        return {n: v for n, v in super()._attributes().items() if n != PENDING}

    def defer(
        self, name: str, restore: Callable[[Any], None], again: Callable[[], None]
    ) -> None:
        vars(self.obj).setdefault(PENDING, {})[name] = again


class FrozenContainer(AttributeContainer):
    """A frozen dataclass, which a restore makes anew if what it holds is replaced."""

    in_place = False

    def replace(self, changes: dict[str, Any]) -> Any:
        made = copy.copy(self.obj)
        for name, value in changes.items():
            object.__setattr__(made, name, value)
        return made


def is_frozen_dataclass(obj: Any) -> bool:
    """Tell whether an object's attributes cannot be set."""
    parameters: Any = getattr(type(obj), "__dataclass_params__", None)
    return dataclasses.is_dataclass(obj) and bool(parameters and parameters.frozen)


# ---- Objects that give their state and take it back -------------------------------------


class StateDictContainer(Container):
    """An object with ``state_dict()`` and ``load_state_dict()``.

    A restore changes nothing in what ``state_dict()`` gave, which may be the object's
    own: it makes a new one, and calls ``load_state_dict()`` once.
    """

    def __init__(self, obj: Any) -> None:
        super().__init__(obj)
        self._state = _copied(obj.state_dict())

    def children(self) -> Children:
        return self._state.children()

    def missing_child(self, name: str, saved: Saved) -> Any:
        return self._state.missing_child(name, saved)

    def replace(self, changes: dict[str, Any]) -> Any:
        state = self._state
        assert isinstance(state, Container)
        self.obj.load_state_dict(state.replace(changes))
        return self.obj

    def undo(self, names: Iterable[str]) -> Callable[[], object]:
        before = copy.deepcopy(self._state.obj)
        return lambda: self.obj.load_state_dict(before)


class _Copied(Container):
    """A part of a state: a restore makes a new one."""

    shared = False
    in_place = False

    def __init__(self, obj: Any, whole: Container) -> None:
        super().__init__(obj)
        self._whole = whole

    def children(self) -> Children:
        return [(name, _copied(value)) for name, value in self._whole.children()]

    def missing_child(self, name: str, saved: Saved) -> Any:
        return self._whole.missing_child(name, saved)

    def replace(self, changes: dict[str, Any]) -> Any:
        if isinstance(self._whole, TupleContainer):
            return self._whole.replace(changes)
        return type(self._whole)(copy.copy(self.obj)).replace(changes)


def _copied(value: Any) -> Adapter:
    adapter = adapter_of(value)
    if isinstance(adapter, Leaf):
        adapter.shared = adapter.in_place = False
        return adapter
    if isinstance(adapter, (MappingContainer, SequenceContainer, TupleContainer)):
        return _Copied(value, adapter)
    raise TypeError(
        f"a state_dict() with a {type(value).__module__}.{type(value).__qualname__}"
    )


def _plain_leaf(saved: Saved) -> Adapter | None:
    return NewLeaf(_plain) if saved.shape == () else None


def plain_value(
    saved: Saved, leaf: Callable[[Saved], Adapter | None] = _plain_leaf
) -> Adapter | None:
    """Make what stands for a number, text, or a dict of these, that is not there yet.

    ``None`` for anything else, of which the checkpoint does not say what it was: an array may
    have been a tensor of any framework, numbered parts a list, a tuple or a dict. Who knows
    what a tensor was gives `leaf`, which makes what stands for one.
    """
    if saved.is_leaf:
        return leaf(saved)
    found = {name: plain_value(child, leaf) for name, child in saved.children().items()}
    below = {name: child for name, child in found.items() if child is not None}
    is_dict = len(below) == len(found) > 0 and not saved.node.attributes
    if not is_dict or any(_number_of(name) is not None for name in found):
        return None
    return _NewDict(below)


class _NewDict(Container):
    """A dict that is not there yet."""

    shared = False
    in_place = False

    def __init__(self, below: dict[str, Adapter]) -> None:
        super().__init__(None)
        self._below = below

    def children(self) -> Children:
        return list(self._below.items())

    def replace(self, changes: dict[str, Any]) -> Any:
        return dict(changes)


def _plain(value: Array) -> Any:
    found = value.item()
    if not isinstance(found, bytes):
        return found
    try:
        return found.decode("utf-8")
    except UnicodeDecodeError:
        return found


def adapter_of(value: Any) -> Adapter:
    """Find a value's adapter; see `tensorbundle.checkpoint.lookup`."""
    from tensorbundle.checkpoint import lookup  # which knows all of these classes

    return lookup.adapter_of(value)
