"""The files are TensorFlow's: byte for byte where it wrote them too, and both ways."""

from __future__ import annotations

import numpy as np
import pytest

import tensorbundle as tb

from .helpers import (
    ALL_DTYPES,
    assert_all_same,
    assert_same,
    data_file,
    listing,
    sample,
    snapshot,
    strings,
)

QUANTIZED = {"qint8": "int8", "quint8": "uint8", "qint16": "int16", "quint16": "uint16",
             "qint32": "int32"}  # fmt: skip


def save_with_tensorflow(tf, prefix, tensors):
    """Write a bundle with the op that every TensorFlow saver ends in."""
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=[tf.constant(v) if not tf.is_tensor(v) else v for v in tensors.values()],
    )


def restore_with_tensorflow(tf, prefix, tensors):
    """Read what should be equal to `tensors`."""
    found = tf.raw_ops.RestoreV2(
        prefix=prefix,
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        dtypes=[
            tf.string if v.dtype == object else tf.as_dtype(v.dtype) for v in tensors.values()
        ],
    )
    return {name: value.numpy() for name, value in zip(tensors, found, strict=True)}


def assert_identical_files(tf, tmp_path, tensors):
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    ours, theirs = str(tmp_path / "ours/ckpt"), str(tmp_path / "theirs/ckpt")
    tb.save(ours, tensors, alignment=1, num_shards=1)
    save_with_tensorflow(tf, theirs, tensors)
    ours, theirs = snapshot(ours), snapshot(theirs)
    assert list(ours) == ["ckpt.data-00000-of-00001", "ckpt.index"]
    assert list(ours) == list(theirs)
    for name in ours:
        assert ours[name] == theirs[name], f"{name} differs"


def everything():
    """Give tensors of every dtype, in shapes of every kind."""
    tensors = {f"{dtype}/matrix": sample(dtype) for dtype in ALL_DTYPES}
    tensors |= {f"{dtype}/scalar": sample(dtype, ()) for dtype in ALL_DTYPES}
    tensors |= {f"{dtype}/empty": sample(dtype, (2, 0, 3)) for dtype in ALL_DTYPES}
    tensors |= {
        "strings/three": strings(b"hello", b"", b"x" * 300),
        "strings/one": strings(b"one"),
        "strings/none": strings(),
        "strings/matrix": strings(b"a", b"b\0", b"c", b"\xff").reshape(2, 2),
    }
    return tensors


# ---- byte identity --------------------------------------------------------------------------


def test_twenty_thousand_keys_make_the_same_bytes(tf, tmp_path):
    names = np.random.default_rng(0).permutation(20_000)
    tensors = {f"{i}/model/layer_{i}/kernel/.ATTRIBUTES/VALUE": np.float32(i) for i in names}
    assert_identical_files(tf, tmp_path, tensors)
    assert (tmp_path / "ours/ckpt.index").stat().st_size > 3 * 262_144  # several blocks


def test_every_dtype_makes_the_same_bytes(tf, tmp_path):
    tensors = everything()
    text = np.empty((), dtype=object)
    text[()] = b"a scalar"
    assert_identical_files(tf, tmp_path, {**tensors, "strings/scalar": text})


@pytest.mark.parametrize("name", QUANTIZED)
def test_quantized_tensors_make_the_same_bytes(tf, tmp_path, name):
    plain = tf.constant(sample(QUANTIZED[name]))
    dtype = getattr(tf, name)
    tensors = {"q": tf.bitcast(plain, dtype), "scalar": tf.bitcast(plain[0, 0], dtype)}
    assert_identical_files(tf, tmp_path, tensors)
    assert tb.open(tmp_path / "ours/ckpt").entry("q").dtype_name == name
    assert_same(tb.load(tmp_path / "theirs/ckpt")["q"], plain.numpy())


def test_keys_that_are_not_text_make_the_same_bytes(tf, tmp_path):
    names = [b"\xff\xfe", b"\xff", b"\xff\xff", b"\x01", b"a\x00b", "größe".encode(), b"z"]
    tensors = {name: np.int64(i) for i, name in enumerate(names)}
    assert_identical_files(tf, tmp_path, tensors)
    found = tb.load(tmp_path / "theirs/ckpt")
    assert [name.encode("utf-8", "surrogateescape") for name in found] == sorted(names)
    assert tb.open(tmp_path / "theirs/ckpt")[b"\xff\xfe"] == 0


def test_keys_that_share_long_beginnings_make_the_same_bytes(tf, tmp_path):
    tensors = {"a" * n: np.float32(n) for n in range(1, 900)}
    tensors |= {"a" * 600 + chr(97 + n % 26) * n: np.float32(n) for n in range(1, 900)}
    assert_identical_files(tf, tmp_path, tensors)


def test_a_key_larger_than_a_block_makes_the_same_bytes(tf, tmp_path):
    tensors = {"k" * 600_000: np.int32(1), "a": np.int32(2), "z": np.int32(3)}
    assert_identical_files(tf, tmp_path, tensors)


def test_frameworks_tensors_make_the_same_bytes_as_numpys(tf, tmp_path):
    value = sample("float32", (50, 70))
    assert_identical_files(
        tf, tmp_path, {"t": tf.constant(value), "s": tf.constant(["a", "bc"]), "v": value.T}
    )


# ---- TensorFlow reads ours ------------------------------------------------------------------


@pytest.mark.parametrize("alignment", [1, 64, 4096])
@pytest.mark.parametrize("num_shards", range(1, 8))
def test_tensorflow_reads_what_we_write(tf, prefix, alignment, num_shards):
    tensors = everything()
    report = tb.save(prefix, tensors, alignment=alignment, num_shards=num_shards)
    assert report.num_shards == num_shards
    assert_all_same(restore_with_tensorflow(tf, prefix, tensors), tensors)
    reader = tf.train.load_checkpoint(prefix)
    assert set(reader.get_variable_to_shape_map()) == set(tensors)
    for name in ("float32/matrix", "bfloat16/scalar", "strings/three", "int4/empty"):
        assert_same(reader.get_tensor(name), tensors[name])


def test_tensorflow_reads_overwritten_checkpoints(tf, prefix):
    for round_, num_shards in enumerate([1, 1, 3, 3, 2, 7, 1]):
        tensors = {f"{round_}/{i}": sample("float32", (5, i), i) for i in range(10)}
        tb.save(prefix, tensors, num_shards=num_shards)
        assert_all_same(restore_with_tensorflow(tf, prefix, tensors), tensors)
        assert len(tf.train.list_variables(prefix)) == 10


def test_the_names_may_count_one_shard_more_after_an_overwrite(tf, prefix):
    tb.save(prefix, {"a": np.arange(3)})
    tb.save(prefix, {"a": np.arange(4)})
    assert listing(prefix) == ["ckpt.data-00000-of-00002", "ckpt.index"]
    assert_same(tf.train.load_variable(prefix, "a"), np.arange(4))


def test_tensorflow_reads_tensors_of_many_dimensions(tf, prefix):
    tensors = {"deep": sample("float32", (1, 2, 1, 2, 1, 2, 1, 2)), "wide": np.zeros((0, 5))}
    tb.save(prefix, tensors)
    assert_all_same(restore_with_tensorflow(tf, prefix, tensors), tensors)


def test_tensorflow_restores_variables_from_ours(tf, prefix):
    variable = tf.Variable([[1.0, 2.0]])
    tb.save(prefix, {"v": variable, "n": {"step": tf.Variable(7)}})
    assert_same(tf.train.load_variable(prefix, "v"), variable.numpy())
    assert tf.train.load_variable(prefix, "n/step") == 7


# ---- we read TensorFlow's -------------------------------------------------------------------


def assert_we_read_all_that_tensorflow_does(tf, prefix):
    """Hold every tensor against TensorFlow's own reader; give the number of them."""
    theirs = tf.train.load_checkpoint(prefix)
    names = theirs.get_variable_to_shape_map()
    ours, mapped = tb.load(prefix), tb.load(prefix, mmap=True, verify=True)
    assert set(ours) == set(names)
    for name in names:
        assert_same(ours[name], theirs.get_tensor(name))
        assert_same(mapped[name], theirs.get_tensor(name))
    assert tb.verify(prefix).ok
    return len(names)


def test_we_read_every_dtype_that_tensorflow_writes(tf, prefix):
    tensors = everything()
    save_with_tensorflow(tf, prefix, tensors)
    assert_all_same(tb.load(prefix), tensors)
    assert_all_same(tb.load(prefix, mmap=True), tensors)


def test_we_read_a_keras_model_with_its_optimizer(tf, tmp_path):
    model = tf.keras.applications.MobileNetV2(
        input_shape=(32, 32, 3), alpha=0.35, classes=10, weights=None
    )
    optimizer = tf.keras.optimizers.Adam()
    model.compile(optimizer, "sparse_categorical_crossentropy")
    model.train_on_batch(np.ones((2, 32, 32, 3), np.float32), np.zeros(2))
    saved = tf.train.Checkpoint(model=model, optimizer=optimizer)
    prefix = saved.save(str(tmp_path / "ckpt"))
    assert assert_we_read_all_that_tensorflow_does(tf, prefix) > 500
    assert_same_functions(tf, tmp_path)


def test_we_read_a_compat_v1_saver(tf, tmp_path):
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable("w", initializer=tf.ones([3, 4]))
        v1.get_variable("step", initializer=tf.constant(5, tf.int64))
        session.run(v1.global_variables_initializer())
        saver = v1.train.Saver()
        prefix = saver.save(session, str(tmp_path / "model"), global_step=5)
    assert assert_we_read_all_that_tensorflow_does(tf, prefix) == 2
    assert_same_functions(tf, tmp_path)


def test_we_read_the_variables_of_a_saved_model(tf, tmp_path):
    model = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(3)])
    tf.saved_model.save(model, str(tmp_path / "model"))
    prefix = str(tmp_path / "model/variables/variables")
    assert assert_we_read_all_that_tensorflow_does(tf, prefix) >= 3


def test_what_we_read_can_be_written_back_byte_for_byte(tf, tmp_path):
    prefix = tf.train.Checkpoint(v=tf.Variable([1.0]), w=tf.Variable([2])).save(
        str(tmp_path / "theirs/ckpt")
    )
    with tb.open(prefix) as bundle:
        by_offset = sorted(bundle, key=lambda name: bundle.entry(name).offset)
        tb.save(tmp_path / "ours/ckpt", {n: bundle[n] for n in by_offset}, alignment=1)
    ours = str(tmp_path / "ours/ckpt")
    assert data_file(ours).read_bytes() == data_file(prefix).read_bytes()
    assert (tmp_path / "ours/ckpt.index").read_bytes() == (
        tmp_path / "theirs/ckpt-1.index"
    ).read_bytes()


# ---- the functions of tf.train --------------------------------------------------------------


def assert_same_functions(tf, directory):
    """Hold our functions against TensorFlow's of the same names, on one directory."""
    for given in (directory, str(directory), tf.train.latest_checkpoint(directory)):
        ours, theirs = tb.load_checkpoint(given), tf.train.load_checkpoint(given)
        assert ours.get_variable_to_shape_map() == theirs.get_variable_to_shape_map()
        assert tb.list_variables(given) == tf.train.list_variables(given)
        dtypes = theirs.get_variable_to_dtype_map()
        assert {name: dtype.as_numpy_dtype for name, dtype in dtypes.items()} == {
            name: object if dtype.kind == "O" else dtype.type
            for name, dtype in ours.get_variable_to_dtype_map().items()
        }
        assert sorted(ours.debug_string().split(b"\n")) == sorted(
            theirs.debug_string().split(b"\n")
        )
        for name in [*dtypes, "no such tensor"]:
            assert ours.has_tensor(name) == theirs.has_tensor(name)
        name = next(iter(dtypes))
        assert_same(tb.load_variable(given, name), tf.train.load_variable(given, name))
        assert_same(
            tb.load_variable(given, name + ":0"), tf.train.load_variable(given, name + ":0")
        )
    assert tb.latest_checkpoint(directory) == tf.train.latest_checkpoint(directory)
    ours, theirs = tb.get_checkpoint_state(directory), tf.train.get_checkpoint_state(directory)
    assert ours.model_checkpoint_path == theirs.model_checkpoint_path
    assert ours.all_model_checkpoint_paths == list(theirs.all_model_checkpoint_paths)
    assert ours.all_model_checkpoint_timestamps == list(theirs.all_model_checkpoint_timestamps)
    assert ours.last_preserved_timestamp == theirs.last_preserved_timestamp


def test_the_functions_agree_on_a_managers_directory(tf, tmp_path):
    saved = tf.train.Checkpoint(step=tf.Variable(0), text=tf.Variable(["a", "b"]))
    manager = tf.train.CheckpointManager(saved, str(tmp_path), max_to_keep=3)
    for _ in range(5):
        saved.step.assign_add(1)
        manager.save()
    assert_same_functions(tf, tmp_path)


def test_the_functions_agree_on_what_we_wrote_ourselves(tf, tmp_path):
    tb.save(tmp_path / "ckpt-1", everything())
    tf.compat.v1.train.update_checkpoint_state(str(tmp_path), "ckpt-1")
    assert_same_functions(tf, tmp_path)


def test_a_scalar_string_is_bytes_as_with_tensorflow(tf, prefix):
    tb.save(prefix, {"s": "text"})
    ours, theirs = tb.load_variable(prefix, "s"), tf.train.load_variable(prefix, "s")
    assert ours == theirs == b"text"
    assert type(ours) is type(theirs)
