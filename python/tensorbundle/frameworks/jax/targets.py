"""Where the arrays of a load go: one place for all, a pytree of places, or a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import jax

from tensorbundle.frameworks.jax.placing import Place
from tensorbundle.frameworks.jax.structure import shown
from tensorbundle.structure_entry import shortened

__all__ = ["Sharding", "chooser", "misfit"]

Sharding: TypeAlias = Any
"""A `Place`, a pytree of them, or a function that gives one."""

Choose: TypeAlias = Callable[[str, jax.ShapeDtypeStruct], Place]


def chooser(sharding: Sharding, tree: Any, names: Iterable[str] | None = None) -> Choose:
    """Give the function that says where a leaf of `tree` goes; ``None`` where nothing does.

    `names` are those of the leaves, in the order in which JAX flattens `tree`; ``None``
    where the leaves are the names.

    Raises
    ------
    TypeError
        `sharding`, or a leaf of it, is no place; or later, what the function gives is none.
    ValueError
        It has neither the structure of `tree` nor that of the upper part of it.
    """
    if callable(sharding) and not isinstance(sharding, jax.sharding.Sharding):
        return lambda name, struct: _checked(
            sharding(name, struct), f"sharding({name!r}, ...)"
        )
    if _is_place(sharding):
        return lambda name, struct: sharding
    for keys, where in jax.tree_util.tree_flatten_with_path(sharding, is_leaf=_is_none)[0]:
        _checked(where, shown(keys, "sharding"))
    found: dict[str, Place] = {}
    rest = iter(jax.tree_util.tree_leaves(tree) if names is None else names)

    def note(where: Place, below: Any) -> None:
        found.update((next(rest), where) for _ in jax.tree_util.tree_leaves(below))

    try:
        jax.tree_util.tree_map(note, sharding, tree, is_leaf=_is_none)
    except (ValueError, TypeError) as error:
        raise ValueError(
            "sharding: neither of the structure of the tree nor of its upper part, whose "
            f"leaves stand for all below them: {error}"
        ) from None
    return lambda name, struct: found[name]


def misfit(where: Place, shape: tuple[int, ...]) -> str | None:
    """Say why an array of a shape cannot go to a place; ``None`` if it can.

    What ``jax.device_put`` refuses is refused: too few dimensions, or one that the devices
    cannot share evenly.
    """
    if not isinstance(where, jax.sharding.Sharding):
        return None
    try:
        where.check_compatible_aval(shape)
        where.shard_shape(shape)
    except ValueError as error:
        return str(error)
    return None


def _is_none(value: Any) -> bool:
    return value is None


def _is_place(value: Any) -> bool:
    return value is None or isinstance(value, (jax.sharding.Sharding, jax.Device))


def _checked(where: Any, path: str) -> Place:
    if _is_place(where):
        return where
    hint = ""
    if isinstance(where, (jax.sharding.PartitionSpec, jax.sharding.Mesh)):
        hint = "; make one with jax.sharding.NamedSharding(mesh, spec)"
    raise TypeError(
        f"{path}: {shortened(where)} says of no array where it goes: wanted is a "
        f"jax.sharding.Sharding, a device, a pytree of them, or a function{hint}"
    )
