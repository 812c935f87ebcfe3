"""A checkpoint's tensors as the JSON describes them: checked first, made when read."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Final

import torch

from tensorbundle import dtypes
from tensorbundle.frameworks.torch.structure import CONSTANTS
from tensorbundle.frameworks.torch.views import dtype_of_number
from tensorbundle.structure_entry import BadStructureError

__all__ = ["Source", "check_leaf", "make_base", "make_tensor"]

_MAX_DIMENSIONS: Final = 64  # what torch's own kernels take
_MAX_SIZE: Final = 2**62  # elements: sums of two still fit where torch counts
_UINT8: Final = 4  # its DataType
_CPU: Final = "cpu"

Shape = tuple[int, ...]


@dataclasses.dataclass(slots=True)
class Source:
    """An entry that leaves refer to."""

    number: int
    shape: Shape
    device: str = _CPU
    """Where its tensors were when they were saved."""
    strides: list[int] | None = None
    """Of its tensors, where they were not in C order."""
    is_host: bool = False
    """Whether an array or bytes are made of it."""

    @property
    def num_bytes(self) -> int:
        """Of all elements."""
        return math.prod(self.shape) * dtypes.numpy_dtype(self.number).itemsize


def check_leaf(
    tag: str,
    node: dict[str, Any],
    sources: dict[str, Source],
    look: Callable[[str], tuple[int, Shape]],
) -> Any:
    """Compare a leaf with its entry, and note this in `sources`; give a placeholder.

    Raises
    ------
    BadStructureError
        They do not agree.
    """
    is_tensor = tag == "$tensor"
    inner = node[tag] if tag in ("$tensor", "$array") else node[tag].get("entry")
    if not isinstance(inner, str):
        raise BadStructureError(f"a leaf names no entry: {inner!r}")
    source = sources.get(inner)
    if source is None:
        source = sources[inner] = Source(*look(inner), device=_device(node))
        if source.number not in dtypes.TO_NUMPY:
            raise _wrong(inner, "is no tensor of numbers")
        if is_tensor:
            source.strides = node.get("strides") if "shape" not in node else None
    if not is_tensor:
        if tag != "$array" and (source.number != _UINT8 or len(source.shape) != 1):
            raise _wrong(inner, "has no bytes")
        source.is_host = True
        return None if tag == "$array" else b""
    _check_tensor(inner, node, source)
    return None


def _device(node: dict[str, Any]) -> str:
    device = node.get("device", _CPU)
    if not isinstance(device, str):
        raise BadStructureError(f"{device!r} is no device")
    return device


def _check_tensor(name: str, node: dict[str, Any], source: Source) -> None:
    natural = dtype_of_number(source.number)
    dtype = _dtype(node, natural)
    if natural is None or dtype is None:
        raise _wrong(name, "has a dtype that torch has not")
    if _device(node) != source.device:
        raise _wrong(name, "has tensors of two devices")
    if node.get("requires_grad") and not (dtype.is_floating_point or dtype.is_complex):
        raise _wrong(name, f"cannot require gradients: it is of {dtype}")
    if "shape" not in node:
        if dtype.itemsize != natural.itemsize:
            raise _wrong(name, f"of {natural} has no elements of {dtype}")
        if node.get("strides") != source.strides:
            raise _wrong(name, "has tensors of two layouts")
        if source.strides is not None and not _is_dense(source.shape, source.strides):
            raise _wrong(name, f"of shape {source.shape} has no strides {source.strides}")
        return
    if source.strides is not None:
        raise _wrong(name, "has views, but is not in C order")
    if not _is_inside(node, dtype.itemsize, source.num_bytes):
        raise _wrong(name, "has a view that is not inside of it")
    if (node.get("conj") and not dtype.is_complex) or (
        node.get("neg") and not (dtype.is_complex or dtype.is_floating_point)
    ):
        raise _wrong(name, f"of {dtype} cannot be conjugated or negated")


def _dtype(node: dict[str, Any], natural: torch.dtype | None) -> torch.dtype | None:
    if "dtype" not in node:
        return natural
    found = CONSTANTS.get(node["dtype"]) if isinstance(node["dtype"], str) else None
    return found if isinstance(found, torch.dtype) else None


def _is_dense(shape: Shape, strides: Any) -> bool:
    """Whether strides are a permutation of those of C order."""
    if not _are_sizes(strides) or len(strides) != len(shape):
        return False
    expected = 1
    for stride, size in sorted(zip(strides, shape, strict=True)):
        if size == 1:
            continue
        if stride != expected:
            return False
        expected *= size
    return True


def _is_inside(node: dict[str, Any], item_size: int, num_bytes: int) -> bool:
    """Whether a view has only bytes of its entry."""
    shape: Any = node["shape"]
    strides: Any = node.get("strides")
    offset: Any = node.get("offset")
    if not (_are_sizes(shape) and _are_sizes(strides) and _are_sizes([offset])):
        return False
    if len(shape) != len(strides) or len(shape) > _MAX_DIMENSIONS:
        return False
    if math.prod(shape) >= _MAX_SIZE:
        return False
    if 0 in shape:
        return bool(offset * item_size <= num_bytes)
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    return bool((last + 1) * item_size <= num_bytes)


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(
        type(value) is int and 0 <= value < _MAX_SIZE for value in values
    )


def _wrong(name: str, what: str) -> BadStructureError:
    return BadStructureError(f"the entry {name!r} {what}")


def make_base(source: Source, tensor: torch.Tensor) -> torch.Tensor:
    """Make the tensor on whose memory all of an entry's tensors are, of its values."""
    if source.strides is None:
        return tensor
    laid_out = torch.empty_strided(
        source.shape, source.strides, dtype=tensor.dtype, device=tensor.device
    )
    return laid_out.copy_(tensor)


def make_tensor(node: dict[str, Any], base: torch.Tensor) -> torch.Tensor:
    """Make the tensor that a checked node describes, on the memory of its entry."""
    dtype = CONSTANTS[node["dtype"]] if "dtype" in node else base.dtype
    if "shape" in node:
        made = torch.empty(0, dtype=dtype, device=base.device)
        made.set_(base.untyped_storage(), node["offset"], node["shape"], node["strides"])
    else:
        made = base.detach() if dtype == base.dtype else base.view(dtype)
    if node.get("conj"):
        made = made.conj()
    if node.get("neg"):
        made = torch._neg_view(made)
    needs_grad = bool(node.get("requires_grad"))
    if node.get("parameter"):
        return torch.nn.Parameter(made, requires_grad=needs_grad)
    return made.requires_grad_() if needs_grad else made
