"""Checkpoints of other formats, given by mistake: the error says what they are."""

from __future__ import annotations

import numpy as np
import pytest

import tensorbundle as tb


def by_torch(path):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    torch.save({"w": torch.ones(2)}, path)


def by_old_torch(path):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    torch.save({"w": torch.ones(2)}, path, _use_new_zipfile_serialization=False)


def by_safetensors(path):
    numpy = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    numpy.save_file({"w": np.ones(2)}, path)


def by_keras(path):
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(path)


FILES = {
    "a.pt": (by_torch, r"a file of torch\.save\(\); torch\.load"),
    "old.pth": (by_old_torch, r"a pickle, .* torch\.load"),
    "a.safetensors": (by_safetensors, r"safetensors\.numpy\.load_file"),
    "a.npz": (lambda path: np.savez(path, w=np.ones(2)), r"numpy\.savez\(\); numpy\.load"),
    "a.npy": (lambda path: np.save(path, np.ones(2)), r"numpy\.load"),
    "a.keras": (by_keras, r"keras\.saving\.load_model"),
    "a.h5": (by_keras, "an HDF5 file"),
    # {"params": {}}, as flax.serialization.to_bytes has it.
    "a.msgpack": (lambda path: path.write_bytes(b"\x81\xa6params\x80"), "msgpack_restore"),
    "a.gguf": (lambda path: path.write_bytes(b"GGUF\3\0\0\0"), "GGUF"),
    "a.zip": (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(40)), "a zip file"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_named_for_what_it_is(tmp_path, name):
    write, told = FILES[name]
    path = tmp_path / name
    write(path)
    readers = [tb.load, tb.open, tb.verify, lambda path: tb.merge([path], tmp_path / "merged")]
    for read in readers:
        with pytest.raises(tb.UnsupportedError, match=f"no checkpoint .*{told}") as caught:
            read(path)
        assert caught.value.code == "UnsupportedFormat"


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\x80", b"\x81", b"{" * 9, b"\0" * 60]
)
def test_a_beginning_that_tells_nothing_is_no_crash(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(tb.UnsupportedError):
        tb.load(tmp_path / "a")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("saved_model.pb", "variables/variables'"),
        ("_CHECKPOINT_METADATA", "Orbax"),
        (".metadata", r"torch\.distributed\.checkpoint"),
        ("ckpt-1.index", "latest_checkpoint"),
    ],
)
def test_a_directory_is_named_for_what_it_is(tmp_path, name, told):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / name).touch()
    for read in (tb.load, tb.open, tb.verify):
        with pytest.raises(FileNotFoundError, match=told):
            read(tmp_path / "model")
