"""A base class whose attributes are restored as soon as they are set."""

from __future__ import annotations

from typing import Any

__all__ = ["PENDING", "Module"]

PENDING = "_tensorbundle_pending"
"""The attribute that holds what waits: by name, what to call."""


class Module:
    """An object that tells a pending restore of attributes it gets.

    A restore cannot see when an ordinary object gets an attribute that the checkpoint
    has a value for; that value is given later, by `Checkpoint.sync` and the like. An
    attribute of a `Module` has it as soon as ``setattr`` returns:

    >>> class Model(tb.Module):  # doctest: +SKIP
    ...     def build(self):
    ...         self.kernel = np.zeros((3, 4))  # now it holds what was saved
    """

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        again = vars(self).get(PENDING, {}).pop(name, None)
        if again is not None:
            again()
