"""Keras variables, of whichever backend."""

from __future__ import annotations

from typing import Any

import keras

from tensorbundle import tensors
from tensorbundle.tensors import View

__all__ = ["as_view"]


def as_view(value: Any) -> View | None:
    """View the backend's tensor behind a variable; ``None`` for what is no variable."""
    if not isinstance(value, keras.Variable):
        return None
    return tensors.as_view(value.value)
