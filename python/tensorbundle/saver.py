"""Checkpoints by the names of variables: ``tf.compat.v1.train.Saver`` without graphs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any, Literal, overload

from tensorbundle import reading
from tensorbundle.async_saving import SaveHandle
from tensorbundle.background import Background
from tensorbundle.checkpoint_files import get_checkpoint_mtimes, sweep_dead_saves
from tensorbundle.loading import load
from tensorbundle.named_restore import restore_values
from tensorbundle.recent_checkpoints import RecentCheckpoints
from tensorbundle.recycling import spare_files
from tensorbundle.save_options import check_save_options
from tensorbundle.saving import PendingSave, prepare
from tensorbundle.small_file import sweep_unfinished
from tensorbundle.variables import lasting, named_variables, variables_of

__all__ = ["Saver"]

_STEP_DIGITS = 8  # of a padded step number

StrPath = str | os.PathLike[str]


class Saver:
    """Saves variables under their names, restores them, and rotates old checkpoints.

    The workflow, the files and the state file are those of TensorFlow's class of that
    name; there is no session, and what a blocking save returns is on the device.

    Parameters
    ----------
    var_list
        The variables: a mapping, which may be nested, from name to NumPy array, torch
        tensor, TensorFlow or Keras variable, JAX array, number or string; a list of
        variables that know their names; or a torch module, Keras model or ``tf.Module``.
        Each save and each restore looks anew what is in it. ``None``: each `save` is given
        values, and `restore` returns whatever is in the checkpoint.
    reshape
        Restore into variables of another shape with as many elements.
    sharded
        Write one data file per CPU of this process, instead of one.
    max_to_keep
        Checkpoints to keep; each save removes at most one older one. ``None`` or 0 keeps
        all, and names only the newest in the state file.
    keep_checkpoint_every_n_hours
        Keep for good, of those due for removal, the first made after each such span.
    name, restore_sequentially
        Of no effect; for programs that give them.
    allow_empty
        Let there be no variables: then `save` does nothing and returns ``None``.
    pad_step_number
        ``-00000012`` instead of ``-12``, so that names sort.
    save_relative_paths
        Name checkpoints in the state file relative to it, so that the directory can be
        moved. TensorFlow's default is ``False``.
    recycle
        Let the next save write into the data files of checkpoints that are removed or
        replaced; see ``recycle`` of `AsyncSaver`. They stay in the directory, hidden, for as
        long as the saver lives.
    options
        What else `tensorbundle.save` takes, for all saves: ``durability="none"``, ...

    Raises
    ------
    TypeError
        `var_list` holds what cannot be saved, or has no name; or there is no such option.
    ValueError
        There are no variables, or two of one name; or an option is out of range.

    Notes
    -----
    One thread at a time.

    Examples
    --------
    >>> saver = tb.Saver({"w": w, "b": b}, max_to_keep=3)  # doctest: +SKIP
    >>> saver.save(None, "run/model", global_step=100)  # doctest: +SKIP
    'run/model-100'
    >>> saver.restore(tb.latest_checkpoint("run"))  # doctest: +SKIP
    """

    def __init__(
        self,
        var_list: Any = None,
        reshape: bool = False,
        sharded: bool = False,
        max_to_keep: int | None = 5,
        keep_checkpoint_every_n_hours: float = 10000.0,
        name: str | None = None,
        restore_sequentially: bool = False,
        *,
        allow_empty: bool = False,
        pad_step_number: bool = False,
        save_relative_paths: bool = True,
        recycle: bool = False,
        **options: Any,
    ) -> None:
        check_save_options(options, "Saver")
        self._target = lasting(var_list)
        self._allow_empty = allow_empty
        if var_list is not None:
            self._named()
            variables_of(self._target)
        self._reshape = reshape
        self._spares = spare_files(self, recycle)
        self._recent = RecentCheckpoints(
            max_to_keep or 0, keep_checkpoint_every_n_hours, save_relative_paths, self._spares
        )
        self._pad = pad_step_number
        self._options = options
        if sharded:
            self._options.setdefault("num_shards", len(os.sched_getaffinity(0)))
        self._swept: set[str] = set()  # paths that were given to `save`
        self._background = Background()

    @property
    def last_checkpoints(self) -> list[str]:
        """The prefixes of checkpoints not yet due for removal, oldest first."""
        return self._recent.prefixes

    def set_last_checkpoints(self, last_checkpoints: Sequence[StrPath]) -> None:
        """Take over checkpoints that will never be removed; see the next method."""
        # As in TensorFlow: made later than any time at which one is to be kept.
        never = float("inf")
        self._recent.take_over((os.fspath(prefix), never) for prefix in last_checkpoints)

    def set_last_checkpoints_with_time(
        self, last_checkpoints_with_time: Iterable[tuple[StrPath, float]]
    ) -> None:
        """Take over checkpoints, with the seconds since the epoch when each was made.

        They are removed in their turn, but only those in the directory that is then
        being saved to.
        """
        self._recent.take_over(
            (os.fspath(prefix), when) for prefix, when in last_checkpoints_with_time
        )

    def recover_last_checkpoints(self, checkpoint_paths: Iterable[StrPath]) -> None:
        """Take over those of these checkpoints that exist, with their times; after a crash.

        Give ``tb.get_checkpoint_state(directory).all_model_checkpoint_paths``.
        """
        found = []
        for path in checkpoint_paths:
            found += [(path, when) for when in get_checkpoint_mtimes([path])]
        self.set_last_checkpoints_with_time(found)

    @overload
    def save(
        self,
        values: Mapping[Any, Any] | None,
        save_path: StrPath,
        global_step: Any = ...,
        latest_filename: str | None = ...,
        write_state: bool = ...,
        *,
        blocking: Literal[True] = ...,
        **options: Any,
    ) -> str | None: ...

    @overload
    def save(
        self,
        values: Mapping[Any, Any] | None,
        save_path: StrPath,
        global_step: Any = ...,
        latest_filename: str | None = ...,
        write_state: bool = ...,
        *,
        blocking: Literal[False],
        **options: Any,
    ) -> SaveHandle | None: ...

    def save(
        self,
        values: Mapping[Any, Any] | None,
        save_path: StrPath,
        global_step: Any = None,
        latest_filename: str | None = None,
        write_state: bool = True,
        *,
        blocking: bool = True,
        **options: Any,
    ) -> str | SaveHandle | None:
        """Save the variables; note it in the state file; remove what is too old.

        In this order, each durable before the next begins. The first save to a path removes
        what killed ones of other steps left there.

        Parameters
        ----------
        values
            What to save in place of the saver's variables, under the same names; ``None``
            saves the variables. (A session in TensorFlow.)
        save_path
            Prefix, to which the step is added; its last directory is made if missing.
        global_step
            The step: an integer, or a variable or array that holds one.
        latest_filename
            Name of the state file; ``None`` means ``"checkpoint"``.
        write_state
            Whether to write the state file; if not, nothing is removed either.
        blocking
            ``False``: copy the variables, come back, and do the rest in the background; see
            `AsyncSaver`. The next save, and a restore, wait for the end.
        options
            As of `tensorbundle.save`, for this save.

        Returns
        -------
        str or SaveHandle or None
            The checkpoint's prefix, or a handle with it; ``None`` if there are no
            variables.

        Raises
        ------
        ValueError
            `latest_filename` has a directory, or is the checkpoint's own name; or `values`
            has other names than the variables.
        TypeError, LockedError, OSError
            As `tensorbundle.save`. Older checkpoints are all still there. What a save in
            the background has raised, if nobody has asked its handle, the next `save`,
            `restore` or `wait` raises, or the interpreter's exit.
        """
        self.wait()
        prefix = self._prefix(os.fspath(save_path), global_step, latest_filename)
        tensors = self._tensors(values)
        if not tensors:
            return None
        pending = prepare(prefix, tensors, spares=self._spares, **{**self._options, **options})
        state_name = latest_filename or "checkpoint" if write_state else None
        self._sweep_once(os.fspath(save_path), latest_filename or "checkpoint")
        pending = replace(pending, within=self._recorded(pending, state_name))
        if not blocking:
            return self._background.start(pending, ExitStack())
        pending.run()
        return prefix

    def wait(self) -> None:
        """Return once a save in the background has ended, and raise its error as `save`."""
        self._background.settle()

    def restore(
        self, save_path: StrPath, *, backend: str = "auto", num_threads: int | None = None
    ) -> dict[str, Any]:
        """Restore the variables in place: all of them, or none.

        Arrays and tensors are filled, TensorFlow's and Keras' variables assigned, after
        everything has been checked. Large arrays are read twice for that, the second time
        into place, most often from the page cache, since a second copy of them costs more:
        only where the page cache has no room for them, and the device fails between the two,
        are some restored and others not.

        What cannot be written to (JAX arrays, numbers, arrays of text) is replaced by a value
        of its kind in the mapping that holds it. In a mapping that cannot be changed it stays:
        the log tells its name, and the new value is only returned.

        A save in the background is waited for first. In an object-based checkpoint variables
        are found by the names they had.

        Parameters
        ----------
        save_path
            A prefix, as `save` returned it.
        backend, num_threads
            As of `tensorbundle.load`.

        Returns
        -------
        dict
            From name to variable, or to the value in its place. Without variables, all
            tensors of the checkpoint.

        Raises
        ------
        MissingTensorError
            Variables that the checkpoint lacks; also a ``KeyError``.
        ValueError
            `save_path` is ``None``, or shapes or dtypes differ; all of them are told.
        FileNotFoundError, CorruptionError, UnsupportedError, OSError
            As `tensorbundle.load`.
        """
        self.wait()
        if save_path is None:
            raise ValueError("there is no checkpoint to restore: save_path is None")
        prefix = os.fspath(save_path)
        if self._target is None:
            return load(prefix, backend=backend, num_threads=num_threads)
        options = reading.read_options(verify=True, num_threads=num_threads)
        return restore_values(
            prefix, variables_of(self._target), reshape=self._reshape, backend=backend,
            options=options,
        )  # fmt: skip

    def _prefix(self, path: str, step: Any, latest_filename: str | None) -> str:
        state_name = latest_filename or "checkpoint"
        if os.path.dirname(state_name):
            raise ValueError(
                f"latest_filename must be a name, not a path: {latest_filename!r}"
            )
        if step is not None:
            return f"{path}-{int(step):0{_STEP_DIGITS if self._pad else 1}d}"
        if os.path.basename(path) == state_name:
            raise ValueError(f"{path!r} is the path of the state file; save elsewhere")
        return path

    def _tensors(self, values: Mapping[Any, Any] | None) -> Mapping[Any, Any]:
        if self._target is None:
            if values is None:
                raise ValueError("this saver has no variables, so each save needs values")
            return values
        own = self._named()
        if values is None:
            return own
        named = named_variables(values)
        if named.keys() != own.keys():
            differing = sorted(named.keys() ^ own.keys())
            raise ValueError(f"values and variables differ in their names: {differing[:5]}")
        return named

    def _named(self) -> dict[str, Any]:
        """Find the variables that there are now."""
        named = named_variables(self._target)
        if not named and not self._allow_empty:
            raise ValueError("no variables to save; give allow_empty=True if that is meant")
        return named

    def _sweep_once(self, path: str, state_name: str) -> None:
        """Remove what savers that were killed left of checkpoints of this name."""
        if path in self._swept:
            return
        self._swept.add(path)
        directory, name = os.path.split(path)
        sweep_dead_saves(directory, name)
        with suppress(OSError):
            sweep_unfinished(directory, {state_name})

    @contextmanager
    def _recorded(self, pending: PendingSave, state_name: str | None) -> Iterator[None]:
        """Record what is saved within, in a state file if there is to be one."""
        yield
        self._recent.note(pending.prefix)
        if state_name is not None:
            self._recent.record(pending.prefix, state_name, pending.durability)
