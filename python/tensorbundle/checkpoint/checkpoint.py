"""Saving and restoring whole graphs of objects."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, Literal, overload

import numpy as np

from tensorbundle import tensors as _tensors
from tensorbundle.async_saving import SaveHandle
from tensorbundle.background import Background
from tensorbundle.checkpoint.adapters import Adapter, Array
from tensorbundle.checkpoint.keys import VARIABLE_VALUE
from tensorbundle.checkpoint.leaves import Counter
from tensorbundle.checkpoint.lookup import adapter_of
from tensorbundle.checkpoint.module import PENDING, Module
from tensorbundle.checkpoint.restoring import Restoration
from tensorbundle.checkpoint.root import ForeignRoot, OwnRoot
from tensorbundle.checkpoint.status import RestoreStatus
from tensorbundle.checkpoint.walk import gather
from tensorbundle.checkpoint_state import update_checkpoint_state
from tensorbundle.object_graph import OBJECT_GRAPH_KEY
from tensorbundle.reports import SaveReport
from tensorbundle.saving import PendingSave, prepare

__all__ = ["Checkpoint"]

_COUNTER = "save_counter"

# The attributes that are no objects of the checkpoint.
_RESERVED = ("_root", "_counter", "_restoration", "_background", "save_report")


class Checkpoint(Module):
    """Objects that are saved and restored together, as ``tf.train.Checkpoint`` does.

    Parameters
    ----------
    root
        The object whose children the checkpoint's top names are; ``None`` means this
        object itself, so that the names are those of `objects`.
    objects
        What to save, by name: they become attributes, and so may attributes that are set
        later. Dicts, lists, tuples, objects with attributes, NumPy arrays, numbers and
        strings; torch modules and optimizers; JAX arrays and registered pytrees; all
        that TensorFlow tracks, Keras models and optimizers among it; any object with
        ``state_dict()`` and ``load_state_dict()``. ``None`` and functions are left out.

    Raises
    ------
    ValueError
        `root` has another object of such a name already, or a name starts with "_".

    Notes
    -----
    Names in the checkpoint, and its object graph, are TensorFlow's to the byte for
    TensorFlow's objects; ``tf.train.Checkpoint`` restores what this one saves, and the
    other way round. A restore matches objects by what holds them under which name, not
    by kind, so it does not matter that a dict was saved and a ``tf.Module`` restored.

    **Deferred restoration.** What the objects cannot take yet waits, until the next
    restore. An attribute of this object, of a `Module`, and of anything that TensorFlow
    tracks is restored as it is set. Of other objects it is restored by the next call of
    `sync` or of an assertion of the status: call `sync` when the objects are complete, before
    they are used, since it overwrites what they were set to. What was restored once is
    left alone. Saving restores nothing.

    Threads: one at a time.

    Examples
    --------
    >>> checkpoint = tb.Checkpoint(model=model, optimizer=optimizer)  # doctest: +SKIP
    >>> path = checkpoint.save("run/ckpt")  # doctest: +SKIP
    >>> checkpoint.restore(path).assert_consumed()  # doctest: +SKIP
    """

    _root: Any
    _counter: Any
    _restoration: Restoration | None
    _background: Background
    save_report: SaveReport | None
    """What the last save did; of one in the background its handle tells."""

    def __init__(self, root: Any = None, **objects: Any) -> None:
        for name in _RESERVED:
            object.__setattr__(self, name, None)
        object.__setattr__(self, "_root", root)
        object.__setattr__(self, "_background", Background())
        given = {**objects, "root": root} if root is not None else objects
        for name in sorted(given):
            setattr(self, name, given[name])

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_") or name in (*_RESERVED, _COUNTER):
            raise ValueError(f"{name!r} cannot be the name of an object in a checkpoint")
        held = self._roots_own(name)
        if held is not None and held is not value:
            raise ValueError(f"the root object has another {name!r} already")
        super().__setattr__(name, value)

    # ---- Saving ---------------------------------------------------------------------------

    @property
    def save_counter(self) -> int:
        """How often `save` was called; it is saved and restored, too."""
        return _value_of(self._counted())

    def set_save_counter(self, value: int) -> None:
        """Let the next `save` count from another number."""
        _set(self._counted(), value)

    @overload
    def save(
        self,
        file_prefix: str | os.PathLike[str],
        *,
        blocking: Literal[True] = ...,
        **options: Any,
    ) -> str: ...

    @overload
    def save(
        self,
        file_prefix: str | os.PathLike[str],
        *,
        blocking: Literal[False],
        **options: Any,
    ) -> SaveHandle: ...

    def save(
        self, file_prefix: str | os.PathLike[str], *, blocking: bool = True, **options: Any
    ) -> str | SaveHandle:
        """Save the objects as the next of a numbered series.

        Parameters
        ----------
        file_prefix
            Path without number: ``"run/ckpt"`` makes ``run/ckpt-1`` and so on. Directories
            that are missing are made.
        blocking
            ``False``: copy the tensors, come back, and do the rest in the background; see
            `AsyncSaver`. The next save, and a restore, wait for the end.
        options
            As for `tensorbundle.save`.

        Returns
        -------
        str or SaveHandle
            The checkpoint's prefix, or a handle with it. The directory's ``checkpoint``
            file names it as the newest, and as the only one, once it is durable; a
            `CheckpointManager` keeps more.

        Raises
        ------
        TypeError
            An object cannot be saved; the message has its path.
        GraphChangedError
            An object got or lost children meanwhile.
        OSError, ...
            As `tensorbundle.save`. The counter is then what it was; after a save in the
            background, from the call on that raises its error: its handle's ``result``,
            or else the next `save`, `write`, `restore`, `read` or `wait`, which has done
            nothing then, or the interpreter's exit.
        """
        self.wait()
        counter = self._counted()
        before = _value_of(counter)
        undo = ExitStack()
        undo.callback(_set, counter, before)
        try:
            _set(counter, before + 1)
            path = f"{os.fspath(file_prefix)}-{before + 1}"
            return self._save(path, _named_as_newest(path, undo), undo, blocking, options)
        except BaseException:
            self._background.give_up(undo)
            raise

    @overload
    def write(
        self,
        file_prefix: str | os.PathLike[str],
        *,
        blocking: Literal[True] = ...,
        **options: Any,
    ) -> str: ...

    @overload
    def write(
        self,
        file_prefix: str | os.PathLike[str],
        *,
        blocking: Literal[False],
        **options: Any,
    ) -> SaveHandle: ...

    def write(
        self, file_prefix: str | os.PathLike[str], *, blocking: bool = True, **options: Any
    ) -> str | SaveHandle:
        """Save the objects at `file_prefix`: no number, no ``checkpoint`` file.

        Parameters, errors and result are those of `save`.
        """
        self.wait()
        path = os.fspath(file_prefix)
        return self._save(path, nullcontext(), ExitStack(), blocking, options)

    def prepare(self, file_prefix: str | os.PathLike[str], **options: Any) -> PendingSave:
        """Gather what `write` would save, for others to run; nothing is touched."""
        saving = gather(self._adapter())
        tensors = {**saving.tensors, OBJECT_GRAPH_KEY: saving.graph}
        return prepare(file_prefix, tensors, **options)

    def wait(self) -> None:
        """Return once a save in the background has ended, and raise its error as `save`."""
        self._background.settle()

    def _save(
        self,
        path: str,
        within: AbstractContextManager[object],
        undo: ExitStack,
        blocking: bool,
        options: dict[str, Any],
    ) -> str | SaveHandle:
        pending = replace(self.prepare(path, **options), within=within)
        pending.make_directory()
        if not blocking:
            return self._background.start(pending, undo)
        object.__setattr__(self, "save_report", pending.run())
        return path

    # ---- Restoring ------------------------------------------------------------------------

    def restore(
        self, save_path: str | os.PathLike[str] | None, **options: Any
    ) -> RestoreStatus:
        """Restore the objects, all that are in the checkpoint, or none.

        A save in the background is waited for first.

        Arrays and variables are filled in place; numbers, strings, and JAX arrays are
        replaced in what holds them. Numbers, strings and dicts of them also go where ``None``
        stands, and into dicts and lists that are shorter than those saved. What the
        checkpoint has and the objects do not is left out, and the other way round: the
        status tells, and asserts what it is asked to.

        Parameters
        ----------
        save_path
            The checkpoint's prefix, or the directory of a SavedModel; ``None``, as
            `latest_checkpoint` may give, restores nothing.
        options
            ``verify``, ``num_threads``, ``block_size``, ``queue_depth`` and ``progress`` as
            for `tensorbundle.load`.

        Raises
        ------
        RestoreMismatchError
            A tensor has another shape or dtype than the object it belongs to. A number of
            Python's takes any number.
        CorruptionError, UnsupportedError, OSError
            The checkpoint cannot be read, or holds no object graph. As with all errors,
            every object is as it was.
        """
        self._counted()
        return self.read(save_path, **options)

    def read(self, save_path: str | os.PathLike[str] | None, **options: Any) -> RestoreStatus:
        """Restore the objects from what `write` made; see `restore`.

        It does not ask for a counter of saves.
        """
        self.wait()
        if save_path is None:
            return RestoreStatus(self._adapter, None)
        restoration = Restoration(_of_saved_model(os.fspath(save_path)), **options)
        restoration.restore(self._adapter())
        if self._restoration is not None:
            self._restoration.is_current = False
        object.__setattr__(self, "_restoration", restoration)
        restoration.pin()
        return RestoreStatus(self._adapter, restoration)

    def sync(self) -> None:
        """Restore what has appeared in the objects since the last restore."""
        if self._restoration is not None:
            self._restoration.restore(self._adapter())

    # ---- The root of the graph ------------------------------------------------------------

    def _adapter(self) -> Adapter:
        if self._root is None:
            return OwnRoot(self, self._objects)
        return ForeignRoot(adapter_of(self._root), OwnRoot(self, self._objects))

    def _objects(self) -> dict[str, Any]:
        """Give what is saved besides what a root object has itself; the counter last."""
        held = {n: v for n, v in vars(self).items() if n not in (*_RESERVED, PENDING)}
        if self._counter is not None and self._counter is not self._roots_own(_COUNTER):
            held[_COUNTER] = self._counter
        return held

    def _roots_own(self, name: str) -> Any:
        return (
            None if self._root is None else dict(adapter_of(self._root).children()).get(name)
        )

    def _counted(self) -> Adapter:
        """Give the counter, which may be the root object's own."""
        if self._counter is None:
            counter = self._roots_own(_COUNTER)
            object.__setattr__(self, "_counter", Counter() if counter is None else counter)
            self.sync()
        counter = adapter_of(self._counter)
        if not counter.in_place or _array_of(counter).shape != ():
            raise TypeError("the root object's save_counter cannot be counted up")
        return counter


@contextmanager
def _named_as_newest(path: str, undo: ExitStack) -> Iterator[None]:
    """Name what is saved within in the ``checkpoint`` file, and keep it counted."""
    yield
    update_checkpoint_state(os.path.dirname(path), path, save_relative_paths=True)
    undo.pop_all()


def _array_of(counter: Adapter) -> Array:
    (value,) = counter.tensors("").values.values()
    return _tensors.as_view(value).array


def _value_of(counter: Adapter) -> int:
    return int(_array_of(counter))


def _set(counter: Adapter, value: int) -> None:
    counter.assign({VARIABLE_VALUE: np.asarray(value, dtype=_array_of(counter).dtype)})


def _of_saved_model(path: str) -> str:
    """Give the prefix of a SavedModel's variables, if it is one."""
    if any(os.path.exists(os.path.join(path, f"saved_model.{s}")) for s in ("pb", "pbtxt")):
        return os.path.join(path, "variables", "variables")
    return path
