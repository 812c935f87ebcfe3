"""The bytes of a state file: parsed, written and parsed again, and compared with protobuf.

What is read has to be what protocol buffers' own parser reads, and what is refused has to be a
`StateFileError` with the path, and refused by protobuf as well.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Hashable
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from tensorbundle.checkpoint_state import decode_state
from tensorbundle.errors import StateFileError
from tensorbundle.state_text import CheckpointState, format_state

WORDS = [
    b"model_checkpoint_path", b"all_model_checkpoint_paths", b"last_preserved_timestamp",
    b"all_model_checkpoint_timestamps", b": ", b'"', b"'", b"\\", b"[", b"]", b", ", b"\n",
    b"#", b";", b"\\x4", b"\\303\\266", b"inf", b"-nan", b"1e9", b".5f", b"\xc3\xb6",
    b"\\u00e9", b"0.", b"\xc2\xa0", b"\\501",
]  # fmt: skip
# What depends on protobuf's version and language: some escapes, and 1_000.
_OF_VERSIONS = re.compile(rb"\\[uUN]|[0-9]_")
# What protobuf reads, and what no path can have or no directory has.
STRICTER = ("a null byte", "more than")
_PLACE = "dir/checkpoint"
_EVERY = 64  # protobuf is slower than we are: it is asked about one of so many


def run(data: bytes, compare: bool = True) -> Hashable:
    """Give what came of it: the kind of error, or how much a state says."""
    compare = compare and _OF_VERSIONS.search(data) is None
    try:
        state = decode_state(data, _PLACE)
    except StateFileError as error:
        assert error.path == _PLACE
        assert error.code in ("StateFileInvalid", "LimitExceeded")
        if compare and not error.detail.startswith(STRICTER):
            assert _theirs(data) is None, "only protobuf reads it"
        return _kind(error.detail)
    written = format_state(state)
    again = decode_state(written.encode(), _PLACE)
    assert _fields(again) == _fields(state), "what is written is read back"
    if compare:
        assert _theirs(data) == _fields(state), "protobuf reads something else"
    paths, times = state.all_model_checkpoint_paths, state.all_model_checkpoint_timestamps
    return len(state.model_checkpoint_path) // 8, min(len(paths), 4), min(len(times), 4)


class Target:
    """Compares new outcomes with protobuf's, and some of the others."""

    def __init__(self) -> None:
        self._seen: set[Hashable] = set()
        self._count = 0

    def __call__(self, data: bytes) -> Hashable:
        self._count += 1
        outcome = run(data, compare=self._count % _EVERY == 0)
        if outcome not in self._seen:
            self._seen.add(outcome)
            run(data)
        return outcome


def _kind(detail: str) -> str:
    """Leave out of an error what is of this input alone."""
    return re.sub(r"'.*'|\".*\"|\d+|b.*: ", "", detail)[:40]


def _fields(state: CheckpointState) -> tuple[Any, ...]:
    times = state.all_model_checkpoint_timestamps
    return (
        state.model_checkpoint_path,
        state.all_model_checkpoint_paths,
        [repr(float(time)) for time in times],  # as nan is not nan
        repr(float(state.last_preserved_timestamp)),
    )


def _theirs(data: bytes) -> tuple[Any, ...] | None:
    message = _message_class()()
    try:
        # As TensorFlow does: the last of several values of one field is taken.
        text_format.Merge(data.decode("utf-8"), message)
    except (text_format.ParseError, UnicodeDecodeError):
        return None
    return _fields(
        CheckpointState(
            message.model_checkpoint_path,
            list(message.all_model_checkpoint_paths),
            list(message.all_model_checkpoint_timestamps),
            message.last_preserved_timestamp,
        )
    )


@functools.cache
def _message_class() -> Any:
    """Make tensorflow.CheckpointState (checkpoint_state.proto) without TensorFlow."""
    file = descriptor_pb2.FileDescriptorProto(name="state_target.proto", syntax="proto3")
    message = file.message_type.add(name="CheckpointState")
    for number, (name, type_, label) in enumerate(
        (
            ("model_checkpoint_path", 9, 1),
            ("all_model_checkpoint_paths", 9, 3),
            ("all_model_checkpoint_timestamps", 1, 3),
            ("last_preserved_timestamp", 1, 1),
        ),
        start=1,
    ):
        message.field.add(name=name, number=number, type=type_, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("CheckpointState"))
