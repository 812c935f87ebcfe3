"""``tf.train.Checkpoint`` and its manager, by this engine."""

from __future__ import annotations

import copy
import os
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import tensorflow as tf
from tensorflow.python.checkpoint import checkpoint as tf_checkpoint

from tensorbundle import checkpoint_manager
from tensorbundle.background import Background
from tensorbundle.checkpoint_state import update_checkpoint_state
from tensorbundle.frameworks.tensorflow.saver import Saver
from tensorbundle.frameworks.tensorflow.stored_tensors import local_path
from tensorbundle.reports import SaveReport
from tensorbundle.saving import PendingSave

__all__ = ["Checkpoint", "CheckpointManager"]


class Checkpoint(tf.train.Checkpoint):  # type: ignore[misc]
    """``tf.train.Checkpoint``, saved and restored by this engine.

    All that TensorFlow documents holds: the constructor, the names in the file, numbers
    and ``checkpoint`` file, restoring what is created later, status objects and their
    assertions, ``tf.train.CheckpointOptions``. The files are interchangeable.

    What is better: a save is atomic and durable when it returns, and writes variables from
    their own memory; a restore compares every checksum and all shapes and dtypes before it
    changes the first variable. ``enable_async`` takes no copy: TensorFlow copies a
    variable that is updated while it is being written.

    Parameters
    ----------
    root, kwargs
        As for ``tf.train.Checkpoint``.

    Notes
    -----
    TensorFlow's own code writes, with its own guarantees, in graphs and ``tf.function``, to
    paths that are no local files, for a sharding callback, and for objects with registered
    savers or variables saved in slices; `save_report` is then ``None``.

    Threads: one at a time.

    Examples
    --------
    >>> checkpoint = tbtf.Checkpoint(model=model, optimizer=optimizer)  # doctest: +SKIP
    >>> path = checkpoint.save("run/ckpt")  # doctest: +SKIP
    >>> checkpoint.restore(path).assert_consumed()  # doctest: +SKIP
    """

    def __init__(self, root: Any = None, **kwargs: Any) -> None:
        super().__init__(root, **kwargs)
        self._saver: Any = Saver(self._saver._graph_view)
        self._background = Background()

    @property
    def save_report(self) -> SaveReport | None:
        """What the last save did; ``None`` if TensorFlow did it, or it is under way."""
        report: SaveReport | None = self._saver.report
        return report

    def save(
        self, file_prefix: str | os.PathLike[str], options: Any = None, **how: Any
    ) -> str:
        """Save as the next of a numbered series; see ``tf.train.Checkpoint.save``.

        Parameters
        ----------
        file_prefix
            Path without number: ``"run/ckpt"`` makes ``run/ckpt-1`` and so on.
        options
            A ``tf.train.CheckpointOptions``.
        how
            Options of `tensorbundle.save`, for example ``durability`` or ``num_shards``.

        Returns
        -------
        str
            The checkpoint's prefix. With ``enable_async`` it is there when `sync` returns.

        Raises
        ------
        LockedError, OSError, ...
            As `tensorbundle.save`; with ``enable_async``, what an earlier save raised.
        """
        with self._saver.told(how):
            path: str = super().save(file_prefix, _without_threads(options))
        return path

    def write(
        self, file_prefix: str | os.PathLike[str], options: Any = None, **how: Any
    ) -> str:
        """Save at `file_prefix`: no number, no ``checkpoint`` file; see `save`."""
        with self._saver.told(how):
            path: str = super().write(file_prefix, options)
        return path

    def _write(self, file_prefix: Any, options: Any = None) -> str:
        # What save(), write() and TensorFlow's managers come to.
        self.sync()
        options = self._with_durable_state(options)
        if getattr(options, "enable_async", False) and tf.executing_eagerly():
            pending = self._saver.prepare(file_prefix)
            if pending is not None:
                callbacks = tuple(options.experimental_write_callbacks or ())
                self._saver.report = None
                self._background.start(replace(pending, callbacks=callbacks), ExitStack())
                return str(pending.path)
        path: str = super()._write(file_prefix, _without_threads(options))
        return path

    def prepare(
        self, file_prefix: str | os.PathLike[str], options: Any = None, **how: Any
    ) -> PendingSave:
        """Gather everything for a save that others run, as `CheckpointManager` does.

        Raises
        ------
        TypeError
            Only TensorFlow's own code can write it, and not in the background.
        """
        self.sync()
        with self._saver.told(how):
            pending = self._saver.prepare(file_prefix, options=options)
        if pending is None:
            raise TypeError("TensorFlow itself writes this checkpoint: not in the background")
        callbacks = tuple(getattr(options, "experimental_write_callbacks", None) or ())
        prepared: PendingSave = replace(pending, callbacks=callbacks)
        return prepared

    def _with_durable_state(self, options: Any) -> Any:
        """Let the ``checkpoint`` file that `save` writes be as durable as the checkpoint."""
        callbacks = getattr(options, "experimental_write_callbacks", None) or ()
        if tf_checkpoint._update_checkpoint_state_internal not in callbacks:
            return options
        durability = self._saver.how.get("durability", "full")

        def update(path: str) -> None:
            where = os.path.dirname(path)
            if local_path(path) is None:
                tf_checkpoint._update_checkpoint_state_internal(path)
            else:
                update_checkpoint_state(
                    where, path, save_relative_paths=True, durability=durability
                )

        options = copy.copy(options)
        options.experimental_write_callbacks = [
            update if c is tf_checkpoint._update_checkpoint_state_internal else c
            for c in callbacks
        ]
        return options

    def read(self, save_path: Any, options: Any = None) -> Any:
        """Restore what `write` made; see ``tf.train.Checkpoint.read`` and `restore`."""
        self.sync()
        return super().read(save_path, _without_threads(options))

    def restore(self, save_path: Any, options: Any = None) -> Any:
        """Restore the objects; see ``tf.train.Checkpoint.restore``.

        Raises
        ------
        tf.errors.NotFoundError
            There is no such checkpoint, or a file of it is missing.
        RestoreMismatchError
            Shapes or dtypes differ, all of them told; a ``ValueError``. No variable has
            been changed.
        CorruptionError
            A checksum, size or offset does not agree with the bytes on disk. No variable
            has been changed.
        """
        self.sync()
        return super().restore(save_path, _without_threads(options))

    def sync(self) -> None:
        """Wait for a save with ``enable_async``, and raise what it has raised."""
        background = getattr(self, "_background", None)
        if background is not None:
            background.settle()

    wait = sync


class CheckpointManager(
    checkpoint_manager.CheckpointManager,
    tf.train.CheckpointManager,  # type: ignore[misc]
):
    """`tensorbundle.CheckpointManager`, which TensorFlow's tools take for their own.

    Arguments, files, rotation and the ``checkpoint`` file are those of
    ``tf.train.CheckpointManager``; metrics, the best checkpoints and rules come on top.
    With ``enable_async`` a save is recorded, and an old one removed, when it is durable.
    """

    def save(
        self,
        checkpoint_number: Any = None,
        check_interval: bool = True,
        options: Any = None,
        **more: Any,
    ) -> Any:
        """Save the next checkpoint; see `tensorbundle.CheckpointManager.save`.

        With ``enable_async`` in a ``tf.train.CheckpointOptions`` the prefix is returned when
        the save has begun; `sync` waits for it.
        """
        if not getattr(options, "enable_async", False) or not tf.executing_eagerly():
            return super().save(checkpoint_number, check_interval, options, **more)
        how = {"options": options}
        handle = super().save(
            checkpoint_number, check_interval, how, **{"blocking": False, **more}
        )
        return handle.prefix if handle is not None and "blocking" not in more else handle


def _without_threads(options: Any) -> Any:
    """Keep TensorFlow from saving in the background itself: that is `_write`'s to do."""
    if not getattr(options, "experimental_enable_async_checkpoint", False):
        return options
    options = copy.copy(options)
    options.experimental_enable_async_checkpoint = False
    return options
