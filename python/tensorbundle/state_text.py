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

import dataclasses
import math
import re
import sys
from collections.abc import Iterator

__all__ = ["CheckpointState", "TooManyValuesError", "format_state", "parse_state"]

_TOKEN = re.compile(
    r"""\s+ | \#[^\n]*                                              # nothing
      | (?P<number>[-+]?(?:(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?f?
                         |(?:inf|infinity|nan)f?)(?![0-9A-Za-z_.+-]))
      | (?P<name>[A-Za-z_]\w*)
      | (?P<string>"(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*')
      | (?P<mark>[:\[\],;])
    """,
    re.VERBOSE,
)
# In a string; a character may have several bytes.
_ESCAPED = re.compile(
    rb"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL
)
_SIMPLE_ESCAPES = {
    b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t",
    b"v": b"\v", b"\\": b"\\", b"'": b"'", b'"': b'"',
}  # fmt: skip
_STRINGS = ("model_checkpoint_path", "all_model_checkpoint_paths")
_NUMBERS = ("all_model_checkpoint_timestamps", "last_preserved_timestamp")


# Paths and times: of 100,000 checkpoints. A value is three tokens with its name, or two in
# a list.
_MOST_VALUES = 200_001
_MOST_TOKENS = 3 * _MOST_VALUES

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
    tokens = _Tokens(text)
    while tokens.next is not None:
        kind, name = tokens.take()
        if kind != "name" or not tokens.skip(":"):
            raise ValueError(f"expected a field and a colon, found {name!r}")
        values = _values(tokens)
        entries += len(values)
        if entries > _MOST_VALUES:
            raise TooManyValuesError(f"more than {_MOST_VALUES} values")
        _set(state, name, values)
        if not tokens.skip(","):
            tokens.skip(";")
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


class _Tokens:
    """The tokens of a text, one at a time: of ten megabytes of them a list would be 500."""

    def __init__(self, text: str) -> None:
        self._rest = _tokens(text)
        self._taken = 0
        self.next = next(self._rest, None)
        """The one that `take` will give; ``None`` at the end."""

    def take(self) -> tuple[str, str]:
        """Give the next token and go past it."""
        taken = self.next
        if taken is None:
            raise ValueError("a field has no value")
        self._taken += 1
        if self._taken > _MOST_TOKENS:
            raise TooManyValuesError(f"more than {_MOST_TOKENS} words and marks")
        self.next = next(self._rest, None)
        return taken

    def skip(self, mark: str) -> bool:
        """Go past that mark, if it is the next."""
        is_next = self.next == ("mark", mark)
        if is_next:
            self.take()
        return is_next


def _values(tokens: _Tokens) -> list[str | float]:
    """Read one value, or a list in brackets."""
    if not tokens.skip("["):
        return [_value(tokens)]
    values: list[str | float] = []
    if tokens.skip("]"):
        return values
    while True:
        values.append(_value(tokens))
        if len(values) > _MOST_VALUES:
            raise TooManyValuesError(f"more than {_MOST_VALUES} values")
        if tokens.skip("]"):
            return values
        if not tokens.skip(","):
            raise ValueError("a list is not closed")


def _value(tokens: _Tokens) -> str | float:
    kind, token = tokens.take()
    if kind == "number":
        return _number(token)
    if kind != "string":
        raise ValueError(f"expected a value, found {token!r}")
    # Strings that follow each other are one, as in C.
    parts = [_unescape(token[1:-1])]
    while tokens.next is not None and tokens.next[0] == "string":
        parts.append(_unescape(tokens.take()[1][1:-1]))
    return b"".join(parts).decode("utf-8")


def _number(token: str) -> float:
    # A C float may end in f, but so does "inf".
    plain = token if token.lower().endswith("inf") else token.rstrip("fF")
    return float(plain)


def _unescape(text: str) -> bytes:
    if "\\" not in text:
        return text.encode("utf-8")
    return _ESCAPED.sub(_unescaped, text.encode("utf-8"))


def _unescaped(match: re.Match[bytes]) -> bytes:
    """Give the bytes of one escape; one that has no meaning stands for itself."""
    escape = match[1]
    kind = escape[:1]
    if kind.isdigit() and kind < b"8":
        number = int(escape, 8)
        if number > 255:
            raise ValueError(f"no byte is {match[0].decode()}")
        return bytes([number])
    if len(escape) > 1:
        number = int(escape[1:], 16)
        if number > sys.maxunicode:
            raise ValueError(f"no character is {match[0].decode()}")
        return bytes([number]) if kind == b"x" else chr(number).encode("utf-8")
    if kind in b"xuUN":
        raise ValueError(f"{match[0].decode()} is not followed by a number")
    return _SIMPLE_ESCAPES.get(escape, match[0])


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
