"""All values of a Keras object, by names that are the same under every backend.

The names are those that Keras gives to groups in its ``.weights.h5`` files: the way to a
layer by attributes and, in lists, by classes ("layers/dense_1"), never by a layer's own
name, which differs from one process to the next; then "vars" and a number. Random seeds,
which Keras's files do not have, are among them.

Some of what follows calls functions of Keras that have no public names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
from keras.src.saving import saving_lib
from keras.src.saving.keras_saveable import KerasSaveable
from keras.src.utils import naming

from tensorbundle.checkpoint.adapters import Array

__all__ = ["OPTIMIZER", "Part", "check_built", "is_optimizers", "parts_of", "values_of"]

OPTIMIZER = "optimizer"
"""Where a compiled model has its optimizer."""


@dataclasses.dataclass
class Part:
    """A layer, optimizer or the like, and the values that are its own."""

    path: str
    owner: Any
    values: dict[str, Any]
    """By the names that the owner gives them; variables, or what it makes of them."""

    @property
    def is_of_variables(self) -> bool:
        """Whether all values are variables, which can be assigned to one by one."""
        return all(isinstance(value, keras.Variable) for value in self.values.values())

    def name_of(self, key: str) -> str:
        """Give a value's name in the checkpoint."""
        return "/".join(filter(None, (self.path, "vars", key)))

    def assign(self, arrays: dict[str, Array]) -> None:
        """Take values, by the owner's names."""
        if self.is_of_variables:
            for key, array in arrays.items():
                self.values[key].assign(array)
        else:
            self.owner.load_own_variables(arrays)


def check_built(owner: Any) -> None:
    """Refuse a layer or model without variables because nobody has built it.

    Raises
    ------
    ValueError
        It has not been built.
    """
    if isinstance(owner, keras.layers.Layer) and not owner.built:
        raise ValueError(
            f"the {type(owner).__name__} {owner.name!r} is not built, so it has no variables "
            "yet: call it on a batch of data, or build(input_shape)"
        )


def parts_of(owner: Any) -> list[Part]:
    """Find everything in a Keras object that has values."""
    found: list[Part] = []
    _add(owner, "", found, set())
    return found


def values_of(parts: list[Part]) -> dict[str, Any]:
    """Give all values by their names in a checkpoint."""
    return {part.name_of(k): v for part in parts for k, v in part.values.items()}


def is_optimizers(name: str) -> bool:
    """Tell whether a value of a model belongs to its optimizer."""
    return name.startswith(f"{OPTIMIZER}/")


def _add(owner: Any, path: str, found: list[Part], seen: set[int]) -> None:
    if id(owner) in seen:
        return
    seen.add(id(owner))
    values = _own_values(owner)
    if values:
        found.append(Part(path, owner, values))
    for number, seeds in enumerate(getattr(owner, "_seed_generators", ())):
        if id(seeds) not in seen:
            seen.add(id(seeds))
            place = "/".join(filter(None, (path, "seed_generators", str(number))))
            found.append(Part(place, seeds, {"0": seeds.state}))
    for name, child in saving_lib._walk_saveable(owner):
        inner = f"{path}/{name}" if path else name
        if isinstance(child, KerasSaveable):
            _add(child, inner, found, seen)
        elif isinstance(child, (list, dict, tuple)):
            _add_all(child, inner, found, seen)


def _add_all(container: Any, path: str, found: list[Part], seen: set[int]) -> None:
    if id(container) in seen:
        return
    seen.add(id(container))
    for name, child in _named(container):
        inner = f"{path}/{name}"
        if isinstance(child, KerasSaveable):
            _add(child, inner, found, seen)
        else:
            _add_all(child, inner, found, seen)


def _named(container: Any) -> Iterator[tuple[str, Any]]:
    used: dict[str, int] = {}
    for child in container.values() if isinstance(container, dict) else container:
        if isinstance(child, KerasSaveable):
            kind = naming.to_snake_case(type(child).__name__)
        elif isinstance(child, (list, dict, tuple)):
            kind = "container"
        else:
            continue
        number = used[kind] = used.get(kind, -1) + 1
        yield (f"{kind}_{number}" if number else kind), child


def _own_values(owner: Any) -> dict[str, Any]:
    if isinstance(owner, keras.optimizers.Optimizer):
        # It would give copies. One that is not built has no state yet.
        return {str(i): v for i, v in enumerate(owner.variables)} if owner.built else {}
    values: dict[str, Any] = {}
    if hasattr(owner, "save_own_variables"):
        owner.save_own_variables(values)
    return values
