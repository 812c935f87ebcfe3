"""Arrays that are spread over devices: in parts on the disk, and on other devices again."""

from __future__ import annotations

import socket
import subprocess
import sys
import textwrap

import pytest

import tensorbundle as tb

from .helpers import listing, run_python

SETUP = """
    import os, sys
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
    import jax, numpy as np
    from jax.sharding import NamedSharding, PartitionSpec as P
    import tensorbundle as tb
    import tensorbundle.jax as tbj
    import ml_dtypes

    prefix = sys.argv[1]
    mesh = jax.make_mesh((2, 4), ("x", "y"))
    other = jax.make_mesh((8,), ("z",))

    def on(spec, mesh=mesh):
        return NamedSharding(mesh, spec)

    value = np.arange(16 * 8 * 3, dtype=np.float32).reshape(16, 8, 3)

    def spread(spec, value=value, mesh=mesh):
        return jax.device_put(value, on(spec, mesh))
"""


@pytest.fixture
def run(jax, prefix):
    """Give a function that runs a program on eight devices."""
    return lambda code: run_python(textwrap.dedent(SETUP) + textwrap.dedent(code), prefix)


def test_parts_are_saved_once_and_read_as_one(run, prefix, tf):
    run("""
        specs = {"both": P("x", "y"), "rows": P("y"), "pairs": P(("x", "y")), "all": P(),
                 "columns": P(None, "x"), "depth": P(None, None, None)}
        tree = {name: spread(spec) for name, spec in specs.items()}
        report = tbj.save(tree, prefix)
        with tb.open(prefix) as bundle:
            counts = {name: len(bundle.entry(name).slices) for name in specs}
            for name in specs:
                np.testing.assert_array_equal(bundle[name], value)
        assert counts == {"both": 8, "rows": 4, "pairs": 8, "all": 0, "columns": 2, "depth": 0}
        assert report.tensor_bytes < 6 * value.nbytes + 2000
        whole = tbj.load(prefix)
        for name in specs:
            assert len(whole[name].devices()) == 1
            np.testing.assert_array_equal(whole[name], value)
    """)
    reader = tf.train.load_checkpoint(prefix)
    assert reader.get_tensor("both").ravel().tolist() == list(range(384))


def test_they_are_restored_to_any_other_sharding(run):
    run("""
        specs = [P("x", "y"), P("y", "x"), P(), P(None, "y"), P(("y", "x"))]
        wholes = [value, value.astype(ml_dtypes.bfloat16), value.astype(np.int8)]
        for spec in specs:
            tbj.save({str(i): spread(spec, whole) for i, whole in enumerate(wholes)}, prefix)
            for target in [*map(on, specs), on(P("z"), other), on(P(None, "z"), other)]:
                found = tbj.load(prefix, sharding=target)
                for i, whole in enumerate(wholes):
                    array = found[str(i)]
                    assert array.sharding == target and array.dtype == whole.dtype
                    np.testing.assert_array_equal(np.asarray(array), whole)
                    for shard in array.addressable_shards:
                        np.testing.assert_array_equal(shard.data, whole[shard.index])
    """)


def test_like_and_a_function_say_where_each_goes(run):
    run("""
        tree = {"w": spread(P("x")), "b": spread(P()), "n": 3, "host": value,
                "keys": spread(P("y"), jax.random.split(jax.random.key(0), 8))}
        tbj.save(tree, prefix)
        struct = jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=on(P("y")))
        like = {**tree, "b": struct}
        found = tbj.load(prefix, like)
        for name, spec in {"w": P("x"), "b": P("y"), "keys": P("y")}.items():
            assert found[name].sharding.is_equivalent_to(on(spec), found[name].ndim), name
        assert (jax.random.key_data(found["keys"]) == jax.random.key_data(tree["keys"])).all()
        assert found["n"] == 3 and isinstance(found["host"], np.ndarray)
        asked = {}

        def where(name, struct):
            asked[name] = (struct.shape, struct.dtype)
            return on(P("y")) if name == "w" else None

        found = tbj.load(prefix, sharding=where)
        assert found["w"].sharding == on(P("y")) and len(found["b"].devices()) == 1
        assert asked.keys() == {"w", "b", "keys"} and asked["w"] == (value.shape, value.dtype)
    """)


STATE = """
    state = {"params": [{"w": spread(P("x")), "b": spread(P())}, None], "step": 3,
             "key": jax.random.key(0), "keys": jax.random.split(jax.random.key(1), 8),
             "host": value, "lr": jax.numpy.float32(0.5)}
    tbj.save(state, prefix)
    like = jax.eval_shape(lambda: {**state, "host": jax.numpy.zeros(value.shape)})
    rows, everywhere = on(P("y")), on(P())

    def error_of(kind, **options):
        try:
            tbj.load(prefix, **options)
        except kind as error:
            return str(error)
        raise AssertionError("not refused")
"""


def test_a_pytree_says_where_each_goes_or_all_below_go(run):
    run(
        textwrap.dedent(STATE)
        + textwrap.dedent("""
        below = {"params": rows, "step": everywhere, "key": everywhere, "keys": rows,
                 "host": None, "lr": jax.devices()[5]}
        full = {**below, "params": [{"w": rows, "b": everywhere}, None]}
        for where in (below, full):
            for arguments in ({}, {"like": like}):
                found = tbj.load(prefix, **arguments, sharding=where)
                assert found["params"][0]["w"].sharding == rows
                b = everywhere if where is full else rows
                assert found["params"][0]["b"].sharding == b and found["params"][1] is None
                assert found["keys"].sharding.is_equivalent_to(rows, 1)
                assert found["key"].sharding.is_equivalent_to(everywhere, 0)
                assert found["lr"].devices() == {jax.devices()[5]}
                assert found["step"] == 3 and found["lr"] == 0.5
                np.testing.assert_array_equal(found["params"][0]["w"], value)
                assert (jax.random.key_data(found["keys"])
                        == jax.random.key_data(state["keys"])).all()
        assert found["step"].sharding == everywhere and found["step"].dtype == "int32"
        found = tbj.load(prefix, like, sharding=lambda name, leaf: rows if leaf.ndim else None)
        assert found["keys"].sharding.is_equivalent_to(rows, 1)
        """)
    )


def test_where_arrays_cannot_go_is_told_of_each_by_name(run):
    run(
        textwrap.dedent(STATE)
        + textwrap.dedent("""
        told = error_of(ValueError, sharding=rows)
        assert "key, of shape (): Sharding NamedSharding(" in told, told
        assert "lr, of shape (): Sharding NamedSharding(" in told and "pytree" in told, told
        assert "params/0/w" not in told and "step" not in told, told
        assert "step, of shape ()" in error_of(ValueError, like=like, sharding=rows)
        where = {**dict.fromkeys(state), "params": on(P(None, None, "x"))}
        told = error_of(ValueError, sharding=where)
        assert "params/0/w, of shape (16, 8, 3): " in told, told
        assert "P(None, None, 'x')" in told, told
        told = error_of(ValueError, sharding={"params": rows})
        assert told.startswith("sharding: ") and "lr" in told, told
        told = error_of(TypeError, sharding=P("y"))
        assert told.startswith("sharding: P(") and "NamedSharding(mesh, spec)" in told, told
        told = error_of(TypeError, like=like, sharding={"params": [{"w": P("y")}]})
        assert told.startswith("sharding['params'][0]['w']: P("), told
        assert "'x' says of no array" in error_of(TypeError, sharding="x")
        told = error_of(TypeError, sharding=lambda name, leaf: P())
        assert told.startswith("sharding('key', ...): P("), told
        """)
    )


def test_only_what_is_needed_is_read_unless_it_is_verified(run):
    run("""
        from tensorbundle import reading

        tbj.save({"w": spread(P("x", "y"))}, prefix)
        boxes, read = [], reading.read_box
        reading.read_box = lambda core, name, box, *rest: (
            boxes.append(tuple(box.size)), read(core, name, box, *rest))[1]
        tbj.load(prefix, sharding=on(P("y")))
        assert boxes == [(4, 8, 3)] * 4  # for eight devices
        entry = tb.open(prefix).entry("w")
        path = next(name for name in os.listdir(os.path.dirname(prefix)) if ".data-" in name)
        path = os.path.join(os.path.dirname(prefix), path)
        content = bytearray(open(path, "rb").read())
        at = content.index(value[4, 2].tobytes())
        content[at] ^= 1
        open(path, "wb").write(content)
        try:
            tbj.load(prefix, sharding=on(P("y")))
        except tb.CorruptionError as error:
            assert error.key.startswith("w")
        else:
            raise AssertionError("not noticed")
        tbj.load(prefix, sharding=on(P("y")), verify=False)
    """)


PROCESS = """
    import os, sys
    rank, port, prefix = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    import jax, numpy as np
    jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=rank)
    from jax.sharding import NamedSharding, PartitionSpec as P
    import tensorbundle.jax as tbj

    mesh = jax.make_mesh((4,), ("x",))
    value = np.arange(32, dtype=np.float32).reshape(8, 4)

    def spread(spec):
        sharding = NamedSharding(mesh, spec)
        return jax.make_array_from_callback(value.shape, sharding, lambda i: value[i])

    tree = {"w": spread(P("x")), "all": spread(P()), "n": 7, "one": jax.numpy.ones(3)}
    tbj.save(tree, f"{prefix}-{rank}")
"""


def test_each_process_saves_what_it_has_and_a_merge_makes_one(jax, prefix):
    with socket.socket() as found:
        found.bind(("localhost", 0))
        port = found.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PROCESS), str(rank), str(port), prefix],
            stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert tb.open(f"{prefix}-1").keys() == {"w"}
    tb.merge([f"{prefix}-0", f"{prefix}-1"], prefix, delete_sources=True)
    import tensorbundle.jax as tbj

    found = tbj.load(prefix)
    assert found["w"].ravel().tolist() == found["all"].ravel().tolist() == list(range(32))
    assert found["n"] == 7 and found["one"].tolist() == [1, 1, 1]
    assert not any("-0.index" in name for name in listing(prefix))
