"""Values for variables, found by name: all of them read and checked, or an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tensorbundle import dtypes, reading
from tensorbundle.errors import MissingTensorError
from tensorbundle.paths import open_core
from tensorbundle.stored_graph import read_graph
from tensorbundle.variables import Variable, describe

__all__ = ["full_names", "read_values"]

Array = np.ndarray[Any, Any]


def read_values(
    prefix: str,
    variables: Mapping[str, Variable],
    *,
    reshape: bool = False,
    backend: str = "auto",
    options: Any = None,
) -> dict[str, Array]:
    """Read a value for each variable; nothing is written to any.

    In an object-based checkpoint a variable is found by the name it had in the program
    that saved it.

    Parameters
    ----------
    prefix
        Path of the checkpoint without a suffix.
    variables
        By the names to look for.
    reshape
        Take any shape of the same number of elements.
    options
        From `reading.read_options`; ``None`` means to verify.

    Returns
    -------
    dict of str to numpy.ndarray
        Arrays of their own in the stored shapes, verified.

    Raises
    ------
    MissingTensorError
        Variables that the checkpoint lacks; it tells all of them.
    ValueError
        Shapes or dtypes differ; it tells all of them.
    FileNotFoundError, CorruptionError, UnsupportedError
        As `tensorbundle.load`.
    """
    options = options or reading.read_options(verify=True)

    def attempt() -> dict[str, Array]:
        core = open_core(prefix, backend)
        keys = _keys(core, prefix, variables)
        _check(core, prefix, variables, keys, reshape)
        wanted = list(dict.fromkeys(keys.values()))
        arrays, _ = reading.read_tensors(core, wanted, options)
        by_key = dict(zip(wanted, arrays, strict=True))
        return {name: by_key[key] for name, key in keys.items()}

    return reading.of_current(attempt)


def full_names(core: Any, prefix: str) -> dict[str, list[str]] | None:
    """Map what variables were called to their keys; ``None`` if it is not object-based.

    Names are not unique: eager TensorFlow gives many variables one.
    """
    graph = read_graph(core, prefix)
    if graph is None:
        return None
    names: dict[str, list[str]] = {}
    for node in graph.nodes:
        for attribute in node.attributes:
            if attribute.full_name:
                names.setdefault(attribute.full_name, []).append(attribute.checkpoint_key)
    return names


def _keys(core: Any, prefix: str, variables: Mapping[str, Variable]) -> dict[str, str]:
    """Find the key of each variable."""
    keys = {name: name for name in variables if reading.has(core, name)}
    if len(keys) == len(variables):
        return keys
    names = full_names(core, prefix) or {}
    for name in variables.keys() - keys.keys():
        found = names.get(name, [])
        if len(found) > 1:
            raise ValueError(
                f"{prefix}: several variables had the name {name!r} when this checkpoint was "
                f"written; give the key of the one that is meant:{describe(found)}"
            )
        keys.update((name, key) for key in found)
    missing = [name for name in variables if name not in keys]
    if missing:
        raise _missing(core, prefix, missing, variables, names)
    return {name: keys[name] for name in variables}


def _missing(
    core: Any,
    prefix: str,
    missing: list[str],
    variables: Mapping[str, Variable],
    names: Mapping[str, Any],
) -> MissingTensorError:
    unused = [name for name in names or core.names() if name not in variables]
    return MissingTensorError(
        f"{prefix}: {len(missing)} of {len(variables)} variables are not in the checkpoint:"
        f"{describe(missing)}\nof {len(unused)} names in it there is no variable:"
        f"{describe(unused)}",
        code="NotFound",
        path=prefix,
        key=missing[0],
    )


def _check(
    core: Any,
    prefix: str,
    variables: Mapping[str, Variable],
    keys: Mapping[str, str],
    reshape: bool,
) -> None:
    problems = []
    for name, variable in variables.items():
        number, shape = reading.find(core, keys[name])[:2]
        told = variable.mismatch(shape, dtypes.numpy_dtype(number), reshape=reshape)
        if told is not None:
            problems.append(f"{name}: {told}")
    if problems:
        raise ValueError(f"{prefix}: does not fit the variables:{describe(problems)}")
