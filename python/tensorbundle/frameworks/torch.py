"""PyTorch tensors as NumPy views of their memory; modules in the graph of a checkpoint."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import numpy as np
import torch

from tensorbundle import dtypes
from tensorbundle.checkpoint.adapters import (
    Adapter,
    Array,
    Children,
    Container,
    Leaf,
    Saved,
)
from tensorbundle.checkpoint.containers import (
    MappingContainer,
    StateDictContainer,
    new_state,
)
from tensorbundle.tensors import View
from tensorbundle.variables import Variable

__all__ = ["as_variable", "as_view", "graph_adapter", "name_of", "named_variables"]

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


def as_variable(value: Any) -> Variable | None:
    """Give what writes to a tensor on any device; ``None`` for what is no tensor.

    Raises
    ------
    TypeError
        The tensor has no memory, is not dense, or its dtype is not in the format.
    """
    if not isinstance(value, torch.Tensor):
        return None
    if value.device.type == "cpu" or value.is_meta or value.layout != torch.strided:
        _check_dense(value)
    if value.dtype not in _PLAIN and value.dtype not in _AS_INTEGER:
        raise TypeError(f"the format has no {value.dtype}")
    number = _AS_INTEGER.get(value.dtype, (None, None))[1]
    dtype = np.dtype(str(value.dtype)[6:]) if number is None else dtypes.numpy_dtype(number)
    # Elements that share their memory, as expand() makes them.
    shared = any(s == 0 and n > 1 for s, n in zip(value.stride(), value.shape, strict=True))
    refusal = "an expanded tensor" if shared else None
    return Variable(value, tuple(value.shape), dtype, lambda a: _assign(value, a), refusal)


def _assign(tensor: torch.Tensor, array: np.ndarray[Any, Any]) -> None:
    if tensor.dtype in _AS_INTEGER:
        integer = np.uint16 if array.dtype.itemsize == 2 else np.uint8
        source = torch.from_numpy(array.view(integer)).view(tensor.dtype)
    else:
        source = torch.from_numpy(array)
    with torch.no_grad():
        tensor.copy_(source)


def named_variables(target: Any) -> list[tuple[str, Any]] | None:
    """Give the tensors of a module's ``state_dict()``; ``None`` for what is no module."""
    if not isinstance(target, torch.nn.Module):
        return None
    state = target.state_dict()
    return [(name, value) for name, value in state.items() if isinstance(value, torch.Tensor)]


def name_of(value: Any) -> None:
    """Find nothing: a tensor does not know its name."""


# ---- In the graph of a Checkpoint ---------------------------------------------------------


class TorchLeaf(Leaf):
    """A tensor, filled in place, on whichever device it is."""

    def tensor(self) -> Any:
        return self.obj if self.obj.device.type == "cpu" else self.obj.detach().cpu()

    def shape_and_dtype(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        view = as_view(torch.empty(0, dtype=self.obj.dtype))
        assert view is not None
        number = view.number or dtypes.number_of(view.array.dtype) or 0
        return tuple(self.obj.shape), dtypes.numpy_dtype(number)

    def target(self) -> Any:
        if self.obj.device.type != "cpu" or type(self.obj) not in _DENSE_TYPES:
            return None
        view = as_view(self.obj)
        assert view is not None
        whole = view.array.flags.c_contiguous and view.array.flags.writeable
        return view.array if whole and not view.negated else None

    def set_value(self, value: Array) -> None:
        with torch.no_grad():
            self.obj.copy_(_as_tensor(value, self.obj.dtype))

    def new_value(self, value: Array) -> Any:
        return _as_tensor(value, self.obj.dtype).to(self.obj.device)


_DENSE_TYPES = (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)


def _as_tensor(value: Array, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Copy an array into a new tensor."""
    made = torch.empty(value.shape, dtype=dtype or _dtype_of(value))
    view = as_view(made)
    assert view is not None
    np.copyto(view.array, value.view(view.array.dtype))
    return made


def _dtype_of(value: Array) -> torch.dtype:
    number = dtypes.number_of(value.dtype)
    for dtype, (_, own) in _AS_INTEGER.items():
        if own == number:
            return dtype
    return torch.from_numpy(np.empty(0, dtype=value.dtype)).dtype


class ModuleContainer(Container):
    """A module: its parameters, buffers that are saved, and modules, each by its name."""

    def children(self) -> Children:
        module = self.obj
        transient = module._non_persistent_buffers_set
        parts = {
            **module._parameters,
            **{n: b for n, b in module._buffers.items() if n not in transient},
            **module._modules,
        }
        held = [(n, v) for n, v in parts.items() if v is not None and not is_lazy(v)]
        if type(module).get_extra_state is not torch.nn.Module.get_extra_state:
            held.append(("_extra_state", _ExtraState(module)))
        return held


def is_lazy(value: Any) -> bool:
    """Tell whether a parameter has no shape yet."""
    return bool(torch.nn.parameter.is_lazy(value))


class _ExtraState(StateDictContainer):
    """What a module saves besides; taken back as a whole."""

    def __init__(self, module: torch.nn.Module) -> None:
        state = types.SimpleNamespace(
            state_dict=lambda: {"value": module.get_extra_state()},
            load_state_dict=lambda state: module.set_extra_state(state["value"]),
        )
        super().__init__(state)
        self.shared = False
        self._module = module

    @property
    def identity(self) -> Hashable:
        return id(self._module), "_extra_state"


class OptimizerContainer(Container):
    """An optimizer: what it keeps for each parameter, by number, and its groups.

    What it keeps is made at its first step; of a new optimizer, a restore makes it.
    """

    def __init__(self, obj: Any) -> None:
        super().__init__(obj)
        self._parameters = [p for group in obj.param_groups for p in group["params"]]

    def children(self) -> Children:
        return [("state", _States(self)), ("param_groups", _Groups(self))]


class _States(Container):
    """What an optimizer keeps, by the number of the parameter."""

    def __init__(self, optimizer: OptimizerContainer) -> None:
        super().__init__(optimizer.obj)
        self._parameters = optimizer._parameters
        self.shared = False

    @property
    def identity(self) -> Hashable:
        return id(self.obj), "state"

    def children(self) -> Children:
        state = self.obj.state
        kept = [(str(i), p) for i, p in enumerate(self._parameters) if state.get(p)]
        return [(name, state[p]) for name, p in kept]

    def missing_child(self, name: str, saved: Saved) -> Any:
        if not name.isdigit() or int(name) >= len(self._parameters):
            return None
        return new_state(saved, functools.partial(_as_state, self._parameters[int(name)]))

    def replace(self, changes: dict[str, Any]) -> Any:
        for name, value in changes.items():
            parameter = self._parameters[int(name)]
            if value is None:
                del self.obj.state[parameter]
            else:
                self.obj.state[parameter] = value
        return self.obj

    def undo(self, names: Iterable[str]) -> Callable[[], object]:
        held = dict(self.children())
        before = {name: held.get(name) for name in names}
        return lambda: self.replace(before)


def _as_state(parameter: torch.Tensor, value: Array) -> torch.Tensor:
    """Make a part of a parameter's state: on its device, unless it is a step's number."""
    made = _as_tensor(value)
    return made.to(parameter.device) if made.shape == parameter.shape else made


class _Groups(Container):
    """An optimizer's groups of parameters, without the parameters."""

    def __init__(self, optimizer: OptimizerContainer) -> None:
        super().__init__(optimizer.obj)
        self.shared = False

    @property
    def identity(self) -> Hashable:
        return id(self.obj), "param_groups"

    def children(self) -> Children:
        return [(str(i), _Group(group)) for i, group in enumerate(self.obj.param_groups)]

    def replace(self, changes: dict[str, Any]) -> Any:
        return self.obj


class _Group(MappingContainer):
    def children(self) -> Children:
        return [(name, value) for name, value in super().children() if name != "params"]


def graph_adapter(value: Any) -> Adapter | None:
    """Adapt a tensor, module or optimizer; ``None`` for anything else."""
    if isinstance(value, torch.Tensor):
        return TorchLeaf(value)
    if isinstance(value, torch.nn.Module):
        return ModuleContainer(value)
    if isinstance(value, torch.optim.Optimizer):
        return OptimizerContainer(value)
    return None
