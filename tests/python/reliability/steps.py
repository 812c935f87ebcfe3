"""Ctrl-C at a chosen step of this thread: once, and always there."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any


class Steps:
    """Interrupts a call at one of its steps, counted from 1.

    Python runs signal handlers where a function begins, and where a call into C has returned.
    """

    def __init__(self, last: int, error: type[BaseException] = KeyboardInterrupt) -> None:
        self.last = last
        self.error = error  # what the handler raises
        self.count = 0
        self.where = ""  # it was interrupted; empty: it came to its end

    def __call__(self, frame: Any, event: str, argument: Any) -> None:
        self.count += event in ("call", "c_return")
        if self.count == self.last:
            sys.setprofile(None)
            self.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
            raise self.error

    def interrupt(self, call: Callable[[], object]) -> bool:
        """Call it, up to that step; tell whether there is one."""
        gc.disable()  # it would make each run another one
        try:
            sys.setprofile(self)
            call()
        except self.error:
            pass
        finally:
            sys.setprofile(None)
            gc.enable()
        return self.where != ""
