"""Tensors on their way to other devices: read into pinned memory while others are copied.

The pinned memory is a ring of two slots. While the tensors of one slot are copied to the
device, those of the next are read from the disk, verified in the same pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import torch

from tensorbundle import dtypes
from tensorbundle.frameworks.torch.leaves import Source
from tensorbundle.frameworks.torch.views import dtype_of_number

__all__ = ["SLOT", "goes_elsewhere", "load_to_device"]

SLOT: Final = 64 << 20  # bytes; a tensor that is larger makes its slot so large

_ALIGNMENT = 64
_NUM_SLOTS = 2


def goes_elsewhere(device: torch.device) -> bool:
    """Tell whether tensors for a device have to be copied there."""
    return device.type not in ("cpu", "meta")


def load_to_device(
    device: torch.device,
    sources: Mapping[str, Source],
    read_into: Callable[[dict[str, Any]], object],
) -> dict[str, torch.Tensor]:
    """Read tensors and copy them to a device; give them, in C order, by their names.

    `read_into` fills the arrays that it is given by their entries' names.
    """
    slots = [_Slot(device) for _ in range(_NUM_SLOTS)]
    made: dict[str, torch.Tensor] = {}
    for number, batch in enumerate(_batches(sources)):
        slot = slots[number % _NUM_SLOTS]
        hosts = slot.make_room(batch)
        read_into(
            {
                name: host.numpy()
                .view(dtypes.numpy_dtype(source.number))
                .reshape(source.shape)
                for (name, source), host in zip(batch.items(), hosts, strict=True)
            }
        )
        for (name, source), host in zip(batch.items(), hosts, strict=True):
            dtype = dtype_of_number(source.number) or torch.uint8  # all were checked
            made[name] = torch.empty(source.shape, dtype=dtype, device=device)
            values = host.view(dtype).view(source.shape)
            made[name].copy_(values, non_blocking=True)
        slot.note()
    for slot in slots:
        slot.wait()
    return made


def _batches(sources: Mapping[str, Source]) -> Iterator[dict[str, Source]]:
    """Give tensors that fit into a slot together, or one that does not."""
    batch: dict[str, Source] = {}
    size = 0
    for name, source in sources.items():
        own = _padded(source.num_bytes)
        if batch and size + own > SLOT:
            yield batch
            batch, size = {}, 0
        batch[name] = source
        size += own
    if batch:
        yield batch


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


class _Slot:
    """A part of the ring."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._buffer = torch.empty(0, dtype=torch.uint8)
        self._event: Any = None
        """When what was copied from here has arrived."""

    def make_room(self, batch: Mapping[str, Source]) -> list[torch.Tensor]:
        """Wait until the slot is free; give the bytes for each tensor."""
        self.wait()
        size = sum(_padded(source.num_bytes) for source in batch.values())
        if size > self._buffer.numel():
            pinned = self._device.type == "cuda"
            self._buffer = torch.empty(max(size, SLOT), dtype=torch.uint8, pin_memory=pinned)
        rooms, end = [], 0
        for source in batch.values():
            rooms.append(self._buffer[end : end + source.num_bytes])
            end += _padded(source.num_bytes)
        return rooms

    def note(self) -> None:
        """Remember the copies that have been queued."""
        if self._device.type == "cuda":
            self._event = torch.cuda.current_stream(self._device).record_event()

    def wait(self) -> None:
        """Wait until they have arrived."""
        if self._event is not None:
            self._event.synchronize()
            self._event = None
