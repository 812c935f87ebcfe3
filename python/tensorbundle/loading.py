"""Loading tensors: read into memory, or mapped."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tensorbundle import bundle as _bundle
from tensorbundle import dtypes
from tensorbundle import tensors as _tensors
from tensorbundle.errors import MissingTensorError
from tensorbundle.reports import LoadReport
from tensorbundle.saving import check_backend, check_threads

__all__ = ["LoadedTensors", "load"]

Array = np.ndarray[Any, Any]


class LoadedTensors(dict[str, Any]):
    """What `load` returns: a plain dict, with the report of the load."""

    report: LoadReport


def load(
    prefix: str | os.PathLike[str],
    names: Iterable[str] | None = None,
    *,
    mmap: bool = False,
    verify: bool | None = None,
    into: Mapping[str, Any] | None = None,
    backend: str = "auto",
    num_threads: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> LoadedTensors:
    """Load tensors from a checkpoint, as copies of their own or as mapped views.

    Parameters
    ----------
    prefix
        Path of the checkpoint without a suffix, as given to `save`.
    names
        Names of the tensors to load; ``None`` means those of `into`, or all.
    mmap
        ``False``: read in parallel into writable arrays, each at a 64-byte aligned
        address of one region that goes with the last of them. ``True``: give read-only
        views of the mapped files; no bytes are copied, pages are read when first
        touched. A tensor whose place in the file does not suit its dtype is read
        instead; ``.report.copied`` names it.
    verify
        Compare the checksum of every tensor. ``None`` means ``not mmap``: reading
        verifies, in the same pass; mapping does not, since it would read everything.
    into
        Mapping from name to a C-contiguous, writable array or torch CPU tensor of the
        stored shape and dtype (pinned memory welcome), to be filled in place. The other
        tensors of `names` get arrays of their own. Only with ``mmap=False``.
    backend
        How bytes leave the disk: ``"buffered"`` goes through the page cache; ``"auto"``
        chooses.
    num_threads
        Threads that read and checksum; ``None`` means one per CPU of this process.
    progress
        Called now and then, on this thread, with the bytes done and in total. What it
        raises cancels the load.

    Returns
    -------
    LoadedTensors
        A dict in the order of `names`, or in index order (by the bytes of the names),
        with a `LoadReport` as its ``report``. Shape and dtype are the stored ones,
        ``()`` for a scalar; memory order is C. String tensors are object arrays of
        ``bytes``. Names that `into` has map to the objects given there.

    Raises
    ------
    FileNotFoundError
        The index or a data file does not exist.
    MissingTensorError
        A name is not in the checkpoint; also a ``KeyError``; tells close matches.
    CorruptionError
        A checksum, size or offset does not agree with the bytes on disk. With `into`,
        destinations may have been written.
    UnsupportedError
        A tensor is partitioned, a variant, or the checkpoint is big-endian.
    ValueError
        An array of `into` has another shape or dtype, or cannot be written to. Nothing
        was written.
    OSError
        Any other failure of the operating system; ``errno`` says which.

    Examples
    --------
    >>> weights = tb.load("run1/ckpt-100", ["dense/kernel"])  # doctest: +SKIP
    >>> weights["dense/kernel"].shape  # doctest: +SKIP
    (784, 128)
    """
    start = time.perf_counter()
    check_backend(backend)
    if mmap and into is not None:
        raise ValueError("into= copies, so it cannot be combined with mmap=True")
    path = os.fspath(prefix)
    core = _bundle.open_core(path)
    if names is None:
        wanted = list(into) if into is not None else core.names()
    else:
        wanted = [names] if isinstance(names, str) else list(names)
    checked = (not mmap) if verify is None else verify
    options: dict[str, Any] = {"num_threads": num_threads, "progress": progress}
    if mmap:
        arrays, copied, total, mapped = _bundle.map_tensors(
            core, wanted, core.names, verify=checked, **options
        )
        threads = 1
    else:
        arrays, threads, total = _read(core, wanted, into or {}, checked, **options)
        copied, mapped = [], 0
    loaded = LoadedTensors(zip(wanted, arrays, strict=True))
    loaded.report = LoadReport(
        prefix=path,
        num_tensors=len(loaded),
        tensor_bytes=total,
        seconds=time.perf_counter() - start,
        num_threads=threads,
        backend="mmap" if mmap else "buffered",
        verified=checked,
        zero_copy_bytes=mapped,
        copied=tuple(copied),
    )
    return loaded


def _read(
    core: Any,
    wanted: list[str],
    into: Mapping[str, Any],
    verify: bool,
    num_threads: int | None,
    progress: Callable[[int, int], object] | None,
) -> tuple[list[Any], int, int]:
    _check_names(core, wanted, into)
    targets = [_target(core, name, into[name]) if name in into else None for name in wanted]
    try:
        values, report = core.load(
            wanted,
            # Strings are decoded first, then put in place.
            into=[t if t is None or t.dtype != object else None for t in targets],
            dtypes=dtypes.TO_NUMPY,
            verify=verify,
            num_threads=check_threads(num_threads),
            progress=progress,
        )
    except MissingTensorError as error:
        raise _bundle.with_close_matches(error, core.names()) from None
    arrays: list[Any] = list(_bundle.strings_to_arrays(core, wanted, values))
    for i, name in enumerate(wanted):
        target = targets[i]
        if target is not None:
            if target.dtype == object:
                target[...] = arrays[i]
            arrays[i] = into[name]
    return arrays, report["num_threads"], report["bytes"]


def _check_names(core: Any, wanted: list[str], into: Mapping[str, Any]) -> None:
    unwanted = [name for name in into if name not in set(wanted)]
    if unwanted:
        raise ValueError(f"into= has names that names= has not: {unwanted[:5]!r}")


def _target(core: Any, name: str, value: Any) -> Array:
    """Check one array of `into` against the stored tensor; give its NumPy view."""
    number, shape = _bundle.find(core, name, core.names)[:2]
    if not isinstance(value, np.ndarray) and type(value).__module__.split(".")[0] != "torch":
        raise ValueError(f"into[{name!r}] must be a NumPy array or a torch CPU tensor")
    try:
        array, own_number = _tensors.as_array(value)
    except TypeError as error:
        raise ValueError(f"into[{name!r}]: {error}") from None
    if own_number is None:
        own_number = dtypes.number_of(array.dtype)
    wanted = dtypes.numpy_dtype(number)
    own = array.dtype if own_number is None else dtypes.numpy_dtype(own_number)
    if own != wanted or array.dtype.byteorder == ">":
        raise ValueError(f"into[{name!r}] has dtype {array.dtype}, the tensor {wanted}")
    if array.shape != shape:
        raise ValueError(f"into[{name!r}] has shape {array.shape}, the tensor {shape}")
    is_torch = not isinstance(value, np.ndarray)
    if is_torch and array.size and array.ctypes.data != value.data_ptr():
        raise ValueError(f"into[{name!r}] is a conjugated or negated view")
    if not array.flags.writeable:
        raise ValueError(f"into[{name!r}] is read-only")
    if not array.flags.c_contiguous:
        raise ValueError(f"into[{name!r}] is not C-contiguous")
    return array
