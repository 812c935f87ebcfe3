"""Prefixes: checked, and opened as the core's bundle. Needs no NumPy."""

from __future__ import annotations

import os

from tensorbundle.core import _core
from tensorbundle.errors import CorruptionError, UnsupportedError
from tensorbundle.foreign_files import what_directory, what_file
from tensorbundle.v1_files import v1_files

__all__ = ["absolute", "absolute_to_save", "check_home", "explain_missing", "open_core"]


def _checked(path: str | bytes) -> bytes:
    """Refuse what cannot be a prefix."""
    name = os.path.basename(os.fsencode(path))
    if name in (b"", b".", b".."):
        raise ValueError(f"{path!r} ends in no name; a prefix does, as in 'run/ckpt-1'")
    if b"\0" in os.fsencode(path):
        raise ValueError(f"{path!r} has a null byte, which no path can have")
    return os.fsencode(path)


def absolute(prefix: str | bytes) -> bytes:
    """Check a prefix; give the core's form of it, proof against a later chdir."""
    return os.path.join(os.getcwdb(), _checked(prefix))


def absolute_to_save(prefix: str | bytes) -> bytes:
    """Give the core's form of a prefix to save at, as `absolute`; refuse as `check_home`."""
    checked = absolute(prefix)
    check_home(prefix)
    return checked


def check_home(path: str | bytes | os.PathLike[str]) -> None:
    """Refuse a path that would make a directory of the name ``~``, as only shells expand it.

    Raises
    ------
    ValueError
        It begins with ``~`` or ``~user``, and there is no such directory.
    """
    text = os.fsdecode(path)
    if _is_of_home(text):
        raise ValueError(
            f"{text!r} is at home for shells only, and no directory here has that name: "
            f"give os.path.expanduser({text!r})"
        )


def _is_of_home(path: str) -> bool:
    first, slash, _ = path.partition("/")
    is_path = bool(slash) or path == "~"  # and no name of a file, as ~ckpt
    return is_path and os.path.expanduser(first) != first and not os.path.isdir(first)


def open_core(prefix: str, backend: str = "auto") -> _core.Bundle:
    """Open the core's bundle, or a V1 checkpoint; explain a path that is something else."""
    try:
        return _core.Bundle(absolute(prefix), backend)
    except FileNotFoundError as error:
        hint = _hint(prefix)
        paths = v1_files(os.fsdecode(prefix)) if hint is None else []
        if not paths:
            explain_missing(error, prefix)
            raise
    return _open_v1(prefix, paths)


def explain_missing(error: FileNotFoundError, prefix: str) -> None:
    """Raise the same error with what the user may have meant, where that can be told."""
    hint = _hint(prefix)
    if hint is not None:
        told = FileNotFoundError(error.errno, f"{error.strerror}; {hint}", error.filename)
        told.__dict__.update(error.__dict__)
        raise told from None
    paths = v1_files(os.fsdecode(prefix))
    if paths:
        _refuse_foreign(prefix, paths[0])
        raise UnsupportedError(
            f"{prefix}: a checkpoint of TensorFlow's V1 format, or no checkpoint; only "
            "bundles can be had here: load it, and save it as one",
            code="UnsupportedFormat",
            path=prefix,
        ) from None


def _open_v1(prefix: str, paths: list[str]) -> _core.Bundle:
    try:
        return _core.V1Checkpoint([os.path.join(os.getcwdb(), os.fsencode(p)) for p in paths])
    except CorruptionError as error:
        if error.code not in ("BadMagic", "TruncatedIndex", "MissingHeader"):
            raise
        _refuse_foreign(prefix, paths[0])
        raise UnsupportedError(
            f"{prefix}: no .index beside it, and no checkpoint of TensorFlow's V1 format "
            f"itself: {error.detail}",
            code="UnsupportedFormat",
            path=error.path,
        ) from None


def _refuse_foreign(prefix: str, path: str) -> None:
    """Refuse a file of a known other format by what it is."""
    told = what_file(path)
    if told is not None:
        raise UnsupportedError(
            f"{prefix}: no checkpoint of TensorFlow's: {told}",
            code="UnsupportedFormat",
            path=prefix,
        ) from None


def _hint(prefix: str) -> str | None:
    stem, dot, suffix = prefix.rpartition(".")
    if dot and (suffix == "index" or suffix.startswith("data-")):
        return f"a checkpoint is named by its prefix, without suffix: {stem!r}"
    if os.path.isdir(prefix):
        told = what_directory(prefix)
        if told is not None:
            return f"{prefix!r} is {told}"
        return f"{prefix!r} is a directory; latest_checkpoint() finds the newest prefix in it"
    if _is_of_home(prefix):
        return f"only shells expand '~': give os.path.expanduser({prefix!r})"
    return None
