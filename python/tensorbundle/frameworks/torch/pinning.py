"""Memory of this library that devices copy to directly."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import torch

__all__ = ["page_lock"]


def page_lock(memory: tuple[int, int]) -> Callable[[], object] | None:
    """Have CUDA lock memory, so that it copies there at the bus's rate, and beside other work.

    Parameters
    ----------
    memory
        Its address and its size in bytes.

    Returns
    -------
    callable or None
        Unlocks it, which has to be done before the memory is given back. ``None`` where the
        process has not used CUDA, or CUDA refuses: the memory is as good as it was.
    """
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return None
    address, size = memory
    runtime = torch.cuda.cudart()  # type: ignore[no-untyped-call]
    if int(runtime.cudaHostRegister(address, size, 0)) == 0:
        return partial(runtime.cudaHostUnregister, address)
    # The runtime keeps the error for whoever asks next: torch, at its next launch.
    with suppress(RuntimeError):
        torch.zeros(1, device="cuda")
    return None
