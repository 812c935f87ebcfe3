"""Numbered checkpoints in one directory: kept, ranked, rotated and found again.

Longer than other files by its docstrings: the work is in `numbered_saves`, `rotation`,
`managed_state` and `preservation`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, overload

from tensorbundle.async_saving import AsyncSaver, SaveHandle
from tensorbundle.incremental import incremental_options
from tensorbundle.managed_state import managed_state, refuse_own_writer, warn_of_rest
from tensorbundle.manager_options import (
    as_callbacks,
    as_number,
    as_save_options,
    check_flag,
    check_function,
    check_saver,
)
from tensorbundle.metrics_file import as_numbers
from tensorbundle.numbered_saves import NumberedSaves
from tensorbundle.paths import check_home
from tensorbundle.preservation import BestN, Policy, plain_policies, ranked
from tensorbundle.recycling import spare_files
from tensorbundle.reports import SaveReport
from tensorbundle.rotation import Rotation
from tensorbundle.step_interval import StepInterval

__all__ = ["CheckpointManager"]

# What objects do not do that only their own code can save.
_NOT_INCREMENTAL = "and not incrementally"


class CheckpointManager:
    """Saves a numbered series of checkpoints, and removes those that no rule keeps.

    Files, state file, order and rotation are those of ``tf.train.CheckpointManager``;
    metrics, the best checkpoints and composable rules come on top.

    Parameters
    ----------
    checkpoint
        What is saved: a `Checkpoint` or any object with ``write(prefix)`` and
        ``restore(prefix)``, TensorFlow's too; or a nested mapping of arrays, a torch
        module, a Keras model or a list of variables, restored where they are, as by `Saver`;
        or a function that gives a mapping, whose restored values are only returned.
    directory
        Where to. It can be moved afterwards.
    max_to_keep
        How many of the newest to keep. ``None`` keeps all, unless `keep_best` or `policy`
        say what to keep; the newest stays in any case.
    keep_checkpoint_every_n_hours
        Of those due for removal keep for good one per such span.
    checkpoint_name
        ``"ckpt"`` makes ``ckpt-1``, ``ckpt-2``, ...
    step_counter
        A variable, an array or a function that tells the step.
    checkpoint_interval
        Steps between two saves, at least; others are skipped.
    init_fn
        What `restore_or_initialize` calls where there is no checkpoint.
    last_checkpoint_step
        The step of the last save, for `checkpoint_interval`.
    monitor
        The metric that makes a checkpoint the best.
    best_fn
        Instead of `monitor`: a function of the metrics that gives the number to compare.
    mode
        Whether ``"min"`` or ``"max"`` is best.
    keep_best
        How many of the best to keep, besides others; with `max_to_keep` it is 1 where
        something is monitored.
    policy
        Further rules, one or several: `LatestN`, `BestN`, `EveryNSteps`, `EveryNHours`,
        `KeepAll`, or a function that chooses from a sequence of `SavedCheckpoint`. What
        any rule keeps is kept.
    callbacks
        Called with the prefix of each new checkpoint, when it is durable and recorded; of a
        save in the background on the thread that writes it, as the functions of `policy`.
    save_options
        What else `tensorbundle.save` takes, for values and for a `Checkpoint`; other objects
        write themselves, and have options of their own.
        ``durability="none"`` holds for the state file, too.
    saver
        What saves with ``blocking=False``: an `AsyncSaver` of your own, to bound its memory
        or give it back; ``None`` means the one of ``tensorbundle.save(blocking=False)``.

    incremental
        Leave tensors that have not changed since the newest checkpoint in its data files,
        which the next checkpoint shares; see ``incremental`` of `tensorbundle.save`.
    recycle
        Let the next save write into the data files of checkpoints that are removed or
        replaced; see ``recycle`` of `AsyncSaver`. Until then, or until `close`, they stay in
        the directory, hidden.

    Raises
    ------
    ValueError
        An option is out of range, or misses another; or `directory` begins with ``~``, which
        only shells expand.
    TypeError
        `checkpoint` is nothing that can be saved, or not incrementally; or an argument is of
        another kind than is said here, or not among those of `tensorbundle.save`.

    Notes
    -----
    One manager at a time may save to a directory: the first save takes a lock, which
    `close`, the end of the manager or of the process give back. One thread at a time.

    The interpreter's exit waits for a save in the background. A process that is killed in
    one leaves the checkpoint before it, and the state file that names that.

    Examples
    --------
    >>> manager = tb.CheckpointManager(state, "run", 3, monitor="loss")  # doctest: +SKIP
    >>> manager.restore_or_initialize()  # doctest: +SKIP
    >>> manager.save(metrics={"loss": loss})  # doctest: +SKIP
    'run/ckpt-1'
    """

    def __init__(
        self,
        checkpoint: Any,
        directory: str | os.PathLike[str],
        max_to_keep: int | None = None,
        keep_checkpoint_every_n_hours: float | None = None,
        checkpoint_name: str = "ckpt",
        step_counter: Any = None,
        checkpoint_interval: int | None = None,
        init_fn: Callable[[], object] | None = None,
        last_checkpoint_step: int | None = None,
        *,
        monitor: str | None = None,
        best_fn: Callable[[Mapping[str, float]], float] | None = None,
        mode: Literal["min", "max"] = "min",
        keep_best: int | None = None,
        policy: Policy | Sequence[Policy] | None = None,
        callbacks: Sequence[Callable[[str], object]] = (),
        save_options: Mapping[str, Any] | None = None,
        saver: AsyncSaver | None = None,
        incremental: bool = False,
        recycle: bool = False,
    ) -> None:
        if not checkpoint_name or "/" in checkpoint_name:
            raise ValueError(f"checkpoint_name must be a file's name, not {checkpoint_name!r}")
        check_home(directory)
        options = as_save_options(save_options)
        check_flag("incremental", incremental)
        check_flag("recycle", recycle)
        check_function("init_fn", init_fn)
        check_saver(saver)
        callbacks = as_callbacks(callbacks)
        if incremental:
            refuse_own_writer(checkpoint, _NOT_INCREMENTAL)
        if recycle:
            refuse_own_writer(checkpoint, "and always new files")
        spares = spare_files(self, recycle)
        self._incremental = incremental
        self._checkpoint = checkpoint
        self._state = managed_state(checkpoint, options)
        self._directory = os.fspath(directory)
        self._init_fn = init_fn
        self._interval = StepInterval(checkpoint_interval, step_counter, last_checkpoint_step)
        self._monitor = monitor
        self._best = _best(monitor, best_fn, mode)
        policies = plain_policies(
            max_to_keep, keep_checkpoint_every_n_hours, self._best, keep_best, policy
        )
        durability = options.get("durability", "full")
        self._rotation = Rotation(
            self._directory, checkpoint_name, policies, durability, spares
        )
        self._saves = NumberedSaves(
            self._directory, self._state, self._rotation, self._interval, callbacks, saver,
            spares,
        )  # fmt: skip

    # ---- What there is --------------------------------------------------------------------

    @property
    def checkpoint(self) -> Any:
        """What is saved."""
        return self._checkpoint

    @property
    def directory(self) -> str:
        """Where to, as it was given."""
        return self._directory

    @property
    def checkpoint_interval(self) -> int | None:
        """Steps between two saves, at least."""
        return self._interval.steps

    @property
    def latest_checkpoint(self) -> str | None:
        """The prefix of the newest checkpoint; ``None`` where there is none.

        One that is being saved in the background is not yet it: until it is durable and
        the state file names it, the one before is.
        """
        return self._rotation.latest

    @property
    def best_checkpoint(self) -> str | None:
        """The prefix of the best of all that exist; ``None`` where none has the metric."""
        if self._best is None:
            raise ValueError("nothing is monitored; give the manager monitor= or best_fn=")
        best = self._best
        found = ranked(self._rotation.all_saved(), best.metric, best.mode)
        return found[0].path if found else None

    @property
    def save_report(self) -> SaveReport | None:
        """What the last save did that was waited for; in the background, the handle tells."""
        return self._saves.report

    @property
    def checkpoints(self) -> list[str]:
        """The prefixes of those that rules decide about, oldest first.

        What is kept for good is not among them, as in TensorFlow; see `all_steps`.
        """
        return [saved.path for saved in self._rotation.managed]

    def all_steps(self) -> list[int]:
        """List the numbers of all checkpoints in the directory, smallest first."""
        return self._rotation.steps()

    def metrics(self, step: int) -> dict[str, float]:
        """Give the metrics that a checkpoint was saved with; empty where there are none."""
        prefix = self._existing(step)
        (found,) = (s for s in self._rotation.all_saved() if s.path == prefix)
        return dict(found.metrics)

    # ---- Saving ---------------------------------------------------------------------------

    @overload
    def save(
        self,
        checkpoint_number: Any = ...,
        check_interval: bool = ...,
        options: Any = ...,
        *,
        metrics: Mapping[str, Any] | None = ...,
        incremental: bool | None = ...,
        blocking: Literal[True] = ...,
    ) -> str | None: ...

    @overload
    def save(
        self,
        checkpoint_number: Any = ...,
        check_interval: bool = ...,
        options: Any = ...,
        *,
        metrics: Mapping[str, Any] | None = ...,
        incremental: bool | None = ...,
        blocking: Literal[False],
    ) -> SaveHandle | None: ...

    def save(
        self,
        checkpoint_number: Any = None,
        check_interval: bool = True,
        options: Any = None,
        *,
        metrics: Mapping[str, Any] | None = None,
        incremental: bool | None = None,
        blocking: bool = True,
    ) -> str | SaveHandle | None:
        """Save the next checkpoint, record it, and remove what no rule keeps.

        In this order, each durable before the next begins: a crash leaves the old
        checkpoints, or the old ones and the new. In the background, too.

        Parameters
        ----------
        checkpoint_number
            The number in its name; ``None`` takes the checkpoint's ``save_counter``, which
            counts in any case, or where there is none, or that number has a checkpoint that
            the state file does not list, the next after all that exist.
        check_interval
            Whether `checkpoint_interval` counts. Without, too, a step is saved once only.
        options
            What ``checkpoint.write`` or `tensorbundle.save` take besides: a mapping of
            keywords, or a ``tf.train.CheckpointOptions``.
        metrics
            Numbers by name, kept in ``PREFIX.metrics.json``.
        incremental
            Whether tensors that have not changed since `latest_checkpoint` stay in its data
            files; ``None``: as the manager was told.
        blocking
            ``False``: copy the tensors, come back, and do the rest in the background; see
            `AsyncSaver`. One save at a time: the next, and a restore, wait for its end.

        Returns
        -------
        str or SaveHandle or None
            The prefix; of a save in the background a handle with it, done when all of the
            above is. ``None`` where the interval is not over.

        Raises
        ------
        LockedError
            Another manager saves to this directory. Nothing was written.
        ValueError, TypeError
            A metric is no number, or the monitored one is not given though others are; or
            `checkpoint_number` is none, or negative. Nothing was written.
        OSError, ...
            As the checkpoint's ``write``; all older ones are as they were.
        Exception
            What a callback or a rule has raised. The checkpoint counts, it is durable and
            `latest_checkpoint`; where a rule has raised, nothing was removed.

            What a save in the background has raised, if nobody has asked its handle: from
            the next call of `save`, `restore`, `wait` or `close`, which has done nothing
            then, or at the interpreter's exit.
        """
        if incremental is not None:
            check_flag("incremental", incremental)
        number = as_number(checkpoint_number)
        self._saves.look()
        if not self._interval.is_over(check_interval):
            return None
        measured = self._measured(metrics)
        if incremental:
            refuse_own_writer(self._checkpoint, _NOT_INCREMENTAL)
        self._saves.settle()
        if self._incremental if incremental is None else incremental:
            options = incremental_options(options, self.latest_checkpoint)
        return self._saves.save(number, options, measured, blocking=blocking)

    def _measured(self, metrics: Mapping[str, Any] | None) -> dict[str, float]:
        measured = as_numbers({} if metrics is None else metrics)
        if measured and self._monitor is not None and self._monitor not in measured:
            raise ValueError(f"the monitored {self._monitor!r} is not in {sorted(measured)}")
        return measured

    # ---- Restoring ------------------------------------------------------------------------

    def restore(self, which: int | Literal["latest", "best"] = "latest") -> Any:
        """Restore a checkpoint: the newest, the best, or that of a step.

        A save in the background is waited for, and counts.

        Returns
        -------
        object
            What ``checkpoint.restore`` returns; for values a dict of them by name.

        Raises
        ------
        FileNotFoundError
            There is no such checkpoint; the message tells which there are.
        ValueError
            Nothing is monitored, so there is no best.
        CorruptionError, ...
            As the checkpoint's ``restore``. `latest_valid_checkpoint` finds a sound one.
        """
        self._saves.settle()
        return self._restore(self._existing(which))

    def restore_or_initialize(self) -> str | None:
        """Restore the newest checkpoint, or where there is none call `init_fn`.

        Where the state file is gone, or cannot be read, the names in the directory tell which
        is the newest.

        What a `Checkpoint` has not restored of it, or has no value for, is logged as a
        warning.

        Returns
        -------
        str or None
            The prefix of what was restored.
        """
        self._saves.settle()
        latest = self.latest_checkpoint
        if latest is not None:
            warn_of_rest(self._restore(latest))
            return latest
        if self._init_fn is not None:
            self._init_fn()
        return None

    def latest_valid_checkpoint(self) -> str | None:
        """Find the newest checkpoint whose every checksum is right; reads all of it.

        Why newer ones were passed over is logged. See `tensorbundle.latest_checkpoint`.
        """
        return self._rotation.newest_sound()

    def _restore(self, prefix: str) -> Any:
        restored = self._state.restore(prefix)
        self._interval.begin()
        return restored

    def _existing(self, which: int | str) -> str:
        """Find the prefix of a checkpoint that exists."""
        found: str | None
        if which == "latest":
            found = self.latest_checkpoint
        elif which == "best":
            found = self.best_checkpoint
        elif isinstance(which, str):
            raise ValueError(f"which must be 'latest', 'best' or a step, not {which!r}")
        else:
            found = self._rotation.prefix(which) if which in self.all_steps() else None
        if found is None:
            told = f"no checkpoint {which!r}; there are steps {self.all_steps()}"
            raise FileNotFoundError(f"{self._directory}: {told}")
        return found

    # ---- Ending ---------------------------------------------------------------------------

    def wait(self) -> None:
        """Return once everything that was begun is durable and recorded."""
        self._saves.settle()
        self._state.wait()

    sync = wait

    def close(self) -> None:
        """Wait, and let another manager save here; a later save takes the lock again."""
        try:
            self.wait()
        finally:
            self._saves.close()

    def __enter__(self) -> CheckpointManager:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _best(
    monitor: str | None,
    best_fn: Callable[[Mapping[str, float]], float] | None,
    mode: Literal["min", "max"],
) -> BestN | None:
    if monitor is not None and best_fn is not None:
        raise ValueError("give monitor or best_fn, not both")
    metric = best_fn if monitor is None else monitor
    return None if metric is None else BestN(1, metric, mode)
