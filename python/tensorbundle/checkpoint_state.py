"""The ``checkpoint`` file of a directory: which checkpoints it holds, which is newest.

It is a text-format protocol buffer, ``tensorflow.CheckpointState``::

    model_checkpoint_path: "ckpt-4"
    all_model_checkpoint_paths: "ckpt-3"
    all_model_checkpoint_paths: "ckpt-4"
    all_model_checkpoint_timestamps: 1795217185.1729722

Relative paths are relative to the directory.
"""

from __future__ import annotations

import codecs
import dataclasses
import io
import logging
import os
import re
import stat
from collections.abc import Iterator

__all__ = ["CheckpointState", "get_checkpoint_state", "latest_checkpoint"]

_LOG = logging.getLogger("tensorbundle")

# A state file of a hundred thousand checkpoints is smaller than this.
_MOST_BYTES = 1 << 20

_TOKEN = re.compile(
    r"""\s+ | \#[^\n]*                                              # nothing
      | (?P<number>[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?f?|(?:inf|infinity|nan)f?)\b)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<string>"(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*')
      | (?P<mark>[:\[\],;])
    """,
    re.VERBOSE,
)
_STRINGS = ("model_checkpoint_path", "all_model_checkpoint_paths")
_NUMBERS = ("all_model_checkpoint_timestamps", "last_preserved_timestamp")


@dataclasses.dataclass
class CheckpointState:
    """What a state file says; the field names are TensorFlow's."""

    model_checkpoint_path: str = ""
    """The newest checkpoint's prefix."""
    all_model_checkpoint_paths: list[str] = dataclasses.field(default_factory=list)
    """Prefixes of all checkpoints kept, oldest first."""
    all_model_checkpoint_timestamps: list[float] = dataclasses.field(default_factory=list)
    """When each was made, in seconds since the epoch; may be empty."""
    last_preserved_timestamp: float = 0.0


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
    ValueError
        The file names no newest checkpoint.
    """
    path = os.path.join(os.fspath(checkpoint_dir), latest_filename or "checkpoint")
    try:
        state = _parse(_read(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _LOG.warning("%s: ignored: %s", path, error)
        return None
    if not state.model_checkpoint_path:
        raise ValueError(f"{path}: names no newest checkpoint (model_checkpoint_path)")
    directory = os.fspath(checkpoint_dir)
    state.model_checkpoint_path = os.path.join(directory, state.model_checkpoint_path)
    state.all_model_checkpoint_paths = [
        os.path.join(directory, p) for p in state.all_model_checkpoint_paths
    ]
    return state


def latest_checkpoint(
    checkpoint_dir: str | os.PathLike[str], latest_filename: str | None = None
) -> str | None:
    """Find the newest checkpoint of a directory.

    Returns
    -------
    str or None
        The prefix that the state file names, if that checkpoint exists; else ``None``,
        and where the file names one that is gone, an error is logged.

    Raises
    ------
    ValueError
        The state file names no newest checkpoint.
    """
    state = get_checkpoint_state(checkpoint_dir, latest_filename)
    if state is None:
        return None
    prefix = state.model_checkpoint_path
    if os.path.exists(prefix + ".index") or os.path.isfile(prefix):
        return prefix
    _LOG.error("the newest checkpoint that %s names does not exist: %s",
               os.fspath(checkpoint_dir), prefix)  # fmt: skip
    return None


def _read(path: str) -> str:
    # O_NONBLOCK: a FIFO in place of the file must not hang us.
    with io.FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("not a regular file")
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"larger than {_MOST_BYTES} bytes")
    return content.decode("utf-8")


def _parse(text: str) -> CheckpointState:
    state = CheckpointState()
    tokens = list(_tokens(text))
    at = 0
    while at < len(tokens):
        kind, name = tokens[at]
        if kind == "mark" and name in ",;":
            at += 1
            continue
        if kind != "name" or at + 1 >= len(tokens) or tokens[at + 1] != ("mark", ":"):
            raise ValueError(f"expected a field and a colon, found {name!r}")
        values, at = _values(tokens, at + 2)
        _set(state, name, values)
    return state


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"unexpected character {text[at]!r} at {at}")
        at = match.end()
        if match.lastgroup is not None:
            yield match.lastgroup, match.group()


def _values(tokens: list[tuple[str, str]], at: int) -> tuple[list[str | float], int]:
    """Read one value, or a list in brackets; give them and where the next field is."""
    if at >= len(tokens):
        raise ValueError("a field has no value")
    if tokens[at] != ("mark", "["):
        value, at = _value(tokens, at)
        return [value], at
    values: list[str | float] = []
    at += 1
    while at < len(tokens) and tokens[at] != ("mark", "]"):
        value, at = _value(tokens, at)
        values.append(value)
        if at < len(tokens) and tokens[at] == ("mark", ","):
            at += 1
    if at >= len(tokens):
        raise ValueError("a list is not closed")
    return values, at + 1


def _value(tokens: list[tuple[str, str]], at: int) -> tuple[str | float, int]:
    if at >= len(tokens):
        raise ValueError("a field has no value")
    kind, token = tokens[at]
    if kind == "number":
        return _number(token), at + 1
    if kind != "string":
        raise ValueError(f"expected a value, found {token!r}")
    # Strings that follow each other are one, as in C.
    parts = []
    while at < len(tokens) and tokens[at][0] == "string":
        parts.append(_unescape(tokens[at][1][1:-1]))
        at += 1
    return b"".join(parts).decode("utf-8"), at


def _number(token: str) -> float:
    # A C float may end in f, but so does "inf".
    plain = token if token.lower().endswith("inf") else token.rstrip("fF")
    return float(plain)


def _unescape(text: str) -> bytes:
    if "\\" not in text:
        return text.encode("utf-8")
    return codecs.escape_decode(text.encode("utf-8"))[0]


def _set(state: CheckpointState, name: str, values: list[str | float]) -> None:
    kind = str if name in _STRINGS else float if name in _NUMBERS else None
    if kind is None or not all(isinstance(value, kind) for value in values):
        raise ValueError(f"unknown field or wrong kind of value: {name!r}")
    if isinstance(getattr(state, name), list):
        getattr(state, name).extend(values)
    elif len(values) == 1:
        setattr(state, name, values[0])
    else:
        raise ValueError(f"{name!r} takes one value")
