"""One module per framework: the only places that import them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["first_answer"]

# Keras first: under torch its layers are modules of torch, too, with each variable twice.
_NAMES = ("keras", "torch", "jax", "tensorflow")


def first_answer(function: str, value: Any, names: Sequence[str] = _NAMES) -> Any:
    """Ask the frameworks, one after the other, what they know of `value`.

    Only those that the caller has imported: an object can only come from one of them.

    Parameters
    ----------
    function
        What is called with `value`: a function of each framework's module here.
    names
        The frameworks in the order in which they are asked.

    Returns
    -------
    object
        The first answer that is not ``None``; ``None`` where nobody knows it.
    """
    for name in names:
        if name in sys.modules:
            module = importlib.import_module(f"{__name__}.{name}")
            answer = getattr(module, function)(value)
            if answer is not None:
                return answer
    return None
