"""An open bundle: a mapping from names to arrays that are views of its files."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any

import numpy as np

from tensorbundle import dtypes, reading
from tensorbundle.mapping import Mmap, Prefetch, map_options
from tensorbundle.paths import absolute, open_core
from tensorbundle.reports import VerifyReport
from tensorbundle.slices import Box
from tensorbundle.verification import verify_tensors

__all__ = ["Bundle", "Entry", "open", "verify"]

Array = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One tensor's record in the index."""

    dtype: np.dtype[Any]
    """Of the array it is loaded as; ``object`` for strings."""
    dtype_name: str
    """The format's own name: ``"float32"``, ``"bfloat16"``, ``"string"``, ``"qint8"``."""
    shape: tuple[int, ...]
    shard_id: int
    offset: int | None
    """Bytes from the start of the shard; ``None`` in a V1 checkpoint."""
    size: int
    """Bytes in the file; in a V1 checkpoint those of the array, of strings 0."""
    crc32c: int | None
    """CRC-32C of those bytes, not masked (for strings see ``cpp/FORMAT.md``); ``None`` in a
    V1 checkpoint, which has checksums of its blocks only."""
    slices: tuple[tuple[tuple[int, int], ...], ...]
    """The parts of a partitioned tensor, ``(start, length)`` per dimension, length -1
    for all of it; empty for a tensor stored whole. Where there are some, shard, offset,
    size and checksum say nothing."""


class Bundle(Mapping[str, Array]):
    """A bundle opened for reading; made by `open`.

    Indexing gives a read-only view of the mapped data file: no bytes are copied, pages
    are read when first touched, and the file stays mapped until the last array has
    gone, also after `close`. A string tensor comes as an object array of ``bytes``, as
    does a variant, whose elements are what TensorFlow serialized. A tensor at an address
    that does not suit its dtype is read into memory of its own (TensorFlow packs tensors
    without padding), and so are one that is stored in parts, the numbers of a big-endian
    bundle, and every tensor of a network file system (see `open`): anew each time it is
    taken, and read-only as well. Iteration is in the order of the index: by the bytes of
    the names.

    A pickled bundle, or a copied one, is its path, made absolute when it was opened, and the
    options of `open`: it is opened anew where it is unpickled, as by the workers of a
    ``DataLoader``, and is what lies there then. A closed one cannot be pickled.

    Threads: any thread may use any method.
    """

    def __init__(
        self,
        prefix: str | os.PathLike[str],
        *,
        mmap: Mmap = True,
        prefetch: Prefetch | None = None,
        verify: bool | None = None,
    ) -> None:
        self._prefix = os.fspath(prefix)
        self._how = map_options(mmap, prefetch)
        path = os.fsdecode(absolute(self._prefix))
        self._reopened_by = functools.partial(
            type(self), path, mmap=mmap, prefetch=prefetch, verify=verify
        )
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
        options = reading.read_options(verify=check)
        arrays, report = reading.map_tensors(self._opened(), [name], options, self._how)
        if check and report["mapped_bytes"]:  # what was read will be read anew
            self._verified.add(name)
        return arrays[0]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, (str, bytes)) and reading.has(self._opened(), name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._all_names())

    def __len__(self) -> int:
        return len(self._all_names())

    # A bundle equals itself only: comparing mappings would compare arrays.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __reduce__(self) -> tuple[Any, ...]:
        self._opened()
        return self._reopened_by, ()

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
        return _entry(reading.find(self._opened(), name))

    def read(self, name: str, *, verify: bool = True) -> Array:
        """Read a tensor into an array of its own, and by default compare its checksum."""
        options = reading.read_options(verify=verify)
        return reading.read_tensors(self._opened(), [name], options)[0][0]

    def read_slice(self, name: str, slices: Any, *, verify: bool | None = None) -> Array:
        """Read a part of a tensor, and no more of its files than that takes.

        The tensor may be stored whole or in any parts. Bytes between neighbouring runs
        are read along where that is cheaper than to skip them. Strings have no known place,
        so parts of a string tensor are read whole.

        Parameters
        ----------
        name
            Of the tensor.
        slices
            What NumPy takes between brackets, ``np.s_[10:20, :, -1]``: integers, slices
            and one ellipsis. With a step, what lies between the elements is read as well.
        verify
            A checksum is of all of a tensor, or of all of a stored part, so that a slice can
            be verified only as far as it has whole parts: with ``None`` these are, and
            **other bytes are not**, since that would read the rest. ``True``, and ``None``
            where the bundle was opened so, reads and verifies all of the tensor before its
            first slice is taken. ``False`` compares nothing, and shows damaged tensors.

        Returns
        -------
        numpy.ndarray
            A writable array of its own, also where one element is left. String tensors
            are object arrays of ``bytes``.

        Raises
        ------
        MissingTensorError, CorruptionError, UnsupportedError
            As `tensorbundle.load`.
        IndexError
            `slices` do not fit the tensor's shape.
        TypeError
            `slices` have anything else: arrays, lists, booleans or ``None``.
        """
        core = self._opened()
        box = Box.of(slices, reading.find(core, name)[1])
        check = self._verify if verify is None else verify
        if check and name not in self._verified:
            reading.check_tensors(core, [name], reading.read_options(verify=True))
            self._verified.add(name)
        return reading.read_box(core, name, box, verify=verify is not False)

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
        return verify_tensors(
            self._opened(), self._prefix, wanted, num_threads=num_threads, progress=progress
        )

    def _opened(self) -> Any:
        if self._core is None:
            raise ValueError(f"the bundle {self._prefix!r} is closed")
        return self._core

    def _all_names(self) -> list[str]:
        if self._names is None:
            self._names = self._opened().names()
        return self._names


def open(
    prefix: str | os.PathLike[str],
    *,
    mmap: Mmap = True,
    prefetch: Prefetch | None = None,
    verify: bool | None = None,
) -> Bundle:
    """Open a checkpoint for reading without reading its tensors.

    Takes milliseconds whatever the size: of the index only its frame is read and checked;
    entries are decoded and data files mapped when first asked for.

    Parameters
    ----------
    prefix
        Path of the checkpoint without a suffix, as given to `save`. Where there is no
        ``PREFIX.index``, that of a checkpoint in TensorFlow's V1 format: its file, or
        ``NAME-?????-of-00002`` for its files. Its tensors are decoded when they are taken,
        since it stores numbers as protocol buffers do: nothing of it is mapped.
    mmap
        ``True``: map data files, but not those of a network file system, or one that is
        a program (FUSE): there a lost server, or a file cut short, would end the process
        with SIGBUS, so that a tensor is read whole when it is taken. ``"always"``: map
        them there too. ``False``: read all tensors so. The index is always read, not
        mapped.
    prefetch
        What the kernel does about a tensor's pages each time that it is taken:
        ``"normal"``, ``"sequential"``, ``"random"``, ``"willneed"`` or ``"populate"``, as
        for `load`. ``None`` means ``"normal"``. Not with ``mmap=False``.
    verify
        Compare the checksum of each tensor when it, or a slice of it, is first taken, which
        reads all of it. The index is always checked.

    Returns
    -------
    Bundle
        A read-only mapping from name to array; also a context manager.

    Raises
    ------
    FileNotFoundError
        There is no ``PREFIX.index``, and no V1 checkpoint.
    CorruptionError, UnsupportedError
        It is not the index of a bundle, is damaged, or of an unknown version.
    ValueError
        `mmap` or `prefetch` is unknown, or the one does not go with the other.

    Examples
    --------
    >>> with tb.open("run1/ckpt-100") as bundle:  # doctest: +SKIP
    ...     kernel = bundle["dense/kernel"]
    """
    return Bundle(prefix, mmap=mmap, prefetch=prefetch, verify=verify)


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


def shapes(bundle: Bundle) -> list[tuple[str, list[int]]]:
    """List each tensor's name and shape, in the order of the index.

    Raises
    ------
    CorruptionError, UnsupportedError
        Of the first record that is damaged, or of a kind this library does not know.
    """
    return list(bundle._opened().shapes())


def dtype_numbers(bundle: Bundle) -> list[int]:
    """List each tensor's DataType number, like `shapes`."""
    return list(bundle._opened().dtypes())


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
