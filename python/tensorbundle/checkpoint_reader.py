"""TensorFlow's functions to look into a checkpoint, by their names and with their results.

``tf.train.list_variables``, ``load_variable`` and ``load_checkpoint`` in programs that
have no TensorFlow.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from tensorbundle import bundle as _bundle
from tensorbundle import dtypes
from tensorbundle.checkpoint_state import latest_checkpoint
from tensorbundle.stored_text import as_bytes

__all__ = [
    "CheckpointReader",
    "as_prefix",
    "list_variables",
    "load_checkpoint",
    "load_variable",
]


class CheckpointReader:
    """Looks into one checkpoint, as ``tf.train.load_checkpoint``'s result does."""

    def __init__(self, prefix: str | os.PathLike[str]) -> None:
        self._bundle = _bundle.open(prefix)

    def has_tensor(self, name: str) -> bool:
        """Tell whether a tensor of that name is in the checkpoint."""
        return name in self._bundle

    def get_tensor(self, name: str) -> Any:
        """Read a tensor and verify it.

        Returns
        -------
        numpy.ndarray or bytes
            An array of its own; for a string scalar, as in TensorFlow, the bytes.

        Raises
        ------
        MissingTensorError, CorruptionError, UnsupportedError
            As `tensorbundle.load`.
        """
        array = self._bundle.read(name)
        return array[()] if array.dtype == object and array.shape == () else array

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        """Map each name to its shape; partitioned tensors have their full one."""
        return dict(_bundle.shapes(self._bundle))

    def get_variable_to_dtype_map(self) -> dict[str, np.dtype[Any]]:
        """Map each name to the dtype of its array; ``object`` for strings."""
        numbers = _bundle.dtype_numbers(self._bundle)
        return dict(zip(self._bundle, map(dtypes.numpy_dtype, numbers), strict=True))

    def debug_string(self) -> bytes:
        """List all tensors, one per line: ``name (DT_FLOAT) [2,3]``."""
        shapes, numbers = _bundle.shapes(self._bundle), _bundle.dtype_numbers(self._bundle)
        lines = [
            f"{name} ({dtypes.TF_NAMES[number]}) [{','.join(map(str, shape))}]\n"
            for (name, shape), number in zip(shapes, numbers, strict=True)
        ]
        return as_bytes("".join(lines))


def load_checkpoint(ckpt_dir_or_file: str | os.PathLike[str]) -> CheckpointReader:
    """Open a checkpoint, given its prefix or its directory.

    Raises
    ------
    ValueError
        It is a directory that names no checkpoint.
    FileNotFoundError, CorruptionError, UnsupportedError
        As `tensorbundle.open`.
    """
    return CheckpointReader(as_prefix(ckpt_dir_or_file))


def load_variable(ckpt_dir_or_file: str | os.PathLike[str], name: str) -> Any:
    """Read one tensor, given the checkpoint's prefix or directory.

    A ``":0"`` at the end of `name` is dropped. See `CheckpointReader.get_tensor`.
    """
    return load_checkpoint(ckpt_dir_or_file).get_tensor(name.removesuffix(":0"))


def list_variables(ckpt_dir_or_file: str | os.PathLike[str]) -> list[tuple[str, list[int]]]:
    """List the names and shapes of all tensors, sorted by name."""
    with _bundle.open(as_prefix(ckpt_dir_or_file)) as bundle:
        return sorted(_bundle.shapes(bundle))


def as_prefix(path: str | os.PathLike[str]) -> str:
    """Give a prefix as it is, and of a directory its newest checkpoint's.

    Raises
    ------
    ValueError
        The directory names no checkpoint.
    """
    prefix = os.fspath(path)
    if not os.path.isdir(prefix) or os.path.exists(prefix + ".index"):
        return prefix
    latest = latest_checkpoint(prefix)
    if latest is None:
        raise ValueError(f"no 'checkpoint' file that names a checkpoint in {prefix!r}")
    return latest
