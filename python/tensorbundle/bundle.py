"""An open bundle: a mapping from names to arrays that are views of its files."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any

import numpy as np

from tensorbundle import dtypes
from tensorbundle.core import _core
from tensorbundle.errors import BundleError, MissingTensorError, UnsupportedError
from tensorbundle.reports import Fault, VerifyReport
from tensorbundle.saving import check_threads

__all__ = ["Bundle", "Entry", "open", "open_core", "verify"]

Array = np.ndarray[Any, Any]

# Names compared to find close matches to a missing one: difflib takes about a
# microsecond each, and an error may take a tenth of a second.
_MOST_COMPARED = 100_000


@dataclasses.dataclass(frozen=True)
class Entry:
    """One tensor's record in the index."""

    dtype: np.dtype[Any]
    """Of the array it is loaded as; ``object`` for strings."""
    dtype_name: str
    """The format's own name: ``"float32"``, ``"bfloat16"``, ``"string"``, ``"qint8"``."""
    shape: tuple[int, ...]
    shard_id: int
    offset: int
    """Bytes from the start of the shard."""
    size: int
    """Bytes in the file."""
    crc32c: int
    """CRC-32C of those bytes, not masked (for strings see ``cpp/FORMAT.md``)."""
    slices: tuple[tuple[tuple[int, int], ...], ...]
    """The parts of a partitioned tensor, ``(start, length)`` per dimension, length -1
    for all of it; empty for a tensor stored whole."""


class Bundle(Mapping[str, Array]):
    """A bundle opened for reading; made by `open`.

    Indexing gives a read-only view of the mapped data file: no bytes are copied, pages
    are read when first touched, and the file stays mapped until the last array has
    gone, also after `close`. A string tensor comes as an object array of ``bytes``; a
    tensor at an address that does not suit its dtype is copied (TensorFlow packs
    tensors without padding). Iteration is in the order of the index: by the bytes of
    the names.

    Threads: any thread may use any method.
    """

    def __init__(self, prefix: str | os.PathLike[str], *, verify: bool | None = None) -> None:
        self._prefix = os.fspath(prefix)
        self._core: Any = open_core(self._prefix)
        self._verify = bool(verify)
        self._verified: set[str] = set()
        self._names: list[str] | None = None

    @property
    def prefix(self) -> str:
        """The path it was opened by."""
        return self._prefix

    @property
    def num_shards(self) -> int:
        """Data files, as their names count them."""
        return int(self._opened().num_shards)

    def __getitem__(self, name: str) -> Array:
        if not isinstance(name, (str, bytes)):
            raise KeyError(name)
        check = self._verify and name not in self._verified
        array = map_tensors(self._opened(), [name], self._all_names, verify=check)[0][0]
        if check:
            self._verified.add(name)
        return array

    def __contains__(self, name: object) -> bool:
        return isinstance(name, (str, bytes)) and bool(self._opened().contains(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._all_names())

    def __len__(self) -> int:
        return len(self._all_names())

    def __repr__(self) -> str:
        state = "closed" if self._core is None else f"{len(self)} tensors"
        return f"<tensorbundle.Bundle {self._prefix!r}: {state}>"

    def __enter__(self) -> Bundle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the index and the files; arrays taken from it stay valid."""
        self._core = None

    def entry(self, name: str) -> Entry:
        """Give the record of one tensor.

        Raises
        ------
        MissingTensorError
            There is none of that name; also a ``KeyError``.
        CorruptionError, UnsupportedError
            The record is damaged, or of a kind this library does not know.
        """
        return _entry(find(self._opened(), name, self._all_names))

    def read_slice(self, name: str, slices: Any) -> Array:
        """Copy a part of a tensor, reading no more of the file than it needs.

        `slices` is what NumPy takes between brackets: ``np.s_[10:20, :]``.
        """
        return np.array(self[name][slices])

    def verify(
        self,
        names: Iterable[str] | None = None,
        *,
        num_threads: int | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> VerifyReport:
        """Read every tensor, or those of `names`, and compare its checksum.

        See `tensorbundle.verify`.
        """
        wanted = self._all_names() if names is None else list(names)
        core = self._opened()
        report, faults = core.verify(
            wanted, num_threads=check_threads(num_threads), progress=progress
        )
        return VerifyReport(
            prefix=self._prefix,
            num_tensors=len(wanted),
            tensor_bytes=report["bytes"],
            seconds=report["seconds"],
            num_threads=report["num_threads"],
            backend="buffered",
            faults=tuple(_fault(core, name, error) for name, error in faults),
        )

    def _opened(self) -> Any:
        if self._core is None:
            raise ValueError(f"the bundle {self._prefix!r} is closed")
        return self._core

    def _all_names(self) -> list[str]:
        if self._names is None:
            self._names = self._opened().names()
        return self._names


def open(prefix: str | os.PathLike[str], *, verify: bool | None = None) -> Bundle:
    """Open a checkpoint for reading without reading its tensors.

    Takes milliseconds whatever the size: the index is mapped and its frame checked;
    entries are decoded and data files mapped when first asked for.

    Parameters
    ----------
    prefix
        Path of the checkpoint without a suffix, as given to `save`.
    verify
        Compare the checksum of each tensor when it is first taken, which reads all of
        it. The index is always checked.

    Returns
    -------
    Bundle
        A read-only mapping from name to array; also a context manager.

    Raises
    ------
    FileNotFoundError
        There is no ``PREFIX.index``.
    CorruptionError, UnsupportedError
        It is not the index of a bundle, is damaged, or of an unknown version.

    Examples
    --------
    >>> with tb.open("run1/ckpt-100") as bundle:  # doctest: +SKIP
    ...     kernel = bundle["dense/kernel"]
    """
    return Bundle(prefix, verify=verify)


def verify(
    prefix: str | os.PathLike[str],
    *,
    num_threads: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> VerifyReport:
    """Read a whole checkpoint and compare every checksum.

    Every tensor is checked, whatever is wrong with others.

    Parameters
    ----------
    prefix
        Path of the checkpoint without a suffix.
    num_threads
        Threads that read and checksum; ``None`` means one per CPU of this process.
    progress
        Called now and then, on this thread, with the bytes done and in total.

    Returns
    -------
    VerifyReport
        ``.ok``, and for each damaged tensor a `Fault`: its name, data file and byte
        range, and what is wrong.

    Raises
    ------
    FileNotFoundError
        There is no ``PREFIX.index``.
    CorruptionError, UnsupportedError
        The index itself is damaged: nothing can be said about tensors.
    """
    with open(prefix) as bundle:
        return bundle.verify(num_threads=num_threads, progress=progress)


def open_core(prefix: str) -> Any:
    """Open the core's bundle; explain a path that is something else."""
    try:
        return _core.Bundle(os.fsencode(prefix))
    except FileNotFoundError as error:
        hint = _hint(prefix)
        if hint is None:
            raise
        reason = f"{error.strerror}; {hint}"
        raise FileNotFoundError(error.errno, reason, error.filename) from None


def _hint(prefix: str) -> str | None:
    stem, dot, suffix = prefix.rpartition(".")
    if dot and (suffix == "index" or suffix.startswith("data-")):
        return f"a checkpoint is named by its prefix, without suffix: {stem!r}"
    if os.path.isdir(prefix):
        return f"{prefix!r} is a directory; latest_checkpoint() finds the newest prefix in it"
    if os.path.isfile(prefix):
        raise UnsupportedError(
            f"{prefix}: no .index beside it; a file of that very name is a checkpoint of "
            "TensorFlow's V1 format, or not a checkpoint",
            code="UnsupportedFormat",
            path=prefix,
        )
    return None


def find(core: Any, name: str, names: Callable[[], list[str]]) -> tuple[Any, ...]:
    """Look a record up; a missing name is told with its close matches."""
    try:
        found: tuple[Any, ...] = core.find(name)
    except MissingTensorError as error:
        raise with_close_matches(error, names()) from None
    return found


def map_tensors(
    core: Any,
    wanted: list[str],
    names: Callable[[], list[str]],
    *,
    writable: bool = False,
    verify: bool = False,
    num_threads: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> tuple[list[Array], list[str], int, int]:
    """Give views of mapped tensors.

    Returns the arrays, the names of those that had to be copied instead, the bytes of
    all, and of those mapped.
    """
    try:
        arrays, copied, total, mapped = core.map(
            wanted,
            dtypes=dtypes.TO_NUMPY,
            writable=writable,
            verify=verify,
            num_threads=check_threads(num_threads),
            progress=progress,
        )
    except MissingTensorError as error:
        raise with_close_matches(error, names()) from None
    return strings_to_arrays(core, wanted, arrays), copied, total, mapped


def strings_to_arrays(core: Any, names: list[str], values: list[Any]) -> list[Array]:
    """Turn the lists of bytes among `values` into object arrays of their shapes."""
    for i, value in enumerate(values):
        if isinstance(value, list):
            array = np.empty(len(value), dtype=object)
            array[:] = value
            values[i] = array.reshape(core.find(names[i])[1])
    return values


def _entry(raw: tuple[Any, ...]) -> Entry:
    number, shape, shard_id, offset, size, crc32c, slices = raw
    return Entry(
        dtype=dtypes.numpy_dtype(number),
        dtype_name=dtypes.NAMES[number],
        shape=shape,
        shard_id=shard_id,
        offset=offset,
        size=size,
        crc32c=crc32c,
        slices=tuple(slices),
    )


def with_close_matches(error: MissingTensorError, names: list[str]) -> MissingTensorError:
    """Add to the message what the caller may have meant."""
    close = difflib.get_close_matches(error.key or "", names[:_MOST_COMPARED])
    if close:
        told = ", ".join(map(repr, close))
        error.message = f"{error.message}; did you mean {told}?"
    return error


def _fault(core: Any, name: str, error: Exception) -> Fault:
    code = error.code if isinstance(error, BundleError) else type(error).__name__
    path = getattr(error, "path", None) or getattr(error, "filename", None)
    try:
        _, _, shard, begin, size, _, _ = core.find(name)
    except BundleError:  # the record itself is the fault
        return Fault(name, code, str(error), path, None, None, None)
    return Fault(name, code, str(error), path, shard, begin, begin + size)
