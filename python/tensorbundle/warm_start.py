"""Warm starts and transfer learning: variables from a checkpoint that differs."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from tensorbundle import dtypes, object_graph, reading
from tensorbundle.assignment import Assignment, Rules, assign, pairs_of
from tensorbundle.checkpoint_reader import as_prefix
from tensorbundle.paths import open_core
from tensorbundle.variables import Variable, describe, named_variable, variables_of

__all__ = ["InitReport", "Mismatch", "init_from_checkpoint"]

_LOG = logging.getLogger("tensorbundle")

_VALUE_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
# What TensorFlow adds to every object-based checkpoint.
_BOOKKEEPING = "save_counter"


@dataclasses.dataclass(frozen=True)
class Mismatch:
    """A tensor that does not fit its variable."""

    variable: str
    tensor: str
    reason: str
    """Shapes or dtypes, found and wanted."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class InitReport:
    """What became of each tensor and each variable; no name is left out.

    The names of the first fields are those of torch and of transformers.
    """

    prefix: str
    initialized: dict[str, str]
    """From variable to the tensor it has its value from."""
    missing_keys: list[str]
    """Variables that the rules speak of, but the checkpoint has no tensor for."""
    unexpected_keys: list[str]
    """Tensors that the rules speak of, but there is no variable for."""
    mismatched_keys: list[Mismatch]
    """Pairs whose shapes or dtypes differ, or whose variable can neither be written to nor
    replaced where it is; the variables are as they were."""
    untouched: list[str]
    """Variables that no rule speaks of."""
    unused: list[str]
    """Tensors that no rule speaks of."""
    idle_rules: list[str]
    """Rules that no tensor fits: perhaps misspelt."""
    values: dict[str, Any] = dataclasses.field(repr=False)
    """From the name of what was initialized to the variable, or the value in its place."""

    @property
    def ok(self) -> bool:
        """Whether every rule was fulfilled for all that it speaks of."""
        return not (
            self.missing_keys
            or self.unexpected_keys
            or self.mismatched_keys
            or self.idle_rules
        )

    def problems(self) -> str:
        """List what is not as the rules say, a line each; empty if `ok`."""
        parts = [
            ("variables without a tensor", self.missing_keys),
            ("tensors without a variable", self.unexpected_keys),
            ("mismatches", [f"{m.variable}: {m.reason}" for m in self.mismatched_keys]),
            ("rules that fit no tensor", self.idle_rules),
        ]
        return "\n".join(f"{len(p)} {told}:{describe(p)}" for told, p in parts if p)


def init_from_checkpoint(
    ckpt_dir_or_file: str | os.PathLike[str],
    assignment_map: Rules = None,
    *,
    target: Any = None,
    strict: bool = True,
    cast: bool = False,
    num_threads: int | None = None,
) -> InitReport:
    r"""Initialize variables from a checkpoint of another model, by rules for the names.

    All is read and checked before the first variable is written.

    Parameters
    ----------
    ckpt_dir_or_file
        A prefix, or a directory, of which the newest checkpoint is taken.
    assignment_map
        From names in the checkpoint to variables, as a mapping or a list of pairs:

        - ``"old/": "new/"``, ``"module.": ""``: all tensors of a scope, ``"/"`` or ``""``
          being all;
        - ``"old/w": "new/w"``, ``"old/w": variable``: one tensor; a list of pairs can
          give it to several variables;
        - ``re.compile(r"layer_(\d+)/(.*)"): r"blocks.\1.\2"``: all whose whole name
          matches; also to a function of the match.

        Or a function from a tensor's name to a variable's, or to ``None`` for no variable.
        ``None`` means equal names. Names of single tensors go before scopes and patterns,
        of which the first that fits a tensor counts. In object-based checkpoints the
        ending ``/.ATTRIBUTES/VARIABLE_VALUE`` can be left out.
    target
        What has the variables: a mapping of arrays, a torch module, a Keras model, a list;
        see `Saver`. Not needed where the map gives the variables themselves, but for what
        can only be replaced in a mapping: JAX arrays, numbers, arrays of text.
    strict
        ``True``: anything missing, unexpected or mismatched is an error, and nothing is
        written. ``False``: what fits is written, the rest reported and logged.
    cast
        Convert values to the dtypes of the variables, instead of calling that a mismatch.
    num_threads
        Threads that read and checksum; ``None`` means one per CPU of this process.

    Returns
    -------
    InitReport
        Every name of both sides: initialized, missing, unexpected, mismatched, untouched
        or unused.

    Raises
    ------
    ValueError
        With `strict`: the rules are not fulfilled; the message lists how. Always: two
        tensors would go to one variable, a rule is malformed, or a directory names no
        checkpoint.
    TypeError
        There is no target, or it holds what is no variable.
    FileNotFoundError, CorruptionError, UnsupportedError
        As `tensorbundle.load`. Nothing was written.

    Examples
    --------
    >>> report = tb.init_from_checkpoint(
    ...     "pretrained/ckpt-9", {"model/": "backbone."}, target=net, strict=False
    ... )  # doctest: +SKIP
    >>> report.missing_keys  # doctest: +SKIP
    ['backbone.head.weight']
    """
    prefix = as_prefix(ckpt_dir_or_file)
    rules, variables = _with_targets(assignment_map, target)

    def attempt() -> InitReport:
        return _initialize(prefix, rules, variables, strict, cast, num_threads)

    return reading.of_current(attempt)


def _with_targets(rules: Rules, target: Any) -> tuple[Rules, dict[str, Variable]]:
    """Give names to the variables that rules hold, and add them to those of `target`."""
    variables = {} if target is None else variables_of(target)
    if rules is None or callable(rules):
        if target is None:
            raise TypeError("target= is needed: nothing else says which variables there are")
        return rules, variables
    pairs: list[tuple[Any, Any]] = []
    for source, goal in pairs_of(rules):
        if isinstance(goal, str) or isinstance(source, re.Pattern):
            if target is None:
                raise TypeError(f"target= is needed to find variables for {source!r}")
            pairs.append((source, goal))
            continue
        known = [name for name, variable in variables.items() if variable.value is goal]
        name = known[0] if known else _free_name(source, variables)
        if not known:
            variables[name] = named_variable(name, goal)
        elif len(known) > 1 and variables[name].assign is None:
            raise ValueError(f"{source!r}: {known} are all this value; give the name of one")
        pairs.append((source, name))
    return pairs, variables


def _free_name(source: Any, values: Mapping[str, Any]) -> str:
    """Call a variable as its tensor; a second one of that name by a number."""
    name, number = str(source), 1
    while name in values:
        number += 1
        name = f"{source} ({number})"
    return name


def _initialize(
    prefix: str,
    rules: Rules,
    variables: dict[str, Variable],
    strict: bool,
    cast: bool,
    num_threads: int | None,
) -> InitReport:
    core = open_core(prefix)
    keys = _stored_names(core, rules, variables)
    found = assign(_shortened(rules, keys), keys, variables)
    fitting, mismatched = _sorted_out(core, found, keys, variables, cast)
    report = InitReport(
        prefix=prefix,
        initialized=fitting,
        missing_keys=found.missing,
        unexpected_keys=found.unexpected,
        mismatched_keys=mismatched,
        untouched=found.untouched,
        unused=found.unused,
        idle_rules=found.idle,
        values={},
    )
    if strict and not report.ok:
        raise ValueError(f"{prefix}: nothing was initialized:\n{report.problems()}")
    wanted = list(dict.fromkeys(keys[name] for name in fitting.values()))
    options = reading.read_options(verify=True, num_threads=num_threads)
    arrays = dict(zip(wanted, reading.read_tensors(core, wanted, options)[0], strict=True))
    for name, source in fitting.items():
        array = arrays[keys[source]]
        report.values[name] = variables[name].put(_cast(array, variables[name], cast))
    if not report.ok:
        _LOG.warning("%s: %s", prefix, report.problems())
    return report


def _stored_names(core: Any, rules: Rules, wanted: Mapping[str, Any]) -> dict[str, str]:
    """Map the names that rules are applied to, to the keys of the checkpoint."""
    keys = core.names()
    if object_graph.OBJECT_GRAPH_KEY not in keys:
        return {key: key for key in keys}
    names = {
        key.removesuffix(_VALUE_SUFFIX): key
        for key in keys
        if key != object_graph.OBJECT_GRAPH_KEY
    }
    is_meant = _BOOKKEEPING in wanted or any(
        isinstance(source, str) and source.removesuffix(_VALUE_SUFFIX) == _BOOKKEEPING
        for source in _sources(rules)
    )
    if not is_meant:
        names.pop(_BOOKKEEPING, None)
    return names


def _sources(rules: Rules) -> list[Any]:
    if rules is None or callable(rules):
        return []
    return [source for source, _ in pairs_of(rules)]


def _shortened(rules: Rules, keys: Mapping[str, str]) -> Rules:
    """Take the ending off the names in rules where it is off the checkpoint's."""
    if rules is None or callable(rules) or isinstance(rules, Mapping):
        return rules
    return [
        (s.removesuffix(_VALUE_SUFFIX) if isinstance(s, str) and s not in keys else s, goal)
        for s, goal in rules
    ]


def _sorted_out(
    core: Any,
    found: Assignment,
    keys: Mapping[str, str],
    variables: Mapping[str, Variable],
    cast: bool,
) -> tuple[dict[str, str], list[Mismatch]]:
    """Part those that fit from those that do not, in the order of the variables."""
    fitting: dict[str, str] = {}
    mismatched: list[Mismatch] = []
    for name, variable in variables.items():
        source = found.sources.get(name)
        if source is None:
            continue
        number, shape = reading.find(core, keys[source])[:2]
        stored = dtypes.numpy_dtype(number)
        can_cast = cast and _is_castable(stored, variable.dtype)
        told = variable.mismatch(shape, variable.dtype if can_cast else stored)
        if told is None and variable.is_fixed:
            told = (
                f"a value of type {type(variable.value).__qualname__} cannot be written to, "
                "and is in no mapping that can be changed; give one that holds it as target="
            )
        if told is None:
            fitting[name] = source
        else:
            mismatched.append(Mismatch(name, source, told))
    return fitting, mismatched


def _is_castable(stored: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    if "O" in (stored.kind, wanted.kind):
        return False
    return stored.kind != "c" or wanted.kind == "c"


def _cast(array: np.ndarray[Any, Any], variable: Variable, cast: bool) -> Any:
    return array.astype(variable.dtype, copy=False) if cast else array
