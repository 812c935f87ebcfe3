"""What TensorFlow tracks, in the graph of a checkpoint.

Some of what follows calls methods that TensorFlow's checkpoints are made of, and that it
has no public names for. They have been the same since TensorFlow 2.9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import tensorflow as tf
from tensorflow.python.saved_model import registration
from tensorflow.python.training.saving import saveable_object_util
from tensorflow.python.util import object_identity

from tensorbundle import dtypes
from tensorbundle.bundle import Entry
from tensorbundle.checkpoint.adapters import (
    Adapter,
    Array,
    Children,
    Leaf,
    Tensors,
    refusal,
)
from tensorbundle.checkpoint.keys import VARIABLE_VALUE, attribute_key, escape
from tensorbundle.frameworks.tensorflow.resource_variable import read, resource_variable
from tensorbundle.frameworks.tensorflow.values import as_tensor
from tensorbundle.frameworks.tensorflow.variants import to_elements
from tensorbundle.object_graph import Attribute

__all__ = ["NeedsTensorFlowError", "TrackableAdapter", "graph_adapter", "has_own_saver"]

_Trackable = tf.__internal__.tracking.Trackable


class NeedsTensorFlowError(TypeError):
    """An object is saved in a way that only TensorFlow's own writer knows."""


class TensorLeaf(Leaf):
    """A tensor outside of what TensorFlow tracks; another one takes its place."""

    in_place = False

    def new_value(self, value: Array) -> Any:
        return as_tensor(value, self.obj.dtype)


class TrackableAdapter(Adapter):
    """Whatever TensorFlow tracks: its children and tensors are those that it says."""

    def children(self) -> Children:
        return list(tf.train.TrackableView.children(self.obj).items())

    def lookup(self, name: str, children: dict[str, Any]) -> Any:
        own = {n: c.obj if isinstance(c, Adapter) else c for n, c in children.items()}
        return self.obj._lookup_dependency(name, own)

    def defer(
        self, name: str, restore: Callable[[Any], None], again: Callable[[], None]
    ) -> None:
        self.obj._maybe_initialize_trackable()
        waiting = self.obj._deferred_dependencies.setdefault(name, [])
        waiting[:] = [w for w in waiting if not isinstance(w, _Position)]
        waiting.append(_Position(restore))

    @property
    def has_value(self) -> bool:
        return _serializes(self.obj) or bool(self.obj._gather_saveables_for_checkpoint())

    @property
    def may_have_value(self) -> bool:
        """Whether it takes a closer look to tell: most containers tell at once."""
        return _class_has_value(type(self.obj)) or _instance_has_value(self.obj)

    # ---- Saving ---------------------------------------------------------------------------

    def tensors(self, path: str) -> Tensors:
        if has_own_saver(self.obj):
            name = registration.get_registered_saver_name(self.obj)
            raise NeedsTensorFlowError(
                f"{type(self.obj).__qualname__} has a saver of its own, {name!r}"
            )
        variable = resource_variable(self.obj)
        if variable is not None:
            return self._variable(path, read(variable))
        if not self.may_have_value or not self.has_value:
            return Tensors([], {})
        if not _serializes(self.obj) or _legacy_name(self.obj):
            return _legacy_tensors(self.obj, path)
        found = Tensors([], {})
        for name, value in self.obj._serialize_to_tensors().items():
            # Escaped once in the name, once in the key. TensorFlow escapes the key twice,
            # and then does not find it.
            key = attribute_key(path, name)
            found.attributes.append(Attribute(escape(name), _full_name(self.obj), key))
            _add_tensor(found.values, key, value)
        return found

    def _variable(self, path: str, value: Any) -> Tensors:
        key = attribute_key(path, VARIABLE_VALUE)
        attribute = Attribute(VARIABLE_VALUE, _full_name(self.obj), key)
        return Tensors([attribute], {} if value is None else {key: value})

    # ---- Restoring ------------------------------------------------------------------------

    def takes(self, attribute: Attribute) -> bool:
        if _legacy_name(self.obj):
            return True
        if _serializes(self.obj):
            names = map(escape, self._held())
        else:
            names = iter(self.obj._gather_saveables_for_checkpoint())
        return any(attribute.name == name for name in names)

    def _held(self) -> dict[str, Any]:
        if _is_variable(self.obj):
            return {VARIABLE_VALUE: self.obj}
        return dict(self.obj._serialize_to_tensors())

    def refusal(self, attribute: Attribute, entry: Entry) -> str | None:
        if not _is_variable(self.obj):
            return None
        dtype = dtypes.numpy_dtype(int(tf.as_dtype(self.obj.dtype).as_datatype_enum) % 100)
        shape = tf.TensorShape(self.obj.shape)
        fits = shape.is_compatible_with(entry.shape)
        wanted = entry.shape if fits else tuple(shape) if shape.rank is not None else ()
        return refusal(entry, wanted, dtype)

    @property
    def may_fail(self) -> bool:
        return not _is_variable(self.obj)

    def assign(self, values: dict[str, Array]) -> None:
        if _is_variable(self.obj):
            value = as_tensor(values[VARIABLE_VALUE], tf.as_dtype(self.obj.dtype))
            self.obj._restore_from_tensors({VARIABLE_VALUE: value})
        elif isinstance(self.obj, tf.train.experimental.PythonState):
            (value,) = values.values()
            self.obj.deserialize(value.item())
        elif _serializes(self.obj):
            held = self._held()
            raw = {escape(name): name for name in held}
            named = {raw.get(n, _suffix(n, self.obj)): v for n, v in values.items()}
            self.obj._restore_from_tensors(
                {
                    name: as_tensor(value, tf.variant if _is_variant(held.get(name)) else None)
                    for name, value in named.items()
                }
            )
        else:
            _legacy_restore(self.obj, {n: as_tensor(v) for n, v in values.items()})

    def held_values(self) -> dict[str, Any]:
        if isinstance(self.obj, tf.train.experimental.PythonState):
            return {"py_state": np.array(self.obj.serialize(), dtype=object)}
        found = Tensors([], {})
        if _serializes(self.obj) and not _legacy_name(self.obj):
            for name, value in self.obj._serialize_to_tensors().items():
                _add_tensor(found.values, escape(name), value)
        return {n: to_elements(v) if _is_variant(v) else v for n, v in found.values.items()}

    def make_slot(
        self, variable: Adapter, name: str, value: Array, restore: Callable[[Any], None]
    ) -> None:
        """Make what an optimizer of TensorFlow 1 keeps for a variable."""
        position = _Position(restore, as_tensor(value))
        self.obj._create_or_restore_slot_variable(
            slot_variable_position=position, slot_name=name, variable=variable.obj
        )


class _Position:
    """A value that waits for a variable; what TensorFlow calls a checkpoint position."""

    def __init__(self, restore: Callable[[Any], None], value: Any = None) -> None:
        from tensorflow.python.framework import ops

        self._restore = restore
        self._value = value
        self.checkpoint = self
        self.restore_uid = ops.uid()

    def is_simple_variable(self) -> bool:
        return self._value is not None

    def value_tensors(self, shape_and_slices: Any = None) -> dict[str, Any]:
        return {VARIABLE_VALUE: self._value}

    def restore(self, trackable: Any, reader: Any = None) -> None:
        with tf.init_scope():  # it may be made while a function is traced
            self._restore(trackable)


def graph_adapter(value: Any) -> Adapter | None:
    """Adapt what TensorFlow tracks, or an eager tensor; ``None`` for anything else."""
    if isinstance(value, _Trackable):
        return TrackableAdapter(value)
    if isinstance(value, tf.Tensor):
        return TensorLeaf(value)
    return None


def _is_variable(obj: Any) -> bool:
    return isinstance(obj, tf.Variable) or (
        hasattr(obj, "_should_act_as_resource_variable") and hasattr(obj, "handle")
    )


def _full_name(obj: Any) -> str:
    if not _is_variable(obj):
        return ""
    info = getattr(obj, "_save_slice_info", None)
    return str(obj._shared_name if info is None else info.full_name)


def _add_tensor(values: dict[str, Any], key: str, value: Any) -> None:
    if isinstance(value, dict):
        if set(value) != {""}:
            raise NeedsTensorFlowError("a variable that is saved in slices; save its parts")
        value = value[""]
    if not isinstance(value, tf.Tensor) and hasattr(value, "tensor"):
        value = value.tensor  # of a SaveSpec
    if callable(value):
        value = value()
    if value is None:  # of a variable that has not been initialized
        return
    values[key] = value


def _is_variant(value: Any) -> bool:
    return bool(getattr(value, "dtype", None) == tf.variant)


_VALUE_METHODS = frozenset({"_serialize_to_tensors", "_gather_saveables_for_checkpoint"})


_classes: WeakKeyDictionary[type, bool] = WeakKeyDictionary()


def _class_has_value(cls: type) -> bool:
    if cls not in _classes:
        mro = cls.__mro__
        own = mro[: mro.index(_Trackable)] if _Trackable in mro else mro
        _classes[cls] = any(not _VALUE_METHODS.isdisjoint(vars(c)) for c in own)
    return _classes[cls]


def _instance_has_value(obj: Any) -> bool:
    """Tell whether an object has a value that its class does not tell of."""
    held = getattr(obj, "__dict__", {})
    return bool(held.get("_self_saveable_object_factories")) or not (
        _VALUE_METHODS.isdisjoint(held)
    )


def _serializes(obj: Any) -> bool:
    return bool(saveable_object_util.trackable_has_serialize_to_tensor(obj))


def _legacy_name(obj: Any) -> str:
    return getattr(obj, "_LEGACY_SAVEABLE_NAME", None) or ""


def _suffix(name: str, obj: Any) -> str:
    """Give the name of one of the tensors that old objects save under one attribute."""
    return name.removeprefix(_legacy_name(obj))


def has_own_saver(obj: Any) -> bool:
    """Tell whether an object is written to files of its own, by a registered saver."""
    return registration.get_registered_saver_name(obj) is not None


def _legacy_tensors(obj: Any, path: str) -> Tensors:
    """Give the tensors of what TensorFlow saves the way of its first version."""
    from tensorflow.core.protobuf import trackable_object_graph_pb2
    from tensorflow.python.checkpoint import save_util

    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    graph.nodes.add()
    data = save_util._TrackableData(obj, 0, path, [], [], obj)
    # Some objects cannot be keys of a dict.
    numbers = object_identity.ObjectIdentityDictionary()
    numbers[obj] = 0
    tensors = save_util._get_and_write_tensors_to_serialize([data], numbers, None, None, graph)
    found = Tensors([], {})
    for a in graph.nodes[0].attributes:
        found.attributes.append(Attribute(a.name, a.full_name, a.checkpoint_key))
    for by_key in tensors.values():
        for key, value in by_key.items():
            _add_tensor(found.values, key, value)
    return found


def _legacy_restore(obj: Any, values: dict[str, Any]) -> None:
    for name, make in obj._gather_saveables_for_checkpoint().items():
        saveable = make(name=name) if callable(make) else make
        own = [value for found, value in values.items() if found.startswith(name)]
        saveable.restore(own, None)
