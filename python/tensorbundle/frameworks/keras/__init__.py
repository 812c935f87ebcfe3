"""Keras: what the library asks each framework for."""

from __future__ import annotations

from tensorbundle.frameworks.keras.building import build_for_restore
from tensorbundle.frameworks.keras.graph import graph_adapter
from tensorbundle.frameworks.keras.views import (
    as_variable,
    as_view,
    name_of,
    named_variables,
)

__all__ = [
    "as_variable",
    "as_view",
    "build_for_restore",
    "graph_adapter",
    "name_of",
    "named_variables",
]
