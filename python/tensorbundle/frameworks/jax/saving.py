"""What ``tensorbundle.jax.save`` does."""

from __future__ import annotations

import os
from typing import Any

import jax

from tensorbundle.frameworks.jax.leaves import describe, stored
from tensorbundle.frameworks.jax.structure import STRUCTURE, encode
from tensorbundle.partitioned import Partitioned
from tensorbundle.saving import save as save_tensors

__all__ = ["save"]


def save(pytree: Any, path: str | os.PathLike[str], **options: Any) -> Any:
    """Save a pytree: its leaves by names that say where they are.

    ``{"params": {"layers": [{"w": ...}]}}`` has the entry ``"params/layers/0/w"``, which
    stock TensorFlow reads like any other. What is around the leaves becomes JSON in one
    string tensor, ``_TENSORBUNDLE_JAX``; there is no pickle. All of it appears at once,
    durably, or nothing does; what was at `path` before is replaced.

    Arrays of the CPU are written from their own memory, those of other devices are
    fetched first. An array that is spread over devices is saved in the parts that these
    have, each once, without putting them together; it is read as one tensor.

    In a program of several processes each saves to a path of its own, what is not spread
    over processes the first of them only; `tensorbundle.merge` makes one of all.

    Parameters
    ----------
    pytree
        Dicts with keys that are all strings or all integers, lists, tuples, named tuples, and
        all other nodes that JAX was told of (dataclasses, those of flax and optax). Leaves
        are JAX arrays, typed random keys among them, NumPy arrays, numbers and strings;
        ``None`` is kept.
    path
        Where to save: ``"run/state"`` makes ``run/state.index`` and
        ``run/state.data-?????-of-?????``.
    **options
        As for `tensorbundle.save`: ``num_shards``, ``durability``, ``num_threads``, ...
        With ``blocking=False`` the values are copied, and written in the background, so
        that arrays may be donated from then on.

    Returns
    -------
    SaveReport
        Bytes, seconds, and how much was written without a copy; with ``blocking=False``
        a `SaveHandle`, whose ``result()`` is that report.

    Raises
    ------
    TypeError
        A leaf has no bytes: a function, an object, a traced or deleted array; or a key is
        neither string nor integer, or a dict has both. The message has its place, as
        ``tree['a'][3]``.
    ValueError
        Two leaves have the same name, as those of ``{"a/b": x, "a": {"b": y}}``; the tree
        contains itself or is nested more than 100 deep; an option is out of range.
    LockedError, UnsupportedError, OSError
        As for `tensorbundle.save`. In every case what was at `path` is intact.

    Examples
    --------
    >>> import tensorbundle.jax as tbj
    >>> tbj.save({"params": params, "opt": opt_state, "step": 3}, "run/s")  # doctest: +SKIP
    """
    entries: dict[str, Any] = {}
    paths: dict[str, str] = {}

    def take(name: str, path: str, value: Any) -> dict[str, Any]:
        if name in paths:
            raise ValueError(f"{path} and {paths[name]} would both be {name!r}; rename one")
        entries[name], paths[name] = stored(value, path), path
        return describe(value)

    entries[STRUCTURE.name] = encode(pytree, take)
    ours = {name: value for name, value in entries.items() if _is_ours(value)}
    return save_tensors(path, ours, **options)


def _is_ours(value: Any) -> bool:
    """Tell whether this process saves an entry: one of several, what is not spread."""
    if value is None:
        return False
    is_spread = isinstance(value, Partitioned) and value.partial
    return is_spread or jax.process_index() == 0
