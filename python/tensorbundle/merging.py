"""Merging: one checkpoint of several, without copying the bytes of their tensors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from tensorbundle.core import _core
from tensorbundle.paths import absolute, absolute_to_save, explain_missing
from tensorbundle.reports import MergeReport
from tensorbundle.transfer_options import check_threads

__all__ = ["merge"]


def merge(
    prefixes: Iterable[str | os.PathLike[str]],
    destination: str | os.PathLike[str],
    *,
    delete_sources: bool = False,
    allow_missing: bool = False,
    num_threads: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> MergeReport:
    """Make one checkpoint of several: all of it, or nothing.

    The data files of the sources become the destination's, as hard links, in the order of
    `prefixes`; only an index is written. So the merged checkpoint takes no space of its own,
    and each file lives until the last checkpoint that has it is removed. Where a hard link
    is impossible, on another file system or one that has none, the file is copied; the
    report says how much, and why.

    When the call returns, the destination is on the device. Its tensors' bytes were not
    looked at: they are as good as the sources', and `verify` checks them.

    Parameters
    ----------
    prefixes
        The checkpoints to merge, TensorFlow's or ours; what `SaveV2` calls prefixes.
    destination
        Prefix of the merged checkpoint. One that is there already is replaced, also where it
        is one of `prefixes`. The last directory is created if it is missing.
    delete_sources
        Remove the sources, but for the destination, once the merged checkpoint is on the
        device: whatever happens, either all of them are whole, or it is.
    allow_missing
        Pass over prefixes without a checkpoint; one must exist.
    num_threads
        Threads that link, sync and copy; ``None`` means one per CPU of this process.
    progress
        Called now and then, on this thread, with the bytes done and in total. What it
        raises cancels the merge.

    Returns
    -------
    MergeReport
        How many bytes were linked and copied, which prefixes were missing, which sources
        could not be removed.

    Raises
    ------
    FileNotFoundError
        There is no checkpoint at a prefix, or none at any of them.
    DuplicateTensorError
        A tensor, or the same part of a partitioned one, is in two of them; the message has
        both prefixes.
    ValueError
        No prefixes, or one is given twice, however it is spelled.
    UnsupportedError
        The checkpoints are of different byte orders, or one is not of this format.
    CorruptionError
        An index is damaged, or a data file is missing or too short.
    LockedError
        A save of the destination is under way.
    CheckpointGoneError
        A source was replaced meanwhile.
    OSError
        Anything else; ``errno`` and ``filename`` say what. After each of these errors
        everything is as it was; only where the very last sync of the directory fails is the
        merged checkpoint in place already, though not surely durable, and the sources stay.

    Examples
    --------
    >>> tb.merge(["run/part-0", "run/part-1"], "run/ckpt")  # doctest: +SKIP
    """
    if isinstance(prefixes, (str, bytes, os.PathLike)):
        raise TypeError(f"prefixes must be several, as in [{prefixes!r}]")
    sources = [os.fspath(prefix) for prefix in prefixes]
    given = {absolute(prefix): prefix for prefix in sources}
    count = check_threads(num_threads)
    try:
        report = _core.merge(
            [absolute(prefix) for prefix in sources],
            absolute_to_save(os.fspath(destination)),
            delete_sources=delete_sources,
            allow_missing=allow_missing,
            num_threads=count,
            progress=progress,
        )
    except FileNotFoundError as error:
        if error.filename is not None:  # a data file that is missing has none
            index = os.fsencode(error.filename)
            explain_missing(error, given.get(index.removesuffix(b".index"), ""))
        raise
    missing = report.pop("missing")
    return MergeReport(
        prefix=os.fspath(destination),
        missing=tuple(given[os.fsencode(path)] for path in missing),
        remains=tuple(report.pop("remains")),
        **report,
    )
