"""JAX arrays as NumPy views of their memory."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from tensorbundle.tensors import View
from tensorbundle.variables import Variable

__all__ = ["as_variable", "as_view", "name_of", "named_variables"]


def as_view(value: Any) -> View | None:
    """View an array in host memory, or fetch it; ``None`` for what is no JAX array.

    Raises
    ------
    TypeError
        The array has no value here: traced, deleted, of other processes, or of keys.
    """
    if not isinstance(value, jax.Array):
        return None
    if isinstance(value, jax.core.Tracer):
        raise TypeError("a traced array has no value; save outside of jit and grad")
    if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        raise TypeError("an array of random keys; save jax.random.key_data(it)")
    if value.is_deleted():
        raise TypeError("the array was deleted or donated")
    if not value.is_fully_addressable:
        raise TypeError("the array is spread over processes; save each process's shards")
    return View(np.asarray(value))


def as_variable(value: Any) -> Variable | None:
    """Describe an array, which nothing can be written to; ``None`` for anything else."""
    if not isinstance(value, jax.Array):
        return None
    return Variable(value, value.shape, np.dtype(value.dtype), None)


def named_variables(target: Any) -> None:
    """Find nothing: JAX has no models of its own."""


def name_of(value: Any) -> None:
    """Find nothing: arrays have no names."""
