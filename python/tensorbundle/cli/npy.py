"""Writes .npy files: whole or not at all."""

from __future__ import annotations

import os
import secrets
import sys
from typing import Any, BinaryIO, cast

import numpy as np

from tensorbundle.cli.errors import CommandError

__all__ = ["write_npy"]


class _Sequential:
    """Hides that a stream has a file number, which NumPy takes for a seekable file.

    And of what it writes there by itself it does not tell why it failed.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, chunk: bytes) -> int:
        """Write bytes to the stream."""
        return self._stream.write(chunk)


def write_npy(path: str, array: np.ndarray[Any, Any], dtype_name: str) -> None:
    """Write an array to `path`, replacing what is there; ``"-"`` is standard output.

    Raises
    ------
    CommandError
        A .npy file cannot describe the dtype.
    OSError
        The file cannot be written; what was at `path`, which it names, is intact.
    """
    _check_dtype(array.dtype, dtype_name)
    if path == "-":
        sys.stdout.flush()
        _write(sys.stdout.buffer, array)
        sys.stdout.buffer.flush()
        return
    temporary = f"{path}.{secrets.token_hex(4)}.tmp"
    try:
        with open(temporary, "xb") as file:
            _write(file, array)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:  # Ctrl-C too
        if os.path.exists(temporary):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno is not None:
            # The user has not heard of the temporary file.
            raise OSError(error.errno, error.strerror, path) from None
        raise


def _check_dtype(dtype: np.dtype[Any], dtype_name: str) -> None:
    if dtype.hasobject:
        raise CommandError(
            "a .npy file holds strings only as pickles, which are unsafe to load; "
            "print them with --full, or use tensorbundle.load() in Python"
        )
    if dtype.isbuiltin != 1:
        raise CommandError(
            f"a .npy file cannot describe {dtype_name}; in Python, save "
            "tensorbundle.load(PREFIX)[NAME].astype('float32'), or .view('uint8') for its bits"
        )


def _write(file: BinaryIO, array: np.ndarray[Any, Any]) -> None:
    sequential = cast("BinaryIO", _Sequential(file))
    np.lib.format.write_array(sequential, array, allow_pickle=False)  # by 16 MiB
