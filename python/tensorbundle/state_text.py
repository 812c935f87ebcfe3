"""The text form of ``tensorflow.CheckpointState``, a protocol buffer of four fields.

For example::

    model_checkpoint_path: "ckpt-4"
    all_model_checkpoint_paths: "ckpt-3"
    all_model_checkpoint_paths: "ckpt-4"
    all_model_checkpoint_timestamps: 1795217185.1729722

It is written character for character as protocol buffers' ``text_format`` does, and read
as it reads.
"""

from __future__ import annotations

import codecs
import dataclasses
import math
import re
from collections.abc import Iterator

__all__ = ["CheckpointState", "TooManyValuesError", "format_state", "parse_state"]

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


# Paths and times: of 100,000 checkpoints.
_MOST_VALUES = 200_001

# What text_format escapes; characters beyond ASCII stay.
_ESCAPES = {code: f"\\{code:03o}" for code in [*range(32), 127]} | {
    ord("\t"): r"\t", ord("\n"): r"\n", ord("\r"): r"\r",
    ord('"'): r"\"", ord("'"): r"\'", ord("\\"): r"\\",
}  # fmt: skip


class TooManyValuesError(ValueError):
    """A state lists more than any directory has."""


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


def format_state(state: CheckpointState) -> str:
    """Give the text of a state, fields in the order of their numbers.

    Raises
    ------
    ValueError
        A path is not Unicode text, which this format cannot say.
    """
    lines = [
        f'{name}: "{_escaped(path)}"\n'
        for name, paths in (
            ("model_checkpoint_path", [state.model_checkpoint_path]),
            ("all_model_checkpoint_paths", state.all_model_checkpoint_paths),
        )
        for path in paths
    ]
    lines += [
        f"all_model_checkpoint_timestamps: {float(time)!r}\n"
        for time in state.all_model_checkpoint_timestamps
    ]
    # Zero is the field's default and left out; minus zero is not.
    last = float(state.last_preserved_timestamp)
    if last != 0 or math.copysign(1, last) < 0:
        lines.append(f"last_preserved_timestamp: {last!r}\n")
    return "".join(lines)


def _escaped(path: str) -> str:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(
            f"{path!r} is not Unicode text, so no state file can name it"
        ) from None
    return path.translate(_ESCAPES)


def parse_state(text: str) -> CheckpointState:
    """Read a state; later fields add to or replace earlier ones, as in protocol buffers.

    Raises
    ------
    ValueError
        `text` is no such message.
    """
    state = CheckpointState()
    entries = 0
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
        entries += len(values)
        if entries > _MOST_VALUES:
            raise TooManyValuesError(f"more than {_MOST_VALUES} values")
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
