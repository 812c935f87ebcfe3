"""What the tests share: a prefix each, frameworks where installed, disks that fail."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tensorbundle import recent_checkpoints, rotation

# Before any framework is imported, here or in a subprocess.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")

# A shell starts background jobs with Ctrl-C ignored, and programs pass that on to theirs:
# with a handler of our own, those that the tests start have the default.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The oracle, tests/reference, is imported as `reference`.
sys.path.append(str(Path(__file__).resolve().parent.parent))


@pytest.fixture
def prefix(tmp_path):
    """Give the prefix of a checkpoint in a directory that holds nothing else."""
    directory = tmp_path / "checkpoints"
    directory.mkdir()
    return str(directory / "ckpt")


@pytest.fixture(scope="session")
def tf():
    return pytest.importorskip("tensorflow", reason="TensorFlow is not installed")


@pytest.fixture(scope="session")
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.fixture(scope="session")
def jax():
    return pytest.importorskip("jax", reason="JAX is not installed")


class Clock:
    """Stands for the module ``time``; the seconds pass only as a test wants."""

    def __init__(self) -> None:
        self.now = 1_795_217_185.25

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """Give what rotation takes for the time."""
    fake = Clock()
    for module in (rotation, recent_checkpoints):
        monkeypatch.setattr(module, "time", fake)
    return fake


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make_read_only(self) -> None:
        subprocess.run(["mount", "-o", "remount,ro", str(self.path)], check=True)


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system of 4 MiB in memory."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(path)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.strip()}")
    yield Disk(path)
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def small_ext4(tmp_path):
    """Mount a file system of 24 MiB on a device: a file of its own."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    image, path = tmp_path / "image", tmp_path / "ext4"
    path.mkdir()
    image.touch()
    os.truncate(image, 24 << 20)
    for command in (
        ["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(image)],
        ["mount", "-o", "loop", str(image), str(path)],
    ):
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"cannot mount an ext4 here: {done.stderr.strip()}")
    shutil.rmtree(path / "lost+found")
    yield Disk(path)
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture(scope="session")
def fuse_mount():
    """Give a function that mounts a directory once more, through a program (FUSE)."""
    if shutil.which("bindfs") is None:
        pytest.skip("bindfs is not installed, to mount a file system through a program")
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        pytest.skip("mounting through FUSE takes root and /dev/fuse")

    def mount(source, target):
        target.mkdir()
        done = subprocess.run(
            ["bindfs", source, target], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"cannot mount through FUSE here: {done.stderr.strip()}")

    return mount
