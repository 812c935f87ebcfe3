"""Loading tensors: read into memory, or mapped."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from tensorbundle import dtypes, reading
from tensorbundle import tensors as _tensors
from tensorbundle.config import Config, settings
from tensorbundle.core import _core
from tensorbundle.mapping import Mmap, Prefetch, map_options
from tensorbundle.paths import open_core
from tensorbundle.reports import LoadReport, LoadStages
from tensorbundle.transfer_options import check_backend

__all__ = ["LoadedTensors", "Loader", "load"]

Array = np.ndarray[Any, Any]
T = TypeVar("T")


class LoadedTensors(dict[str, Any]):
    """What `load` returns: a plain dict, with the report of the load."""

    report: LoadReport


def load(
    prefix: str | os.PathLike[str],
    names: Iterable[str] | None = None,
    *,
    mmap: Mmap = False,
    prefetch: Prefetch | None = None,
    verify: bool | None = None,
    into: Mapping[str, Any] | None = None,
    backend: str | None = None,
    num_threads: int | None = None,
    block_size: int | None = None,
    queue_depth: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    config: Config | None = None,
) -> LoadedTensors:
    """Load tensors from a checkpoint, as copies of their own or as mapped views.

    Parameters
    ----------
    prefix
        Path of the checkpoint without a suffix, as given to `save`; or that of a V1
        checkpoint (see `open`), which is always read and always verified.
    names
        Names of the tensors to load; ``None`` means those of `into`, or all.
    mmap
        ``False``: read in parallel into writable arrays, each at a 64-byte aligned
        address of one region that goes with the last of them. ``True``: give read-only
        views of the mapped files; no bytes are copied, pages are read when first
        touched. A tensor whose place in the file does not suit its dtype, or that is
        stored in parts, is read instead; ``.report.copied`` names it. So are the numbers of
        a big-endian checkpoint. On a network file system, or one that is a
        program (FUSE), all are read instead, and ``.report.mmap_reason`` says so: there a
        lost server, or a file cut short, would end the process with SIGBUS. ``"always"``
        maps there too. The arrays are read-only in every case.
    prefetch
        What the kernel does about the pages of the mapped tensors. ``None`` or
        ``"normal"``: reads ahead of a page that is touched; for files that are touched
        from end to end nothing was faster, cold or warm. ``"sequential"``: reads further
        ahead. ``"random"``: reads nothing but pages that are touched, for a few rows of a
        large table. ``"willneed"``: starts to read them all, in the background.
        ``"populate"``: reads and maps them all before `load` returns, so that no touch
        waits. Only with `mmap`.
    verify
        Compare the checksum of every tensor. ``None`` means ``not mmap``: reading
        verifies, in the same pass; mapping does not, since it would read everything. With
        both, the files are read through the page cache by all threads, once.
    into
        Mapping from name to a C-contiguous, writable array or torch CPU tensor of the
        stored shape and dtype (pinned memory welcome), to be filled in place. The other
        tensors of `names` get arrays of their own. Not with `mmap`.
    backend
        How bytes leave the disk, where they are read: ``"buffered"`` through the page
        cache, ``"direct"`` past it (O_DIRECT), ``"uring"`` past it with several reads in
        flight per thread. ``"auto"``, the default, goes past it where the file system can
        and the file is not mostly cached.
    num_threads
        Threads that read, checksum and populate; ``None`` means one per CPU of this
        process.
    block_size
        Bytes per read, a multiple of 65,536; ``None`` means 4 MiB past the page cache and
        256 KiB through it.
    queue_depth
        Reads in flight per thread with io_uring; ``None`` means 8.
    progress
        Called now and then, on this thread, with the bytes done and in total. What it
        raises cancels the load.
    config
        A TOML file, or a mapping like one, with settings for arguments that are not given
        (``tensorbundle bench --recommend`` writes one); see `tensorbundle.config`.

    Returns
    -------
    LoadedTensors
        A dict in the order of `names`, or in index order (by the bytes of the names),
        with a `LoadReport` as its ``report``. Shape and dtype are the stored ones,
        ``()`` for a scalar; memory order is C, byte order the machine's own, also where the
        checkpoint is big-endian. String tensors are object arrays of ``bytes``, and so are
        variants: each element is the ``VariantTensorDataProto`` that TensorFlow serialized.
        Names that `into` has map to the objects given there.

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
        The file system cannot do what `backend` asks.
    ValueError
        An array of `into` has another shape or dtype, or cannot be written to; or an
        option is unknown, or does not go with another. Nothing was written.
    OSError
        Any other failure of the operating system; ``errno`` says which.

    Examples
    --------
    >>> weights = tb.load("run1/ckpt-100", ["dense/kernel"])  # doctest: +SKIP
    >>> weights["dense/kernel"].shape  # doctest: +SKIP
    (784, 128)
    """
    start = time.perf_counter()
    if mmap and into is not None:
        raise ValueError(f"into= copies, so it cannot be combined with mmap={mmap!r}")
    loader = Loader.of(
        prefix, mmap=mmap, prefetch=prefetch, verify=verify, backend=backend,
        num_threads=num_threads, block_size=block_size, queue_depth=queue_depth,
        progress=progress, config=config,
    )  # fmt: skip
    wanted = None if names is None else _as_names(names)
    loaded = loader.run(lambda core: loader.read(core, wanted, into or {}))
    loaded.report = dataclasses.replace(loaded.report, seconds=time.perf_counter() - start)
    return loaded


@dataclasses.dataclass(frozen=True)
class Loader:
    """A way to load whose arguments are checked."""

    path: str
    backend: str
    options: _core.ReadOptions
    how: _core.MapOptions | None
    """``None`` to read."""
    verified: bool

    @classmethod
    def of(
        cls,
        prefix: str | os.PathLike[str],
        *,
        mmap: Mmap = False,
        prefetch: Prefetch | None = None,
        writable: bool = False,
        verify: bool | None = None,
        backend: str | None = None,
        num_threads: int | None = None,
        block_size: int | None = None,
        queue_depth: int | None = None,
        progress: Callable[[int, int], object] | None = None,
        config: Config | None = None,
    ) -> Loader:
        """Check the arguments of `load`; with `writable`, maps are copy-on-write."""
        chosen = settings(
            "load", config, backend=backend, num_threads=num_threads,
            block_size=block_size, queue_depth=queue_depth,
        )  # fmt: skip
        backend = chosen["backend"] or "auto"
        check_backend(backend)
        how = map_options(mmap, prefetch, writable=writable)
        verified = (not mmap) if verify is None else verify
        options = reading.read_options(
            verify=verified,
            num_threads=chosen["num_threads"],
            block_size=chosen["block_size"],
            queue_depth=chosen["queue_depth"],
            progress=progress,
        )
        return cls(os.fspath(prefix), backend, options, how if mmap else None, verified)

    def run(self, read: Callable[[_core.Bundle], T]) -> T:
        """Open the checkpoint and read from it, again where it is replaced meanwhile."""
        return reading.of_current(lambda: read(open_core(self.path, self.backend)))

    def read(
        self, core: _core.Bundle, names: list[str] | None, into: Mapping[str, Any]
    ) -> LoadedTensors:
        """Load tensors of an open checkpoint; names as for `load`."""
        start = time.perf_counter()
        wanted = names if names is not None else list(into) or core.names()
        if self.how is not None:
            arrays, report = reading.map_tensors(core, wanted, self.options, self.how)
        else:
            arrays, report = _read(core, wanted, into, self.options)
        loaded = LoadedTensors(zip(wanted, arrays, strict=True))
        loaded.report = LoadReport(
            prefix=self.path,
            num_tensors=len(loaded),
            tensor_bytes=report["bytes"],
            seconds=time.perf_counter() - start,
            num_threads=report["num_threads"],
            backend=_backend(report, self.backend),
            verified=self.verified,
            zero_copy_bytes=report.get("mapped_bytes", 0),
            direct_bytes=report["direct_bytes"],
            stages=LoadStages.of(report.get("stages", {})),
            copied=report.get("copied", ()),
            mmap_reason=report.get("mmap_reason", ""),
        )
        return loaded


def _as_names(names: Iterable[str]) -> list[str]:
    wanted = [names] if isinstance(names, (str, bytes)) else list(dict.fromkeys(names))
    for name in wanted:
        if not isinstance(name, (str, bytes)):
            raise TypeError(f"names must be str, not {type(name).__name__}: {name!r}")
    return wanted


def _backend(report: dict[str, Any], backend: str) -> str:
    """Name the way most of the bytes came."""
    reason = report.get("mmap_reason")
    if reason is None:
        return reading.read_backend(report, backend)
    if not reason or 2 * report["mapped_bytes"] > report["bytes"]:
        return "mmap"
    return reading.read_backend({**report, "bytes": report["read_bytes"]}, backend)


def _read(
    core: Any, wanted: list[str], into: Mapping[str, Any], options: Any
) -> tuple[list[Any], dict[str, Any]]:
    _check_names(wanted, into)
    targets = [_target(core, name, into[name]) if name in into else None for name in wanted]
    arrays, report = reading.read_tensors(core, wanted, options, targets)
    return [into.get(name, array) for name, array in zip(wanted, arrays, strict=True)], report


def _check_names(wanted: list[str], into: Mapping[str, Any]) -> None:
    if not into:
        return
    known = set(wanted)
    unwanted = [name for name in into if name not in known]
    if unwanted:
        raise ValueError(f"into= has names that names= has not: {unwanted[:5]!r}")


def _target(core: Any, name: str, value: Any) -> Array:
    """Check one array of `into` against the stored tensor; give its NumPy view."""
    number, shape = reading.find(core, name)[:2]
    if not isinstance(value, np.ndarray) and not _is_torch(value):
        raise ValueError(f"into[{name!r}] must be a NumPy array or a torch CPU tensor")
    try:
        array, own_number, negated = _tensors.as_view(value)
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
    if negated:
        raise ValueError(f"into[{name!r}] is a conjugated or negated view")
    if not array.flags.writeable:
        raise ValueError(f"into[{name!r}] is read-only")
    if not array.flags.c_contiguous:
        raise ValueError(f"into[{name!r}] is not C-contiguous")
    return array


def _is_torch(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)
