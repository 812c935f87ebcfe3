"""What ``tensorbundle.torch.save_model`` and ``load_model`` do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from tensorbundle import dtypes, reading
from tensorbundle.core import _core
from tensorbundle.errors import RestoreMismatchError
from tensorbundle.frameworks.torch.loading import Stored
from tensorbundle.frameworks.torch.locations import Locator
from tensorbundle.frameworks.torch.name_prefixes import advice
from tensorbundle.frameworks.torch.saving import save
from tensorbundle.frameworks.torch.structure import STRUCTURE
from tensorbundle.frameworks.torch.views import dtype_of_number, from_array
from tensorbundle.loading import Loader
from tensorbundle.variables import describe

__all__ = ["load_model", "save_model"]

_MOST_SHOWN = 40

State = dict[str, Any]


def save_model(model: torch.nn.Module, path: str | os.PathLike[str], **options: Any) -> Any:
    """Save a module's ``state_dict()``; weights that are tied are saved once.

    `load` gives it back as a dict, `load_model` puts it into a module; every other reader
    finds the tensors by the names of the ``state_dict()``.

    Parameters
    ----------
    model
        The module.
    path, **options
        As for `save`.

    Returns
    -------
    SaveReport
        Or, with ``blocking=False``, a `SaveHandle`.

    Raises
    ------
    TypeError
        `model` is no module, or its ``get_extra_state()`` gives what cannot be saved.
    """
    _check_module(model)
    return save(model.state_dict(), path, **options)


def load_model(
    model: torch.nn.Module,
    path: str | os.PathLike[str],
    strict: bool = True,
    *,
    assign: bool = False,
    **options: Any,
) -> tuple[list[str], list[str]]:
    """Load tensors into a module: all that fit, or, on any error, none.

    Names, shapes and dtypes are compared before anything is read, and everything is read
    and verified before the module changes.

    Parameters
    ----------
    model
        The module, on any device. Its tensors are filled in place: optimizers that have
        them go on working. A floating-point tensor takes values of any floating-point
        dtype, as in ``load_state_dict``.
    path
        A checkpoint of `save_model`, or of `save` with a ``state_dict()``, or any other
        checkpoint whose names are those of the module.
    strict
        Whether it is an error if the checkpoint lacks tensors of the module, or has
        others. Other shapes are an error in any case.
    assign
        Put the loaded tensors in the place of the module's, with their dtypes, instead
        of copying them: for a module on the meta device, and with ``mmap=True`` for one
        whose weights stay in the file until they are touched. Tied weights stay tied.
    **options
        As for `load`, without ``map_location``.

    Returns
    -------
    tuple of two lists
        The names that the module has and the checkpoint lacks, and the reverse. A name
        whose memory another one fills is not missing.

    Raises
    ------
    RestoreMismatchError
        What is missing, unexpected and mismatched, all together; and where the names
        differ by one prefix only, as "module.", which. Nothing was loaded.
    TypeError
        `model` is no module.
    Exception
        As for `load`.
    """
    _check_module(model)
    loader = Loader.of(path, writable=True, **options)
    own = model.state_dict()

    def read(core: _core.Bundle) -> tuple[list[str], list[str], State]:
        outline, load_state = _open(core, loader)
        missing = _missing(own, outline)
        unexpected = [name for name in outline if name not in own]
        problems = [f"missing: {name}" for name in missing if strict]
        problems += [f"unexpected: {name}" for name in unexpected if strict]
        problems += [f"mismatched: {line}" for line in _mismatches(own, outline, assign)]
        if problems:
            raise RestoreMismatchError(
                f"{loader.path}: the checkpoint does not fit the module"
                + describe(problems, most=_MOST_SHOWN)
                + advice(own, outline, is_ours=reading.has(core, STRUCTURE.name)),
                code="Mismatch",
                path=loader.path,
            )
        return missing, unexpected, load_state()

    missing, unexpected, state = loader.run(read)
    ties = _ties(model) if assign else []
    model.load_state_dict(state, strict=False, assign=assign)
    for first, others in ties:
        for module, name in others:
            setattr(module, name, getattr(*first))
    return missing, unexpected


def _check_module(model: Any) -> None:
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, not a {type(model).__qualname__}")


def _open(core: _core.Bundle, loader: Loader) -> tuple[State, Callable[[], State]]:
    """Give the state with meta tensors, and what reads it."""
    if reading.has(core, STRUCTURE.name):
        stored = Stored(core, loader)
        outline = stored.load(Locator("meta", loader.path))
        if not isinstance(outline, dict):
            kind = type(outline).__name__
            raise RestoreMismatchError(
                f"{loader.path}: holds a {kind}, not the state_dict() of a module",
                code="Mismatch",
                path=loader.path,
            )
        return outline, lambda: stored.load(Locator("cpu", loader.path))
    names = core.names()
    plain = {name: _as_meta(*reading.find(core, name)[:2]) for name in names}

    def load_state() -> State:
        arrays = loader.read(core, [name for name in names if plain[name] is not None], {})
        return {name: from_array(array) for name, array in arrays.items()}

    return plain, load_state


def _as_meta(number: int, shape: tuple[int, ...]) -> torch.Tensor | None:
    dtype = dtype_of_number(number) if number != dtypes.STRING else None
    return None if dtype is None else torch.empty(shape, dtype=dtype, device="meta")


def _missing(own: Mapping[str, Any], outline: State) -> list[str]:
    """Give the names that get no value, not even by another name for the same memory."""
    filled = {_memory(value) for name, value in own.items() if name in outline}
    return [
        name
        for name, value in own.items()
        if name not in outline and (_memory(value) is None or _memory(value) not in filled)
    ]


def _memory(value: Any) -> tuple[Any, ...] | None:
    """Give what two tensors of the same memory have in common."""
    if not isinstance(value, torch.Tensor) or torch.nn.parameter.is_lazy(value):
        return None
    if value.is_meta or value.layout != torch.strided or value.numel() == 0:
        return None
    return value.device, value.data_ptr(), tuple(value.shape), value.stride(), value.dtype


def _mismatches(own: Mapping[str, Any], outline: State, assign: bool) -> Iterator[str]:
    for name, value in outline.items():
        target = own.get(name)
        if not isinstance(target, torch.Tensor) or torch.nn.parameter.is_lazy(target):
            continue
        if not isinstance(value, torch.Tensor):
            yield f"{name}: no tensor in the checkpoint"
        elif value.shape != target.shape:
            stored, wanted = tuple(value.shape), tuple(target.shape)
            yield f"{name}: shape {stored} in the checkpoint, {wanted} in the module"
        elif target.is_meta and not assign:
            yield f"{name}: on the meta device in the module; give assign=True"
        elif not (assign or _takes(target.dtype, value.dtype)):
            yield f"{name}: {value.dtype} in the checkpoint, {target.dtype} in the module"


def _takes(own: torch.dtype, stored: torch.dtype) -> bool:
    """Whether a copy keeps the values, but for rounding."""
    if own.is_floating_point and stored.is_floating_point:
        return True
    return own == stored or (own.is_complex and stored.is_complex)


Place = tuple[torch.nn.Module, str]


def _ties(model: torch.nn.Module) -> list[tuple[Place, list[Place]]]:
    """Give the places of each parameter that is in several."""
    places: dict[int, list[Place]] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                places.setdefault(id(parameter), []).append((module, name))
    return [(found[0], found[1:]) for found in places.values() if len(found) > 1]
