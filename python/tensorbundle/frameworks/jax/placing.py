"""Arrays that are spread over devices: saved in parts, and read in others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import jax
import numpy as np

from tensorbundle import reading
from tensorbundle.core import _core
from tensorbundle.loading import Loader
from tensorbundle.partitioned import Partitioned
from tensorbundle.slices import Box

__all__ = ["Place", "in_parts", "place"]

Place: TypeAlias = jax.sharding.Sharding | jax.Device | None

Array = np.ndarray[Any, Any]


def in_parts(array: jax.Array) -> Any:
    """Give what is saved of an array: of one that is spread over devices its parts.

    Each part is saved once, however many devices have it. Of an array that is also spread
    over processes those are given that this process is to save; ``None`` if there are none.
    """
    if array.is_deleted() or len(array.sharding.device_set) == 1:
        return array
    parts = [
        ([part.start or 0 for part in shard.index], shard.data)
        for shard in array.addressable_shards
        if shard.replica_id == 0
    ]
    if not parts:
        return None
    return Partitioned(array.shape, parts, partial=not array.is_fully_addressable)


def place(
    core: _core.Bundle, loader: Loader, names: list[str], places: Mapping[str, Place]
) -> dict[str, Any]:
    """Read tensors, and put those that have a place there; the others stay NumPy's.

    On one device of the CPU an array takes the memory as it is: each tensor of a load
    lies at an address that suits JAX, and nobody else writes to it. For several devices
    each part is read for itself, once.
    """
    spread = {name: where for name, where in places.items() if _is_spread(where)}
    whole = [name for name in dict.fromkeys(names) if name not in spread]
    made = {
        name: jax.device_put(array, places[name]) if name in places else array
        for name, array in loader.read(core, whole, {}).items()
    }
    if loader.verified:  # what is read in parts is not, on the way
        reading.check_tensors(core, spread.keys(), loader.options, again=True)
    for name, sharding in spread.items():
        made[name] = _in_shards(core, name, sharding)
    return made


def _is_spread(where: Place) -> bool:
    return isinstance(where, jax.sharding.Sharding) and len(where.device_set) > 1


def _in_shards(core: _core.Bundle, name: str, sharding: Any) -> jax.Array:
    shape = tuple(reading.find(core, name)[1])
    read: dict[tuple[Any, ...], Array] = {}  # what several devices have

    def part(index: tuple[slice, ...]) -> Array:
        box = Box.of(index, shape)
        place = (*box.begin, *box.size)
        if place not in read:
            read[place] = reading.read_box(core, name, box)
        return read[place]

    return jax.make_array_from_callback(shape, sharding, part)
