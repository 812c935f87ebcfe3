"""What a restore changes besides filling arrays and variables: what holds what."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import numpy as np

from tensorbundle.bundle import Entry
from tensorbundle.checkpoint.adapters import Adapter, Array, Container, Leaf
from tensorbundle.checkpoint.matching import Pair

__all__ = ["Change", "Take", "apply_changes", "changes_of", "make_values"]

Change = tuple[Container, dict[str, Any]]
"""What has to hold others, and those, by name."""


class Take(NamedTuple):
    """A live object that takes values."""

    pair: Pair
    keys: dict[str, str]
    """From the attribute's name to the tensor's."""
    entries: dict[str, Entry]
    """By the tensor's name."""


def make_values(
    pairs: list[Pair], takes: list[Take], values: dict[str, Array]
) -> dict[Pair, Any]:
    """Make the objects that replace others."""
    made: dict[Pair, Any] = {}
    for take in takes:
        adapter = take.pair.adapter
        if not adapter.in_place and isinstance(adapter, Leaf):
            (key,) = take.entries
            made[take.pair] = adapter.new_value(values[key])
    # From the leaves up: what cannot be changed is made anew, too.
    for pair in reversed(pairs):
        if not pair.adapter.in_place and isinstance(pair.adapter, Container):
            below = {name: made[child] for name, child in pair.children if child in made}
            if below:
                made[pair] = pair.adapter.replace(below)
    return made


def changes_of(pairs: list[Pair], made: dict[Pair, Any]) -> list[Change]:
    """Tell which containers have to hold what was made."""
    changes: list[Change] = []
    held: set[tuple[Hashable, str]] = set()
    for pair in pairs:
        adapter = pair.adapter
        if not adapter.in_place or not isinstance(adapter, Container):
            continue
        below = {
            name: made[child]
            for name, child in pair.children
            if child in made and (adapter.identity, name) not in held
        }
        held.update((adapter.identity, name) for name in below)
        if below:
            changes.append((adapter, below))
    return changes


def apply_changes(
    changes: list[Change],
    takes: list[Take],
    values: dict[str, Array],
) -> None:
    """Do what may be refused; if it is, take the rest back."""
    undo = contextlib.ExitStack()
    try:
        for container, below in changes:
            undo.callback(container.undo(below))
            container.replace(below)
        for take in takes:
            adapter = take.pair.adapter
            undo.callback(_undo_of(adapter))
            adapter.assign({name: values[key] for name, key in take.keys.items()})
    except BaseException as error:
        # The stack does all of it, even if some of it fails: what refused the new value
        # may refuse the old one, which it still has.
        try:
            undo.close()
        except BaseException as second:
            raise error from second
        raise


def _undo_of(adapter: Adapter) -> Callable[[], object]:
    before = {
        attribute: np.array(np.asarray(value), copy=True)
        for attribute, value in adapter.held_values().items()
    }
    return lambda: adapter.assign(before)
