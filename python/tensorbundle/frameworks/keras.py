"""Keras variables, of whichever backend."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tensorbundle import tensors

__all__ = ["as_array"]


def as_array(value: Any) -> tuple[np.ndarray[Any, Any], int | None] | None:
    """View the backend's tensor behind a variable; ``None`` for what is no variable."""
    if not isinstance(value, keras.Variable):
        return None
    return tensors.as_array(value.value)
