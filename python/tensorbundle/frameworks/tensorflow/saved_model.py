"""The variables of an exported SavedModel: listed, read, verified and replaced."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from tensorbundle import tensors as _tensors
from tensorbundle.bundle import Entry, verify
from tensorbundle.bundle import open as open_bundle
from tensorbundle.checkpoint.keys import VARIABLE_VALUE
from tensorbundle.dtypes import number_of, numpy_dtype
from tensorbundle.errors import MissingTensorError, RestoreMismatchError
from tensorbundle.frameworks.tensorflow.variable_copies import originals_of_copies
from tensorbundle.loading import LoadedTensors, load
from tensorbundle.paths import open_core
from tensorbundle.reports import SaveReport, VerifyReport
from tensorbundle.saving import save
from tensorbundle.stored_graph import read_graph
from tensorbundle.variables import describe

__all__ = ["SavedModel"]

_SUFFIX = f"/.ATTRIBUTES/{VARIABLE_VALUE}"


class SavedModel:
    """The variables of a SavedModel in a directory.

    Names are short, "dense/kernel", or those of the tensors in the checkpoint,
    "dense/kernel/.ATTRIBUTES/VARIABLE_VALUE"; both are understood. What ``model.export`` of
    Keras 3 has made names its variables by their number, "variables/0", in the order of
    ``model.variables``.

    Raises
    ------
    FileNotFoundError
        There is no SavedModel, or it has no variables.
    CorruptionError, UnsupportedError
        Its checkpoint cannot be read.

    Examples
    --------
    >>> exported = tbtf.SavedModel("export/1")  # doctest: +SKIP
    >>> exported.list_variables()  # doctest: +SKIP
    [('dense/kernel', (784, 10)), ...]
    >>> exported.replace_variables({"dense/kernel": kernel})  # doctest: +SKIP
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = os.fspath(directory)
        files = [os.path.join(self.directory, f"saved_model.{end}") for end in ("pb", "pbtxt")]
        if not any(map(os.path.isfile, files)):
            raise FileNotFoundError(f"{self.directory}: no saved_model.pb: not a SavedModel")
        self.prefix = os.path.join(self.directory, "variables", "variables")
        self._entries()

    def _entries(self) -> dict[str, Entry]:
        with open_bundle(self.prefix) as bundle:
            return {name: bundle.entry(name) for name in bundle if name.endswith(_SUFFIX)}

    def _copies(self, entries: Mapping[str, Entry]) -> dict[str, list[str]]:
        """Give the entries that are copies of others, with these."""
        graph = read_graph(open_core(self.prefix), self.prefix)

        def kind_of(name: str) -> object:
            return (entries[name].shape, entries[name].dtype_name) if name in entries else None

        return originals_of_copies(graph, kind_of)

    def _own_entries(self) -> dict[str, Entry]:
        """Give the entries but those that are copies of others."""
        entries = self._entries()
        copies = self._copies(entries)
        return {name: entry for name, entry in entries.items() if name not in copies}

    def list_variables(self) -> list[tuple[str, tuple[int, ...]]]:
        """List short names and shapes, by name.

        Of the two entries that an export of Keras 3 has for each variable, that is listed
        which is served: "variables/0", not "_all_variables/0".
        """
        return [
            (name.removesuffix(_SUFFIX), entry.shape)
            for name, entry in self._own_entries().items()
        ]

    def load(self, names: list[str] | None = None, **options: Any) -> LoadedTensors:
        """Load variables as arrays by their short names; see `tensorbundle.load`.

        ``None`` means those that `list_variables` lists.

        Raises
        ------
        MissingTensorError
            A variable does not exist.
        """
        wanted = list(self._own_entries()) if names is None else list(map(_full, names))
        loaded = load(self.prefix, wanted, **options)
        short = LoadedTensors((n.removesuffix(_SUFFIX), v) for n, v in loaded.items())
        short.report = loaded.report
        return short

    def verify(self, **options: Any) -> VerifyReport:
        """Read every tensor and compare its checksum; see `tensorbundle.verify`."""
        return verify(self.prefix, **options)

    def replace_variables(self, values: Mapping[str, Any], **options: Any) -> SaveReport:
        """Give variables other values: all of them, or none.

        The others, and the object graph, stay as they are, and are verified meanwhile. The
        model changes at one moment: a program that loads it, or a crash, finds all old
        values or all new ones. ``fingerprint.pb`` is left alone, whose hash of the
        checkpoint is then another's; loading does not compare it.

        Parameters
        ----------
        values
            By name: anything that `tensorbundle.save` takes, of the variable's shape and
            dtype. Where the export has a variable twice, either name gives both the value.
        options
            As for `tensorbundle.save`.

        Raises
        ------
        MissingTensorError, RestoreMismatchError
            Names, shapes or dtypes do not fit; all of them are told together, and nothing
            was changed. Likewise two names for one variable, and a copy of which it cannot
            be told what it is a copy of, since variables share their names.
        CorruptionError, OSError, ...
            The old checkpoint cannot be read, or the new one not be written; the model is
            as it was.
        """
        new = {_full(name): value for name, value in values.items()}
        entries = self._entries()
        copies = self._copies(entries)
        same = _same(copies)
        self._check(new, entries, copies, same)
        for name in list(new):
            new.update(dict.fromkeys(same.get(name, []), new[name]))
        held = load(self.prefix)
        report: SaveReport = save(self.prefix, {**held, **new}, **options)
        return report

    def _check(
        self,
        new: Mapping[str, Any],
        entries: Mapping[str, Entry],
        copies: Mapping[str, list[str]],
        same: Mapping[str, list[str]],
    ) -> None:
        missing = [name.removesuffix(_SUFFIX) for name in new if name not in entries]
        faults = [
            f"{name.removesuffix(_SUFFIX)}: {fault}"
            for name, value in new.items()
            if name in entries
            and (
                fault := _mismatch(entries[name], value) or _ambiguity(name, new, copies, same)
            )
        ]
        if missing and not faults:
            raise MissingTensorError(
                f"{self.directory}: no such variables, nothing was changed:"
                + describe(missing),
                code="MissingTensor",
                path=self.prefix,
            )
        if faults:
            told = [*faults, *(f"{name}: no such variable" for name in missing)]
            raise RestoreMismatchError(
                f"{self.directory}: {len(told)} do not fit, nothing was changed:"
                + describe(told),
                code="RestoreMismatch",
                path=self.prefix,
            )


def _full(name: str) -> str:
    return name if name.endswith(_SUFFIX) else name + _SUFFIX


def _same(copies: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Give the other entries of each variable that has several, by each of its names."""
    groups: dict[str, list[str]] = {}
    for copy, originals in copies.items():
        if len(originals) == 1:
            groups.setdefault(originals[0], [originals[0]]).append(copy)
    return {
        name: [other for other in group if other != name]
        for group in groups.values()
        for name in group
    }


def _ambiguity(
    name: str,
    new: Mapping[str, Any],
    copies: Mapping[str, list[str]],
    same: Mapping[str, list[str]],
) -> str | None:
    originals = copies.get(name, [])
    if len(originals) > 1:
        shown = " or ".join(other.removesuffix(_SUFFIX) for other in originals)
        return f"a copy of {shown}, which share a name; replace that instead"
    for other in same.get(name, []):
        if other in new:
            return f"the same variable as {other.removesuffix(_SUFFIX)}; give one"
    return None


def _mismatch(entry: Entry, value: Any) -> str | None:
    view = _tensors.as_view(value)
    number = view.number if view.number is not None else number_of(view.array.dtype)
    dtype = np.dtype(object) if number is None else numpy_dtype(number)
    faults = []
    if view.array.shape != entry.shape:
        faults.append(f"shape {view.array.shape} given, {entry.shape} in the model")
    if dtype != entry.dtype:
        faults.append(f"dtype {dtype} given, {entry.dtype_name} in the model")
    return " and ".join(faults) or None
