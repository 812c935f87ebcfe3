"""PyTorch tensors as NumPy views of their memory."""

from __future__ import annotations

from typing import Any

import torch

from tensorbundle.tensors import View

__all__ = ["as_view"]

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


def as_view(value: Any) -> View | None:
    """View a dense tensor in host memory; ``None`` for what is no torch tensor.

    Pinned memory, strides and 0 dimensions are kept; gradients are left behind. Of a
    conjugated or negated view the memory is seen, and what is still to be negated told.

    Raises
    ------
    TypeError
        The tensor has no bytes here (meta, another device, distributed), is not dense,
        or its dtype is not in the format.
    """
    if not isinstance(value, torch.Tensor):
        return None
    _check_dense(value)
    tensor, negated = _without_lazy_signs(value.detach())
    if tensor.dtype not in _PLAIN and tensor.dtype not in _AS_INTEGER:
        raise TypeError(
            f"the format has no {tensor.dtype}; save its bits: tensor.view(torch.uint8)"
        )
    integer, number = _AS_INTEGER.get(tensor.dtype, (tensor.dtype, None))
    try:
        return View(tensor.view(integer).numpy(), number, negated)
    except RuntimeError as error:  # fake, masked, nested, functorch's, ...
        raise TypeError(f"a tensor without plain bytes in memory: {error}") from None


def _without_lazy_signs(tensor: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Give a view of the same memory whose values are those in memory, and the rest."""
    negated = 0
    if tensor.is_conj():
        tensor, negated = tensor.conj(), 1
    if tensor.is_neg():
        tensor, negated = torch._neg_view(tensor), negated | 2
    return tensor, negated


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
