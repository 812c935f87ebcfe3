"""Checkpoints in TensorFlow's V2 format, saved and mapped at the speed of the storage.

>>> import tensorbundle as tb
>>> report = tb.save("run/ckpt-1", {"w": weights})         # durable when it returns
>>> weights = tb.load("run/ckpt-1", mmap=True)["w"]         # a view: nothing is copied
>>> tb.verify("run/ckpt-1").ok
True

Names are looked up when first used, so that importing the package, and starting the
command line, costs neither NumPy nor the extension module.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorbundle.async_saving import AsyncSaver, SaveHandle
    from tensorbundle.bundle import Bundle, Entry, open, verify
    from tensorbundle.checkpoint import Checkpoint, Module, RestoreReport, RestoreStatus
    from tensorbundle.checkpoint_files import (
        checkpoint_exists,
        get_checkpoint_mtimes,
        remove_checkpoint,
    )
    from tensorbundle.checkpoint_manager import CheckpointManager
    from tensorbundle.checkpoint_reader import (
        CheckpointReader,
        list_variables,
        load_checkpoint,
        load_variable,
    )
    from tensorbundle.checkpoint_search import checkpoints_iterator
    from tensorbundle.checkpoint_state import (
        CheckpointState,
        get_checkpoint_state,
        latest_checkpoint,
        update_checkpoint_state,
    )
    from tensorbundle.diffing import ChangedTensor, DiffReport, TensorSpec, ValueDiff, diff
    from tensorbundle.errors import (
        BundleError,
        CheckpointGoneError,
        CorruptionError,
        DuplicateTensorError,
        GraphChangedError,
        LockedError,
        MissingShardError,
        MissingTensorError,
        RestoreMismatchError,
        StateFileError,
        UnmatchedError,
        UnsupportedError,
    )
    from tensorbundle.info import build_info
    from tensorbundle.loading import LoadedTensors, load
    from tensorbundle.merging import merge
    from tensorbundle.partitioned import Partitioned
    from tensorbundle.preservation import (
        BestN,
        EveryNHours,
        EveryNSteps,
        KeepAll,
        LatestN,
        SavedCheckpoint,
    )
    from tensorbundle.renaming import RenameReport, rename
    from tensorbundle.reports import (
        Fault,
        LoadReport,
        MergeReport,
        SaveReport,
        VerifyReport,
    )
    from tensorbundle.saver import Saver
    from tensorbundle.saving import save
    from tensorbundle.warm_start import InitReport, init_from_checkpoint
    from tensorbundle.writer import Writer

__all__ = [
    "AsyncSaver",
    "BestN",
    "Bundle",
    "BundleError",
    "ChangedTensor",
    "Checkpoint",
    "CheckpointGoneError",
    "CheckpointManager",
    "CheckpointReader",
    "CheckpointState",
    "CorruptionError",
    "DiffReport",
    "DuplicateTensorError",
    "Entry",
    "EveryNHours",
    "EveryNSteps",
    "Fault",
    "GraphChangedError",
    "InitReport",
    "KeepAll",
    "LatestN",
    "LoadReport",
    "LoadedTensors",
    "LockedError",
    "MergeReport",
    "MissingShardError",
    "MissingTensorError",
    "Module",
    "Partitioned",
    "RenameReport",
    "RestoreMismatchError",
    "RestoreReport",
    "RestoreStatus",
    "SaveHandle",
    "SaveReport",
    "SavedCheckpoint",
    "Saver",
    "StateFileError",
    "UnmatchedError",
    "TensorSpec",
    "UnsupportedError",
    "ValueDiff",
    "VerifyReport",
    "Writer",
    "build_info",
    "checkpoint_exists",
    "checkpoints_iterator",
    "diff",
    "get_checkpoint_mtimes",
    "get_checkpoint_state",
    "init_from_checkpoint",
    "latest_checkpoint",
    "list_variables",
    "load",
    "load_checkpoint",
    "load_variable",
    "merge",
    "open",
    "remove_checkpoint",
    "rename",
    "save",
    "update_checkpoint_state",
    "verify",
]

_HOMES = {
    "async_saving": ("AsyncSaver", "SaveHandle"),
    "bundle": ("Bundle", "Entry", "open", "verify"),
    "checkpoint": ("Checkpoint", "Module", "RestoreReport", "RestoreStatus"),
    "checkpoint_files": (
        "checkpoint_exists",
        "get_checkpoint_mtimes",
        "remove_checkpoint",
    ),
    "checkpoint_manager": ("CheckpointManager",),
    "checkpoint_reader": (
        "CheckpointReader",
        "list_variables",
        "load_checkpoint",
        "load_variable",
    ),
    "checkpoint_search": ("checkpoints_iterator",),
    "checkpoint_state": (
        "CheckpointState",
        "get_checkpoint_state",
        "latest_checkpoint",
        "update_checkpoint_state",
    ),
    "diffing": ("ChangedTensor", "DiffReport", "TensorSpec", "ValueDiff", "diff"),
    "errors": (
        "BundleError",
        "CheckpointGoneError",
        "CorruptionError",
        "DuplicateTensorError",
        "GraphChangedError",
        "LockedError",
        "MissingShardError",
        "MissingTensorError",
        "RestoreMismatchError",
        "StateFileError",
        "UnmatchedError",
        "UnsupportedError",
    ),
    "info": ("build_info", "__version__"),
    "loading": ("LoadedTensors", "load"),
    "partitioned": ("Partitioned",),
    "preservation": (
        "BestN",
        "EveryNHours",
        "EveryNSteps",
        "KeepAll",
        "LatestN",
        "SavedCheckpoint",
    ),
    "merging": ("merge",),
    "renaming": ("RenameReport", "rename"),
    "reports": ("Fault", "LoadReport", "MergeReport", "SaveReport", "VerifyReport"),
    "saver": ("Saver",),
    "saving": ("save",),
    "warm_start": ("InitReport", "init_from_checkpoint"),
    "writer": ("Writer",),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import the module that a public name lives in, and keep the name."""
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'tensorbundle' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"tensorbundle.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*__all__, "__version__"])
