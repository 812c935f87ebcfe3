"""The files of a checkpoint, by their exact names: asked for, dated, removed.

A prefix is a path, never a pattern: where TensorFlow globs, ``*``, ``?``, ``[`` and
backslashes have no meaning here, but in the names of V1 checkpoints (`v1_files`).
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable

from tensorbundle.core import _core
from tensorbundle.directories import names_in, remove_file
from tensorbundle.errors import BundleError
from tensorbundle.file_lock import FileLock, save_lock_path
from tensorbundle.paths import absolute, open_core
from tensorbundle.v1_files import v1_files

__all__ = [
    "checkpoint_exists",
    "get_checkpoint_mtimes",
    "is_number",
    "numbered_checkpoints",
    "remove_bundle",
    "remove_checkpoint",
    "sweep_dead_saves",
]

# tensorflow.SaverDef.CheckpointFormatVersion
_V2 = 2

_MOST_DIGITS = 255  # NAME_MAX

_SHARD = re.compile(r"\.data-(\d{5})-of-(\d{5})", re.ASCII)
# A file of a checkpoint under construction, after ".PREFIX." (cpp/format/naming.cc).
_TEMPORARY = r"(?:index|fingerprints|data-\d{5}-of-\d{5})\.tmp\.[0-9a-f]{16}"
# What TensorFlow takes off a sharded V1 checkpoint's name before it adds ".meta".
_V1_SHARD = re.compile(r"-[\d?]+-of-\d+$", re.ASCII)


def checkpoint_exists(checkpoint_prefix: str | os.PathLike[str]) -> bool:
    """Tell whether there is a checkpoint: its index, or a file of the V1 format.

    Whether its data files are there and sound is for `tensorbundle.verify` to say.
    """
    return _identifying_file(os.fspath(checkpoint_prefix)) is not None


def get_checkpoint_mtimes(
    checkpoint_prefixes: Iterable[str | os.PathLike[str]],
) -> list[float]:
    """Give the modification times of checkpoints, in seconds since the epoch.

    Those that do not exist are left out, so the list may be shorter than the argument.
    """
    times = []
    for prefix in checkpoint_prefixes:
        path = _identifying_file(os.fspath(prefix))
        # It may go at any moment.
        with contextlib.suppress(FileNotFoundError):
            if path is not None:
                times.append(os.stat(path).st_mtime_ns / 1e9)
    return times


def remove_checkpoint(
    checkpoint_prefix: str | os.PathLike[str],
    checkpoint_format_version: int = _V2,
    meta_graph_suffix: str = "meta",
) -> None:
    """Remove the files of one checkpoint, and nothing else; none is no error.

    They are ``PREFIX.meta``, ``PREFIX.index``, ``PREFIX.fingerprints`` and
    ``PREFIX.data-?????-of-?????`` with digits for the question marks. A directory of such a
    name is left alone.

    Parameters
    ----------
    checkpoint_prefix
        Path of the checkpoint without a suffix.
    checkpoint_format_version
        ``2``, or ``0`` or ``1`` for the V1 format, where the file has the name of the
        prefix itself, or the files those that ``PREFIX-?????-of-NNNNN`` stands for.
    meta_graph_suffix
        What follows the dot in the name of the graph's file.

    Raises
    ------
    LockedError
        A save of this prefix is under way.
    OSError
        A file cannot be removed. The index goes before the data files, so what is left
        is no checkpoint.
    """
    prefix = os.fspath(checkpoint_prefix)
    if checkpoint_format_version == _V2:
        remove_bundle(prefix, meta_graph_suffix)
    else:
        _remove_files([_meta_file(prefix, meta_graph_suffix), *v1_files(prefix)])


def remove_bundle(
    prefix: str, meta_graph_suffix: str = "meta", spares: _core.SpareFiles | None = None
) -> None:
    """Remove a checkpoint; data files that `spares` has a use for go there."""
    meta = _meta_file(prefix, meta_graph_suffix)
    if not any(os.path.lexists(path) for path in _bundle_files(prefix, meta)):
        return
    told = f"{prefix}: not removed, since a save of this checkpoint is under way"
    with FileLock(save_lock_path(prefix), told):
        _remove_files(_bundle_files(prefix, meta), spares)


def numbered_checkpoints(directory: str, name: str) -> list[tuple[int, str]]:
    """List the checkpoints ``NAME-<number>`` of a directory, by their numbers.

    Returns pairs of number and prefix. A directory that does not exist has none.
    """
    found = []
    for file_name in names_in(directory):
        stem, dot, suffix = file_name.rpartition(".")
        base, dash, digits = stem.rpartition("-")
        if dot and suffix == "index" and dash and base == name and is_number(digits):
            found.append((int(digits), os.path.join(directory, stem)))
    return sorted(found)


def sweep_dead_saves(directory: str, name: str) -> None:
    """Remove what saves of checkpoints ``NAME-<number>`` left when they were killed.

    A save that lives holds its lock, and one that ended has removed it: so a lock that is
    there and free, or a temporary file, is of a dead one. What is removed is that, and data
    files of that checkpoint which no index mentions. What cannot be removed stays.
    """
    left = re.compile(
        rf"\.{re.escape(name)}-(\d+)\.(?:tensorbundle-lock|{_TEMPORARY})", re.ASCII
    )
    found = [left.fullmatch(file_name) for file_name in names_in(directory)]
    for number in {match[1] for match in found if match is not None}:
        prefix = os.path.join(directory, f"{name}-{number}")
        with contextlib.suppress(BundleError, OSError), FileLock(save_lock_path(prefix), ""):
            _sweep_dead_save(prefix)


def _sweep_dead_save(prefix: str) -> None:
    directory, base = os.path.split(prefix)
    temporary = re.compile(rf"\.{re.escape(base)}\.{_TEMPORARY}", re.ASCII)
    left = [name for name in names_in(directory) if temporary.fullmatch(name)]
    _remove_files(os.path.join(directory, name) for name in left)
    try:
        count = open_core(prefix).num_shards
    except FileNotFoundError:
        count = 0  # there is no index: all its data files
    except (BundleError, OSError):
        return  # nobody can tell which
    _remove_files(path for path in _shards(prefix) if not path.endswith(f"-of-{count:05d}"))


def is_number(text: str) -> bool:
    """Tell whether a text is a step, as it stands in the name of a checkpoint."""
    # No name of a file is longer; and int() refuses more than some thousand digits.
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def _identifying_file(prefix: str) -> str | None:
    if os.path.exists(prefix + ".index"):
        return prefix + ".index"
    return next(iter(v1_files(prefix)), None)


def _meta_file(prefix: str, suffix: str) -> str:
    return f"{_V1_SHARD.sub('', prefix)}.{suffix}"


def _bundle_files(prefix: str, meta: str) -> list[str]:
    """Give all paths that the files of a checkpoint may have; the index before the data."""
    return [meta, prefix + ".index", prefix + ".fingerprints", *_shards(prefix)]


def _shards(prefix: str) -> list[str]:
    directory, base = os.path.split(prefix)
    found = []
    for name in names_in(directory):
        match = _SHARD.fullmatch(name[len(base) :]) if name.startswith(base) else None
        if match is not None and int(match[1]) < int(match[2]):
            found.append(os.path.join(directory, name))
    return sorted(found)


def _remove_files(paths: Iterable[str], spares: _core.SpareFiles | None = None) -> None:
    for path in paths:
        # unlink() gives EISDIR or EPERM for a directory, which is not ours.
        if os.path.isdir(path) and not os.path.islink(path):
            continue
        if spares is None or not spares.keep(absolute(path)):
            remove_file(path)
