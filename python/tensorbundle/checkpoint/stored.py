"""The checkpoint that is being restored: its object graph, and reading its tensors."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from tensorbundle import reading
from tensorbundle.bundle import Bundle, Entry
from tensorbundle.checkpoint.adapters import Array
from tensorbundle.core import _core
from tensorbundle.errors import BundleError, CorruptionError, UnsupportedError
from tensorbundle.mapping import map_options
from tensorbundle.object_graph import Attribute, ObjectGraph
from tensorbundle.stored_graph import read_graph

__all__ = ["Stored"]


class Stored:
    """An object-based checkpoint, opened."""

    def __init__(self, prefix: str, *, verify: bool = True, **options: Any) -> None:
        self.prefix = prefix
        self._options = reading.read_options(verify=verify, **options)
        self._verify = verify
        self._bundle = Bundle(prefix)
        self.graph = self._graph()
        self._pinned: dict[str, Array] | None = None

    def _graph(self) -> ObjectGraph:
        path = f"{self.prefix}.index"
        graph = read_graph(self._core, self.prefix)
        if graph is None:
            raise UnsupportedError(
                f"{self.prefix}: it holds no object graph, so it was saved by names, not by "
                "objects; load() and Saver go by names",
                code="NoObjectGraph",
                path=path,
            )
        if not graph.nodes:
            raise CorruptionError(
                f"{path}: the object graph has no objects", code="BadObjectGraph"
            )
        return graph

    @functools.cached_property
    def keys(self) -> dict[str, int]:
        """The checkpoint's values, and the saved object each belongs to."""
        return {
            attribute.checkpoint_key: node_id
            for node_id, node in enumerate(self.graph.nodes)
            for attribute in node.attributes
            if any(True for _ in self.tensors_of(attribute))
        }

    def entry(self, key: str) -> Entry:
        """Give a tensor's record."""
        return self._bundle.entry(key)

    def tensors_of(self, attribute: Attribute) -> Iterator[tuple[str, str]]:
        """Give the names of an attribute's parts, and of their tensors.

        There are several for old objects of TensorFlow, and none for a variable that had
        no value.
        """
        key = attribute.checkpoint_key
        if key in self._bundle:
            yield attribute.name, key
            return
        for found in self._bundle:
            if found.startswith(key) and "/" not in found[len(key) :]:
                yield attribute.name + found[len(key) :], found

    # ---- Reading --------------------------------------------------------------------------

    @property
    def _core(self) -> Any:
        return self._bundle._opened()

    def read(self, keys: Collection[str]) -> dict[str, Array]:
        """Read tensors into arrays of their own; the checksums are compared."""
        wanted = list(keys)
        if not wanted:
            return {}
        arrays, _ = reading.read_tensors(self._core, wanted, self._options)
        return dict(zip(wanted, arrays, strict=True))

    def read_into(self, targets: Mapping[str, Array]) -> None:
        """Read tensors into the arrays given for them."""
        if targets:
            into: list[Array | None] = list(targets.values())
            reading.read_tensors(self._core, list(targets), self._options, into)

    def check(self, keys: Collection[str]) -> None:
        """Compare the checksums of tensors that are read next, unless that is not wanted.

        Raises
        ------
        CorruptionError, UnsupportedError, OSError
            What is wrong with the first of those that are not sound.
        """
        if self._verify:
            reading.check_tensors(self._core, keys, self._options, again=True)

    # ---- Reading later --------------------------------------------------------------------

    @property
    def is_pinned(self) -> bool:
        """Whether the files may be gone."""
        return self._pinned is not None

    def pin(self, done: Collection[int]) -> None:
        """Map the tensors of all objects but some, so that the files may go.

        Where that fails nothing is wrong yet: what is needed will be read, or fail, then.
        """
        try:
            self._pinned = self._mapped(done)
        except (BundleError, OSError):
            self._pinned = None

    def _mapped(self, done: Collection[int]) -> dict[str, Array]:
        waiting = [
            (key, self.entry(key))
            for node_id, node in enumerate(self.graph.nodes)
            if node_id not in done
            for attribute in node.attributes
            for _, key in self.tensors_of(attribute)
        ]
        mapped = [key for key, entry in waiting if not _is_read(entry)]
        unchecked = reading.read_options(verify=False)
        views = reading.map_tensors(self._core, mapped, unchecked, map_options(True, None))[0]
        others = self.read([key for key, entry in waiting if _is_read(entry)])
        return {**dict(zip(mapped, views, strict=True)), **others}

    def read_pinned(self, entries: dict[str, Entry]) -> dict[str, Array]:
        """Give tensors that are mapped; the checksums are compared."""
        assert self._pinned is not None
        for key, entry in entries.items():
            view = self._pinned[key]
            if not self._verify or _is_read(entry):  # and checked in the same pass
                continue
            found = _core.crc32c(view.reshape(-1).view(np.uint8))
            if found != entry.crc32c:
                raise CorruptionError(
                    f"{self.prefix}: tensor {key!r}: the checksum is {found:#010x}, the index "
                    f"says {entry.crc32c:#010x}",
                    code="DataChecksumMismatch",
                    path=self.prefix,
                    key=key,
                    shard=entry.shard_id,
                    offset=entry.offset,
                )
        return {key: self._pinned[key] for key in entries}


def _is_read(entry: Entry) -> bool:
    """Tell whether a tensor's bytes are no array in the file: strings, and parts."""
    return entry.dtype == object or bool(entry.slices)
