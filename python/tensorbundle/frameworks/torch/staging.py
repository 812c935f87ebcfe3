"""Tensors on other devices: copied through pinned memory while the disk is at work.

A save: the threads that write ask for a tensor's bytes piece by piece. While a thread
checksums and writes one piece, the next is on its way from the device into a pinned buffer
of a lane. A lane is a buffer with a stream of its own; there are two per thread at most.
Where the bytes are wanted in memory that CUDA has locked (the arena of saves in the
background), they go there directly, by the stream of a lane.

What touches a device is in `CudaLane`; `HostLane` does the same with ordinary copies, for
other devices and for tests.
"""

from __future__ import annotations

import threading
from typing import Any, Final, Protocol

import torch

from tensorbundle.frameworks.torch.views import check_dense, check_dtype, number_of
from tensorbundle.tensors import Stream

__all__ = ["PIECE", "as_stream", "bytes_of", "is_elsewhere"]

PIECE: Final = 1 << 20  # bytes: what a writing thread asks for at once


# Where a thread comes to the end of its part of a tensor, another has begun with the next
# piece already: such pieces are given up, the oldest first.
_MOST_AHEAD: Final = 32


def is_elsewhere(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor's bytes are on another device."""
    return tensor.device.type not in ("cpu", "meta")


def as_stream(value: Any) -> Stream | None:
    """Make what reads a tensor of another device; ``None`` for anything else.

    What is not contiguous there is made so there first. The values are those of all work
    that has been queued on the current stream until now.

    Raises
    ------
    TypeError
        The tensor is not dense, or its dtype is not in the format.
    """
    if not isinstance(value, torch.Tensor) or not is_elsewhere(value):
        return None
    check_dense(value)
    check_dtype(value)
    tensor = value.detach().resolve_conj().resolve_neg().contiguous()
    source = bytes_of(tensor)
    read = _Reader(source).read
    return Stream(number_of(value.dtype), tuple(value.shape), source.numel(), read)


def bytes_of(tensor: torch.Tensor) -> torch.Tensor:
    """View a contiguous tensor as bytes."""
    begin = int(tensor.storage_offset()) * tensor.element_size()
    view = torch.empty(0, dtype=torch.uint8, device=tensor.device)
    return view.set_(tensor.untyped_storage(), begin, (tensor.nbytes,), (1,))


class Lane(Protocol):
    """A buffer on the host, and what copies into it."""

    buffer: torch.Tensor

    def start(self, target: torch.Tensor, source: torch.Tensor, after: Any) -> None:
        """Begin to copy a piece, when what `after` stands for has been done.

        `target` is the buffer, or other memory that is locked.
        """

    def wait(self) -> None:
        """Wait until the piece is there."""


class HostLane:
    """Copies at once, whatever the device."""

    def __init__(self) -> None:
        self.buffer = torch.empty(PIECE, dtype=torch.uint8)

    def start(self, target: torch.Tensor, source: torch.Tensor, after: Any) -> None:
        """Copy a piece."""
        target[: source.numel()].copy_(source)

    def wait(self) -> None:
        """Do nothing: it is there."""


class CudaLane:
    """Copies into pinned memory, on a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        self.buffer = torch.empty(PIECE, dtype=torch.uint8, pin_memory=True)
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]

    def start(self, target: torch.Tensor, source: torch.Tensor, after: Any) -> None:
        """Begin to copy a piece."""
        self._stream.wait_event(after)
        with torch.cuda.stream(self._stream):
            target[: source.numel()].copy_(source, non_blocking=True)
            self._event.record(self._stream)

    def wait(self) -> None:
        """Wait until the piece is there."""
        self._event.synchronize()


class _Lanes:
    """The lanes of this process that nobody uses, by device."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: dict[torch.device, list[Lane]] = {}

    def take(self, device: torch.device) -> Lane:
        with self._lock:
            free = self._free.get(device)
            if free:
                return free.pop()
        return CudaLane(device) if device.type == "cuda" else HostLane()

    def give(self, device: torch.device, lane: Lane) -> None:
        with self._lock:
            self._free.setdefault(device, []).append(lane)


_lanes = _Lanes()


def _is_locked(memory: torch.Tensor) -> bool:
    return memory.is_pinned()


class _Reader:
    """Reads one tensor's bytes, each thread's in order, a piece ahead."""

    def __init__(self, source: torch.Tensor) -> None:
        self._source = source
        self._ahead: dict[int, Lane] = {}  # pieces on their way, by their offsets
        self._lock = threading.Lock()
        self._ready: Any = None
        if source.device.type == "cuda":
            self._ready = torch.cuda.current_stream(source.device).record_event()

    def read(self, offset: int, out: memoryview) -> None:
        """Fill `out` with the bytes from `offset` on; the next piece is then on its way."""
        target = torch.frombuffer(out, dtype=torch.uint8)
        if _is_locked(target):
            self._read_directly(offset, target)
            return
        while target.numel() > 0:
            with self._lock:
                lane = self._ahead.pop(offset, None)
            lane = lane or self._start(offset)
            size = min(PIECE, target.numel())
            if offset + size < self._source.numel():
                self._look_ahead(offset + size)
            lane.wait()
            target[:size].copy_(lane.buffer[:size])
            _lanes.give(self._source.device, lane)
            target, offset = target[size:], offset + size

    def _read_directly(self, offset: int, target: torch.Tensor) -> None:
        lane = _lanes.take(self._source.device)
        lane.start(target, self._source[offset : offset + target.numel()], self._ready)
        self._done(lane)

    def _look_ahead(self, offset: int) -> None:
        following = self._start(offset)
        with self._lock:
            unused = self._ahead.pop(offset, None)
            self._ahead[offset] = following
            if unused is None and len(self._ahead) > _MOST_AHEAD:
                unused = self._ahead.pop(next(iter(self._ahead)))
        if unused is not None:
            self._done(unused)

    def _start(self, offset: int) -> Lane:
        lane = _lanes.take(self._source.device)
        lane.start(lane.buffer, self._source[offset : offset + PIECE], self._ready)
        return lane

    def _done(self, lane: Lane) -> None:
        lane.wait()
        _lanes.give(self._source.device, lane)

    def __del__(self) -> None:
        for lane in self._ahead.values():
            self._done(lane)
