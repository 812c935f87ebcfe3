"""Saving and loading all values of a Keras model, whatever its backend."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any, NamedTuple

from tensorbundle.bundle import Bundle
from tensorbundle.errors import RestoreMismatchError
from tensorbundle.frameworks.keras.state import (
    OPTIMIZER,
    Part,
    check_built,
    is_optimizers,
    parts_of,
    values_of,
)
from tensorbundle.loading import load
from tensorbundle.saving import save
from tensorbundle.variables import as_variable, describe

__all__ = ["LoadedWeights", "load_into", "load_weights", "save_weights", "weights_of"]


class LoadedWeights(NamedTuple):
    """What `load_weights` did, by names of tensors."""

    loaded: list[str]
    missing: list[str]
    """What the model has, and the checkpoint has not."""
    unexpected: list[str]
    """What the checkpoint has, and the model has not."""
    mismatched: list[str]
    """What has another shape or dtype, and how."""


def weights_of(model: Any, *, include_optimizer: bool = True) -> dict[str, Any]:
    """Give all values of a model by name, as `save_weights` saves them.

    Raises
    ------
    ValueError
        The model is not built.
    """
    check_built(model)
    values = values_of(parts_of(model))
    return {n: v for n, v in values.items() if include_optimizer or not is_optimizers(n)}


def save_weights(
    model: Any,
    path: str | os.PathLike[str],
    *,
    include_optimizer: bool = True,
    **options: Any,
) -> Any:
    """Save a model's weights, random seeds and the state of its optimizer.

    The file does not depend on the backend. TensorFlow lists and reads it; the names are
    those of Keras's ``.weights.h5`` files.

    Parameters
    ----------
    model
        A built model or layer of Keras 3.
    path
        The checkpoint's prefix.
    include_optimizer
        Save the state of a compiled model's optimizer too, if it has one already, so that
        training goes on as if it had not been interrupted.
    options
        As for `tensorbundle.save`, ``blocking=False`` for example.

    Returns
    -------
    SaveReport or SaveHandle
        As `tensorbundle.save`.

    Raises
    ------
    ValueError
        The model is not built.
    OSError, ...
        As `tensorbundle.save`.

    Examples
    --------
    >>> tbk.save_weights(model, "run/weights")  # doctest: +SKIP
    >>> tbk.load_weights(model, "run/weights")  # doctest: +SKIP
    """
    return save(path, weights_of(model, include_optimizer=include_optimizer), **options)


def load_weights(
    model: Any,
    path: str | os.PathLike[str],
    *,
    skip_mismatch: bool = False,
    include_optimizer: bool = True,
    **options: Any,
) -> LoadedWeights:
    """Load what `save_weights` saved, under whichever backend, into a model.

    All is read, and every checksum compared, before the first variable changes. The
    optimizer of a compiled model is built if it has to be. Where either side has no
    optimizer its state is left out. Integers, whose size differs between backends, are
    converted where they fit.

    Parameters
    ----------
    model
        A built model or layer of the same structure.
    path
        The checkpoint's prefix.
    skip_mismatch
        Load what fits, and tell what does not, instead of loading nothing.
    include_optimizer
        Load the optimizer's state too.
    options
        As for `tensorbundle.load`: ``num_threads``, ``backend``, ``progress``, ...

    Returns
    -------
    LoadedWeights
        What was loaded; with `skip_mismatch` also what was not.

    Raises
    ------
    ValueError
        The model is not built.
    RestoreMismatchError
        Names, shapes or dtypes differ; all of them are told together, and nothing was
        loaded. A ``ValueError`` too.
    FileNotFoundError, CorruptionError, ...
        As `tensorbundle.load`; nothing was loaded.
    """
    return load_into(
        model,
        path,
        skip_mismatch=skip_mismatch,
        include_optimizer=include_optimizer,
        **options,
    )


def load_into(
    model: Any,
    path: str | os.PathLike[str],
    *,
    others: Collection[str] = (),
    skip_mismatch: bool = False,
    include_optimizer: bool = True,
    **options: Any,
) -> LoadedWeights:
    """Load weights from a checkpoint that has `others` too; see `load_weights`."""
    check_built(model)
    with Bundle(path) as bundle:
        stored = {name: bundle.entry(name) for name in bundle if name not in others}
    found = _prepared(model, stored, include_optimizer)
    wanted, result = _compared(found, stored)
    told = _told(result)
    if told and not skip_mismatch:
        raise RestoreMismatchError(
            f"{os.fspath(path)}: does not fit the model, nothing was loaded:{describe(told)}",
            code="RestoreMismatch",
            path=os.fspath(path),
        )
    arrays = dict(load(path, wanted, **options))
    _assign(found, _converted(found, arrays, os.fspath(path)))
    return result


def _converted(parts: list[Part], arrays: dict[str, Any], path: str) -> dict[str, Any]:
    """Give integers the size that they have here: it differs between backends."""
    converted = {}
    for name, value in values_of(parts).items():
        array = arrays.get(name)
        if array is not None and array.dtype.kind in "iu":
            dtype = as_variable(value).dtype
            converted[name] = array.astype(dtype)
            if (converted[name] != array).any():
                told = f"{path}: {name}: its numbers do not fit in {dtype}; nothing was loaded"
                raise RestoreMismatchError(told, code="RestoreMismatch", path=path, key=name)
    return {**arrays, **converted}


def _assign(parts: list[Part], arrays: dict[str, Any]) -> None:
    """Write values that fit; owners that may refuse come first."""
    for part in sorted(parts, key=lambda part: part.is_of_variables):
        taken = {k: arrays[part.name_of(k)] for k in part.values if part.name_of(k) in arrays}
        if taken:
            part.assign(taken)


def _prepared(model: Any, stored: dict[str, Any], include_optimizer: bool) -> list[Part]:
    """Find the parts to load; drop the optimizer's tensors where there is none."""
    optimizer: Any = getattr(model, OPTIMIZER, None)
    is_wanted = include_optimizer and optimizer is not None and any(map(is_optimizers, stored))
    if is_wanted and not optimizer.built:
        optimizer.build(model.trainable_variables)
    if not is_wanted:
        for name in list(filter(is_optimizers, stored)):
            del stored[name]
    parts = parts_of(model)
    return [p for p in parts if is_wanted or not is_optimizers(f"{p.path}/")]


def _compared(parts: list[Part], stored: dict[str, Any]) -> tuple[list[str], LoadedWeights]:
    values = values_of(parts)
    faults = {}
    for name, value in values.items():
        entry = stored.get(name)
        if entry is not None:
            variable = as_variable(value)
            kinds = {entry.dtype.kind, variable.dtype.kind}
            dtype = variable.dtype if kinds <= {"i", "u"} else entry.dtype
            fault = variable.mismatch(entry.shape, dtype)
            if fault is not None:
                faults[name] = fault
    whole = {
        name
        for part in parts
        for name in map(part.name_of, part.values)
        # What an owner makes of its variables it takes back as a whole.
        if part.is_of_variables
        or all(n in stored and n not in faults for n in map(part.name_of, part.values))
    }
    wanted = [n for n in values if n in stored and n not in faults and n in whole]
    return wanted, LoadedWeights(
        loaded=wanted,
        missing=[name for name in values if name not in stored],
        unexpected=[name for name in stored if name not in values],
        mismatched=[f"{name}: {fault}" for name, fault in faults.items()],
    )


def _told(result: LoadedWeights) -> list[str]:
    return [
        *(f"{name}: not in the checkpoint" for name in result.missing),
        *(f"{name}: not in the model" for name in result.unexpected),
        *result.mismatched,
    ]
