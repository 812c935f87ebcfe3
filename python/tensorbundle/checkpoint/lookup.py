"""Which adapter an object has."""

from __future__ import annotations

import enum
import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Mapping, MutableMapping
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from tensorbundle import tensors
from tensorbundle.checkpoint import containers, leaves
from tensorbundle.checkpoint.adapters import Adapter
from tensorbundle.checkpoint.module import Module
from tensorbundle.frameworks import first_answer

__all__ = ["adapter_of"]

# In this order: TensorFlow's wrapped lists are lists, Keras layers may be torch modules.
_FRAMEWORKS = ("tensorflow", "keras", "torch", "jax")

_PLAIN: dict[type, type[Adapter]] = {
    dict: containers.MappingContainer,
    OrderedDict: containers.MappingContainer,
    defaultdict: containers.MappingContainer,
    list: containers.SequenceContainer,
    deque: containers.SequenceContainer,
    tuple: containers.TupleContainer,
    np.ndarray: leaves.ArrayLeaf,
    leaves.Counter: leaves.CounterLeaf,
    SimpleNamespace: containers.AttributeContainer,
    **dict.fromkeys((bool, int, float, complex, str, bytes), leaves.ScalarLeaf),
}

# What frameworks have said of a class before; they say it of a class, not of an object.
_of_frameworks: WeakKeyDictionary[type, type[Adapter]] = WeakKeyDictionary()


def adapter_of(value: Any) -> Adapter:
    """Find the adapter of an object.

    Raises
    ------
    TypeError
        It is of a kind that has no state which could be saved.
    """
    if isinstance(value, Adapter):
        return value
    known = _PLAIN.get(type(value)) or _of_frameworks.get(type(value))
    if known is not None:
        return known(value)
    found: Adapter | None = first_answer("graph_adapter", value, _FRAMEWORKS)
    if found is not None:
        _of_frameworks[type(value)] = type(found)
        return found
    kind = _kind_of(value)
    if kind is None:
        raise TypeError(f"a {type(value).__module__}.{type(value).__qualname__} has no state "
                        "that can be saved; give it state_dict() and load_state_dict(), or "
                        "leave it out")  # fmt: skip
    return kind(value)


def _kind_of(value: Any) -> type[Adapter] | None:
    if callable(getattr(value, "state_dict", None)) and callable(
        getattr(value, "load_state_dict", None)
    ):
        return containers.StateDictContainer
    if isinstance(value, np.ma.MaskedArray):
        return None
    if isinstance(value, np.ndarray):
        return leaves.ArrayLeaf
    if isinstance(value, leaves.SCALARS) and not _is_enum(value):
        return leaves.ScalarLeaf
    if isinstance(value, tuple):
        named = hasattr(value, "_fields")
        return containers.NamedTupleContainer if named else containers.TupleContainer
    if isinstance(value, MutableMapping):
        return containers.MappingContainer
    if isinstance(value, (list, deque)):
        return containers.SequenceContainer
    if isinstance(value, Mapping):
        return None
    return _kind_of_object(value)


def _kind_of_object(value: Any) -> type[Adapter] | None:
    """Tell whether the attributes of an object are its state, as far as one can tell."""
    cls = type(value)
    if cls.__module__.partition(".")[0] in sys.stdlib_module_names - {"__main__"}:
        return None
    if _is_enum(value) or isinstance(value, (set, frozenset, BaseException)):
        return None
    if not hasattr(value, "__dict__") and not any(
        "__slots__" in c.__dict__ for c in cls.__mro__
    ):
        return None
    try:
        tensors.as_view(value)
    except (TypeError, ValueError):
        pass
    else:  # an array of a library we do not know: it has values, but not as attributes
        return None
    if isinstance(value, Module):
        return containers.ModuleContainer
    if containers.is_frozen_dataclass(value):
        return containers.FrozenContainer
    return containers.AttributeContainer


def _is_enum(value: Any) -> bool:
    return isinstance(value, enum.Enum)
