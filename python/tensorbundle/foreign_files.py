"""Checkpoints of other formats, given by mistake: told by their first bytes. Needs no NumPy.

This is for messages only; nothing is read but the beginning, and nothing in it is believed.
"""

from __future__ import annotations

import os
from typing import Final

__all__ = ["what_directory", "what_file"]

_BEGINNING: Final = 512  # bytes; the name of the first member of a zip file is within

_LOADED_BY_TORCH: Final = (
    "torch.load() reads it, and tensorbundle.torch.save() takes what it gives"
)
_BY_FIRST_BYTES: Final = {
    b"\x89HDF\r\n\x1a\n": "an HDF5 file; Keras reads such weights, or h5py",
    b"\x93NUMPY": "an array of NumPy; numpy.load() reads it",
    b"GGUF": "a GGUF file",
}
_PICKLES: Final = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
_ZIP: Final = b"PK\x03\x04"
_ZIP_NAME_SIZE, _ZIP_NAME = slice(26, 28), 30  # of a local file header: APPNOTE.TXT, 4.3.7

# In MessagePack a map that begins with a text.
_MAPS: Final = (*range(0x81, 0x90), 0xDE, 0xDF)
_TEXTS: Final = (*range(0xA0, 0xC0), 0xD9)

_ORBAX: Final = ("_CHECKPOINT_METADATA", "_METADATA", "manifest.ocdbt")


def what_file(path: str) -> str | None:
    """Say what a file is and what reads it; ``None`` where its beginning does not tell."""
    try:
        with open(path, "rb") as file:
            start = file.read(_BEGINNING)
            size = os.fstat(file.fileno()).st_size
    except OSError:
        return None
    for magic, told in _BY_FIRST_BYTES.items():
        if start.startswith(magic):
            return told
    if start.startswith(_ZIP):
        return _what_zip(start)
    if start.startswith(_PICKLES):
        return f"a pickle, as old versions of torch.save() write; {_LOADED_BY_TORCH}"
    if start[8:9] == b"{" and 8 + int.from_bytes(start[:8], "little") <= size:
        return (
            "a safetensors file; safetensors.numpy.load_file() reads it, and save() takes "
            "what it gives"
        )
    if len(start) > 3 and start[0] in _MAPS and {start[1], start[3]} & {*_TEXTS}:
        return "MessagePack, as flax writes; flax.serialization.msgpack_restore() reads it"
    return None


def what_directory(path: str) -> str | None:
    """Say what a directory is and where its tensors are; ``None`` where it is none known."""

    def has(*names: str) -> bool:
        return any(os.path.exists(os.path.join(path, name)) for name in names)

    if has("saved_model.pb", "saved_model.pbtxt"):
        prefix = os.path.join(path, "variables", "variables")
        return (
            f"a SavedModel; its variables are the checkpoint {prefix!r}, and "
            "tensorbundle.tensorflow.SavedModel has them by short names"
        )
    if has(*_ORBAX):
        return "a checkpoint of Orbax; orbax.checkpoint reads it"
    if has(".metadata"):
        return "a checkpoint of torch.distributed.checkpoint, which reads it"
    return None


def _what_zip(start: bytes) -> str:
    size = int.from_bytes(start[_ZIP_NAME_SIZE], "little")
    name = start[_ZIP_NAME : _ZIP_NAME + size]
    if name.endswith(b"data.pkl"):
        return f"a file of torch.save(); {_LOADED_BY_TORCH}"
    if name.endswith(b".npy"):
        return "a file of numpy.savez(); numpy.load() reads it, and save() takes what it gives"
    if name in (b"metadata.json", b"config.json", b"model.weights.h5"):
        return "a model of Keras; keras.saving.load_model() reads it"
    return "a zip file"
