"""Saving tensors as a bundle."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Literal, overload

from tensorbundle import tensors as _tensors
from tensorbundle.config import Config, settings
from tensorbundle.core import _core
from tensorbundle.directories import make_directories
from tensorbundle.paths import absolute, absolute_to_save
from tensorbundle.reports import SaveReport
from tensorbundle.transfer_options import (
    check_backend,
    check_block_size,
    check_names,
    check_number,
    check_queue_depth,
    check_threads,
)

if TYPE_CHECKING:
    from tensorbundle.async_saving import SaveHandle

__all__ = ["PendingSave", "prepare", "save", "write_options"]


@overload
def save(
    prefix: str | os.PathLike[str],
    tensors: Mapping[Any, Any],
    *,
    num_shards: int | None = ...,
    alignment: int = ...,
    durability: Literal["full", "none"] = ...,
    backend: str | None = ...,
    snapshot: bool | None = ...,
    zero_copy: bool | None = ...,
    incremental: bool | str | os.PathLike[str] = ...,
    num_threads: int | None = ...,
    block_size: int | None = ...,
    queue_depth: int | None = ...,
    progress: Callable[[int, int], object] | None = ...,
    config: Config | None = ...,
    blocking: Literal[True] = ...,
) -> SaveReport: ...


@overload
def save(
    prefix: str | os.PathLike[str],
    tensors: Mapping[Any, Any],
    *,
    num_shards: int | None = ...,
    alignment: int = ...,
    durability: Literal["full", "none"] = ...,
    backend: str | None = ...,
    snapshot: bool | None = ...,
    zero_copy: bool | None = ...,
    incremental: bool | str | os.PathLike[str] = ...,
    num_threads: int | None = ...,
    block_size: int | None = ...,
    queue_depth: int | None = ...,
    progress: Callable[[int, int], object] | None = ...,
    config: Config | None = ...,
    blocking: Literal[False],
) -> SaveHandle: ...


def save(
    prefix: str | os.PathLike[str],
    tensors: Mapping[Any, Any],
    *,
    num_shards: int | None = None,
    alignment: int = 64,
    durability: Literal["full", "none"] = "full",
    backend: str | None = None,
    snapshot: bool | None = None,
    zero_copy: bool | None = None,
    incremental: bool | str | os.PathLike[str] = False,
    num_threads: int | None = None,
    block_size: int | None = None,
    queue_depth: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    config: Config | None = None,
    blocking: bool = True,
) -> SaveReport | SaveHandle:
    """Save tensors as a checkpoint that TensorFlow reads: all of them, or nothing.

    The files appear whole: a crash, a full disk or Ctrl-C leaves what was at `prefix`
    before. When the call returns, the checkpoint is on the device. A checkpoint that is
    there already is replaced, even while it is mapped: its arrays keep their values.

    Contiguous tensors are written from their own memory, or block by block through a small
    buffer where that is faster (`zero_copy`). It must not change until the call returns, or
    a checksum may disagree with what was written; see `snapshot`.

    Parameters
    ----------
    prefix
        Path of the checkpoint without a suffix: ``"run1/ckpt-100"`` makes
        ``run1/ckpt-100.index`` and ``run1/ckpt-100.data-?????-of-?????``. The last
        directory is created if it is missing.
    tensors
        Mapping from name to NumPy array, torch CPU tensor, eager TensorFlow tensor or
        variable, JAX array, Keras variable, number, or string. Arrays of ``str`` or
        ``bytes`` become string tensors (text as UTF-8). Nested mappings flatten, the
        keys joined by "/"; integer keys become text. A `Partitioned` is stored in parts.
    num_shards
        Data files to spread the bytes over, in balance; ``None`` means 1.
    alignment
        Each tensor starts at a multiple of this many bytes in its file: a power of two.
        64 lets every framework map it without a copy; 1 packs densely, byte for byte as
        TensorFlow's own writer does.
    durability
        ``"full"``: files and directory are synced before the checkpoint becomes
        visible. ``"none"``: nothing is synced; readers still never see half a
        checkpoint, but a power cut may lose it.
    backend
        How bytes reach the disk: ``"buffered"`` goes through the page cache, ``"direct"``
        past it (O_DIRECT), ``"uring"`` past it with several writes in flight per thread
        (io_uring; without it, direct). ``"auto"``, the default, probes the directory and
        chooses; the report says what it chose, and why nothing faster.
    snapshot
        Copy every block to a buffer and checksum that copy, so that the checkpoint is
        sound, though of mixed moments, even if the tensors change during the call.
    zero_copy
        ``True``: write every large contiguous tensor from its own memory. ``False``: copy
        all in blocks that stay in the processor's cache, as `snapshot` does. ``None`` takes
        what is faster: a copy only where the tensor lies in pages of 4 KiB and the device
        would take larger requests than such pages can fill (Linux 6.7 and later tell).
    incremental
        The prefix of an earlier checkpoint: tensors that have not changed since then are not
        written, but stay in its data files, which become this checkpoint's, too, as hard
        links. ``True`` means the one at `prefix` itself, if any. It has to have been saved
        with this argument; else, and wherever no link can be made, everything is written, and
        the report says why. Takes one more pass over the tensors; see docs/incremental.md.
    num_threads
        Threads that checksum and write; ``None`` means one per CPU of this process, and
        at least 2 where writes bypass the page cache.
    block_size
        Bytes per write, a multiple of 65,536; ``None`` means 4 MiB past the page cache
        and 256 KiB through it.
    queue_depth
        Writes in flight per thread with io_uring; ``None`` means 8.
    progress
        Called now and then, on this thread, with the bytes done and in total. What it
        raises cancels the save. With ``blocking=False`` on the thread that writes.
    config
        A TOML file, or a mapping like one, with settings for arguments that are not given
        (``tensorbundle bench --recommend`` writes one); see `tensorbundle.config`.
    blocking
        ``False``: copy the tensors, come back, and write the copies in the background;
        the tensors may change from then on. See `AsyncSaver`, which this is a short way
        to: one of them serves the whole process.

    Returns
    -------
    SaveReport
        Bytes, seconds, threads; how much was written without a copy. With
        ``blocking=False`` a `SaveHandle`, whose ``result()`` is that report.

    Raises
    ------
    TypeError
        A value is no dense tensor in host memory, or the format lacks its dtype.
    ValueError
        A name is empty or given twice; an option is out of range; or `prefix` begins with
        ``~``, which only shells expand. Nothing was touched.
    LockedError
        Another save of this prefix is under way.
    UnsupportedError
        The file system cannot do what `backend` asks; the message says what would work.
    OSError
        The disk is full, the directory is missing or read-only, ...; ``errno`` and
        ``filename`` say which. What was at `prefix` is intact and nothing is left behind;
        only where the very last sync of the directory fails is the new checkpoint in
        place already, though not surely durable.

    Notes
    -----
    The layout is described byte by byte in ``cpp/FORMAT.md``; it follows TensorFlow's
    ``tensor_bundle.proto``.

    Examples
    --------
    >>> tb.save("run1/ckpt-100", {"model": model.state_dict(), "step": 100})  # doctest: +SKIP
    """
    pending = prepare(
        prefix,
        tensors,
        num_shards=num_shards,
        alignment=alignment,
        durability=durability,
        backend=backend,
        snapshot=snapshot,
        zero_copy=zero_copy,
        incremental=incremental,
        num_threads=num_threads,
        block_size=block_size,
        queue_depth=queue_depth,
        progress=progress,
        config=config,
    )
    if blocking:
        return pending.run()
    from tensorbundle.async_saving import default_saver

    return default_saver().start(pending)


# What those who hand options on may give; they know themselves whether to wait.
_OPTIONS = inspect.signature(save).parameters.keys() - {"prefix", "tensors", "blocking"}


@dataclasses.dataclass(frozen=True)
class PendingSave:
    """A save whose arguments are checked and whose tensors are gathered."""

    prefix: str
    tensors: _core.SavedTensors
    durability: Literal["full", "none"]
    options: dict[str, Any]
    progress: Callable[[int, int], object] | None
    within: AbstractContextManager[object] = dataclasses.field(default_factory=nullcontext)
    """Entered before anything is written, on the thread that writes, and left when the
    checkpoint is durable, or has failed."""
    is_stable: bool = False
    """Whether the tensors keep their values whatever the caller does: no copy is needed."""

    def make_directory(self) -> None:
        """Make the directories that are missing above the prefix, as durable as the save."""
        directory = os.path.dirname(self.prefix)
        if directory:
            make_directories(directory, durable=self.durability == "full")

    def run(
        self,
        progress: Callable[[int, int], object] | None = None,
        borrowed_written: _core.Latch | None = None,
    ) -> SaveReport:
        """Write it; `progress` is called instead of the caller's own."""
        with self.within:
            report = _core.save(
                tensors=self.tensors,
                **self.options,
                progress=progress or self.progress,
                borrowed_written=borrowed_written,
            )
        return SaveReport.of(self.prefix, self.durability, report)


def prepare(
    prefix: str | os.PathLike[str],
    tensors: Mapping[Any, Any],
    *,
    num_shards: int | None = None,
    alignment: int = 64,
    durability: Literal["full", "none"] = "full",
    backend: str | None = None,
    snapshot: bool | None = None,
    zero_copy: bool | None = None,
    incremental: bool | str | os.PathLike[str] = False,
    num_threads: int | None = None,
    block_size: int | None = None,
    queue_depth: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    config: Config | None = None,
    spares: _core.SpareFiles | None = None,
    **unknown: Any,
) -> PendingSave:
    """Check the arguments of `save` and gather the tensors; nothing is touched.

    `spares` are files that it may write into; see `tensorbundle.recycling`. What is `unknown`
    comes from callers that hand options on: they are told of it as those of `save`.
    """
    check_names(unknown, _OPTIONS, "tensorbundle.save")
    options = write_options(
        config, num_shards=num_shards, alignment=alignment, durability=durability,
        backend=backend, snapshot=snapshot, zero_copy=zero_copy, num_threads=num_threads,
        block_size=block_size, queue_depth=queue_depth,
    )  # fmt: skip
    gathered = _tensors.gather(tensors)
    path = os.fspath(prefix)
    options["prefix"] = absolute_to_save(path)
    options["previous"] = _previous(path, incremental, options["snapshot"])
    if spares is not None:
        options["spares"] = spares
    return PendingSave(path, gathered, durability, options, progress)


def write_options(
    config: Config | None,
    *,
    num_shards: int | None,
    alignment: int,
    durability: str,
    backend: str | None,
    num_threads: int | None,
    block_size: int | None,
    queue_depth: int | None,
    snapshot: bool | None = None,
    zero_copy: bool | None = None,
) -> dict[str, Any]:
    """Check how to write, and give what the core takes."""
    chosen = settings(
        "save", config, backend=backend, snapshot=snapshot, zero_copy=zero_copy,
        num_threads=num_threads, num_shards=num_shards,
        block_size=block_size, queue_depth=queue_depth,
    )  # fmt: skip
    backend = chosen["backend"] or "auto"
    check_backend(backend)
    if chosen["snapshot"] and chosen["zero_copy"]:
        raise ValueError("a snapshot copies everything: give snapshot or zero_copy, not both")
    if durability not in ("full", "none"):
        raise ValueError(f"durability must be 'full' or 'none', not {durability!r}")
    return {
        "num_shards": check_number("num_shards", chosen["num_shards"]),
        "alignment": check_number("alignment", alignment),
        "durable": durability == "full",
        "backend": backend,
        "snapshot": bool(chosen["snapshot"]),
        "zero_copy": chosen["zero_copy"],
        "num_threads": check_threads(chosen["num_threads"]),
        "block_size": check_block_size(chosen["block_size"]),
        "queue_depth": check_queue_depth(chosen["queue_depth"]),
    }


def _previous(
    prefix: str, incremental: bool | str | os.PathLike[str], snapshot: bool | None
) -> bytes:
    """Give the core's form of the checkpoint to compare with; empty: none."""
    if incremental is False:
        return b""
    if snapshot:
        raise ValueError(
            "an incremental save reads tensors twice, so they must not change meanwhile: "
            "give incremental or snapshot, not both"
        )
    return absolute(prefix if incremental is True else os.fspath(incremental))
