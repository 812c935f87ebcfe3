"""What a checkpoint manager saves: an object that can save itself, or plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tensorbundle.core import _core
from tensorbundle.loading import load
from tensorbundle.named_restore import restore_values
from tensorbundle.reports import SaveReport
from tensorbundle.saving import PendingSave, prepare
from tensorbundle.variables import lasting, named_variables, variables_of

__all__ = ["ManagedState", "managed_state", "refuse_own_writer", "warn_of_rest"]


class ManagedState:
    """One state, of whichever kind."""

    def next_number(self, by: int = 1) -> int | None:
        """Count a save, or several, and give its number; ``None`` without a counter."""
        return None

    def undo_number(self, by: int = 1) -> None:
        """Take the last count back: that save failed."""

    def write(
        self, prefix: str, options: Any, spares: _core.SpareFiles | None = None
    ) -> SaveReport | None:
        """Save everything at `prefix`; give the report, where there is one."""
        return self.prepare(prefix, options, spares).run()

    def prepare(
        self, prefix: str, options: Any, spares: _core.SpareFiles | None = None
    ) -> PendingSave:
        """Gather everything for a save at `prefix` that others run.

        `spares` are files that it may write into.

        Raises
        ------
        TypeError
            The state can only write itself.
        """
        raise NotImplementedError

    def restore(self, prefix: str) -> Any:
        """Restore everything from `prefix`, or change nothing."""
        raise NotImplementedError

    def wait(self) -> None:
        """Return once all that was begun has ended."""


def managed_state(value: Any, save_options: Mapping[str, Any]) -> ManagedState:
    """Find out what a user wants managed.

    Raises
    ------
    TypeError
        It is nothing that can be saved.
    """
    if callable(getattr(value, "write", None)) and callable(getattr(value, "restore", None)):
        from tensorbundle.checkpoint import Checkpoint  # which saves by ways that ask here

        # Other objects have options of their own, which each save is given.
        return _Object(value, save_options if isinstance(value, Checkpoint) else {})
    value = lasting(value)
    try:
        named_variables(value)
    except TypeError:
        if callable(value):
            return _Function(value, save_options)
        raise
    return _Named(value, save_options)


def warn_of_rest(restored: Any) -> None:
    """Log what was not restored, where `restored` is the status of a `Checkpoint`."""
    warn = getattr(restored, "warn_of_rest", None)
    if warn is not None:
        warn()


def refuse_own_writer(checkpoint: Any, how: str) -> None:
    """Refuse what nobody but its own code can save; `how` tells what that code does not do.

    Raises
    ------
    TypeError
        It has ``write`` and ``restore`` of its own, and is no `tensorbundle.Checkpoint`.
    """
    writes = callable(getattr(checkpoint, "write", None))
    if writes and not callable(getattr(checkpoint, "prepare", None)):
        raise TypeError(
            f"a {type(checkpoint).__qualname__} writes itself, {how}; "
            "put its objects into a tensorbundle.Checkpoint"
        )


class _Object(ManagedState):
    """What has ``write`` and ``restore``: `Checkpoint`, or TensorFlow's."""

    def __init__(self, checkpoint: Any, options: Mapping[str, Any]) -> None:
        self._checkpoint = checkpoint
        self._options = options

    def next_number(self, by: int = 1) -> int | None:
        if not hasattr(self._checkpoint, "save_counter"):
            return None
        number = int(self._checkpoint.save_counter) + by
        self._set(number)
        return number

    def undo_number(self, by: int = 1) -> None:
        if hasattr(self._checkpoint, "save_counter"):
            self._set(int(self._checkpoint.save_counter) - by)

    def _set(self, number: int) -> None:
        counter = self._checkpoint.save_counter
        if hasattr(counter, "assign"):  # a variable, as TensorFlow's
            counter.assign(number)
        elif hasattr(self._checkpoint, "set_save_counter"):
            self._checkpoint.set_save_counter(number)
        else:
            self._checkpoint.save_counter = number

    def write(
        self, prefix: str, options: Any, spares: _core.SpareFiles | None = None
    ) -> SaveReport | None:
        if options is not None and not isinstance(options, Mapping):
            options = {"options": options}  # tf.train.CheckpointOptions
        options = _together(self._options, options, spares)
        self._checkpoint.write(prefix, **options)
        return getattr(self._checkpoint, "save_report", None)

    def prepare(
        self, prefix: str, options: Any, spares: _core.SpareFiles | None = None
    ) -> PendingSave:
        refuse_own_writer(self._checkpoint, "and not in the background")
        options = _together(self._options, options, spares)
        pending: PendingSave = self._checkpoint.prepare(prefix, **options)
        return pending

    def restore(self, prefix: str) -> Any:
        return self._checkpoint.restore(prefix)

    def wait(self) -> None:
        # sync() is TensorFlow's name for it; elsewhere it may mean something else.
        is_theirs = type(self._checkpoint).__module__.startswith("tensorflow.")
        wait = getattr(self._checkpoint, "sync" if is_theirs else "wait", None)
        if wait is not None:
            wait()


class _Named(ManagedState):
    """A mapping of arrays, a model, a list of variables: restored where they are, by names."""

    def __init__(self, values: Any, options: Mapping[str, Any]) -> None:
        self._values = values
        self._options = options

    def prepare(
        self, prefix: str, options: Any, spares: _core.SpareFiles | None = None
    ) -> PendingSave:
        named = named_variables(self._values)
        options = _together(self._options, options, spares)
        return prepare(prefix, named, **options)

    def restore(self, prefix: str) -> Any:
        return restore_values(prefix, variables_of(self._values))


class _Function(ManagedState):
    """A function that gives a mapping to save; what is restored is only returned."""

    def __init__(self, function: Callable[[], Mapping[Any, Any]], options: Any) -> None:
        self._function = function
        self._options = options

    def prepare(
        self, prefix: str, options: Any, spares: _core.SpareFiles | None = None
    ) -> PendingSave:
        options = _together(self._options, options, spares)
        return prepare(prefix, self._function(), **options)

    def restore(self, prefix: str) -> Any:
        return load(prefix)


def _together(
    common: Mapping[str, Any],
    options: Mapping[str, Any] | None,
    spares: _core.SpareFiles | None,
) -> dict[str, Any]:
    """Give the options of one save: those of all, its own, and the files for it."""
    if options is not None and not isinstance(options, Mapping):
        raise TypeError(f"options must be a mapping, not {type(options).__name__}")
    return {**common, **(options or {}), **({} if spares is None else {"spares": spares})}
