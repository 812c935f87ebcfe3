"""The codec of object graphs, against TensorFlow's own protocol buffer."""

from __future__ import annotations

import random

import pytest

from tensorbundle import object_graph
from tensorbundle.errors import CorruptionError
from tensorbundle.object_graph import (
    Attribute,
    Child,
    Node,
    ObjectGraph,
    RegisteredSaver,
    SlotVariable,
)


@pytest.fixture(scope="module")
def message(tf):
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    return trackable_object_graph_pb2.TrackableObjectGraph


# A root with a child and a cycle, a variable with a slot, a registered saver, and a text
# and a number that take two bytes of length: written by hand from the proto file.
SAMPLE = ObjectGraph(
    [
        Node(children=[Child(1, "v"), Child(0, "self")], has_checkpoint_values=True),
        Node(
            attributes=[
                Attribute("VARIABLE_VALUE", "dense/kernel", "v/.ATTRIBUTES/VARIABLE_VALUE")
            ],
            slot_variables=[SlotVariable(1, "momentum", 2)],
            has_checkpoint_values=False,
        ),
        Node(
            registered_saver=RegisteredSaver("Custom.saver", "object"),
            attributes=[Attribute("é")],
        ),
    ]
)
SAMPLE_BYTES = b"".join(
    [
        b"\x0a\x13\x0a\x05\x08\x01\x12\x01v\x0a\x06\x12\x04self\x2a\x02\x08\x01",
        b"\x0a\x50"
        b"\x12\x3c\x0a\x0eVARIABLE_VALUE\x12\x0cdense/kernel\x1a\x1cv/.ATTRIBUTES/VARIABLE_VALUE",
        b"\x1a\x0e\x08\x01\x12\x08momentum\x18\x02\x2a\x00",
        b"\x0a\x1e\x12\x04\x0a\x02\xc3\xa9\x22\x16\x0a\x0cCustom.saver\x12\x06object",
    ]
)


def as_message(graph, message):
    """Fill TensorFlow's message with a graph."""
    filled = message()
    for node in graph.nodes:
        added = filled.nodes.add()
        for child in node.children:
            added.children.add(node_id=child.node_id, local_name=child.local_name)
        for a in node.attributes:
            added.attributes.add(
                name=a.name, full_name=a.full_name, checkpoint_key=a.checkpoint_key
            )
        for slot in node.slot_variables:
            added.slot_variables.add(
                original_variable_node_id=slot.original_variable_node_id,
                slot_name=slot.slot_name,
                slot_variable_node_id=slot.slot_variable_node_id,
            )
        if node.registered_saver is not None:
            added.registered_saver.name = node.registered_saver.name
            added.registered_saver.object_name = node.registered_saver.object_name
        if node.has_checkpoint_values is not None:
            added.has_checkpoint_values.value = node.has_checkpoint_values
            added.has_checkpoint_values.SetInParent()
    return filled


def random_graph(seed):
    """Make a graph with every field, names of every script, and many nodes."""
    rng = random.Random(seed)
    num_nodes = rng.choice([1, 2, 5, 200])

    def name():
        return "".join(rng.choices("ab/._ é漢\U0001f600\0", k=rng.choice([0, 1, 3, 200])))

    def node_id():
        return rng.randrange(num_nodes)

    def some(make):
        return [make() for _ in range(rng.choice([0, 0, 1, 3]))]

    return ObjectGraph(
        [
            Node(
                some(lambda: Child(node_id(), name())),
                some(lambda: Attribute(name(), name(), name())),
                some(lambda: SlotVariable(node_id(), name(), node_id())),
                rng.choice([None, RegisteredSaver(name(), name())]),
                rng.choice([None, True, False]),
            )
            for _ in range(num_nodes)
        ]
    )


def test_known_bytes_are_made_and_read():
    assert object_graph.encode(SAMPLE) == SAMPLE_BYTES
    assert object_graph.decode(SAMPLE_BYTES) == SAMPLE


def test_an_empty_graph_is_no_bytes():
    assert object_graph.encode(ObjectGraph()) == b""
    assert object_graph.decode(b"") == ObjectGraph()


@pytest.mark.parametrize("seed", range(20))
def test_tensorflow_makes_and_reads_the_same_bytes(message, seed):
    graph = random_graph(seed)
    encoded = object_graph.encode(graph)
    assert encoded == as_message(graph, message).SerializeToString()
    assert object_graph.decode(encoded) == graph
    assert message.FromString(encoded) == as_message(graph, message)


def test_a_later_field_counts_and_halves_of_a_message_are_joined(message):
    twice = (
        b"\x0a\x20" b"\x22\x06\x0a\x01a\x12\x01b" b"\x22\x03\x0a\x01c"
        b"\x2a\x02\x08\x01" b"\x2a\x00" b"\x0a\x07\x12\x01x\x12\x02yz"
    )  # fmt: skip
    twice = b"\x0a" + bytes([len(twice) - 2]) + twice[2:]
    graph = object_graph.decode(twice)
    assert graph.nodes[0].registered_saver == RegisteredSaver("c", "b")
    assert graph.nodes[0].has_checkpoint_values is True
    assert graph.nodes[0].children == [Child(0, "yz")]
    assert message.FromString(twice) == as_message(graph, message)


def test_unknown_fields_are_skipped():
    unknown = b"\x30\x05\x39" + bytes(8) + b"\x45" + bytes(4) + b"\x4a\x03abc"
    node = b"\x0a\x05\x08\x00\x12\x01v" + unknown
    encoded = b"\x0a" + bytes([len(node)]) + node + unknown
    assert object_graph.decode(encoded) == ObjectGraph([Node(children=[Child(0, "v")])])


@pytest.mark.parametrize(
    ("encoded", "told"),
    [
        (b"\x0a\x06\x0a\x04\x08\x01\x12\x00", "node 1 of 1 does not exist"),
        (b"\x0a\x0d\x0a\x0b\x08" + b"\xff" * 9 + b"\x01", "node -1 of 1 does not exist"),
        (b"\x0a\x06\x1a\x04\x08\x00\x18\x07", "node 7 of 1 does not exist"),
        (b"\x0a\x05\x0a\x03\x12\x01\xff", "a name is not UTF-8"),
        (b"\x0a\x07\x0a\x05\x12\x03\xed\xa0\x80", "a name is not UTF-8"),
        (b"\x0a\x05\x0a", "5 bytes where 1 are left"),
        (b"\x0a\xff\xff\xff\xff\x7f", "bytes where 0 are left"),
        (b"\x0a\x02\x0a\x05" + b"\x30\x01" * 3, "5 bytes where 0 are left"),
        (b"\x39" + bytes(7), "8 bytes where 7 are left"),
        (b"\x0a", "a number is cut off"),
        (b"\x0a\x80", "a number is cut off"),
        (b"\x30" + b"\x80" * 10 + b"\x01", "a number of more than 10 bytes"),
        (b"\x30" + b"\x80" * 9 + b"\x02", "a number of more than 64 bits"),
        (b"\x00\x00", "field number 0"),
        (b"\x0b\x0c", "wire type 3"),
        (b"\x0f", "wire type 7"),
    ],
)
def test_damage_is_told_with_its_place(encoded, told):
    with pytest.raises(CorruptionError) as caught:
        object_graph.decode(encoded, path="run/ckpt-1.index")
    error = caught.value
    assert told in error.detail
    assert error.code == "BadObjectGraph"
    assert error.path == "run/ckpt-1.index"
    assert 0 <= error.offset <= len(encoded)
    assert str(error).startswith("run/ckpt-1.index: object graph: ")


def test_messages_have_a_limit(monkeypatch):
    monkeypatch.setattr(object_graph, "_MOST_MESSAGES", 3)
    assert len(object_graph.decode(b"\x0a\x00" * 3).nodes) == 3
    with pytest.raises(CorruptionError, match="more than 3 messages"):
        object_graph.decode(b"\x0a\x00" * 4)


def test_damaged_bytes_are_an_error_or_what_tensorflow_reads(message):
    from google.protobuf.message import DecodeError

    rng = random.Random(0)
    encoded = object_graph.encode(random_graph(3)) + SAMPLE_BYTES
    read = 0
    for _ in range(3000):
        cut = rng.choice([len(encoded), rng.randrange(1, len(encoded))])
        damaged = bytearray(encoded[:cut])
        for _ in range(rng.choice([1, 1, 3])):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        try:
            graph = object_graph.decode(bytes(damaged))
        except CorruptionError:
            continue
        read += 1
        try:
            theirs = message.FromString(bytes(damaged))
        except DecodeError:
            pytest.fail(f"TensorFlow refuses {bytes(damaged)!r}")
        theirs.DiscardUnknownFields()
        assert as_message(graph, message) == theirs
    assert read > 100


def test_encoding_refuses_what_could_not_be_read_back():
    with pytest.raises(ValueError, match="node 1 of a graph of 1 nodes"):
        object_graph.encode(ObjectGraph([Node(children=[Child(1, "v")])]))
    with pytest.raises(ValueError, match="surrogates"):
        object_graph.encode(ObjectGraph([Node(children=[Child(0, "\ud800")])]))
