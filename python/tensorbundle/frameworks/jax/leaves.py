"""What the leaves of a pytree are stored as, and what they become again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Final

import jax
import numpy as np

from tensorbundle import dtypes
from tensorbundle.frameworks.jax.placing import in_parts
from tensorbundle.stored_text import as_text
from tensorbundle.structure_entry import BadStructureError

__all__ = ["Wanted", "describe", "is_key", "stored", "wanted_as", "wanted_by"]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]

_SCALAR_NAMES: Final = {kind.__name__: kind for kind in dtypes.KINDS}


def is_key(value: Any) -> bool:
    """Tell whether an array, or its description, is one of typed random keys."""
    return bool(jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key))


def stored(value: Any, path: str) -> Any:
    """Give what `tensorbundle.save` takes for a leaf; ``None`` if others save it.

    Raises
    ------
    TypeError
        It is of a kind that has no bytes; the message has its path.
    """
    if isinstance(value, jax.core.Tracer):
        return value  # which is refused by whoever wants its bytes
    if isinstance(value, jax.Array):
        return in_parts(jax.random.key_data(value) if is_key(value) else value)
    if isinstance(value, (np.ndarray, np.generic)) or type(value) in dtypes.KINDS:
        return value
    raise TypeError(
        f"{path}: a {type(value).__module__}.{type(value).__qualname__} is neither an array "
        "nor a number, string or None; leave it out, or make its class a pytree"
    )


def describe(value: Any) -> dict[str, Any]:
    """Say in JSON of what kind a leaf is."""
    if isinstance(value, jax.Array):
        if is_key(value):
            return {"kind": "key", "impl": str(jax.random.key_impl(value))}
        return {"kind": "jax"}
    if isinstance(value, np.ndarray):
        return {"kind": "numpy"}
    if isinstance(value, np.generic):
        return {"kind": "numpy scalar"}
    return {"kind": type(value).__name__}


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A leaf that is to be loaded."""

    name: str
    """Of its entry."""
    make: Callable[[Any], Any]
    """Makes the leaf of the array that was read, on its devices if it is for JAX."""
    on_device: bool
    """Whether JAX is to have the array."""
    shape: Shape | None = None
    """The shape that it must have in the checkpoint; ``None`` for any."""
    dtype: np.dtype[Any] | None = None
    """Likewise."""
    kinds: str = ""
    """The kinds of dtypes that will do, where no dtype is given; empty for all."""
    sharding: Any = None
    """Where `like` has it, or ``None``."""
    key_dtype: Any = None
    """JAX's dtype of typed random keys, whose data have a dimension more; else ``None``."""

    def struct(self, shape: Shape, dtype: np.dtype[Any]) -> jax.ShapeDtypeStruct:
        """Describe the JAX array that a stored tensor becomes."""
        if self.key_dtype is None:
            return jax.ShapeDtypeStruct(shape, dtype)
        return jax.ShapeDtypeStruct(shape[:-1], self.key_dtype)

    def mismatch(self, shape: Shape, dtype: np.dtype[Any]) -> str | None:
        """Say why a stored tensor cannot be taken; ``None`` if it can."""
        faults = []
        if self.shape is not None and shape != self.shape:
            faults.append(f"shape {shape} in the checkpoint, {self.shape} here")
        if self.dtype is not None and dtype != self.dtype:
            faults.append(f"dtype {dtype} in the checkpoint, {self.dtype} here")
        if self.kinds and dtype.kind not in self.kinds:
            faults.append(f"dtype {dtype} in the checkpoint, which is none for this value")
        if self.on_device and dtype.kind == "O":
            faults.append("text, which JAX does not have")
        return " and ".join(faults) or None


def wanted_by(name: str, path: str, like: Any) -> Wanted:
    """Say what is to be loaded for a leaf of `like`.

    Raises
    ------
    TypeError
        It is neither an array nor a plain value.
    """
    if isinstance(like, (jax.Array, jax.ShapeDtypeStruct)):
        if is_key(like):
            return _key_like(name, like)
        sharding = getattr(like, "sharding", None)
        shape, dtype = tuple(like.shape), np.dtype(like.dtype)
        return Wanted(name, _itself, True, shape, dtype, sharding=sharding)
    if isinstance(like, np.ndarray):
        return Wanted(name, _itself, False, like.shape, dtypes.as_loaded(like.dtype))
    if isinstance(like, np.generic):
        return Wanted(name, _element, False, (), dtypes.as_loaded(like.dtype))
    if type(like) in dtypes.KINDS:
        return _scalar(name, type(like))
    raise TypeError(
        f"{path}: cannot load a {type(like).__module__}.{type(like).__qualname__}; `like` has "
        "arrays, jax.ShapeDtypeStruct, numbers and strings"
    )


def wanted_as(node: dict[str, Any]) -> Wanted:
    """Say what is to be loaded for a leaf as the JSON describes it.

    Raises
    ------
    BadStructureError
        It is of no kind that is known.
    """
    name, kind = node["leaf"], node.get("kind")
    if not isinstance(name, str) or not isinstance(kind, str):
        raise BadStructureError("a leaf has no name, or no kind")
    if kind == "jax":
        return Wanted(name, _itself, True)
    if kind == "key":
        impl = node.get("impl")
        if not isinstance(impl, str):
            raise BadStructureError(f"the random keys {name!r} have no implementation")
        dtype = _dtype_of_keys(name, impl)

        def make(data: Any) -> Any:
            return _wrapped(name, data, impl)

        return Wanted(name, make, True, kinds="u", key_dtype=dtype)
    if kind == "numpy":
        return Wanted(name, _itself, False)
    if kind == "numpy scalar":
        return Wanted(name, _element, False, ())
    if kind in _SCALAR_NAMES:
        return _scalar(name, _SCALAR_NAMES[kind])
    raise BadStructureError(f"the leaf {name!r} is of a kind that is not known")


def _key_like(name: str, like: Any) -> Wanted:
    impls = []

    def look(keys: Any) -> Any:
        impls.append(str(jax.random.key_impl(keys)))
        return jax.random.key_data(keys)

    data = jax.eval_shape(look, jax.ShapeDtypeStruct(like.shape, like.dtype))

    def make(array: Any) -> Any:
        return jax.random.wrap_key_data(array, impl=impls[0])

    sharding = getattr(like, "sharding", None)
    # The data have a dimension more: only a sharding that leaves it whole suits both.
    if sharding is not None and not isinstance(sharding, jax.sharding.NamedSharding):
        sharding = None
    shape, dtype = tuple(data.shape), np.dtype(data.dtype)
    return Wanted(name, make, True, shape, dtype, sharding=sharding, key_dtype=like.dtype)


def _dtype_of_keys(name: str, impl: str) -> Any:
    try:
        return jax.eval_shape(lambda: jax.random.key(0, impl=impl)).dtype
    except (ValueError, TypeError) as error:
        raise BadStructureError(f"no random keys {name!r}: {error}") from None


def _wrapped(name: str, data: Any, impl: str) -> Any:
    try:
        return jax.random.wrap_key_data(data, impl=impl)
    except (ValueError, TypeError) as error:
        raise BadStructureError(f"no random keys {name!r}: {error}") from None


def _scalar(name: str, kind: type) -> Wanted:
    def make(array: Array) -> Any:
        value: Any = array[()]
        if kind is str:
            return as_text(value)
        return kind(value)

    return Wanted(name, make, False, (), kinds=dtypes.KINDS[kind])


def _itself(array: Any) -> Any:
    return array


def _element(array: Array) -> Any:
    return array[()]
