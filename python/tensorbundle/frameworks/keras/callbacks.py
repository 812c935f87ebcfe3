"""Keras callbacks that save and restore by this engine."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import keras

from tensorbundle.async_saving import SaveHandle
from tensorbundle.checkpoint_files import remove_checkpoint
from tensorbundle.checkpoint_manager import CheckpointManager
from tensorbundle.errors import BundleError, RestoreMismatchError
from tensorbundle.frameworks.keras.weights import load_into, save_weights, weights_of
from tensorbundle.loading import load
from tensorbundle.paths import check_home
from tensorbundle.reports import SaveReport
from tensorbundle.save_options import check_save_options

__all__ = ["BackupAndRestore", "ModelCheckpoint"]

# What a backup has besides the model's values.
_EPOCH, _BATCH = _TRAINING = ("_training/epoch", "_training/batch")


class ModelCheckpoint(keras.callbacks.ModelCheckpoint):  # type: ignore[misc]
    """``keras.callbacks.ModelCheckpoint``, whose files are checkpoints of this library.

    Parameters
    ----------
    filepath
        Prefix of the checkpoints, with ``{epoch}``, ``{batch}`` and metrics to fill in; it
        needs no extension.
    monitor, verbose, save_best_only, mode, save_freq, initial_value_threshold
        As for Keras's callback.
    save_weights_only
        Leave the optimizer's state out. What is saved is weights in any case: the model's
        code is in the program.
    options
        As for `tensorbundle.save`. With ``blocking=False`` training goes on while a
        checkpoint is written; it has ended when ``fit`` returns.

    Examples
    --------
    >>> best = tbk.ModelCheckpoint(  # doctest: +SKIP
    ...     "run/best", monitor="val_loss", save_best_only=True
    ... )
    >>> model.fit(x, y, validation_split=0.1, callbacks=[best])  # doctest: +SKIP
    >>> tbk.load_weights(model, "run/best")  # doctest: +SKIP
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        **options: Any,
    ) -> None:
        check_save_options(options, "ModelCheckpoint", also=("blocking",))
        check_home(filepath)
        # Keras asks for an extension, which a prefix has not.
        super().__init__(
            "model.keras", monitor, verbose, save_best_only, False, mode, save_freq,
            initial_value_threshold,
        )  # fmt: skip
        self.filepath = os.fspath(filepath)
        self.save_weights_only = save_weights_only
        self.save_report: SaveReport | None = None
        """What the last save did; of one in the background, when `fit` has returned."""
        self._options = options
        self._handle: SaveHandle | None = None

    def _save_model(self, epoch: int, batch: int | None, logs: Any) -> None:
        path = self._get_file_path(epoch, batch, logs or {})
        if not self._should_save_model(epoch, batch, logs, path):
            return
        if os.path.dirname(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
        self._finish()
        done = save_weights(
            self.model, path, include_optimizer=not self.save_weights_only, **self._options
        )
        if isinstance(done, SaveHandle):
            self._handle = done
        else:
            self.save_report = done

    def on_train_end(self, logs: Any = None) -> None:
        """Wait for a save in the background, and raise what it has raised."""
        self._finish()

    def _finish(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            self.save_report = handle.result()

    def _checkpoint_exists(self, filepath: str) -> bool:
        return os.path.exists(f"{filepath}.index")


class BackupAndRestore(keras.callbacks.BackupAndRestore):  # type: ignore[misc]
    """``keras.callbacks.BackupAndRestore`` by this engine.

    Weights, optimizer, random seeds, epoch and batch are one checkpoint, which a crash
    cannot leave half-written.

    Parameters
    ----------
    backup_dir, save_freq, double_checkpoint
        As for Keras's callback.
    delete_checkpoint
        Remove the backups when training has ended; the directory too if nothing else is
        in it.
    options
        As for `tensorbundle.save`.
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
        **options: Any,
    ) -> None:
        check_save_options(options, "BackupAndRestore")
        check_home(backup_dir)
        super().__init__(
            os.fspath(backup_dir), save_freq, double_checkpoint, delete_checkpoint
        )
        self._options = options
        self._manager: CheckpointManager | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Restore the newest backup that is sound, if there is one.

        Raises
        ------
        ValueError
            The model is not built, or is not the one that was saved. Nothing was restored.
        CorruptionError, OSError
            No backup can be read. Nothing was restored.
        """
        weights_of(self.model)
        self._manager = CheckpointManager(
            self._state,
            self.backup_dir,
            max_to_keep=2 if self.double_checkpoint else 1,
            checkpoint_name="backup",
            save_options=self._options,
        )
        errors: list[Exception] = []
        for path in reversed(self._manager.checkpoints):
            try:
                self._restore(path)
            except RestoreMismatchError:
                raise
            except (BundleError, OSError) as error:
                errors.append(error)
            else:
                return
        if errors:
            raise errors[0]

    def _restore(self, path: str) -> None:
        training = load(path, _TRAINING)
        load_into(self.model, path, others=_TRAINING)
        self.model._initial_epoch = int(training[_EPOCH])

    def _state(self) -> dict[str, Any]:
        training = {_EPOCH: self._current_epoch, _BATCH: self._last_batch_seen}
        return {**weights_of(self.model), **training}

    def _save_model(self) -> None:
        assert self._manager is not None
        with self._manager:  # which another one may take over from here
            self._manager.save()

    def on_train_end(self, logs: Any = None) -> None:
        """Remove the backups if that is wanted."""
        manager, self._manager = self._manager, None
        if manager is None or not self.delete_checkpoint:
            return
        for path in manager.checkpoints:
            remove_checkpoint(path)
        directory = Path(self.backup_dir)
        for own in [directory / "checkpoint", *directory.glob(".*tensorbundle-lock")]:
            own.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # somebody else's files are in it
            os.rmdir(self.backup_dir)
