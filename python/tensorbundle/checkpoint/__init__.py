"""Object-based checkpoints: whole graphs of objects, matched by structure."""

from __future__ import annotations

from tensorbundle.checkpoint.checkpoint import Checkpoint
from tensorbundle.checkpoint.module import Module
from tensorbundle.checkpoint.status import RestoreReport, RestoreStatus

__all__ = ["Checkpoint", "Module", "RestoreReport", "RestoreStatus"]
