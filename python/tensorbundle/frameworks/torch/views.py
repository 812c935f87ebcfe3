"""PyTorch tensors as NumPy views of their memory, and as variables that take values."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch

from tensorbundle import dtypes
from tensorbundle.tensors import View
from tensorbundle.variables import Variable

__all__ = [
    "AS_INTEGER",
    "PLAIN",
    "as_tensor",
    "as_variable",
    "as_view",
    "check_dense",
    "check_dtype",
    "dtype_of_number",
    "from_array",
    "name_of",
    "named_variables",
    "number_of",
]

# Where NumPy lacks the dtype: the integer of the same size that views its bits, and the
# DataType number.
AS_INTEGER = {
    torch.bfloat16: (torch.uint16, 14),
    torch.float8_e5m2: (torch.uint8, 24),
    torch.float8_e4m3fn: (torch.uint8, 25),
    torch.float8_e4m3fnuz: (torch.uint8, 26),
    torch.float8_e5m2fnuz: (torch.uint8, 28),
}
PLAIN = {
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
    check_dense(value)
    if value.device.type != "cpu":
        raise TypeError(f"a tensor on {value.device}; save .cpu()")
    check_dtype(value)
    tensor, negated = _without_lazy_signs(value.detach())
    integer, number = AS_INTEGER.get(tensor.dtype, (tensor.dtype, None))
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


def check_dense(tensor: torch.Tensor) -> None:
    """Raise TypeError for a tensor that has no plain bytes, here or on a device."""
    if tensor.is_quantized:
        raise TypeError("a quantized tensor; save .int_repr(), its scale and its zero point")
    if tensor.is_nested:
        raise TypeError("a nested tensor; save the list .unbind() gives")
    if tensor.layout != torch.strided:
        raise TypeError(f"a tensor of layout {tensor.layout}; save .to_dense() or its parts")
    if tensor.is_meta:
        raise TypeError("a tensor on the meta device has no values to save")
    if type(tensor).__name__ == "DTensor":
        raise TypeError("a DTensor is spread over processes; save .full_tensor()")


def check_dtype(tensor: torch.Tensor) -> None:
    """Raise TypeError for a dtype that the format lacks."""
    if tensor.dtype not in PLAIN and tensor.dtype not in AS_INTEGER:
        raise TypeError(
            f"the format has no {tensor.dtype}; save its bits: tensor.view(torch.uint8)"
        )


def number_of(dtype: torch.dtype) -> int:
    """Give the DataType number of a dtype that the format has."""
    if dtype in AS_INTEGER:
        return AS_INTEGER[dtype][1]
    return next(n for n, own in dtypes.TO_NUMPY.items() if str(dtype) == f"torch.{own}")


def as_variable(value: Any) -> Variable | None:
    """Give what writes to a tensor on any device; ``None`` for what is no tensor.

    Raises
    ------
    TypeError
        The tensor has no memory, is not dense, or its dtype is not in the format.
    """
    if not isinstance(value, torch.Tensor):
        return None
    check_dense(value)
    check_dtype(value)
    dtype = dtypes.numpy_dtype(number_of(value.dtype))
    # Elements that share their memory, as expand() makes them.
    shared = any(s == 0 and n > 1 for s, n in zip(value.stride(), value.shape, strict=True))
    refusal = "an expanded tensor" if shared else None
    memory = None if refusal else _memory(value)
    return Variable(
        value, tuple(value.shape), dtype, lambda a: _assign(value, a), memory, refusal
    )


def _memory(tensor: torch.Tensor) -> np.ndarray[Any, Any] | None:
    """Give what bytes can be read to; ``None`` where they do not lie so in memory."""
    if tensor.device.type != "cpu" or not tensor.is_contiguous():
        return None
    try:
        view = as_view(tensor)
    except TypeError:  # without plain bytes: whoever assigns to it may still know how
        return None
    return None if view is None or view.negated else view.array


def _assign(tensor: torch.Tensor, array: np.ndarray[Any, Any]) -> None:
    with torch.no_grad():
        tensor.copy_(from_array(array))


def from_array(array: np.ndarray[Any, Any]) -> torch.Tensor:
    """View an array as a tensor of the same memory and dtype.

    Raises
    ------
    TypeError
        torch has no such dtype.
    """
    if array.dtype.isbuiltin == 1:
        return torch.from_numpy(array)
    integer, dtype = _from_integer(array.dtype)
    return torch.from_numpy(array.view(integer)).view(dtype)


@functools.cache
def dtype_of_number(number: int) -> torch.dtype | None:
    """Give the dtype by its DataType number; ``None`` where torch has none."""
    for own, (_, own_number) in AS_INTEGER.items():
        if own_number == number:
            return own
    plain = dtypes.numpy_dtype(number)
    return next((own for own in PLAIN if str(own) == f"torch.{plain}"), None)


@functools.cache
def _from_integer(dtype: np.dtype[Any]) -> tuple[str, torch.dtype]:
    found = dtype_of_number(dtypes.number_of(dtype) or 0)
    if found is None:
        raise TypeError(f"torch has no {dtype}")
    return f"uint{8 * dtype.itemsize}", found


def named_variables(target: Any) -> list[tuple[str, Any]] | None:
    """Give the tensors of a module's ``state_dict()``; ``None`` for what is no module."""
    if not isinstance(target, torch.nn.Module):
        return None
    state = target.state_dict()
    return [(name, value) for name, value in state.items() if isinstance(value, torch.Tensor)]


def name_of(value: Any) -> None:
    """Find nothing: a tensor does not know its name."""


def as_tensor(value: np.ndarray[Any, Any], dtype: torch.dtype | None = None) -> torch.Tensor:
    """Copy an array into a new tensor."""
    made = torch.empty(value.shape, dtype=dtype or _dtype_of(value))
    view = as_view(made)
    assert view is not None
    np.copyto(view.array, value.view(view.array.dtype))
    return made


def _dtype_of(value: np.ndarray[Any, Any]) -> torch.dtype:
    return from_array(np.empty(0, dtype=value.dtype)).dtype
