"""The object graph of an object-based checkpoint: the bytes of one protocol buffer.

It is ``tensorflow.TrackableObjectGraph`` (trackable_object_graph.proto), which a
checkpoint holds as a string tensor named ``_CHECKPOINTABLE_OBJECT_GRAPH``. Node 0 is the
root; objects refer to each other by the numbers of their nodes, in cycles too.

`encode` gives the very bytes that protocol buffers' ``SerializeToString`` does: fields in
the order of their numbers, what is zero or empty left out. `decode` trusts nothing: what
it returns refers to nodes that exist, and is not larger than a named limit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from tensorbundle.errors import CorruptionError

__all__ = [
    "OBJECT_GRAPH_KEY",
    "Attribute",
    "Child",
    "Node",
    "ObjectGraph",
    "RegisteredSaver",
    "SlotVariable",
    "decode",
    "encode",
]

OBJECT_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"

# Each message costs a hundred times the two bytes it may take in the file: a limit on
# their number keeps a small file from filling the memory. A million variables of a model
# make three to five million.
_MOST_MESSAGES = 1 << 24

_VARINT, _BYTES = 0, 2
_FIXED_SIZES = {1: 8, 5: 4}
_MOST_VARINT_BYTES = 10
_INT32_BITS = 0xFFFFFFFF

# From the first byte up to before the last.
_Span = tuple[int, int]


@dataclasses.dataclass(slots=True)
class Child:
    """A reference from an object to one that it holds."""

    node_id: int
    local_name: str


@dataclasses.dataclass(slots=True)
class Attribute:
    """A tensor that an object's value is made of."""

    name: str
    """``"VARIABLE_VALUE"`` for a variable's only one."""
    full_name: str = ""
    """What name-based checkpoints call the variable."""
    checkpoint_key: str = ""
    """The tensor's name in the bundle; for some old objects the prefix of several."""


@dataclasses.dataclass(slots=True)
class SlotVariable:
    """A variable that an optimizer keeps for another variable."""

    original_variable_node_id: int
    slot_name: str
    slot_variable_node_id: int


@dataclasses.dataclass(slots=True)
class RegisteredSaver:
    """The saver that wrote an object's value to files of its own."""

    name: str
    object_name: str


@dataclasses.dataclass(slots=True)
class Node:
    """One object."""

    children: list[Child] = dataclasses.field(default_factory=list)
    attributes: list[Attribute] = dataclasses.field(default_factory=list)
    slot_variables: list[SlotVariable] = dataclasses.field(default_factory=list)
    registered_saver: RegisteredSaver | None = None
    has_checkpoint_values: bool | None = None
    """Whether this object or one below it has a value; ``None`` in old checkpoints."""


@dataclasses.dataclass(slots=True)
class ObjectGraph:
    """All objects of a checkpoint; the first is the root."""

    nodes: list[Node] = dataclasses.field(default_factory=list)


# ---- Encoding -----------------------------------------------------------------------------


def encode(graph: ObjectGraph) -> bytes:
    """Give the canonical bytes of a graph.

    Raises
    ------
    ValueError
        A reference is to a node that does not exist, or a name is no Unicode text.
    """
    num_nodes = len(graph.nodes)
    return b"".join(_message(1, _node(node, num_nodes)) for node in graph.nodes)


def _node(node: Node, num_nodes: int) -> bytes:
    parts = [
        _message(
            1, _number(1, _checked(child.node_id, num_nodes)) + _text(2, child.local_name)
        )
        for child in node.children
    ]
    parts += [
        _message(2, _text(1, a.name) + _text(2, a.full_name) + _text(3, a.checkpoint_key))
        for a in node.attributes
    ]
    parts += [
        _message(
            3,
            _number(1, _checked(slot.original_variable_node_id, num_nodes))
            + _text(2, slot.slot_name)
            + _number(3, _checked(slot.slot_variable_node_id, num_nodes)),
        )
        for slot in node.slot_variables
    ]
    if node.registered_saver is not None:
        saver = node.registered_saver
        parts.append(_message(4, _text(1, saver.name) + _text(2, saver.object_name)))
    if node.has_checkpoint_values is not None:
        parts.append(_message(5, _number(1, int(node.has_checkpoint_values))))
    return b"".join(parts)


def _checked(node_id: int, num_nodes: int) -> int:
    if not 0 <= node_id < num_nodes:
        raise ValueError(f"a reference to node {node_id} of a graph of {num_nodes} nodes")
    return node_id


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value) if value else b""


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode("utf-8")) if value else b""


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(content)) + content


# ---- Decoding -----------------------------------------------------------------------------


def decode(encoded: bytes, *, path: str | None = None) -> ObjectGraph:
    """Read a graph; as protocol buffers do, but references and sizes are checked.

    Fields that this version does not know are skipped.

    Parameters
    ----------
    encoded
        The value of the tensor `OBJECT_GRAPH_KEY`.
    path
        The file it came from, for messages.

    Raises
    ------
    CorruptionError
        The bytes are no such message, a reference is to a node that does not exist, or
        there are more than 2**24 messages; its ``offset`` is from the start of `encoded`.
    """
    return _Decoder(bytes(encoded), path).graph()


class _Decoder:
    """Reads one message after another, each within its own bounds."""

    def __init__(self, encoded: bytes, path: str | None) -> None:
        self._bytes = encoded
        self._path = path
        self._num_messages = 0
        self._num_nodes = 0

    def graph(self) -> ObjectGraph:
        spans = [span for field, span in self._messages(0, len(self._bytes)) if field == 1]
        # Counted first: a node may refer to one that comes after it.
        self._num_nodes = len(spans)
        return ObjectGraph([self._node(*span) for span in spans])

    def _node(self, begin: int, end: int) -> Node:
        node = Node()
        for field, span in self._messages(begin, end):
            if field == 1:
                numbers, texts = self._leaf(span, numbers=(1,), texts=(2,))
                node.children.append(Child(self._node_id(numbers, 1, span), texts.get(2, "")))
            elif field == 2:
                _, texts = self._leaf(span, texts=(1, 2, 3))
                node.attributes.append(Attribute(*(texts.get(i, "") for i in (1, 2, 3))))
            elif field == 3:
                numbers, texts = self._leaf(span, numbers=(1, 3), texts=(2,))
                original, slot = (self._node_id(numbers, i, span) for i in (1, 3))
                node.slot_variables.append(SlotVariable(original, texts.get(2, ""), slot))
            elif field == 4:
                _, texts = self._leaf(span, texts=(1, 2))
                # Of a message that is there twice, what the later one sets counts.
                known = node.registered_saver or RegisteredSaver("", "")
                name, object_name = texts.get(1, known.name), texts.get(2, known.object_name)
                node.registered_saver = RegisteredSaver(name, object_name)
            elif field == 5:
                numbers, _ = self._leaf(span, numbers=(1,))
                value = numbers.get(1, node.has_checkpoint_values)
                node.has_checkpoint_values = bool(value)
        return node

    def _node_id(self, numbers: dict[int, int], field: int, span: _Span) -> int:
        node_id = numbers.get(field, 0) & _INT32_BITS
        if node_id >= self._num_nodes:
            shown = node_id - (1 << 32) if node_id >> 31 else node_id
            raise self._fault(f"node {shown} of {self._num_nodes} does not exist", span[0])
        return node_id

    def _messages(self, begin: int, end: int) -> Iterator[tuple[int, _Span]]:
        """Give the number and place of each message within a message."""
        for field, value in self._fields(begin, end):
            if isinstance(value, tuple):
                self._num_messages += 1
                if self._num_messages > _MOST_MESSAGES:
                    raise self._fault(f"more than {_MOST_MESSAGES} messages", value[0])
                yield field, value

    def _leaf(
        self, span: _Span, *, numbers: tuple[int, ...] = (), texts: tuple[int, ...] = ()
    ) -> tuple[dict[int, int], dict[int, str]]:
        """Read a message of numbers and texts; of a field given twice the last counts."""
        found_numbers: dict[int, int] = {}
        found_texts: dict[int, str] = {}
        for field, value in self._fields(*span):
            if isinstance(value, tuple):
                if field in texts:
                    found_texts[field] = self._text(*value)
            elif field in numbers:
                found_numbers[field] = value
        return found_numbers, found_texts

    def _text(self, begin: int, end: int) -> str:
        try:
            return self._bytes[begin:end].decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._fault("a name is not UTF-8", begin + error.start) from None

    def _fields(self, begin: int, end: int) -> Iterator[tuple[int, int | _Span]]:
        """Give each field's number, and its integer or the place of its bytes."""
        at = begin
        while at < end:
            start = at
            tag, at = self._varint(at, end)
            field, wire_type = tag >> 3, tag & 7
            # Field numbers have 29 bits, and 0 is none.
            if not 0 < field < 1 << 29:
                raise self._fault(f"field number {field}", start)
            if wire_type == _VARINT:
                value, at = self._varint(at, end)
                yield field, value
                continue
            if wire_type == _BYTES:
                size, at = self._varint(at, end)
            elif wire_type in _FIXED_SIZES:
                size = _FIXED_SIZES[wire_type]
            else:  # groups, which no version of this message has
                raise self._fault(f"wire type {wire_type}", start)
            if size > end - at:
                raise self._fault(f"{size} bytes where {end - at} are left", start)
            if wire_type == _BYTES:
                yield field, (at, at + size)
            at += size

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = 0
        for i in range(_MOST_VARINT_BYTES):
            if at + i >= end:
                raise self._fault("a number is cut off", at)
            byte = self._bytes[at + i]
            value |= (byte & 0x7F) << 7 * i
            if byte < 0x80:
                if value >= 1 << 64:
                    raise self._fault("a number of more than 64 bits", at)
                return value, at + i + 1
        raise self._fault(f"a number of more than {_MOST_VARINT_BYTES} bytes", at)

    def _fault(self, detail: str, offset: int) -> CorruptionError:
        where = "" if self._path is None else f"{self._path}: "
        return CorruptionError(
            f"{where}object graph: {detail} (offset {offset})",
            code="BadObjectGraph",
            detail=detail,
            path=self._path,
            key=OBJECT_GRAPH_KEY,
            offset=offset,
        )
