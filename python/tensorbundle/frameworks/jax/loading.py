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
from tensorbundle.frameworks.jax.numbers import converted, numbers_of
from tensorbundle.frameworks.jax.placing import Place, place
from tensorbundle.frameworks.jax.structure import STRUCTURE, build, shown
from tensorbundle.frameworks.jax.targets import Choose, Sharding, chooser, misfit
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
        Where JAX arrays go: a device or a ``jax.sharding.Sharding`` for all of them; a
        pytree of such, of the structure of `like`, or of what is loaded without it, or of
        its upper part; or a function that gives one for a name and a
        ``jax.ShapeDtypeStruct``. ``None``, there too: where the array of `like` is, or the
        default device. For several devices each part is read for itself, however the array
        was spread when it was saved; the processes of a program read what their devices
        need. To verify, all of such an array is read before.
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
        Shapes or dtypes are not those of `like`; all of them are told. A number that was
        Python's own when `save` saved it has no dtype to agree with: it must only fit. Or
        the checkpoint has 64-bit numbers, and JAX has none (``jax_enable_x64``). Or arrays
        cannot go where `sharding` says: they have too few dimensions, or cannot be shared
        evenly; or it has another structure.
    TypeError
        `like` has a leaf that nothing can be loaded for, or `sharding` one that is no
        place, as a bare ``PartitionSpec``.
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
    names = [leaf.name for leaf in wanted]
    choose = chooser(sharding, like, names)
    leaves = loader.run(lambda core: _leaves(core, loader, wanted, choose))
    return structure.unflatten(leaves[name] for name in names)


def _as_saved(core: _core.Bundle, loader: Loader, sharding: Sharding) -> Any:
    """Load everything that the JSON names."""
    with STRUCTURE.explained(loader.path):
        node = STRUCTURE.read(core, loader.path)
        wanted: list[Wanted] = []
        build(node, lambda leaf: wanted.append(_existing(core, wanted_as(leaf))))
        tree = build(node, lambda leaf: leaf["leaf"])
        leaves = _leaves(core, loader, wanted, chooser(sharding, tree))
        return build(node, lambda leaf: leaves[leaf["leaf"]])


def _existing(core: _core.Bundle, leaf: Wanted) -> Wanted:
    if not reading.has(core, leaf.name):
        raise BadStructureError(f"there is no entry {leaf.name!r}")
    told = leaf.mismatch(*_look(core, leaf.name))
    if told is not None:
        raise BadStructureError(f"{leaf.name}: {told}")
    return leaf


def _leaves(
    core: _core.Bundle, loader: Loader, wanted: list[Wanted], choose: Choose
) -> dict[str, Any]:
    """Check all leaves, then read them, and give them by name."""
    _check_names(core, loader.path, wanted)
    made = _check(core, loader, wanted)
    places = _places(core, loader.path, wanted, choose)
    rest = [leaf.name for leaf in wanted if leaf.name not in made]
    spots = {name: where for name, where in places.items() if name not in made}
    for name in made.keys() & places.keys():
        made[name] = jax.device_put(made[name], places[name])
    made.update(place(core, loader, rest, spots))
    return {leaf.name: leaf.make(made[leaf.name]) for leaf in wanted}


def _check_names(core: _core.Bundle, path: str, wanted: Iterable[Wanted]) -> None:
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


def _check(core: _core.Bundle, loader: Loader, wanted: Iterable[Wanted]) -> dict[str, Any]:
    """Compare shapes and dtypes; give the arrays that are made of Python's numbers.

    Raises
    ------
    ValueError
        Some do not fit; all of them are told.
    """
    numbers = _numbers(core, loader, wanted)
    made: dict[str, Any] = {}
    problems = []
    for leaf in wanted:
        if leaf.name not in numbers:
            told = _mismatch(core, leaf)
        else:
            try:
                made[leaf.name] = converted(*numbers[leaf.name])
                continue
            except ValueError as error:
                told = str(error)
        if told is not None:
            problems.append(f"{leaf.name}: {told}")
    if problems:
        raise ValueError(f"{loader.path}: does not fit:{describe(problems)}")
    return made


def _mismatch(core: _core.Bundle, leaf: Wanted) -> str | None:
    shape, dtype = _look(core, leaf.name)
    told = leaf.mismatch(shape, dtype)
    if told is None and leaf.on_device and jax.dtypes.canonicalize_dtype(dtype) != dtype:
        return f"dtype {dtype}, which JAX has only with jax_enable_x64"
    return told


def _numbers(
    core: _core.Bundle, loader: Loader, wanted: Iterable[Wanted]
) -> dict[str, tuple[Any, str, np.dtype[Any]]]:
    """Read those that are wanted as another dtype; tell their types, and that dtype."""
    other = {
        leaf.name: leaf.dtype
        for leaf in wanted
        if leaf.dtype is not None and leaf.shape == () and _is_other(core, leaf)
    }
    if not other or not reading.has(core, STRUCTURE.name):
        return {}
    kinds = numbers_of(core, loader.path)
    names = [name for name in other if name in kinds]
    options = reading.read_options(verify=loader.verified)
    values = reading.read_tensors(core, names, options)[0]
    return {
        name: (value, kinds[name], other[name])
        for name, value in zip(names, values, strict=True)
    }


def _is_other(core: _core.Bundle, leaf: Wanted) -> bool:
    shape, dtype = _look(core, leaf.name)
    return shape == () and dtype != leaf.dtype


def _places(
    core: _core.Bundle, path: str, wanted: list[Wanted], choose: Choose
) -> dict[str, Place]:
    """Find out where each JAX array goes.

    Raises
    ------
    ValueError
        Some cannot go there; all of them are told.
    """
    places: dict[str, Place] = {}
    problems = []
    for leaf in wanted:
        if not leaf.on_device:
            continue
        struct = leaf.struct(*_look(core, leaf.name))
        where = choose(leaf.name, struct)
        places[leaf.name] = leaf.sharding if where is None else where
        told = misfit(places[leaf.name], struct.shape)
        if told is not None:
            problems.append(f"{leaf.name}, of shape {struct.shape}: {told}")
    if problems:
        raise ValueError(
            f"{path}: not every array can be spread as told:{describe(problems)}\n"
            "give a pytree of shardings, or a function that gives one for each leaf"
        )
    return places


def _look(core: _core.Bundle, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    number, shape = reading.find(core, name)[:2]
    return tuple(shape), dtypes.numpy_dtype(number)
