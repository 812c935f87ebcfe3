"""The ``checkpoint`` file of a directory: which checkpoints it holds, which is newest.

Its text is described in `tensorbundle.state_text`. Relative paths are relative to the
directory.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Literal

from tensorbundle.checkpoint_files import checkpoint_exists
from tensorbundle.checkpoint_search import newest_sound
from tensorbundle.errors import CorruptionError, StateFileError
from tensorbundle.regular_file import read_file
from tensorbundle.shown_text import shown
from tensorbundle.small_file import replace_file
from tensorbundle.state_text import (
    CheckpointState,
    TooManyValuesError,
    format_state,
    parse_state,
)

__all__ = [
    "CheckpointState",
    "get_checkpoint_state",
    "latest_checkpoint",
    "update_checkpoint_state",
]

_LOG = logging.getLogger("tensorbundle")

# A state file of as many checkpoints as it may name is smaller than this.
_MOST_BYTES = 1 << 23


def get_checkpoint_state(
    checkpoint_dir: str | os.PathLike[str], latest_filename: str | None = None
) -> CheckpointState | None:
    """Read the state file of a directory.

    Parameters
    ----------
    checkpoint_dir
        The directory of the checkpoints.
    latest_filename
        Name of the state file in it; ``None`` means ``"checkpoint"``.

    Returns
    -------
    CheckpointState or None
        Relative paths are joined with `checkpoint_dir`. ``None`` where there is no
        state file, or it cannot be read; the reason is then logged as a warning.

    Raises
    ------
    StateFileError
        The file names no newest checkpoint; also a ``ValueError``.
    """
    path = os.path.join(os.fspath(checkpoint_dir), latest_filename or "checkpoint")
    try:
        state = _read(path)
    except FileNotFoundError:
        return None
    except CorruptionError as error:
        _LOG.warning("%s: ignored: %s (%s)", shown(path), shown(error.detail), error.code)
        return None
    except OSError as error:
        _LOG.warning("%s: ignored: %s", shown(path), error.strerror)
        return None
    if not state.model_checkpoint_path:
        raise StateFileError(
            f"{path}: names no newest checkpoint (model_checkpoint_path)",
            code="StateFileInvalid",
            detail="names no newest checkpoint (model_checkpoint_path)",
            path=path,
        )
    directory = os.fspath(checkpoint_dir)
    state.model_checkpoint_path = os.path.join(directory, state.model_checkpoint_path)
    state.all_model_checkpoint_paths = [
        os.path.join(directory, p) for p in state.all_model_checkpoint_paths
    ]
    return state


def latest_checkpoint(
    checkpoint_dir: str | os.PathLike[str],
    latest_filename: str | None = None,
    *,
    valid: bool = False,
) -> str | None:
    """Find the newest checkpoint of a directory.

    Parameters
    ----------
    checkpoint_dir
        The directory of the checkpoints.
    latest_filename
        Name of the state file in it; ``None`` means ``"checkpoint"``.
    valid
        ``False``: what the state file names, as in TensorFlow. ``True``: the newest whose
        every checksum is right, which reads all of it. Older ones stand in for damaged
        ones, the names in the directory for a state file that is gone or cannot be read,
        and paths in this directory for absolute ones that are gone. What was passed over,
        and why, is logged as a warning.

    Returns
    -------
    str or None
        The prefix that the state file names, if that checkpoint exists; else ``None``,
        and where the file names one that is gone, an error is logged. With `valid` the
        newest sound one; ``None`` where the directory has none, or is not there.

    Raises
    ------
    StateFileError
        The state file names no newest checkpoint; also a ``ValueError``. Not with `valid`.
    """
    if valid:
        return _latest_sound(os.fspath(checkpoint_dir), latest_filename)
    state = get_checkpoint_state(checkpoint_dir, latest_filename)
    if state is None:
        return None
    prefix = state.model_checkpoint_path
    if checkpoint_exists(prefix):
        return prefix
    _LOG.error("the newest checkpoint that %s names does not exist: %s",
               shown(os.fspath(checkpoint_dir)), shown(prefix))  # fmt: skip
    return None


def _latest_sound(directory: str, latest_filename: str | None) -> str | None:
    try:
        state = get_checkpoint_state(directory, latest_filename)
    except StateFileError as error:
        _LOG.warning("%s", shown(str(error)))
        state = None
    return newest_sound(directory, state)


def update_checkpoint_state(
    save_dir: str | os.PathLike[str],
    model_checkpoint_path: str | os.PathLike[str],
    all_model_checkpoint_paths: Sequence[str | os.PathLike[str]] | None = None,
    latest_filename: str | None = None,
    all_model_checkpoint_timestamps: Sequence[float] | None = None,
    last_preserved_timestamp: float | None = None,
    *,
    save_relative_paths: bool = False,
    durability: Literal["full", "none"] = "full",
) -> None:
    """Write the state file of a directory, byte for byte as TensorFlow does.

    It is replaced as a whole: a reader, or a crash, finds the old text or the new.

    Parameters
    ----------
    save_dir
        The directory of the checkpoints.
    model_checkpoint_path
        The newest checkpoint's prefix.
    all_model_checkpoint_paths
        Prefixes of all checkpoints kept, oldest first; the newest is added where it is
        not the last of them.
    latest_filename
        Name of the state file; ``None`` means ``"checkpoint"``.
    all_model_checkpoint_timestamps
        When each was made, in seconds since the epoch.
    last_preserved_timestamp
        When the newest checkpoint that is to stay for good was made; ``None`` or 0 for
        none.
    save_relative_paths
        Write absolute paths relative to `save_dir`, so that it can be moved. Paths that
        are relative stay so: with a relative `save_dir` they are taken from the working
        directory, with an absolute one from `save_dir`.
    durability
        ``"full"``: on return the file survives a power cut. ``"none"``: not synced.

    Raises
    ------
    ValueError
        There are timestamps, but not as many as paths; or a path is not Unicode.
    RuntimeError
        The newest checkpoint has the path of the state file.
    OSError
        The file cannot be written; what was there is intact.
    """
    directory = os.fspath(save_dir)
    newest = os.fspath(model_checkpoint_path)
    paths = [os.fspath(path) for path in all_model_checkpoint_paths or ()]
    if not paths or paths[-1] != newest:
        paths.append(newest)
    times = list(all_model_checkpoint_timestamps or ())
    if times and len(times) != len(paths):
        raise ValueError(f"{len(times)} timestamps for {len(paths)} checkpoints: {paths}")
    newest, *paths = (_as_written(p, directory, save_relative_paths) for p in [newest, *paths])
    path = os.path.join(directory, latest_filename or "checkpoint")
    if path == newest:
        raise RuntimeError(f"{newest!r} is the path of the state file; save elsewhere")
    state = CheckpointState(newest, paths, times, last_preserved_timestamp or 0.0)
    replace_file(path, format_state(state).encode("utf-8"), durable=durability == "full")


def _as_written(path: str, directory: str, relative: bool) -> str:
    if os.path.isabs(path):
        return os.path.relpath(path, directory or os.curdir) if relative else path
    # Relative to the working directory, as `directory` is.
    if not os.path.isabs(directory):
        return os.path.relpath(path, directory or os.curdir)
    return path


def state_bytes(directory: str) -> bytes | None:
    """Give what the state file of a directory holds; ``None`` where there is none.

    One that cannot be read is as one without bytes: it says nothing.
    """
    try:
        return read_file(os.path.join(directory, "checkpoint"), most_bytes=_MOST_BYTES)
    except FileNotFoundError:
        return None
    except (CorruptionError, OSError):
        return b""


def _read(path: str) -> CheckpointState:
    return decode_state(read_file(path, most_bytes=_MOST_BYTES), path)


def decode_state(content: bytes, path: str) -> CheckpointState:
    """Give what a state file says; `path` is its own, for messages.

    Raises
    ------
    StateFileError
        The content is no such text, or names what no path can be; also a ``ValueError``.
    """
    try:
        state = parse_state(content.decode("utf-8"))
        paths = [state.model_checkpoint_path, *state.all_model_checkpoint_paths]
        if any("\0" in path for path in paths):
            raise ValueError("a null byte, which no path can have")
        return state
    except ValueError as error:
        is_limit = isinstance(error, TooManyValuesError)
        code = "LimitExceeded" if is_limit else "StateFileInvalid"
        raise StateFileError(
            f"{path}: {error}", code=code, detail=str(error), path=path
        ) from None
