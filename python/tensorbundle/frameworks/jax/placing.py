"""Arrays on their devices, from what a checkpoint has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax

from tensorbundle.core import _core
from tensorbundle.loading import Loader

__all__ = ["Sharding", "place"]

Place: TypeAlias = jax.sharding.Sharding | jax.Device | None
Sharding: TypeAlias = Place | Callable[[str, jax.ShapeDtypeStruct], Place]


def place(
    core: _core.Bundle, loader: Loader, names: list[str], places: Mapping[str, Place]
) -> dict[str, Any]:
    """Read tensors, and put those that have a place there; the others stay NumPy's.

    On one device of the CPU an array takes the memory as it is: each tensor of a load
    lies at an address that suits JAX, and nobody else writes to it.
    """
    loaded = loader.read(core, list(dict.fromkeys(names)), {})
    return {
        name: jax.device_put(array, places[name]) if name in places else array
        for name, array in loaded.items()
    }
