"""Values for variables, found by name: all of them read and checked, or an error."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from tensorbundle import dtypes, reading
from tensorbundle.errors import MissingTensorError
from tensorbundle.paths import open_core
from tensorbundle.shown_text import shown
from tensorbundle.stored_graph import read_graph
from tensorbundle.variables import Variable, describe

__all__ = ["full_names", "restore_values"]

_LOG = logging.getLogger("tensorbundle")

# Up to this many bytes a second copy is cheaper than a second reading.
_STAGED_BYTES = 64 << 20

Array = np.ndarray[Any, Any]


def restore_values(
    prefix: str,
    variables: Mapping[str, Variable],
    *,
    reshape: bool = False,
    backend: str = "auto",
    options: Any = None,
) -> dict[str, Any]:
    """Give each variable its value: all of them, or none.

    In an object-based checkpoint a variable is found by the name it had in the program
    that saved it.

    Shapes and dtypes are compared first. Then, of values that come to no more than 64 MiB,
    all are read before any is written. Of more, those that have a place in memory are
    read twice: to compare their checksums, then, most often from the page cache, into
    place; so there is no second copy of them. The one fault that is left: the second
    time fails, where the page cache did not keep them and the device fails in between.

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
    dict
        By the variables' names what `Variable.put` gives. Variables that are fixed are told
        in the log.

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

    def attempt() -> dict[str, Any]:
        core = open_core(prefix, backend)
        keys = _keys(core, prefix, variables)
        _check(core, prefix, variables, keys, reshape)
        in_place = _in_place(core, variables, keys)
        wanted = list(dict.fromkeys(key for key in keys.values() if key not in in_place))
        arrays, _ = reading.read_tensors(core, wanted, options)
        values = dict(zip(wanted, arrays, strict=True))
        reading.check_tensors(core, in_place.keys(), options, again=True)
        targets: list[Array | None] = list(in_place.values())
        reading.read_tensors(core, list(in_place), options, targets)
        return {
            name: variable.put(values[key]) if key in values else variable.value
            for (name, variable), key in zip(variables.items(), keys.values(), strict=True)
        }

    restored = reading.of_current(attempt)
    fixed = [name for name, variable in variables.items() if variable.is_fixed]
    if fixed:
        _LOG.warning(
            "%s: variables that cannot be written to, nor replaced where they are, keep their "
            "values; the new ones are only returned:%s", shown(prefix), describe(fixed),
        )  # fmt: skip
    return restored


def _in_place(
    core: Any, variables: Mapping[str, Variable], keys: Mapping[str, str]
) -> dict[str, Array]:
    """Choose the tensors that are read into place, and give their memory."""
    stored = {key: reading.find(core, key) for key in keys.values()}
    if sum(record[4] for record in stored.values()) <= _STAGED_BYTES:
        return {}
    places = []
    for name, key in keys.items():
        memory = variables[name].memory
        if memory is not None and memory.size > 0:
            places.append((memory.ctypes.data, key, memory.reshape(stored[key][1])))
    shared = _sharing(places) | {key for key, n in Counter(keys.values()).items() if n > 1}
    return {key: memory for _, key, memory in places if key not in shared}


def _sharing(places: list[tuple[int, str, Array]]) -> set[str]:
    """Find tensors whose places overlap: they are written one after the other."""
    shared: set[str] = set()
    end, last = 0, ""
    for begin, key, memory in sorted(places, key=lambda place: place[0]):
        if begin < end:
            shared |= {key, last}
        if begin + memory.nbytes > end:
            end, last = begin + memory.nbytes, key
    return shared


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
