"""Restored arrays go to every framework: the same memory where that is safe, else a copy.

The table says which. All of it runs in one process of its own, since what must not happen
would end it: TensorFlow aborts on memory that is not 64-byte aligned, and a write to a page
that is mapped read-only is a SIGSEGV.
"""

from __future__ import annotations

import json

import pytest

from .helpers import run_python

SAME, COPY, REFUSED = "same pointer", "copy", "refused"

# What is handed over: float32 from `load`, from `load(mmap=True)`, from a map of a file in
# which TensorFlow has packed it at an address that suits its dtype, and one that does not.
SOURCES = ("read", "mapped", "packed", "odd")

# What each consumer makes of these four.
TABLE = {
    "numpy.asarray": (SAME, SAME, SAME, SAME),
    "torch.from_numpy": (SAME, SAME, SAME, SAME),
    "torch.tensor": (COPY, COPY, COPY, COPY),
    "tensorbundle.torch": (SAME, SAME, SAME, SAME),
    "jax.device_put": (SAME, SAME, COPY, SAME),
    "jax.numpy.asarray": (COPY, COPY, COPY, COPY),
    "jax.numpy.from_dlpack": (SAME, REFUSED, REFUSED, REFUSED),
    "tf.constant": (COPY, COPY, COPY, COPY),
    "tf from_dlpack": (SAME, REFUSED, REFUSED, REFUSED),
}
# Memory that may be written to without harm, by whom it is.
WRITABLE = {
    "numpy.asarray": (True, False, False, False),
    "tensorbundle.torch": (True, True, True, True),
    "torch.tensor": (True, True, True, True),
}

PROGRAM = """
import json, sys, warnings
import jax, numpy as np, tensorflow as tf, torch
import tensorbundle as tb
from tensorbundle.frameworks.torch.views import from_array
from tensorbundle.loading import Loader

warnings.simplefilter("ignore")
aligned, packed = sys.argv[1:]
values = np.arange(1000, dtype=np.float32)
tb.save(aligned, {"x": values})
# TensorFlow's packing: "packed" begins at 4, "odd" at 4005 bytes.
dense = {"a": np.zeros(1, np.float32), "packed": values, "c": np.zeros(1, bool), "odd": values}
tb.save(packed, dense, alignment=1)


def private(prefix, name):
    loader = Loader.of(prefix, mmap=True, writable=True)
    return loader.run(lambda core: loader.read(core, [name], {}))[name]


sources = {
    "read": lambda: (tb.load(aligned)["x"],) * 2,
    "mapped": lambda: (tb.load(aligned, mmap=True)["x"], private(aligned, "x")),
    "packed": lambda: (tb.load(packed, mmap=True)["packed"], private(packed, "packed")),
    "odd": lambda: (tb.load(packed, mmap=True)["odd"], private(packed, "odd")),
}
consumers = {
    "numpy.asarray": (np.asarray, lambda x: x.ctypes.data),
    "torch.from_numpy": (torch.from_numpy, lambda x: x.data_ptr()),
    "torch.tensor": (torch.tensor, lambda x: x.data_ptr()),
    "tensorbundle.torch": (from_array, lambda x: x.data_ptr()),
    "jax.device_put": (jax.device_put, lambda x: x.unsafe_buffer_pointer()),
    "jax.numpy.asarray": (jax.numpy.asarray, lambda x: x.unsafe_buffer_pointer()),
    "jax.numpy.from_dlpack": (jax.numpy.from_dlpack, lambda x: x.unsafe_buffer_pointer()),
    "tf.constant": (tf.constant, lambda x: np.asarray(memoryview(x)).ctypes.data),
    "tf from_dlpack": (
        lambda a: tf.experimental.dlpack.from_dlpack(a.__dlpack__()),
        lambda x: np.asarray(memoryview(x)).ctypes.data,
    ),
}


def write(made):
    try:
        made[0] = 5
        return bool(made[0] == 5)
    except (ValueError, TypeError):
        return False


found, writes = {}, {}
for name, (consume, pointer) in consumers.items():
    found[name], writes[name] = [], []
    for make in sources.values():
        array, ours = make()
        given = ours if name == "tensorbundle.torch" else array
        try:
            made = consume(given)
        except (BufferError, ValueError) as error:
            found[name].append("refused")
            continue
        same = pointer(made) == given.ctypes.data
        found[name].append("same pointer" if same else "copy")
        total = tf.reduce_sum(made) if name.startswith("tf") else made.sum()
        assert float(total) == values.sum(), name
        if name in ("numpy.asarray", "tensorbundle.torch", "torch.tensor"):
            writes[name].append(write(made))
            assert tb.load(aligned)["x"][0] == 0
            assert tb.verify(packed).ok
print(json.dumps([found, writes]))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    for package in ("torch", "jax", "tensorflow"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    directory = tmp_path_factory.mktemp("handover")
    return json.loads(run_python(PROGRAM, directory / "aligned", directory / "packed"))


@pytest.mark.parametrize("consumer", TABLE)
def test_an_array_is_handed_over_as_the_table_says(told, consumer):
    assert tuple(told[0][consumer]) == TABLE[consumer]


@pytest.mark.parametrize("consumer", WRITABLE)
def test_what_may_be_written_to_never_reaches_the_file(told, consumer):
    assert tuple(told[1][consumer]) == WRITABLE[consumer]
