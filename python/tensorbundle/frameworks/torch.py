"""PyTorch tensors as NumPy views of their memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

__all__ = ["as_array"]

# Where NumPy lacks the dtype: the integer of the same size that views its bits, and the
# DataType number.
_AS_INTEGER = {
    torch.bfloat16: (torch.uint16, 14),
    torch.float8_e5m2: (torch.uint8, 24),
    torch.float8_e4m3fn: (torch.uint8, 25),
    torch.float8_e4m3fnuz: (torch.uint8, 26),
    torch.float8_e5m2fnuz: (torch.uint8, 28),
}
_PLAIN = {
    torch.float16, torch.float32, torch.float64, torch.complex64, torch.complex128,
    torch.bool, torch.int8, torch.int16, torch.int32, torch.int64,
    torch.uint8, torch.uint16, torch.uint32, torch.uint64,
}  # fmt: skip


def as_array(value: Any) -> tuple[np.ndarray[Any, Any], int | None] | None:
    """View a dense tensor in host memory; ``None`` for what is no torch tensor.

    Pinned memory, strides and 0 dimensions are kept; gradients are left behind. A
    conjugated or negated view is materialised, since its memory holds other values.

    Raises
    ------
    TypeError
        The tensor has no bytes here (meta, another device, distributed), is not dense,
        or its dtype is not in the format.
    """
    if not isinstance(value, torch.Tensor):
        return None
    _check_dense(value)
    tensor = value.detach().resolve_conj().resolve_neg()
    if tensor.dtype in _AS_INTEGER:
        integer, number = _AS_INTEGER[tensor.dtype]
        return tensor.view(integer).numpy(), number
    if tensor.dtype not in _PLAIN:
        raise TypeError(
            f"the format has no {tensor.dtype}; save its bits: tensor.view(torch.uint8)"
        )
    return tensor.numpy(), None


def _check_dense(tensor: torch.Tensor) -> None:
    if tensor.is_quantized:
        raise TypeError("a quantized tensor; save .int_repr(), its scale and its zero point")
    if tensor.layout != torch.strided:
        raise TypeError(f"a tensor of layout {tensor.layout}; save .to_dense() or its parts")
    if tensor.is_meta:
        raise TypeError("a tensor on the meta device has no values to save")
    if type(tensor).__name__ == "DTensor":
        raise TypeError("a DTensor is spread over processes; save .full_tensor()")
    if tensor.device.type != "cpu":
        raise TypeError(f"a tensor on {tensor.device}; save .cpu()")
