"""Directories that are gone at the end: on errors, on Ctrl-C and on signals too."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

__all__ = ["scratch_directories"]

_ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def scratch_directories(parents: Sequence[str], command: str) -> Iterator[list[str]]:
    """Make a directory in each of `parents`; remove all of them whatever happens.

    SIGTERM and SIGHUP leave by SystemExit meanwhile, so that `finally` clauses run.
    """
    # The names are known before the directories are there: no moment to interrupt between.
    name = f"tensorbundle-{command}-{os.getpid()}-{secrets.token_hex(4)}"
    paths = [os.path.join(parent, name) for parent in parents]
    with _ended_by_signals():
        try:
            for path in paths:
                os.mkdir(path)
            yield paths
        finally:
            _remove(paths)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in _ENDING}
    try:
        yield
    finally:
        _restore(before)


def _remove(paths: Sequence[str]) -> None:
    """Remove the directories; a second Ctrl-C does not stop that."""
    main = threading.current_thread() is threading.main_thread()
    ignored = (signal.SIGINT, *_ENDING) if main else ()
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ignored}
    try:
        for path in paths:
            if os.path.lexists(path):
                shutil.rmtree(path)
    finally:
        _restore(before)


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
