"""Saves and restores in the place of TensorFlow's own: what a `Checkpoint` is driven by.

``tf.train.Checkpoint`` keeps counters, options, callbacks and names; the work it gives to
a saver. This one does the work with this engine: objects are found by `checkpoint.walk`,
or known from the last save (`structure`), and written from their own memory. Restores
match objects as TensorFlow does, by its own code, and read with this engine (`restoring`).

What only TensorFlow's writer can do it still does (see `Saver.prepare`), and is then synced.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.checkpoint import checkpoint as tf_checkpoint

from tensorbundle.checkpoint.adapters import Children
from tensorbundle.checkpoint.walk import Saving, gather
from tensorbundle.directories import names_in, sync_directory, sync_tree
from tensorbundle.frameworks.tensorflow.graph import NeedsTensorFlowError, TrackableAdapter
from tensorbundle.frameworks.tensorflow.restoring import restore
from tensorbundle.frameworks.tensorflow.stored_tensors import StoredTensors, local_path
from tensorbundle.frameworks.tensorflow.structure import Structure
from tensorbundle.object_graph import OBJECT_GRAPH_KEY
from tensorbundle.reports import SaveReport
from tensorbundle.saving import PendingSave, prepare

__all__ = ["Saver"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Pending(PendingSave):
    """A save that tells its saver what it did, and then calls the user's functions."""

    saver: Saver
    callbacks: Sequence[Callable[..., object]] = ()
    path: str
    """As the user gave it."""

    def run(self, *arguments: Any) -> SaveReport:
        report = super().run(*arguments)
        self.saver.report = report
        tf_checkpoint._execute_callbacks(self.callbacks, self.path)
        return report


class Saver(tf_checkpoint.TrackableSaver):  # type: ignore[misc]
    """What ``tf.train.Checkpoint`` calls to save and restore its objects."""

    def __init__(self, graph_view: Any) -> None:
        super().__init__(graph_view)
        self.report: SaveReport | None = None
        self.how: dict[str, Any] = {}
        self._structure: Structure | None = None

    @contextlib.contextmanager
    def told(self, how: dict[str, Any]) -> Iterator[None]:
        """Save with these options of `tensorbundle.save` meanwhile."""
        before, self.how = self.how, how
        try:
            yield
        finally:
            self.how = before

    # ---- Saving ---------------------------------------------------------------------------

    def save(
        self,
        file_prefix: Any,
        checkpoint_number: Any = None,
        session: Any = None,
        options: Any = None,
    ) -> Any:
        """Save the objects; see ``TrackableSaver.save``."""
        self.report = None
        pending = self.prepare(file_prefix, checkpoint_number, options)
        if pending is not None:
            pending.run()
            return pending.path
        self._refuse_options()
        saved = super().save(file_prefix, checkpoint_number, session, options)
        path = local_path(saved) if tf.executing_eagerly() else None
        if path is not None and self.how.get("durability", "full") == "full":
            _sync(path)
        return saved

    def prepare(
        self, file_prefix: Any, checkpoint_number: Any = None, options: Any = None
    ) -> _Pending | None:
        """Gather what a save writes; ``None`` where TensorFlow has to write it itself.

        What is gathered keeps: TensorFlow copies a variable that is updated meanwhile.

        That is so in graphs and functions, of paths that are no local files, where the
        caller chooses the shards, and of objects that have savers of their own or are
        saved in slices.
        """
        given = _numbered(file_prefix, checkpoint_number)
        path = local_path(given)
        if path is None or not tf.executing_eagerly() or _chooses_shards(options):
            return None
        try:
            saving = self._gather()
        except NeedsTensorFlowError:
            return None
        tensors = {**saving.tensors, OBJECT_GRAPH_KEY: saving.graph}
        made = prepare(path, tensors, **self.how)
        made.make_directory()
        plain = {f.name: getattr(made, f.name) for f in dataclasses.fields(made)}
        return _Pending(**{**plain, "is_stable": True}, saver=self, path=os.fspath(given))

    def _gather(self) -> Saving:
        root = ViewRoot(self._graph_view)
        known = self._structure.gather(root) if self._structure is not None else None
        if known is not None:
            return known
        self._structure = None
        saving = gather(root)
        self._structure = Structure.of(saving)
        return saving

    def _refuse_options(self) -> None:
        unknown = sorted(self.how.keys() - {"durability"})
        if unknown:
            raise ValueError(
                f"TensorFlow itself writes this checkpoint, and knows no {unknown}"
            )

    # ---- Restoring ------------------------------------------------------------------------

    def restore(self, save_path: Any, options: Any = None) -> Any:
        """Restore the objects; see ``TrackableSaver.restore``."""
        path = local_path(save_path) if save_path is not None else None
        if path is not None and tf.executing_eagerly():
            stored = StoredTensors.of_objects(path)
            if stored is not None:
                return restore(stored, self._graph_view, options)
        return super().restore(save_path, options)


class ViewRoot(TrackableAdapter):
    """The root of what a ``tf.train.Checkpoint`` saves, and what it attaches to it."""

    def __init__(self, view: Any) -> None:
        super().__init__(view.root)
        self._view = view

    def children(self) -> Children:
        return list(self._view.children(self.obj).items())


def _numbered(file_prefix: Any, number: Any) -> Any:
    if tf.is_tensor(file_prefix) and tf.executing_eagerly():
        file_prefix = tf.compat.as_str(file_prefix.numpy())
    return f"{file_prefix}-{int(number)}" if number else file_prefix


def _sync(prefix: str) -> None:
    """Make durable what TensorFlow wrote; the files of registered savers begin so too."""
    directory, base = os.path.split(prefix)
    for name in names_in(directory):
        if name.startswith(base):
            sync_tree(os.path.join(directory, name))
    sync_directory(directory)


def _chooses_shards(options: Any) -> bool:
    callback = getattr(options, "experimental_sharding_callback", None)
    return callback is not None and not isinstance(
        callback, tf.train.experimental.ShardByTaskPolicy
    )
