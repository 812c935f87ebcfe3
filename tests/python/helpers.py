"""Small things that many tests need."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import ml_dtypes
import numpy as np

from tensorbundle.cli.machine import file_system_of

MIB = 1 << 20

GOLDEN = Path(__file__).resolve().parent.parent / "golden"

_PLAIN = ["float16", "float32", "float64", "complex64", "complex128", "bool",
          "int8", "int16", "int32", "int64",
          "uint8", "uint16", "uint32", "uint64"]  # fmt: skip
_EXTENSION = ["bfloat16", "float8_e5m2", "float8_e4m3fn", "float8_e4m3fnuz",
              "float8_e4m3b11fnuz", "float8_e5m2fnuz", "float4_e2m1fn",
              "int4", "uint4", "int2", "uint2"]  # fmt: skip
PLAIN_DTYPES = [np.dtype(name) for name in _PLAIN]
EXTENSION_DTYPES = [np.dtype(getattr(ml_dtypes, name)) for name in _EXTENSION]
# Every fixed-size dtype of the format but the quantized ones, which NumPy has no name for.
ALL_DTYPES = PLAIN_DTYPES + EXTENSION_DTYPES

# The numbers that the narrow dtypes have, from the first up to before the second.
_RANGES = {"int4": (-8, 8), "uint4": (0, 16), "int2": (-2, 2), "uint2": (0, 4),
           "float4_e2m1fn": (-4, 5)}  # fmt: skip


def sample(dtype, shape=(3, 4), seed=0):
    """Make an array whose elements differ, as far as the dtype has different ones."""
    dtype = np.dtype(dtype)
    lowest, highest = _RANGES.get(dtype.name, (0 if dtype.kind == "u" else -50, 50))
    numbers = np.asarray(np.random.default_rng(seed).integers(lowest, highest, shape))
    if dtype.kind == "b":
        return np.asarray(numbers % 2 == 1)
    if dtype.kind == "c":
        return np.asarray(numbers - 1j * numbers.T.reshape(shape), dtype)
    return numbers.astype(dtype)


def strings(*values):
    """Make an object array of one dimension."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def assert_same(found, expected):
    """Compare dtype, shape and every bit; NaNs and signs of zero count."""
    found, expected = _as_array(found), _as_array(expected)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    if found.dtype == object:
        assert found.tolist() == expected.tolist()
    else:
        assert found.tobytes() == expected.tobytes()


def _as_array(value):
    # NumPy's own type for bytes would drop trailing zeros.
    return np.array(value, dtype=object) if isinstance(value, bytes) else np.asarray(value)


def assert_all_same(found, expected):
    """Compare two mappings of arrays, names included."""
    assert set(found) == set(expected)
    for name in expected:
        assert_same(found[name], expected[name])


def snapshot(prefix):
    """Give the name and content of every file in the prefix's directory."""
    directory = Path(prefix).parent
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def names_in(directory):
    """Give the names of what a directory holds."""
    return sorted(path.name for path in Path(directory).iterdir())


def listing(prefix):
    """Give the names of the files in the prefix's directory."""
    return names_in(Path(prefix).parent)


def why_no_recycling(directory):
    """Tell why no save writes into replaced files there; empty where they do."""
    kind = file_system_of(str(directory))
    if kind in ("ext4", "xfs", "btrfs", "f2fs", "tmpfs"):
        return ""
    return f"temporary files are on {kind}, whose leases are not trusted"


def data_file(prefix, shard=0):
    """Give the path of a data file, whatever the number of shards in its name."""
    (path,) = Path(prefix).parent.glob(f"{Path(prefix).name}.data-{shard:05d}-of-*")
    return path


def flip_byte(path, offset):
    """Damage one byte of a file, in a new file: maps of the old one keep theirs."""
    content = bytearray(Path(path).read_bytes())
    content[offset] ^= 0xFF
    Path(path).unlink()
    Path(path).write_bytes(content)


class Gate:
    """A progress callback that holds a save back until it is opened."""

    def __init__(self):
        self.open = threading.Event()
        self.reached = threading.Event()

    def __call__(self, done, total):
        self.reached.set()
        assert self.open.wait(30)

    def open_at(self, monkeypatch, cls, method):
        """Open it when somebody calls a method of `cls`, who then has to wait."""
        real = getattr(cls, method)

        def called(*arguments, **options):
            self.open.set()
            return real(*arguments, **options)

        monkeypatch.setattr(cls, method, called)


def run_program(code, *arguments):
    """Run a program in a fresh interpreter and give how it ended, and what it printed."""
    # Python 3.12 and later warn of a fork beside threads, which is what some of them do.
    return subprocess.run(
        [
            sys.executable, "-W", "ignore::DeprecationWarning",
            "-c", textwrap.dedent(code), *map(str, arguments),
        ],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def run_python(code, *arguments, check=True):
    """Run a program in a fresh interpreter and give what it printed."""
    done = run_program(code, *arguments)
    if check:
        assert done.returncode == 0, done.stderr
    return done if not check else done.stdout


def listed(directory):
    """Give the names in a directory, sorted."""
    return sorted(path.name for path in Path(directory).iterdir())
