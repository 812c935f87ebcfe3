"""A restore into what TensorFlow tracks: matched by TensorFlow's code, read with this engine.

TensorFlow finds out which object of the program each saved one belongs to, keeps what has
no object yet until it has one, and asserts what it is asked to: its rules hold to the
letter. What it would read and assign as it goes is here gathered first, read in one go,
compared, and then assigned: a checkpoint that does not fit changes no variable.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2
from tensorflow.python.checkpoint import checkpoint as tf_checkpoint
from tensorflow.python.checkpoint import functional_saver
from tensorflow.python.checkpoint import restore as tf_restore
from tensorflow.python.training.saving import saveable_object_util

from tensorbundle import dtypes
from tensorbundle.checkpoint.adapters import refusal
from tensorbundle.checkpoint.keys import VARIABLE_VALUE
from tensorbundle.errors import RestoreMismatchError
from tensorbundle.frameworks.tensorflow.graph import has_own_saver
from tensorbundle.frameworks.tensorflow.resource_variable import resource_variable
from tensorbundle.frameworks.tensorflow.stored_tensors import StoredTensors
from tensorbundle.frameworks.tensorflow.values import with_dtype
from tensorbundle.object_graph import OBJECT_GRAPH_KEY
from tensorbundle.variables import describe

__all__ = ["restore"]


def restore(stored: StoredTensors, view: Any, options: Any) -> Any:
    """Restore the objects of a graph view; see ``TrackableSaver.restore``.

    Returns
    -------
    CheckpointLoadStatus
        TensorFlow's own.

    Raises
    ------
    RestoreMismatchError
        Tensors have other shapes or dtypes than the variables; all of them are told, and
        nothing was restored.
    CorruptionError, OSError
        A tensor cannot be read.
    """
    options = options or tf.train.CheckpointOptions()
    coordinator = _Coordinator(stored, view, options)
    with coordinator.all_at_once():
        _Position(coordinator, 0).restore(view.root)
        # What a Checkpoint attaches to a root object is not found from there.
        attached = {ref.name: ref for ref in view.attached_dependencies or ()}
        for child in coordinator.object_graph_proto.nodes[0].children:
            is_new = child.node_id not in coordinator.object_by_proto_id
            if child.local_name in attached and child.local_name != "root" and is_new:
                position = _Position(coordinator, child.node_id)
                position.restore(attached[child.local_name].ref)
    return tf_checkpoint.CheckpointLoadStatus(
        coordinator, graph_view=view, feed_dict=None, options=options
    )


class _Assignment(NamedTuple):
    """A variable, and the tensor that it takes."""

    variable: Any
    key: str


class _Found(NamedTuple):
    """What TensorFlow has found to restore, besides variables."""

    saveables: dict[str, Any]
    python_positions: list[Any]
    registered_savers: dict[str, Any]


class _Coordinator(tf_checkpoint._CheckpointRestoreCoordinator):  # type: ignore[misc]
    """One checkpoint on its way into objects."""

    def __init__(self, stored: StoredTensors, view: Any, options: Any) -> None:
        graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(
            stored.get_tensor(OBJECT_GRAPH_KEY)
        )
        with tf.device("CPU:0"):
            path = tf.constant(stored.prefix)
        super().__init__(
            object_graph_proto=graph, save_path=stored.prefix, save_path_tensor=path,
            reader=stored, restore_op_cache={}, graph_view=view, options=options,
            saveables_cache=None,
        )  # fmt: skip
        self.stored = stored
        self.assignments: list[_Assignment] = []
        self.has_failed = False
        self._waits = False
        self._found: list[_Found] = []

    @contextlib.contextmanager
    def all_at_once(self) -> Iterator[None]:
        """Restore what is found meanwhile in the end; if that fails, nothing, ever."""
        self._waits = True
        try:
            yield
            self._restore_found()
        except BaseException:
            self.has_failed = self.expect_partial = True
            raise
        finally:
            self._waits = False

    def restore_saveables(
        self,
        tensor_saveables: dict[str, Any],
        python_positions: list[Any],
        registered_savers: dict[str, Any] | None = None,
        reader: Any = None,
    ) -> list[Any]:
        """Restore what TensorFlow has found in one pass over objects."""
        savers = dict(registered_savers or {})
        self._found.append(_Found(tensor_saveables, list(python_positions), savers))
        if not self._waits:
            self._restore_found()
        return []

    def _restore_found(self) -> None:
        found, self._found = self._found, []
        assignments, self.assignments = self.assignments, []
        self._check(assignments)
        saveables = [
            saveable
            for one in found
            for saveable in saveable_object_util.validate_and_slice_inputs(one.saveables)
        ]
        positions = [position for one in found for position in one.python_positions]
        # All is read before anything is changed.
        read = self.stored.read([*(a.key for a in assignments), *map(_key_of, positions)])
        tensors = [self.stored.tensors(map(_wanted, s.specs)) for s in saveables]
        for position in positions:
            position.trackable.deserialize(read[_key_of(position)].numpy())
        for assignment in assignments:
            _assign(assignment.variable, read[assignment.key])
        for saveable, values in zip(saveables, tensors, strict=True):
            saveable.restore(values, restored_shapes=None)
        for one in found:
            if one.registered_savers:
                saver = functional_saver.MultiDeviceSaver({}, one.registered_savers)
                saver.restore(self.save_path_tensor, self.options)

    def _check(self, assignments: list[_Assignment]) -> None:
        faults = []
        for variable, key in assignments:
            entry = self.stored.entry(key)
            dtype = dtypes.numpy_dtype(int(variable.dtype.as_datatype_enum) % 100)
            fits = variable.shape.is_compatible_with(entry.shape)
            shape = entry.shape if fits else tuple(variable.shape)
            fault = refusal(entry, shape, dtype)
            if fault is not None:
                faults.append(f"{key} ({variable.name}): {fault}")
        if faults:
            told = f"{self.stored.prefix}: {len(faults)} do not fit, nothing was restored:"
            raise RestoreMismatchError(told + describe(faults), code="RestoreMismatch")


class _Position(tf_restore.CheckpointPosition):  # type: ignore[misc]
    """A saved object on its way into one of the program."""

    __slots__ = ()

    def restore(self, trackable: Any, reader: Any = None) -> None:
        if not self.checkpoint.has_failed:
            super().restore(trackable, reader)

    def is_simple_variable(self) -> bool:
        return not self.checkpoint.has_failed and super().is_simple_variable()

    def create_child_position(self, node_id: int) -> _Position:
        return _Position(self.checkpoint, node_id)

    def create_slot_variable_position(
        self,
        optimizer_object: Any,
        variable: Any,
        slot_variable_id: int,
        slot_name: str,
        reshard_callback: Any = None,
    ) -> tuple[Any, Any]:
        position = _Position(self.checkpoint, slot_variable_id)
        shape = {}
        if reshard_callback is not None:
            position.update_resharding_callback(reshard_callback)
            shape = {"slot_variable_shape": variable.shape}
        slot = optimizer_object._create_or_restore_slot_variable(
            slot_variable_position=position, variable=variable, slot_name=slot_name, **shape
        )
        is_new = slot is not None and position.bind_object(slot)
        return (position, slot) if is_new else (None, None)

    def value_tensors(self, shape_and_slices: Any = None) -> dict[str, Any]:
        """Give the values that a variable begins with."""
        stored: StoredTensors = self.checkpoint.stored
        attributes = self.object_proto.attributes
        is_plain = not shape_and_slices and not self.has_non_trivial_reshard_callback()
        if not is_plain or not all(stored.has_whole(a.checkpoint_key) for a in attributes):
            values: dict[str, Any] = super().value_tensors(shape_and_slices)
            return values
        with tf.init_scope():
            read = stored.read(a.checkpoint_key for a in attributes)
        return {a.name: tf.identity(read[a.checkpoint_key]) for a in attributes}

    def gather_ops_or_named_saveables(self) -> tuple[Any, Any, Any, Any]:
        """Tell what of an object is to be restored; variables go a way of their own."""
        variable = self._variable()
        if variable is None:
            found: tuple[Any, Any, Any, Any] = super().gather_ops_or_named_saveables()
            return found
        key = self.object_proto.attributes[0].checkpoint_key
        self.checkpoint.assignments.append(_Assignment(variable, key))
        return [], {}, [], {}

    def _variable(self) -> Any:
        node = self.object_proto
        if len(node.attributes) != 1 or node.attributes[0].name != VARIABLE_VALUE:
            return None
        if node.registered_saver.name or self.has_non_trivial_reshard_callback():
            return None
        if not self.checkpoint.stored.has_whole(node.attributes[0].checkpoint_key):
            return None
        if has_own_saver(self.trackable):
            return None
        return resource_variable(self.trackable)


def _key_of(position: Any) -> str:
    key: str = position.object_proto.attributes[0].checkpoint_key
    return key


def _wanted(spec: Any) -> tuple[str, str, Any]:
    name, part = (
        tf.compat.as_str(tf.get_static_value(v)) for v in (spec.name, spec.slice_spec)
    )
    return name, part, spec.dtype


def _assign(variable: Any, value: Any) -> None:
    # The variable's device is that of its handle.
    tensor = with_dtype(value, variable.dtype)
    tf.raw_ops.AssignVariableOp(resource=variable.handle, value=tensor)
