"""Python's numbers in a checkpoint, where `like` has arrays: ``3`` for an int32.

``jax.eval_shape`` describes a number as an array of JAX's own width, while `save` keeps
Python's: 64 bits. As for ``jnp.asarray``, a number has no width that would have to agree:
only its value has to fit.
"""

from __future__ import annotations

from typing import Any, Final

import jax
import numpy as np

from tensorbundle.core import _core
from tensorbundle.frameworks.jax.structure import STRUCTURE, build

__all__ = ["converted", "numbers_of"]

Array = np.ndarray[Any, Any]

# Each kind may become an array of its own kind of dtypes, or of a later one.
_KINDS: Final = {
    "bool": np.bool_,
    "int": np.integer,
    "float": np.floating,
    "complex": np.complexfloating,
}


def numbers_of(core: _core.Bundle, path: str) -> dict[str, str]:
    """Give the entries that were Python's numbers when `save` saved them, and their types.

    Raises
    ------
    CorruptionError, UnsupportedError
        The JSON cannot be read.
    """
    found: dict[str, str] = {}

    def look(leaf: dict[str, Any]) -> None:
        name, kind = leaf["leaf"], leaf.get("kind")
        if isinstance(name, str) and isinstance(kind, str) and kind in _KINDS:
            found[name] = kind

    with STRUCTURE.explained(path):
        build(STRUCTURE.read(core, path), look)
    return found


def converted(value: Array, kind: str, dtype: np.dtype[Any]) -> Array:
    """Give a number of Python's as an array of `dtype`.

    Integers stay what they are; real and complex numbers are rounded.

    Raises
    ------
    ValueError
        It does not fit; the message says why.
    """
    suited = list(_KINDS.values())[list(_KINDS).index(kind) :]
    if not any(jax.dtypes.issubdtype(dtype, group) for group in suited):
        raise ValueError(f"a Python {kind} in the checkpoint, dtype {dtype} here")
    with np.errstate(all="ignore"):
        made = value.astype(dtype)
    rounded = kind in ("float", "complex")
    same = np.isfinite(made) == np.isfinite(value) if rounded else made.item() == value.item()
    if not same:
        raise ValueError(f"{value.item()!r} in the checkpoint, which {dtype} cannot hold")
    return made
