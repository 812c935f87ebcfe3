"""What the command line's tests share: checkpoints, and two ways to run the command."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest

import tensorbundle as tb
from tensorbundle.cli import peers, steps
from tensorbundle.cli.main import main
from tensorbundle.core import _core

GOLDEN = Path(__file__).parents[2] / "golden"


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the command in this process."""

    def run_main(*arguments: object) -> Outcome:
        capsys.readouterr()
        status = main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return Outcome(status, out, err)

    return run_main


@pytest.fixture
def command() -> list[str]:
    """Give what runs the command as a process of its own."""
    return [sys.executable, "-m", "tensorbundle"]


@pytest.fixture
def run_process(command: list[str]) -> Callable[..., Outcome]:
    """Run the command as a process of its own."""

    def run_command(*arguments: object) -> Outcome:
        done = subprocess.run(
            [*command, *map(str, arguments)], capture_output=True, timeout=300, check=False
        )
        return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run_command


@pytest.fixture
def golden() -> Path:
    return GOLDEN


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    """A checkpoint with one tensor of each kind that is shown in its own way."""
    tensors = {
        "dense/kernel": np.arange(12, dtype=np.float32).reshape(3, 4),
        "dense/bias": np.zeros(4, np.float64),
        "half": np.array([1.0, -2.5, 3.0], ml_dtypes.bfloat16),
        "step": np.int64(7),
        "text": np.array([b"one", b"two\n"], object),
        "title": "hello",
        "odd[0]": np.arange(3, dtype=np.int16),
        "bell\x07\\name": np.bool_(True),
    }
    prefix = str(tmp_path / "ckpt")
    tb.save(prefix, tensors, num_shards=2)
    return prefix


class FailingPeer:
    """An engine that leaves a file behind and fails."""

    version = "0"

    def __init__(self, model: Any) -> None:
        pass

    def steps(self, directory: str) -> list[steps.Step]:
        def fail() -> None:
            with open(os.path.join(directory, "litter"), "w") as file:
                file.write("x")
            raise RuntimeError("no \x1b luck\nsecond line")

        return [steps.Step("save", "durable", fail)]


@pytest.fixture
def failing_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an engine that fails in the place of torch's."""
    monkeypatch.setitem(peers._ENGINES, "torch", FailingPeer)


def flip_byte(prefix: str, name: str) -> tuple[str, int, int, int]:
    """Damage a tensor's first byte; give its file, shard and byte range."""
    with tb.open(prefix) as bundle:
        entry = bundle.entry(name)
    path = _core.Bundle(os.fsencode(prefix), "auto").shard_path(entry.shard_id)
    with open(path, "r+b") as file:
        file.seek(entry.offset)
        byte = file.read(1)[0]
        file.seek(entry.offset)
        file.write(bytes([byte ^ 0xFF]))
    return path, entry.shard_id, entry.offset, entry.offset + entry.size


def spoil_record(prefix: str, name: str) -> None:
    """Give a float32 tensor's record a dtype that does not exist, under a right checksum.

    The index must have one data block: [0, metaindex), then type and masked CRC.
    """
    path = Path(prefix + ".index")
    index = path.read_bytes()
    end, shift = 0, 0  # the metaindex block's offset: the footer's first varint
    for byte in index[-48:]:
        end |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    record = name.encode() + b"\x08\x01"  # key, then field 1: DT_FLOAT
    block = index[: end - 4]
    assert block.count(record) == 1
    block = block.replace(record, name.encode() + b"\x08\x63")
    crc = _core.crc32c(block)
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    path.write_bytes(block + struct.pack("<I", masked) + index[end:])


@pytest.fixture
def damage() -> Callable[[str, str], tuple[str, int, int, int]]:
    return flip_byte


@pytest.fixture
def spoil() -> Callable[[str, str], None]:
    return spoil_record
