"""Peers that spread a model over a directory of files."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tensorbundle.cli.files import sync_all
from tensorbundle.cli.machine import num_processors
from tensorbundle.cli.model import Model
from tensorbundle.cli.steps import (
    FIRST_TENSOR,
    LOAD,
    RELOAD,
    SAVE,
    Step,
    as_torch,
    silent_stderr,
    touch_torch,
)

__all__ = ["Dcp", "Orbax"]


class Dcp:
    """torch.distributed.checkpoint in one process, with a file per processor."""

    def __init__(self, model: Model) -> None:
        self._torch: Any = importlib.import_module("torch")
        self._dcp: Any = importlib.import_module("torch.distributed.checkpoint")
        self._tensors = as_torch(model)
        self._first = model.first
        self.version = str(self._torch.__version__)

    def steps(self, directory: str) -> Sequence[Step]:
        """Give the work to be done in an empty directory, in order."""
        path = os.path.join(directory, "dcp")

        def durable_save() -> None:
            writer = self._dcp.FileSystemWriter(path, thread_count=num_processors())
            with _quiet():
                self._dcp.save(self._tensors, storage_writer=writer, no_dist=True)
            sync_all(directory)

        return (
            Step(SAVE, "durable", durable_save),
            Step(LOAD, "unverified", lambda: self._load(path, list(self._tensors))),
            Step(RELOAD, "unverified", lambda: self._load(path, list(self._tensors))),
            Step(
                FIRST_TENSOR,
                "unverified",
                lambda: touch_torch(self._load(path, [self._first])[self._first]),
            ),
        )

    def _load(self, path: str, names: list[str]) -> Any:
        wanted = {name: self._torch.empty_like(self._tensors[name]) for name in names}
        reader = self._dcp.FileSystemReader(path)
        with _quiet():
            self._dcp.load(wanted, storage_reader=reader, no_dist=True)
        return wanted


class Orbax:
    """Orbax with its default format, one checkpointer per operation."""

    def __init__(self, model: Model) -> None:
        with silent_stderr():
            self._orbax: Any = importlib.import_module("orbax.checkpoint")
        self._tensors = model.tensors
        self.version = str(self._orbax.__version__)

    def steps(self, directory: str) -> Sequence[Step]:
        """Give the work to be done in an empty directory, in order."""
        path = os.path.abspath(os.path.join(directory, "orbax"))

        def durable_save() -> None:
            self._checkpointer().save(path, self._tensors)
            sync_all(directory)

        def load() -> Any:
            return self._checkpointer().restore(path)

        return (
            Step(SAVE, "durable", durable_save),
            Step(LOAD, "unverified", load),
            Step(RELOAD, "unverified", load),
        )

    def _checkpointer(self) -> Any:
        return self._orbax.Checkpointer(self._orbax.PyTreeCheckpointHandler())


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop the warning that there is one process only: that is what we want."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
