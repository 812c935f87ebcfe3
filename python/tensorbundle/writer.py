"""Saving tensor by tensor: a checkpoint that need not fit into memory."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Literal

from tensorbundle import dtypes
from tensorbundle import tensors as _tensors
from tensorbundle.config import Config
from tensorbundle.core import _core
from tensorbundle.partitioned import as_sizes
from tensorbundle.paths import absolute_to_save
from tensorbundle.reports import SaveReport
from tensorbundle.saving import write_options

__all__ = ["Writer"]


class Writer:
    """Saves tensors one after the other, in any order, with bounded memory.

    What `add` was given may change, or go, as soon as it returns. Small tensors are
    collected in 16 MiB of memory and written when that is full; one of 4 MiB or more is
    written at once, from its own memory, by all threads. Besides, there are a record per
    tensor for the index and up to 32 MiB for staging, whatever is added.

    The checkpoint appears as with `save`, all of it or nothing, when `finish` returns. As
    a context manager a writer finishes at the end of the block, and aborts if that raises.
    Until then it holds the lock of the prefix: another save of it gets `LockedError`. A
    process that is killed leaves temporary files, which the next save of the prefix sweeps.

    Threads: any thread may use any method; tensors are added one at a time, so threads that
    add at once wait for each other. Not from a signal handler. A child process that was
    forked meanwhile cannot use its parent's writer, and does it no harm.

    Parameters
    ----------
    prefix, alignment, durability, backend, num_threads, block_size, queue_depth, config
        As for `tensorbundle.save`. ``backend="auto"`` cannot know how much there will be,
        and chooses as for a large checkpoint.
    num_shards
        Data files; ``None`` means 1. Each large tensor, and each 16 MiB of small ones, goes
        to the file that is shortest then. Files that would get nothing are not made.
    partial
        Tensors in parts may have gaps when the writer finishes; see `Partitioned`.

    Raises
    ------
    LockedError
        Another save of this prefix is under way.
    ValueError, UnsupportedError, OSError
        As `tensorbundle.save`.

    Examples
    --------
    >>> with tb.Writer("run1/ckpt-100") as writer:  # doctest: +SKIP
    ...     for name, tensor in produce():
    ...         writer.add(name, tensor)
    >>> writer.report.gb_per_second  # doctest: +SKIP
    """

    report: SaveReport | None = None
    """What was done; ``None`` before the writer has finished."""

    def __init__(
        self,
        prefix: str | os.PathLike[str],
        *,
        num_shards: int | None = None,
        alignment: int = 64,
        durability: Literal["full", "none"] = "full",
        backend: str | None = None,
        num_threads: int | None = None,
        block_size: int | None = None,
        queue_depth: int | None = None,
        partial: bool = False,
        config: Config | None = None,
    ) -> None:
        self._core: _core.Writer | None = None  # for __del__, if this raises
        options = write_options(
            config, num_shards=num_shards, alignment=alignment, durability=durability,
            backend=backend, num_threads=num_threads, block_size=block_size,
            queue_depth=queue_depth,
        )  # fmt: skip
        del options["snapshot"], options["zero_copy"]
        self._prefix = os.fspath(prefix)
        self._durability = durability
        self._process = os.getpid()
        self._core = _core.Writer(
            absolute_to_save(self._prefix), partial=bool(partial), **options
        )

    @property
    def prefix(self) -> str:
        """The path it was made with."""
        return self._prefix

    def add(self, name: str | bytes, array: Any) -> None:
        """Add a tensor; what is given may change from then on.

        Parameters
        ----------
        name
            Of the tensor, not given before.
        array
            What `tensorbundle.save` takes as a value: an array or tensor of any framework,
            a number, a string.

        Raises
        ------
        TypeError, ValueError
            `array` is no tensor, or the name is empty or given before, or the writer has
            ended. Nothing was written, and others may still be added.
        OSError
            The disk is full, ...: the writer has ended, nothing is left behind, and what
            was at the prefix before is intact. So it is where Ctrl-C interrupts.
        """
        core = self._opened()
        core.add(_only(_checked(name), array))

    def add_slice(
        self,
        name: str | bytes,
        full_shape: Sequence[int],
        offsets: Sequence[int],
        array: Any,
    ) -> None:
        """Add a part of a tensor, which readers will see whole; see `Partitioned`.

        Parameters
        ----------
        name
            Of the whole tensor; its other parts are added under the same name.
        full_shape
            Shape of the whole tensor.
        offsets
            Where the part begins, one number per dimension.
        array
            The part's elements, whose shape is the part's.

        Raises
        ------
        TypeError, ValueError
            As `add`; or the part is not inside `full_shape`, overlaps another, or differs
            from them in dtype or `full_shape`. Nothing was written.
        OSError
            As `add`.
        """
        core = self._opened()
        key = _checked(name)
        shape = as_sizes(key, "full_shape", full_shape)
        part = _only(key, array)
        core.add_part(part, list(shape), list(as_sizes(key, "offsets", offsets)))

    def finish(self) -> SaveReport:
        """Make the checkpoint durable and visible; nothing can be added from then on.

        Raises
        ------
        ValueError
            A tensor lacks parts, which may still be added, or the writer has ended.
        OSError
            As `add`; see also `tensorbundle.save`.
        """
        report = self._opened().finish()
        self.report = SaveReport.of(self._prefix, self._durability, report)
        return self.report

    def abort(self) -> None:
        """End without a checkpoint: what was at the prefix before is intact.

        Does nothing where the writer has ended.
        """
        if self._core is not None and os.getpid() == self._process:
            self._core.abort()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self._is_open():
                self.finish()
        finally:
            self.abort()

    def __del__(self) -> None:
        # Ctrl-C may have ended __init__ anywhere. In this order: at the end of the
        # interpreter this module may have lost its names.
        core = getattr(self, "_core", None)
        if core is None or not core.is_open or os.getpid() != self._process:
            return
        warnings.warn(
            f"the tensorbundle.Writer of {self._prefix!r} was neither finished nor aborted",
            ResourceWarning,
            stacklevel=2,
            source=self,
        )
        # At the end of the interpreter the core's own destructor does that: a call that lets
        # go of the interpreter's lock would never get it back.
        if not sys.is_finalizing():
            core.abort()

    def __repr__(self) -> str:
        state = "open" if self._is_open() else "ended"
        return f"<tensorbundle.Writer {self._prefix!r}: {state}>"

    def _is_open(self) -> bool:
        return self._core is not None and os.getpid() == self._process and self._core.is_open

    def _opened(self) -> _core.Writer:
        if os.getpid() != self._process:
            raise RuntimeError(
                "this Writer belongs to the parent process, whose files it writes; make "
                "another one, of another prefix, after the fork"
            )
        assert self._core is not None
        return self._core


def _checked(name: str | bytes) -> str | bytes:
    if not isinstance(name, (str, bytes)):
        raise TypeError(f"a tensor's name must be str, not {type(name).__name__}: {name!r}")
    return name


def _only(name: str | bytes, array: Any) -> _core.SavedTensors:
    tensors = _core.SavedTensors(dtypes.NUMBERS)
    _tensors.add_tensor(tensors, name, array)
    return tensors
