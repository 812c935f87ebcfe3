"""What ``demo`` runs side by side: tensorbundle, and other ways to keep a model.

Each engine gives its steps in order. They do the work in that engine's own way, with
two rules for all: a save ends with an fsync of its files and of their directory, and a
tensor is touched by reading a byte of each of its pages.

A load is measured twice in a row. The first finds memory as it happens to be: on a
virtual machine much of it must first be given back by the host, at a rate that depends
on an engine's page sizes. The second finds the memory that the first has just freed, in
that engine's own pattern. A common warm-up of memory would not be fair: touching it in
huge pages made our own load 4 times as fast and left the others' as they were.

Other engines are imported when asked for, as objects without types.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any, Final

from tensorbundle.bundle import open as open_bundle
from tensorbundle.bundle import verify
from tensorbundle.cli.errors import CommandError
from tensorbundle.cli.files import sync_all
from tensorbundle.cli.model import Model
from tensorbundle.cli.sharded_peers import Dcp, Orbax
from tensorbundle.cli.steps import (
    FIRST_TENSOR,
    LOAD,
    MAP,
    RELOAD,
    SAVE,
    VERIFY,
    Engine,
    Step,
    as_torch,
    silent_stderr,
    touch,
    touch_torch,
)
from tensorbundle.core import _core
from tensorbundle.loading import load
from tensorbundle.saving import save

__all__ = [
    "ALL_PEERS",
    "DEMO_PEERS",
    "OWN",
    "choose_peers",
    "make_engine",
]

OWN: Final = "tensorbundle"


class _TensorBundle:
    def __init__(self, model: Model) -> None:
        self._model = model
        self.version = str(_core.build_info()["version"])

    def steps(self, directory: str) -> Sequence[Step]:
        prefix = os.path.join(directory, "model")

        def first() -> int:
            return touch(open_bundle(prefix)[self._model.first])

        return (
            Step(SAVE, "durable", lambda: save(prefix, self._model.tensors)),
            Step(LOAD, "verified", lambda: load(prefix)),
            Step(RELOAD, "verified", lambda: load(prefix)),
            Step(MAP, "unverified", lambda: load(prefix, mmap=True)),
            Step(
                FIRST_TENSOR,
                "unverified",
                lambda: touch(open_bundle(prefix)[self._model.first]),
            ),
            Step(VERIFY, "verified", lambda: _verify(prefix)),
        )


class _Torch:
    def __init__(self, model: Model) -> None:
        self._torch: Any = importlib.import_module("torch")
        self._tensors = as_torch(model)
        self._first = model.first
        self.version = str(self._torch.__version__)

    def steps(self, directory: str) -> Sequence[Step]:
        path = os.path.join(directory, "model.pt")

        def durable_save() -> None:
            self._torch.save(self._tensors, path)
            sync_all(directory)

        def read(*, mmap: bool) -> Any:
            return self._torch.load(path, mmap=mmap, weights_only=True)

        def first() -> int:
            return touch_torch(read(mmap=True)[self._first])

        return (
            Step(SAVE, "durable", durable_save),
            Step(LOAD, "unverified", lambda: read(mmap=False)),
            Step(RELOAD, "unverified", lambda: read(mmap=False)),
            Step(MAP, "unverified", lambda: read(mmap=True)),
            Step(
                FIRST_TENSOR, "unverified", lambda: touch_torch(read(mmap=True)[self._first])
            ),
        )


class _Safetensors:
    """With torch where that is installed, which alone can map; else with NumPy."""

    def __init__(self, model: Model) -> None:
        self._package: Any = importlib.import_module("safetensors")
        self.version = str(self._package.__version__)
        self._tensors: dict[str, Any] = model.tensors
        self._framework = "pt" if importlib.util.find_spec("torch") else "numpy"
        self._first = model.first
        if self._framework == "pt":
            self._tensors = as_torch(model)
            self.version += " (torch)"
        flavour = "torch" if self._framework == "pt" else "numpy"
        self._api: Any = importlib.import_module(f"safetensors.{flavour}")

    def steps(self, directory: str) -> Sequence[Step]:
        path = os.path.join(directory, "model.safetensors")

        def durable_save() -> None:
            self._api.save_file(self._tensors, path)
            sync_all(directory)

        def first() -> None:
            with self._package.safe_open(path, framework=self._framework) as file:
                tensor = file.get_tensor(self._first)
                touch_torch(tensor) if self._framework == "pt" else touch(tensor)

        steps = [Step(SAVE, "durable", durable_save)]
        steps.append(Step(LOAD, "unverified", lambda: self._read(path)))
        steps.append(Step(RELOAD, "unverified", lambda: self._read(path)))
        if self._framework == "pt":
            steps.append(Step(MAP, "unverified", lambda: self._api.load_file(path)))
        steps.append(Step(FIRST_TENSOR, "unverified", first))
        return steps

    def _read(self, path: str) -> Any:
        if self._framework == "numpy":
            return self._api.load_file(path)
        if "backend" in inspect.signature(self._api.load_file).parameters:
            return self._api.load_file(path, backend="pread")
        # Before 0.8, load_file() with torch always maps; its copies are memory of our own.
        return {name: tensor.clone() for name, tensor in self._api.load_file(path).items()}


class _TensorFlow:
    def __init__(self, model: Model) -> None:
        self._names = list(model.tensors)
        self._first = model.first
        with silent_stderr():  # it logs before its log level can be set
            self._tf: Any = importlib.import_module("tensorflow")
            with self._tf.device("CPU"):
                self._tensors = [self._tf.constant(a) for a in model.tensors.values()]
            self._dtypes = {
                n: t.dtype for n, t in zip(self._names, self._tensors, strict=True)
            }
        self.version = str(self._tf.__version__)

    def steps(self, directory: str) -> Sequence[Step]:
        prefix = os.path.join(directory, "model")

        def durable_save() -> None:
            self._tf.raw_ops.SaveV2(
                prefix=prefix,
                tensor_names=self._names,
                shape_and_slices=[""] * len(self._names),
                tensors=self._tensors,
            )
            sync_all(directory)

        return (
            Step(SAVE, "durable", durable_save),
            Step(LOAD, "verified", lambda: self._restore(prefix, self._names)),
            Step(RELOAD, "verified", lambda: self._restore(prefix, self._names)),
            Step(
                FIRST_TENSOR,
                "verified",
                lambda: touch(self._restore(prefix, [self._first])[0].numpy()),
            ),
        )

    def _restore(self, prefix: str, names: list[str]) -> Any:
        with self._tf.device("CPU"):
            return self._tf.raw_ops.RestoreV2(
                prefix=prefix,
                tensor_names=names,
                shape_and_slices=[""] * len(names),
                dtypes=[self._dtypes[name] for name in names],
            )


_ENGINES: dict[str, Callable[[Model], Engine]] = {
    OWN: _TensorBundle,
    "torch": _Torch,
    "safetensors": _Safetensors,
    "tensorflow": _TensorFlow,
    "dcp": Dcp,
    "orbax": Orbax,
}
_PACKAGES = {"dcp": "torch", "orbax": "orbax.checkpoint"}  # others: as the peer's name

DEMO_PEERS: Final = ("torch", "safetensors", "tensorflow")
"""Those that keep a model in one file, as the demo's reader would."""
ALL_PEERS: Final = tuple(name for name in _ENGINES if name != OWN)


def choose_peers(text: str, known: Sequence[str] = DEMO_PEERS) -> list[str]:
    """Read ``--peers``: ``auto`` is what is installed, ``none``, or names with commas.

    Raises
    ------
    CommandError
        A name is unknown or not installed.
    """
    if text == "none":
        return []
    if text == "auto":
        return [name for name in known if _is_installed(name)]
    names = list(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in names:
        if name not in known:
            raise CommandError(f"--peers: {name!r} is none of auto, none, {', '.join(known)}")
        if not _is_installed(name):
            raise CommandError(f"--peers: {name} is not installed")
    return names


def _is_installed(peer: str) -> bool:
    try:
        return importlib.util.find_spec(_PACKAGES.get(peer, peer)) is not None
    except ModuleNotFoundError:  # of a package's parent
        return False


def make_engine(name: str, model: Model) -> Engine:
    """Import an engine and give it the model; raises whatever its import raises."""
    return _ENGINES[name](model)


def _verify(prefix: str) -> None:
    report = verify(prefix)
    if not report.ok:
        raise CommandError(f"the checkpoint just saved is damaged: {report.faults[0].message}")
