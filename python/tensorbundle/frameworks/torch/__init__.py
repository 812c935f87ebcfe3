"""PyTorch: what the library asks each framework for."""

from __future__ import annotations

from tensorbundle.frameworks.torch.graph import graph_adapter
from tensorbundle.frameworks.torch.pinning import page_lock
from tensorbundle.frameworks.torch.staging import as_stream
from tensorbundle.frameworks.torch.views import (
    as_variable,
    as_view,
    name_of,
    named_variables,
)

__all__ = [
    "as_stream",
    "as_variable",
    "as_view",
    "graph_adapter",
    "name_of",
    "named_variables",
    "page_lock",
]
