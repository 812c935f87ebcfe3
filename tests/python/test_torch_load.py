"""Where loaded tensors go, and what damaged or hostile files get."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

import tensorbundle as tb

from .helpers import data_file, flip_byte
from .torch_objects import assert_identical

STRUCTURE = "_TENSORBUNDLE_TORCH"


@pytest.fixture
def tbt(torch):
    import tensorbundle.torch

    return tensorbundle.torch


# ---- map_location ---------------------------------------------------------------------------


@pytest.fixture
def obj(torch):
    base = torch.arange(12.0)
    return {"w": base, "part": base[3:5], "T": torch.ones(2, 3).T, "n": np.arange(3)}


@pytest.mark.parametrize("mmap", [False, True])
def test_cpu_may_be_asked_for_in_every_way(tbt, torch, prefix, obj, mmap):
    tbt.save(obj, prefix)
    ways = ["cpu", torch.device("cpu"), {"cpu": "cpu"}, {"cuda:0": "cpu"}, None]
    for way in [*ways, lambda storage, location: None, lambda storage, location: storage]:
        assert_identical(tbt.load(prefix, way, mmap=mmap), obj)


def test_calls_that_were_written_for_torch_are_taken(tbt, torch, prefix, obj):
    tbt.save(obj, prefix, pickle_protocol=4, _use_new_zipfile_serialization=True)
    for options in ({"weights_only": True}, {"weights_only": False, "mmap": None}):
        assert_identical(tbt.load(prefix, map_location="cpu", **options), obj)
    with pytest.raises(TypeError, match="nothing is pickled"):
        tbt.save(obj, prefix, pickle_module=json)
    with pytest.raises(TypeError, match="nothing is pickled"):
        tbt.load(prefix, pickle_module=json)


def test_meta_tensors_need_no_reading(tbt, torch, prefix, obj):
    tbt.save(obj, prefix)
    flip_byte(data_file(prefix), tb.open(prefix).entry("w").offset)
    found = tbt.load(prefix, "meta")
    assert found["w"].is_meta
    assert found["T"].stride() == (1, 3)
    assert found["part"].shape == (2,)
    assert found["part"].storage_offset() == 3
    assert found["n"].tolist() == [0, 1, 2]


def test_a_function_gets_each_storage_once_and_may_replace_it(tbt, torch, prefix, obj):
    tbt.save(obj, prefix)
    asked = []

    def place(storage, location):
        asked.append((storage.nbytes(), location))
        return storage.clone()

    found = tbt.load(prefix, place)
    assert_identical(found, obj)
    assert (
        found["w"].untyped_storage().data_ptr() == found["part"].untyped_storage().data_ptr()
    )
    assert sorted(asked) == [(24, "cpu"), (48, "cpu")]


@pytest.mark.parametrize(
    ("way", "error"),
    [
        ("cuda:77", "map_location='cuda:77': this process has no such device"),
        ({"cpu": "cuda:77"}, "map_location='cuda:77'"),
        ("no such", "map_location='no such'"),
    ],
)
def test_a_device_that_is_not_there_is_told_before_reading(tbt, torch, prefix, way, error):
    tbt.save({"w": torch.ones(2)}, prefix)
    os.unlink(data_file(prefix)) if isinstance(way, str) else None
    with pytest.raises(ValueError, match=error):
        tbt.load(prefix, way)


@pytest.mark.parametrize("way", [3, [], lambda s, location: 5])
def test_a_location_that_is_none_is_told(tbt, torch, prefix, way):
    tbt.save({"w": torch.ones(2)}, prefix)
    with pytest.raises(TypeError, match="map_location"):
        tbt.load(prefix, way)


def edited(prefix, edit):
    """Save the checkpoint again, with other JSON."""
    tensors = dict(tb.load(prefix))
    document = json.loads(tensors[STRUCTURE][()])
    tensors[STRUCTURE] = json.dumps(edit(document) or document)
    tb.save(prefix, tensors)


def test_tensors_of_a_missing_device_need_a_map_location(tbt, torch, prefix):
    tbt.save({"w": torch.ones(2)}, prefix)
    edited(prefix, lambda d: d["value"]["w"].update(device="cuda:77"))
    with pytest.raises(tb.UnsupportedError, match=r"'cuda:77'.*map_location='cpu'"):
        tbt.load(prefix)
    with pytest.raises(tb.UnsupportedError, match="cuda:77"):
        tbt.load(prefix, lambda storage, location: None)
    for way in ("cpu", {"cuda:77": "cpu"}, lambda storage, location: storage):
        assert tbt.load(prefix, way)["w"].tolist() == [1, 1]


# ---- What is not one of our saves -----------------------------------------------------------


def test_a_checkpoint_of_another_program_is_told(tbt, torch, prefix):
    tb.save(prefix, {"w": torch.ones(2)})
    with pytest.raises(tb.UnsupportedError, match="was not saved by tensorbundle"):
        tbt.load(prefix)


def test_a_file_of_torch_save_is_told(tbt, torch, prefix):
    torch.save({"w": torch.ones(2)}, prefix)
    with pytest.raises(tb.UnsupportedError, match=r"torch\.load\(\) reads it"):
        tbt.load(prefix)


def test_a_missing_checkpoint_is_told(tbt, prefix):
    with pytest.raises(FileNotFoundError):
        tbt.load(prefix)


def test_a_later_version_is_told(tbt, torch, prefix):
    tbt.save({}, prefix)
    edited(prefix, lambda d: d.update(version=2))
    with pytest.raises(tb.UnsupportedError, match="of version 2"):
        tbt.load(prefix)


@pytest.mark.parametrize("mmap", [False, True])
def test_a_flipped_bit_in_the_structure_is_told(tbt, torch, prefix, mmap):
    tbt.save({"w": torch.ones(2), "text": "x" * 100}, prefix)
    entry = tb.open(prefix).entry(STRUCTURE)
    flip_byte(data_file(prefix), entry.offset + entry.size - 20)
    with pytest.raises(tb.CorruptionError, match=STRUCTURE):
        tbt.load(prefix, mmap=mmap)


def test_a_flipped_bit_in_a_tensor_is_told_where_it_is_read(tbt, torch, prefix):
    tbt.save({"w": torch.ones(2)}, prefix)
    flip_byte(data_file(prefix), tb.open(prefix).entry("w").offset)
    with pytest.raises(tb.CorruptionError, match='tensor "w"'):
        tbt.load(prefix)
    with pytest.raises(tb.CorruptionError):
        tbt.load(prefix, mmap=True, verify=True)


def view(**changes):
    node = {"$tensor": "w", "dtype": "float32", "shape": [2], "strides": [1], "offset": 0}
    return {**node, **changes}


HOSTILE = {
    "no such entry": ({"$tensor": "nowhere"}, "no entry 'nowhere'"),
    "the document": ({"$tensor": STRUCTURE}, "no tensor of numbers"),
    "a string tensor": ({"$array": "text"}, "no tensor of numbers"),
    "a dtype that torch lacks": ({"$tensor": "int4"}, "a dtype that torch has not"),
    "a number for a name": ({"$tensor": 3}, "names no entry"),
    "another size": ({"$tensor": "w", "dtype": "float64"}, "no elements"),
    "a made up dtype": ({"$tensor": "w", "dtype": "__class__"}, "a dtype that torch has not"),
    "no dtype": ({"$tensor": "w", "dtype": "strided"}, "a dtype that torch has not"),
    "behind the end": (view(offset=3), "not inside"),
    "far behind": (view(strides=[2**61]), "not inside"),
    "overflow": (view(shape=[2**62], strides=[4]), "not inside"),
    "too many elements": (view(shape=[2**40, 2**40], strides=[0, 0]), "not inside"),
    "negative": (view(strides=[-1], offset=3), "not inside"),
    "negative offset": (view(offset=-1), "not inside"),
    "a true offset": (view(offset=True), "not inside"),
    "a text for a shape": (view(shape="ab"), "not inside"),
    "other dimensions": (view(strides=[1, 1]), "not inside"),
    "too many dimensions": (view(shape=[1] * 99, strides=[1] * 99), "not inside"),
    "wrong strides": ({"$tensor": "w", "strides": [2]}, "has no strides"),
    "wide strides": ({"$tensor": "w", "strides": [2**61]}, "has no strides"),
    "two layouts": ([{"$tensor": "m", "strides": [1, 2]}, {"$tensor": "m"}], "two layouts"),
    "two devices": ([{"$tensor": "w"}, {"$tensor": "w", "device": "cuda"}], "two devices"),
    "layout and view": (
        [{"$tensor": "m", "strides": [1, 2]}, view(**{"$tensor": "m"})],
        "not in C order",
    ),
    "a device that is a number": ({"$tensor": "w", "device": 3}, "no device"),
    "gradients of integers": ({"$tensor": "i", "requires_grad": True}, "require gradients"),
    "conjugated floats": (view(conj=True), "conjugated"),
    "a kind unknown": ({"$eval": "print()"}, "unknown kind, '\\$eval'"),
    "a forward reference": ([{"$ref": 0}, {"$tensor": "w"}], "not before"),
    "a negative reference": ([{"$tensor": "w"}, {"$ref": -1}], "not before"),
    "a true reference": ([{"$tensor": "w"}, {"$ref": False}], "not before"),
    "an attribute of torch": ({"$torch": "load"}, "no 'load'"),
    "an empty name": ({"$torch": None}, "should be text"),
    "a device that is none": ({"$device": "warp:9"}, "no device"),
    "an integer that is none": ({"$int": "0x10"}, "no integer"),
    "a float that is none": ({"$float": "1.5"}, "hexadecimal"),
    "a short float": ({"$float": "00"}, "8 bytes"),
    "a complex of three": ({"$complex": [1.0, 2.0, 3.0]}, "real and an imaginary"),
    "bytes that are none": ({"$bytes": "!"}, "base64"),
    "bytes of floats": ({"$bytes": {"entry": "w"}}, "has no bytes"),
    "bytes of nothing": ({"$bytes": {}}, "names no entry"),
    "a scalar of no dtype": ({"$scalar": "object", "bytes": ""}, "no dtype"),
    "a short scalar": ({"$scalar": "float32", "bytes": "00"}, "4 bytes"),
    "a scalar without": ({"$scalar": "float32"}, "should be text"),
    "a tuple of text": ({"$tuple": "ab"}, "should be a list"),
    "a pair of three": ({"$dict": [[1, 2, 3]]}, "pair"),
    "a list for a key": ({"$dict": [[[1], 2]]}, "key"),
    "a tensor for a key": ({"$dict": [[{"$tensor": "w"}, 2]]}, "key"),
    "a set of lists": ({"$set": [[1]]}, "key"),
    "a size of floats": ({"$size": [1.5]}, "torch.Size"),
    "a giant size": ({"$size": [2**70]}, "torch.Size"),
    "code in a name": (
        {"$namedtuple": "P", "fields": ["a=print()"], "items": [1]},
        "no identifiers",
    ),
    "a keyword": ({"$namedtuple": "P", "fields": ["class"], "items": [1]}, "no named tuple"),
    "fields without items": ({"$namedtuple": "P", "fields": ["a"], "items": []}, "fields"),
    "no fields": ({"$namedtuple": "P"}, "should be a list"),
}


@pytest.fixture
def store(prefix):
    """Give what saves a checkpoint with any text for JSON."""

    def save(text):
        tensors = {"w": np.ones(4, np.float32), "m": np.ones((2, 2), np.float32)}
        tensors |= {"i": np.arange(4), "text": "abc", STRUCTURE: text}
        import ml_dtypes

        tensors["int4"] = np.ones(3, ml_dtypes.int4)
        tb.save(prefix, tensors)
        return prefix

    return save


def document(value):
    return json.dumps({"format": "tensorbundle.torch", "version": 1, "value": value})


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("what", HOSTILE)
def test_a_structure_that_lies_is_an_error(tbt, store, what, mmap):
    value, message = HOSTILE[what]
    with pytest.raises(tb.CorruptionError, match=message) as caught:
        tbt.load(store(document({"a": [value]})), mmap=mmap)
    assert caught.value.key == STRUCTURE


NO_DOCUMENTS = {
    "torn": (document([1, 2, 3])[:-5], "not JSON"),
    "empty": ("", "not JSON"),
    "binary": (b"\xff\xfe\0\x80", "not JSON"),
    "foreign": ('{"model": 1}', "not marked"),
    "a list": ("[]", "not marked"),
    "without a value": ('{"format": "tensorbundle.torch", "version": 1}', "no value"),
    "not a number": (document(0).replace("0}", "NaN}"), "NaN"),
    "a long number": (document(0).replace("0}", "1" * 10_000 + "}"), "not JSON"),
    "deep": (document(0).replace("0}", "[" * 100_000), "not JSON"),
    "deep and whole": (document(json.loads("[" * 150 + "]" * 150)), "100 containers"),
    "deep dicts": (document(json.loads('{"a":' * 150 + "1" + "}" * 150)), "100 containers"),
    "deep keys": (
        document(json.loads('{"$tuple":[' * 150 + "]}" * 150)),
        "100 containers",
    ),
    "many strings": (np.array([b"a", b"b"], object), "not one string"),
}


@pytest.mark.parametrize("what", NO_DOCUMENTS)
def test_a_structure_that_is_none_is_an_error(tbt, store, what):
    text, message = NO_DOCUMENTS[what]
    with pytest.raises(tb.CorruptionError, match=message):
        tbt.load(store(text))


def test_duplicate_and_strange_keys_are_harmless(tbt, store):
    text = document(0).replace("0}", '{"a": 1, "a": 2, "__class__": {"x": 1}}}')
    assert tbt.load(store(text)) == {"a": 2, "__class__": {"x": 1}}
