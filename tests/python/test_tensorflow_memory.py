"""Where restored values lie: in TensorFlow's own memory, read into it without a copy."""

from __future__ import annotations

import os

import numpy as np
import pytest

import tensorbundle as tb

from .helpers import data_file, flip_byte, run_python

SHAPE = (700, 1000)  # more than a huge page of any of these
KINDS = ["float32", "float64", "half", "bfloat16", "int32", "uint8", "bool", "complex64"]


@pytest.fixture(scope="module")
def tbtf(tf):
    import tensorbundle.tensorflow

    return tensorbundle.tensorflow


def variables(tf, number):
    values = np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % 100 + number
    return {kind: tf.Variable(tf.cast(values, kind)) for kind in KINDS}


def address(variable):
    return np.asarray(variable.read_value()).ctypes.data


@pytest.mark.parametrize("later", [False, True])
def test_a_restored_variable_is_updated_where_it_is(tf, tbtf, prefix, later):
    saved = variables(tf, 1)
    path = tbtf.Checkpoint(**saved).save(prefix)
    held = variables(tf, 2)
    checkpoint = tbtf.Checkpoint() if later else tbtf.Checkpoint(**held)
    checkpoint.restore(path)
    for kind in KINDS if later else ():
        setattr(checkpoint, kind, held[kind])
    for kind, variable in held.items():
        np.testing.assert_array_equal(variable.numpy(), saved[kind].numpy())
        if kind == "bool":
            continue
        before = address(variable)
        variable.assign_add(tf.ones_like(variable))
        assert address(variable) == before, kind
        np.testing.assert_array_equal(variable.numpy(), (saved[kind] + 1).numpy())


def test_restored_memory_goes_with_its_variable(tf, prefix):
    # In a process of its own: what others allocate and free would be counted here.
    run_python(
        """
        import os, sys
        import tensorflow as tf
        import tensorbundle.tensorflow as tbtf

        def resident_bytes():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

        tbtf.Checkpoint(v=tf.Variable(tf.ones((40, 1 << 20)))).write(sys.argv[1])  # 168 MB
        for _ in range(3):
            variable = tf.Variable(tf.zeros((40, 1 << 20)))
            before = resident_bytes()
            tbtf.Checkpoint(v=variable).read(sys.argv[1]).assert_consumed()
            assert resident_bytes() < before + 40_000_000
            assert variable.numpy()[39, -1] == 1
            del variable
        """,
        prefix,
    )


def test_restored_variables_ask_for_huge_pages(tf, tbtf, prefix):
    if not os.path.exists("/sys/kernel/mm/transparent_hugepage/enabled"):
        pytest.skip("this kernel has no transparent huge pages")
    variable = tf.Variable(tf.ones((4, 1 << 20)))
    checkpoint = tbtf.Checkpoint(v=variable)
    checkpoint.read(checkpoint.write(prefix))
    assert "hg" in flags_at(address(variable) + (1 << 21))


def flags_at(wanted):
    """Give what the kernel says of the region at an address."""
    found = False
    with open("/proc/self/smaps") as file:
        for line in file:
            first = line.split()[0]
            if "-" in first and not first.endswith(":"):
                begin, end = (int(text, 16) for text in first.split("-"))
                found = begin <= wanted < end
            elif found and first == "VmFlags:":
                return line.split()[1:]
    return []


def test_damage_among_large_variables_changes_none(tf, tbtf, prefix):
    path = tbtf.Checkpoint(**variables(tf, 1)).save(prefix)
    flip_byte(data_file(path), tb.open(path).entry("int32/.ATTRIBUTES/VARIABLE_VALUE").offset)
    held = variables(tf, 2)
    places = {kind: address(variable) for kind, variable in held.items()}
    with pytest.raises(tb.CorruptionError, match="int32"):
        tbtf.Checkpoint(**held).restore(path)
    for kind, variable in variables(tf, 2).items():
        assert address(held[kind]) == places[kind]
        np.testing.assert_array_equal(held[kind].numpy(), variable.numpy())


def test_a_claimed_size_beyond_the_file_is_told_before_memory_is_asked_for(tf, tbtf, prefix):
    path = tbtf.Checkpoint(v=tf.Variable(tf.ones(1 << 20))).write(prefix)
    os.truncate(data_file(path), 1000)
    variable = tf.Variable(tf.zeros(1 << 20))
    with pytest.raises(tb.CorruptionError, match="not inside a data file of 1000 bytes"):
        tbtf.Checkpoint(v=variable).read(path)
    assert not variable.numpy().any()
