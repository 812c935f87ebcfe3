"""What ``tensorbundle.jax.load`` does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from tensorbundle import dtypes, reading
from tensorbundle.config import Config
from tensorbundle.core import _core
from tensorbundle.errors import MissingTensorError
from tensorbundle.frameworks.jax.leaves import Wanted, wanted_as, wanted_by
from tensorbundle.frameworks.jax.placing import Sharding, place
from tensorbundle.frameworks.jax.structure import STRUCTURE, build, shown
from tensorbundle.frameworks.jax.trees import name_of_path
from tensorbundle.loading import Loader
from tensorbundle.mapping import Mmap, Prefetch
from tensorbundle.structure_entry import BadStructureError
from tensorbundle.variables import describe

__all__ = ["load"]


def load(
    path: str | os.PathLike[str],
    like: Any = None,
    *,
    sharding: Sharding = None,
    mmap: Mmap = False,
    prefetch: Prefetch | None = None,
    verify: bool | None = None,
    backend: str | None = None,
    num_threads: int | None = None,
    block_size: int | None = None,
    queue_depth: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    config: Config | None = None,
) -> Any:
    """Load a pytree: the one that was saved, or the leaves that `like` has.

    Parameters
    ----------
    path
        As given to `save`.
    like
        A pytree whose leaves say what is wanted: arrays, ``jax.ShapeDtypeStruct``, numbers
        or strings; as ``jax.eval_shape`` gives it. Entries are found by the names that
        `save` gives to such leaves, in any checkpoint, whoever has written it; others are
        left out. ``None``: everything that `save` has saved, in dicts, lists, tuples
        and named tuples (of new types); what was a dataclass, or another node that JAX was
        told of, comes as a dict of its children.
    sharding
        Where JAX arrays go: a device or a ``jax.sharding.Sharding`` for all of them, or a
        function that gives one for a name and a ``jax.ShapeDtypeStruct``. ``None``: where
        the arrays of `like` are, or the default device. For several devices each part is
        read for itself, however the array was spread when it was saved; the processes of a
        program read what their devices need. To verify, all of such an array is read
        before.
    mmap
        ``False``: read in parallel, verified. ``True``: map the file. Both without a
        further copy for arrays on one CPU device: a JAX array is then a view of the memory
        that was read to, or of the file, whose pages are read when first touched.
    prefetch, verify, backend, num_threads, block_size, queue_depth, progress, config
        As for `tensorbundle.load`.

    Returns
    -------
    pytree
        Of the structure of `like`, or of what was saved. Each leaf is of the kind that it
        was, or that it is in `like`: JAX arrays, typed random keys, NumPy arrays
        (read-only with `mmap`), Python's own numbers and strings.

    Raises
    ------
    FileNotFoundError
        There is no checkpoint of that name.
    MissingTensorError
        Leaves of `like` that the checkpoint lacks; all of them are told.
    ValueError
        Shapes or dtypes are not those of `like`; all of them are told. Or the checkpoint
        has 64-bit numbers, and JAX has none (``jax_enable_x64``).
    UnsupportedError
        There is no `like`, and the checkpoint was not saved by `save`, or by a later
        version of it.
    CorruptionError
        A checksum does not agree, or the JSON does not describe what is there.
    OSError
        Any other failure of the operating system; ``errno`` says which.

    Examples
    --------
    >>> like = jax.eval_shape(make_state, key)  # doctest: +SKIP
    >>> state = tbj.load("run/state", like)  # doctest: +SKIP
    """
    loader = Loader.of(
        path, mmap=mmap, prefetch=prefetch, verify=verify, backend=backend,
        num_threads=num_threads, block_size=block_size, queue_depth=queue_depth,
        progress=progress, config=config,
    )  # fmt: skip
    if like is None:
        return loader.run(lambda core: _as_saved(core, loader, sharding))
    found, structure = jax.tree_util.tree_flatten_with_path(like)
    wanted = [wanted_by(name_of_path(keys), shown(keys), leaf) for keys, leaf in found]
    leaves = loader.run(lambda core: _leaves(core, loader, wanted, sharding))
    return structure.unflatten(leaves[leaf.name] for leaf in wanted)


def _as_saved(core: _core.Bundle, loader: Loader, sharding: Sharding) -> Any:
    """Load everything that the JSON names."""
    with STRUCTURE.explained(loader.path):
        node = STRUCTURE.read(core, loader.path)
        wanted: list[Wanted] = []
        build(node, lambda leaf: wanted.append(_existing(core, wanted_as(leaf))))
        leaves = _leaves(core, loader, wanted, sharding)
        return build(node, lambda leaf: leaves[leaf["leaf"]])


def _existing(core: _core.Bundle, leaf: Wanted) -> Wanted:
    if not reading.has(core, leaf.name):
        raise BadStructureError(f"there is no entry {leaf.name!r}")
    told = leaf.mismatch(*_look(core, leaf.name))
    if told is not None:
        raise BadStructureError(f"{leaf.name}: {told}")
    return leaf


def _leaves(
    core: _core.Bundle, loader: Loader, wanted: list[Wanted], sharding: Sharding
) -> dict[str, Any]:
    """Check all leaves, then read them, and give them by name."""
    _check(core, loader.path, wanted)
    placed = {leaf.name: _target(core, leaf, sharding) for leaf in wanted if leaf.on_device}
    made = place(core, loader, [leaf.name for leaf in wanted], placed)
    return {leaf.name: leaf.make(made[leaf.name]) for leaf in wanted}


def _check(core: _core.Bundle, path: str, wanted: Iterable[Wanted]) -> None:
    missing = [leaf.name for leaf in wanted if not reading.has(core, leaf.name)]
    if missing:
        others = set(core.names()) - {leaf.name for leaf in wanted}
        raise MissingTensorError(
            f"{path}: {len(missing)} leaves are not in the checkpoint:{describe(missing)}\n"
            f"for {len(others)} entries of it there is no leaf:{describe(sorted(others))}",
            code="NotFound",
            path=path,
            key=missing[0],
        )
    problems = []
    for leaf in wanted:
        shape, dtype = _look(core, leaf.name)
        told = leaf.mismatch(shape, dtype)
        if told is None and leaf.on_device and jax.dtypes.canonicalize_dtype(dtype) != dtype:
            told = f"dtype {dtype}, which JAX has only with jax_enable_x64"
        if told is not None:
            problems.append(f"{leaf.name}: {told}")
    if problems:
        raise ValueError(f"{path}: does not fit:{describe(problems)}")


def _target(core: _core.Bundle, leaf: Wanted, sharding: Sharding) -> Any:
    """Find out where an array goes: a sharding, a device, or ``None``."""
    if callable(sharding) and not isinstance(sharding, jax.sharding.Sharding):
        shape, dtype = _look(core, leaf.name)
        return sharding(leaf.name, jax.ShapeDtypeStruct(shape, dtype))
    return leaf.sharding if sharding is None else sharding


def _look(core: _core.Bundle, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    number, shape = reading.find(core, name)[:2]
    return tuple(shape), dtypes.numpy_dtype(number)
