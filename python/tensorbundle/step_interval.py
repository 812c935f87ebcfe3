"""How many steps lie between two checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["StepInterval", "as_step"]


class StepInterval:
    """Tells whether it is time for the next checkpoint; without `steps` it always is."""

    def __init__(self, steps: int | None, counter: Any, last: int | None) -> None:
        if steps is not None and counter is None:
            raise ValueError("checkpoint_interval needs a step_counter")
        self.steps = steps
        self._counter = counter
        self._last = last

    def is_over(self, check: bool = True) -> bool:
        """Tell whether to save now; without `check` only a step saved already is refused."""
        if self.steps is None or self._last is None:
            return True
        step = as_step(self._counter)
        return step != self._last and (not check or step >= self._last + self.steps)

    def begin(self) -> Callable[[], None]:
        """Count from this step on; give a function that takes that back."""
        before = self._last
        if self.steps is not None:
            self._last = as_step(self._counter)

        def undo() -> None:
            self._last = before

        return undo


def as_step(value: Any, name: str = "step_counter") -> int:
    """Read a step: a number, a variable, an array, or a function that gives one.

    Raises
    ------
    TypeError, ValueError
        It is none; the message calls it `name`.
    """
    found = value() if callable(value) else value
    try:
        return int(found.numpy() if hasattr(found, "numpy") else found)
    except (TypeError, ValueError, OverflowError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        wanted = "an integer, or a variable, an array or a function that gives one"
        raise kind(f"{name} must be {wanted}, not {found!r}") from None
