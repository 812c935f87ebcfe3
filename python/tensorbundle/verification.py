"""Every checksum compared, and what is wrong told tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tensorbundle import reading
from tensorbundle.errors import BundleError, UnsupportedError
from tensorbundle.reports import Fault, VerifyReport

__all__ = ["verify_tensors"]


def verify_tensors(
    core: Any,
    prefix: str,
    names: Sequence[str],
    *,
    num_threads: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> VerifyReport:
    """Read tensors and compare their checksums; `prefix` is for the report."""
    options = reading.read_options(verify=True, num_threads=num_threads, progress=progress)
    report, faults = core.verify(names, options=options)
    found = [
        (_fault(core, name, error, place), not isinstance(error, UnsupportedError))
        for name, error, place in faults
    ]
    return VerifyReport(
        prefix=prefix,
        num_tensors=len(names),
        tensor_bytes=report["bytes"],
        seconds=report["seconds"],
        num_threads=report["num_threads"],
        backend=reading.read_backend(report, "auto"),
        faults=tuple(told for told, is_damage in found if is_damage),
        unchecked=tuple(told for told, is_damage in found if not is_damage),
    )


def _fault(core: Any, name: str, error: Exception, place: Any) -> Fault:
    code = error.code if isinstance(error, BundleError) else type(error).__name__
    detail = error.detail if isinstance(error, BundleError) else str(error)
    path = getattr(error, "path", None) or getattr(error, "filename", None)
    shard, begin, end = place or _place_of(core, name)
    return Fault(name, code, str(error), detail, path, shard, begin, end)


def _place_of(core: Any, name: str) -> tuple[int | None, int | None, int | None]:
    """Give a tensor's shard, and where it begins and ends; ``None`` for what is unknown."""
    try:
        _, _, shard, begin, size, _, slices = core.find(name)
    except BundleError:  # the record itself is the fault
        return None, None, None
    if slices:
        return None, None, None
    return shard, begin, None if begin is None else begin + size
