"""PyTorch tensors, modules and optimizers in the graph of a checkpoint."""

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
    plain_value,
)
from tensorbundle.checkpoint.leaves import NewLeaf
from tensorbundle.frameworks.torch.staging import is_elsewhere
from tensorbundle.frameworks.torch.views import as_tensor, as_view

__all__ = ["graph_adapter"]


class TorchLeaf(Leaf):
    """A tensor, filled in place, on whichever device it is."""

    def tensor(self) -> Any:
        # Large ones of other devices go through pinned memory as they are written.
        one = self.obj.numel() == 1 and is_elsewhere(self.obj)
        return self.obj.detach().cpu() if one else self.obj

    def shape_and_dtype(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        view = as_view(torch.empty(0, dtype=self.obj.dtype))
        assert view is not None
        return tuple(self.obj.shape), dtypes.as_loaded(view.array.dtype, view.number)

    def target(self) -> Any:
        if self.obj.device.type != "cpu" or type(self.obj) not in _DENSE_TYPES:
            return None
        view = as_view(self.obj)
        assert view is not None
        whole = view.array.flags.c_contiguous and view.array.flags.writeable
        return view.array if whole and not view.negated else None

    def set_value(self, value: Array) -> None:
        with torch.no_grad():
            self.obj.copy_(as_tensor(value, self.obj.dtype))

    def new_value(self, value: Array) -> Any:
        return as_tensor(value, self.obj.dtype).to(self.obj.device)


_DENSE_TYPES = (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)


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
        if saved.is_leaf:
            return None
        make = functools.partial(_as_state, self._parameters[int(name)])
        # Of lists, as LBFGS keeps them, the checkpoint does not say that they were some.
        return plain_value(saved, lambda leaf: NewLeaf(make))

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
    made = as_tensor(value)
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
