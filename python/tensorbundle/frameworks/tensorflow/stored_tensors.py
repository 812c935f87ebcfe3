"""A checkpoint's tensors, as TensorFlow's restore asks for them."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf

from tensorbundle import reading
from tensorbundle.bundle import Bundle, Entry
from tensorbundle.checkpoint.adapters import Array
from tensorbundle.errors import UnsupportedError
from tensorbundle.frameworks.tensorflow.values import Blank, as_tensors, blank, with_dtype
from tensorbundle.object_graph import OBJECT_GRAPH_KEY

__all__ = ["StoredTensors", "local_path"]


def local_path(path: Any) -> str | None:
    """Give the path of local files; ``None`` for other file systems and symbolic tensors."""
    if tf.is_tensor(path):
        if not hasattr(path, "numpy"):
            return None
        path = tf.compat.as_str(path.numpy())
    text = os.fspath(path).removeprefix("file://")
    return None if "://" in text else text


class StoredTensors:
    """An open checkpoint.

    Threads: one at a time.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        with _tensorflows_errors():
            self._bundle = Bundle(prefix)
        self._entries: dict[str, Entry] = {}
        self._shard_sizes: dict[int, int] = {}

    @staticmethod
    def of_objects(prefix: str) -> StoredTensors | None:
        """Open a checkpoint; ``None`` if it was saved by names, not by objects.

        Raises
        ------
        tf.errors.NotFoundError
            There is none; as TensorFlow's own reader.
        CorruptionError, OSError
            It cannot be read.
        """
        try:
            stored = StoredTensors(prefix)
        except UnsupportedError:  # TensorFlow's V1 format, for example
            return None
        return stored if OBJECT_GRAPH_KEY in stored._bundle else None

    # ---- What a CheckpointReader has ------------------------------------------------------

    def get_variable_to_dtype_map(self) -> dict[str, Any]:
        """Give TensorFlow's dtypes by the tensors' names."""
        numbers = zip(self._core.names(), self._core.dtypes(), strict=True)
        return {name: tf.as_dtype(number) for name, number in numbers}

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        """Give shapes by the tensors' names."""
        return dict(self._core.shapes())

    def get_tensor(self, name: str) -> Any:
        """Read one tensor; a scalar as what it is."""
        return self._arrays([name])[0][()]

    # ---- Reading --------------------------------------------------------------------------

    def entry(self, name: str) -> Entry:
        """Give a tensor's record."""
        found = self._entries.get(name)
        if found is None:
            found = self._entries[name] = self._bundle.entry(name)
        return found

    def has_whole(self, name: str) -> bool:
        """Tell whether there is a tensor that this engine gives TensorFlow as it is."""
        if name not in self._bundle:
            return False
        return not self.entry(name).slices

    def read(self, names: Iterable[str]) -> dict[str, Any]:
        """Read tensors, on the host, and compare their checksums."""
        wanted = list(dict.fromkeys(names))
        entries = list(map(self.entry, wanted))
        blanks = list(map(self._blank, entries))
        arrays = self._arrays(wanted, [b.array if b is not None else None for b in blanks])
        copied = (
            (array, _dtype_of(entry))
            for entry, b, array in zip(entries, blanks, arrays, strict=True)
            if b is None
        )
        others = iter(as_tensors(copied))
        made = (b.tensor if b is not None else next(others) for b in blanks)
        return dict(zip(wanted, made, strict=True))

    def tensors(self, wanted: Iterable[tuple[str, str, Any]]) -> list[Any]:
        """Read tensors, by name, slice and dtype; a slice of "" is all of it.

        What this engine does not give as it is, TensorFlow reads.
        """
        wanted = list(wanted)
        ours = [not part and self.has_whole(name) for name, part, _ in wanted]
        found = self.read(w[0] for w, is_ours in zip(wanted, ours, strict=True) if is_ours)
        return [
            with_dtype(found[name], dtype)
            if is_ours
            else self._by_tensorflow(name, part, dtype)
            for (name, part, dtype), is_ours in zip(wanted, ours, strict=True)
        ]

    def _blank(self, entry: Entry) -> Blank | None:
        # No memory is asked for what cannot be in the file; the core tells of that.
        if entry.offset is None or entry.slices:
            return None
        if entry.offset + entry.size > self._shard_size(entry.shard_id):
            return None
        return blank(entry.shape, entry.dtype, entry.size)

    def _shard_size(self, shard: int) -> int:
        if shard not in self._shard_sizes:
            try:
                size = os.stat(self._core.shard_path(shard)).st_size
            except OSError:
                size = 0
            self._shard_sizes[shard] = size
        return self._shard_sizes[shard]

    def _arrays(self, names: list[str], into: list[Array | None] | None = None) -> list[Array]:
        if not names:
            return []
        with _tensorflows_errors():
            options = reading.read_options(verify=True, fresh=True)
            return reading.read_tensors(self._core, names, options, into)[0]

    def _by_tensorflow(self, name: str, part: str, dtype: Any) -> Any:
        with tf.device("CPU:0"):
            (value,) = tf.raw_ops.RestoreV2(
                prefix=self.prefix,
                tensor_names=[name],
                shape_and_slices=[part],
                dtypes=[dtype],
            )
        return value

    @functools.cached_property
    def _core(self) -> Any:
        return self._bundle._opened()


def _dtype_of(entry: Entry) -> Any:
    """Give what an array does not tell."""
    return tf.variant if entry.dtype_name == "variant" else None


@contextlib.contextmanager
def _tensorflows_errors() -> Iterator[None]:
    """Raise for a missing file what programs that use TensorFlow look for."""
    try:
        yield
    except FileNotFoundError as error:
        raise tf.errors.NotFoundError(None, None, str(error)) from error
