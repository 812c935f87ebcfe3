"""tensorbundle.tensorflow.Checkpoint in the place of tf.train.Checkpoint."""

from __future__ import annotations

import copy
import gc
import weakref

import numpy as np
import pytest

import tensorbundle as tb
from tensorbundle.object_graph import OBJECT_GRAPH_KEY

from . import tensorflow_objects as objects
from .helpers import (
    assert_all_same,
    data_file,
    flip_byte,
    listing,
    names_in,
    run_python,
    why_no_recycling,
)
from .tensorflow_objects import EVERYTHING


@pytest.fixture(scope="module")
def tbtf(tf):
    import tensorbundle.tensorflow

    return tensorbundle.tensorflow


def values(tf, held, prefix):
    """Give all values of objects, by means of TensorFlow."""
    found = dict(tb.load(tf.train.Checkpoint(**held).write(prefix)))
    del found[OBJECT_GRAPH_KEY]
    return found


# ---- The same files -------------------------------------------------------------------------


@pytest.mark.parametrize("make", EVERYTHING)
def test_files_have_the_same_content(tf, tbtf, prefix, make):
    held = make(tf, 3)
    theirs = tb.load(tf.train.Checkpoint(**held).save(prefix + "-theirs"))
    checkpoint = tbtf.Checkpoint(**held)
    for _ in range(2):  # the second time the objects are known
        checkpoint.save_counter.assign(0)
        ours = tb.load(checkpoint.save(prefix + "-ours"))
        assert list(ours) == list(theirs)
        assert_all_same(ours, theirs)
        assert checkpoint.save_report.num_tensors == len(ours)


@pytest.mark.parametrize("make", EVERYTHING)
def test_tensorflow_restores_what_we_save(tf, tbtf, prefix, make):
    path = tbtf.Checkpoint(**make(tf, 3)).save(prefix)
    target = make(tf, 4)
    tf.train.Checkpoint(**target).restore(path).assert_consumed()
    assert_all_same(values(tf, target, prefix + "-x"), values(tf, make(tf, 3), prefix + "-y"))


@pytest.mark.parametrize("make", EVERYTHING)
def test_we_restore_what_tensorflow_saves(tf, tbtf, prefix, make):
    path = tf.train.Checkpoint(**make(tf, 3)).save(prefix)
    target = make(tf, 4)
    tbtf.Checkpoint(**target).restore(path).assert_consumed()
    assert_all_same(values(tf, target, prefix + "-x"), values(tf, make(tf, 3), prefix + "-y"))


def test_iterators_go_on_where_they_were(tf, tbtf, prefix):
    checkpoint = tbtf.Checkpoint(**objects.iterators(tf, 3))
    path = checkpoint.save(prefix)
    assert checkpoint.save_report is not None
    expected = next(objects.iterators(tf, 3)["iterator"]).numpy().tolist()
    for kind in (tbtf.Checkpoint, tf.train.Checkpoint):
        target = objects.iterators(tf, 0)
        kind(**target).restore(path).assert_consumed()
        assert next(target["iterator"]).numpy().tolist() == expected
    path = tf.train.Checkpoint(**objects.iterators(tf, 3)).save(prefix)
    target = objects.iterators(tf, 0)
    tbtf.Checkpoint(**target).restore(path).assert_consumed()
    assert next(target["iterator"]).numpy().tolist() == expected


def test_a_damaged_iterator_changes_nothing(tf, tbtf, prefix):
    path = tbtf.Checkpoint(**objects.iterators(tf, 3)).save(prefix)
    (name,) = (n for n in tb.open(path) if n.startswith("iterator"))
    flip_byte(data_file(path), tb.open(path).entry(name).offset + 100)
    target = objects.iterators(tf, 5)
    expected = next(objects.iterators(tf, 5)["iterator"]).numpy().tolist()
    with pytest.raises(tb.CorruptionError, match="variant"):
        tbtf.Checkpoint(**target).restore(path)
    assert target["v"].numpy() == 5
    assert next(target["iterator"]).numpy().tolist() == expected


def test_a_root_and_what_is_beside_it_are_saved_and_restored(tf, tbtf, prefix):
    root, step = objects.module(tf, 3)["net"], tf.Variable(5)
    theirs = tb.load(tf.train.Checkpoint(root, step=step).save(prefix + "-theirs"))
    path = tbtf.Checkpoint(root, step=step).save(prefix + "-ours")
    assert_all_same(tb.load(path), theirs)
    target, other = objects.module(tf, 4)["net"], tf.Variable(0)
    tbtf.Checkpoint(target, step=other).restore(path).assert_consumed()
    assert (other.numpy(), target.weights.numpy()[0, 0]) == (5, 3)
    tbtf.Checkpoint(weakref.ref(target), step=other).restore(path).assert_consumed()


def test_variables_are_written_from_their_own_memory(tf, tbtf, prefix):
    values = np.random.default_rng(0).normal(size=(1000, 1000))
    checkpoint = tbtf.Checkpoint(
        a=tf.Variable(tf.cast(values, tf.float32)), b=tf.Variable(tf.cast(values, tf.bfloat16))
    )
    for save in (checkpoint.write, checkpoint.save):
        save(prefix, num_shards=2)
        report = checkpoint.save_report
        assert report.num_shards == 2
    assert report.zero_copy_bytes > 0.98 * 6_000_000
    assert report.staged_bytes < 0.02 * 6_000_000


# ---- From one save to the next --------------------------------------------------------------


def saved(checkpoint, prefix):
    found = dict(tb.load(checkpoint.write(prefix)))
    return {n.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE"): v for n, v in found.items()}


def test_what_has_changed_since_the_last_save_is_saved(tf, tbtf, prefix):
    root = tf.Module()
    root.list = [tf.Variable(1)]
    root.dict = {"a": tf.Variable(2)}
    checkpoint = tbtf.Checkpoint(root=root)
    changes = [
        lambda: None,
        lambda: root.list[0].assign(7),
        lambda: root.list.append(tf.Variable(3)),
        lambda: root.dict.update(b=tf.Variable(4)),
        lambda: root.dict.update(a=tf.Variable([5.0])),
        lambda: setattr(root, "extra", tf.Variable("text")),
        lambda: setattr(root.list[0], "attached", 1),
        lambda: delattr(root, "extra"),
    ]
    for number, change in enumerate(changes):
        change()
        found = saved(checkpoint, prefix)
        theirs = tb.load(tf.train.Checkpoint(root=root).write(prefix + "-theirs"))
        assert list(found.values())[1:] == list(theirs.values())[1:], number
        assert found[OBJECT_GRAPH_KEY] == theirs[OBJECT_GRAPH_KEY], number


def test_an_object_that_begins_to_have_a_value_is_saved(tf, tbtf, prefix):
    class Late(tf.__internal__.tracking.Trackable):
        def __init__(self):
            self.tensors = {}

        def _serialize_to_tensors(self):
            return self.tensors

    late = Late()
    checkpoint = tbtf.Checkpoint(late=late)
    assert list(saved(checkpoint, prefix)) == [OBJECT_GRAPH_KEY]
    late.tensors = {"now": tf.constant(3)}
    theirs = tb.load(tf.train.Checkpoint(late=late).write(prefix + "-theirs"))
    assert_all_same(dict(tb.load(checkpoint.write(prefix))), theirs)


def test_a_variable_without_a_value_is_in_the_graph_only(tf, tbtf, prefix):
    from tensorflow.python.ops.resource_variable_ops import UninitializedVariable

    variable = UninitializedVariable(shape=(2,), dtype=tf.float32)
    checkpoint = tbtf.Checkpoint(v=variable)
    for _ in range(2):
        theirs = tb.load(tf.train.Checkpoint(v=variable).write(prefix + "-theirs"))
        assert_all_same(dict(tb.load(checkpoint.write(prefix))), theirs)
    variable.assign([1.0, 2.0])
    assert saved(checkpoint, prefix)["v"].tolist() == [1, 2]


def test_nothing_lives_longer_for_having_been_saved(tf, tbtf, prefix):
    root = tf.Module()
    root.v = tf.Variable(1.0)
    checkpoint = tbtf.Checkpoint(net=root)
    checkpoint.write(prefix)
    gone = weakref.ref(root.v)
    root.v = tf.Variable(2.0)
    gc.collect()
    assert gone() is None
    assert saved(checkpoint, prefix)["net/v"] == 2


def test_a_copy_of_a_checkpoint_saves_its_own_objects(tf, tbtf, prefix):
    checkpoint = tbtf.Checkpoint(v=tf.Variable(1.0))
    checkpoint.write(prefix)
    twin = copy.deepcopy(checkpoint)
    twin.v.assign(2.0)
    assert saved(twin, prefix)["v"] == 2
    assert saved(checkpoint, prefix)["v"] == 1


# ---- Restoring ------------------------------------------------------------------------------


def test_a_model_built_later_takes_its_values_as_it_is_built(tf, tbtf, prefix):
    original = objects.model_and_optimizer(tf, 3)
    path = tbtf.Checkpoint(**original).save(prefix)
    later = objects.model_and_optimizer(tf, 4, built=False)
    status = tbtf.Checkpoint(**later).restore(path)
    with pytest.raises(AssertionError, match="Unresolved object"):
        status.assert_consumed()
    later["model"].build((None, 3))
    later["optimizer"].build(later["model"].trainable_variables)
    status.assert_consumed()
    for found, expected in zip(later["model"].weights, original["model"].weights, strict=True):
        assert found.numpy().tolist() == expected.numpy().tolist()


def test_slots_of_first_version_optimizers_are_restored_when_they_are_made(tf, tbtf, prefix):
    original = objects.first_version_optimizer(tf, 3)
    path = tbtf.Checkpoint(**original).save(prefix)
    variable = tf.Variable([0.0, 0.0])
    optimizer = tf.compat.v1.train.AdamOptimizer(0.1)
    status = tbtf.Checkpoint(v=variable, optimizer=optimizer).restore(path)
    optimizer.apply_gradients([(tf.constant([0.0, 0.0]), variable)])
    status.assert_consumed()
    found = optimizer.get_slot(variable, "m").numpy()
    expected = original["optimizer"].get_slot(original["v"], "m").numpy() * 0.9
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("damage", ["shape", "dtype", "byte"])
def test_what_does_not_fit_changes_no_variable(tf, tbtf, prefix, damage):
    path = tbtf.Checkpoint(a=tf.Variable([1.0, 2.0]), b=tf.Variable([3.0])).save(prefix)
    b = {"shape": tf.Variable([[1.0]]), "dtype": tf.Variable([1])}.get(
        damage, tf.Variable([0.0])
    )
    if damage == "byte":
        flip_byte(data_file(path), tb.open(path).entry("b/.ATTRIBUTES/VARIABLE_VALUE").offset)
    a = tf.Variable([0.0, 0.0])
    checkpoint = tbtf.Checkpoint(a=a, b=b)
    error = tb.CorruptionError if damage == "byte" else tb.RestoreMismatchError
    with pytest.raises(error, match=r"b/\.ATTRIBUTES"):
        checkpoint.restore(path)
    assert a.numpy().tolist() == [0.0, 0.0]
    checkpoint.late = tf.Variable(1.0)  # nothing waits of a restore that has failed
    good = tf.train.Checkpoint(a=tf.Variable([5.0, 6.0])).write(prefix + "-good")
    tbtf.Checkpoint(a=a).read(good).assert_consumed()
    assert a.numpy().tolist() == [5.0, 6.0]


def test_all_that_does_not_fit_is_told_beside_a_root_too(tf, tbtf, prefix):
    root, other = tf.Module(), tf.Module()
    root.v, other.v = tf.Variable([1.0]), tf.Variable([0.0])
    path = tbtf.Checkpoint(root, x=tf.Variable([1, 2]), y=tf.Variable(1)).save(prefix)
    checkpoint = tbtf.Checkpoint(other, x=tf.Variable([1]), y=tf.Variable(1.0))
    with pytest.raises(tb.RestoreMismatchError, match=r"2 do not fit[^$]*x/[^$]*y/"):
        checkpoint.restore(path)
    assert other.v.numpy() == [0]


def test_what_is_missing_is_told_as_tensorflow_tells_it(tf, tbtf, prefix):
    checkpoint = tbtf.Checkpoint(a=tf.Variable(1.0), b=tf.Variable(2.0))
    with pytest.raises(tf.errors.NotFoundError, match="missing the checkpoint suffix"):
        checkpoint.restore(prefix)
    with pytest.raises(tf.errors.NotFoundError):
        checkpoint.read(prefix)
    assert type(checkpoint.restore(None)).__name__ == "InitializationOnlyStatus"
    path = tbtf.Checkpoint(a=tf.Variable(5.0), c=tf.Variable(6.0)).save(prefix)
    status = checkpoint.restore(path).expect_partial()
    assert checkpoint.a.numpy() == 5
    status.assert_nontrivial_match()
    with pytest.raises(AssertionError, match="not bound to checkpointed values"):
        status.assert_existing_objects_matched()
    data_file(path).unlink()
    with pytest.raises(tf.errors.NotFoundError):
        checkpoint.restore(path)


def test_a_checkpoint_saved_by_names_is_restored_by_names(tf, tbtf, prefix):
    variable = tf.Variable([1.0, 2.0], name="v")
    saver = tf.compat.v1.train.Saver({"v": variable})
    path = saver.save(None, prefix)
    target = tf.Variable([0.0, 0.0], name="v")
    tbtf.Checkpoint(target=target).restore(path).assert_consumed()
    assert target.numpy().tolist() == [1, 2]


def test_a_saved_model_is_restored_by_its_directory(tf, tbtf, tmp_path):
    model, target = tf.Module(), tf.Module()
    model.w, target.w = tf.Variable([3.0]), tf.Variable([0.0])
    tf.saved_model.save(model, str(tmp_path / "model"))
    tbtf.Checkpoint(target).restore(tmp_path / "model").expect_partial()
    assert target.w.numpy() == [3.0]
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    path = tbtf.Checkpoint(loaded).save(str(tmp_path / "ckpt"))
    loaded.w.assign([0.0])
    tbtf.Checkpoint(loaded).restore(path).assert_existing_objects_matched()
    assert loaded.w.numpy() == [3.0]


def test_restored_memory_is_not_shared_with_a_later_value(tf, tbtf, prefix):
    held = {"a": tf.Variable(tf.ones(100_000)), "b": tf.Variable(tf.ones(100_000))}
    path = tbtf.Checkpoint(**held).save(prefix)
    tbtf.Checkpoint(**held).restore(path)
    before = held["a"].read_value()
    held["a"].assign_add(tf.ones(100_000))
    assert before.numpy().sum() == 100_000
    assert held["a"].numpy().sum() == 200_000
    assert held["b"].numpy().sum() == 100_000


# ---- Options --------------------------------------------------------------------------------


def test_callbacks_are_called_when_the_checkpoint_is_there(tf, tbtf, prefix):
    calls = []
    options = tf.train.CheckpointOptions(
        experimental_io_device="/job:localhost",
        experimental_write_callbacks=[
            lambda path: calls.append((path, tb.verify(path).ok)),
            lambda: calls.append(None),
        ],
    )
    checkpoint = tbtf.Checkpoint(v=tf.Variable(1.0))
    path = checkpoint.save(prefix, options)
    assert calls == [(path, True), None]
    assert tf.train.latest_checkpoint(tmp := prefix.rpartition("/")[0]) == path
    assert tb.latest_checkpoint(tmp) == path
    assert checkpoint.write(prefix + "-b", options=options) == prefix + "-b"
    assert len(calls) == 4


def test_a_save_in_the_background_is_of_the_moment_it_began(tf, tbtf, prefix):
    variable = tf.Variable(tf.ones((300, 1000)))
    dense = tf.Variable(tf.ones(3000))
    checkpoint = tbtf.Checkpoint(v=variable, d=dense, n=tf.Variable(0))

    @tf.function(jit_compile=True)
    def step():
        dense.assign_add(tf.ones_like(dense))

    options = tf.train.CheckpointOptions(enable_async=True)
    for number in range(3):
        checkpoint.n.assign(number)
        path = checkpoint.save(prefix, options=options)
        variable.assign_add(tf.ones_like(variable))
        variable.scatter_nd_update([[0]], [tf.zeros(1000)])
        step()
        assert path == f"{prefix}-{number + 1}"
        checkpoint.sync()
        found = tb.load(path)
        assert found["n/.ATTRIBUTES/VARIABLE_VALUE"] == number
        assert (found["d/.ATTRIBUTES/VARIABLE_VALUE"] == number + 1).all()
        assert (found["v/.ATTRIBUTES/VARIABLE_VALUE"][1:] == number + 1).all()
    assert checkpoint.save_report.prefix == path
    assert tb.latest_checkpoint(prefix.rpartition("/")[0]) == path
    tf.train.Checkpoint(v=variable, d=dense, n=tf.Variable(0)).restore(path).assert_consumed()


def test_an_error_in_the_background_is_raised_by_the_next_call(tf, tbtf, prefix):
    checkpoint = tbtf.Checkpoint(v=tf.Variable(1.0))

    def fail():
        raise RuntimeError("no room")

    options = tf.train.CheckpointOptions(
        enable_async=True, experimental_write_callbacks=[fail]
    )
    for call in (checkpoint.sync, lambda: checkpoint.save(prefix),
                 lambda: checkpoint.restore(None)):  # fmt: skip
        checkpoint.save(prefix, options)
        with pytest.raises(RuntimeError, match="no room"):
            call()
    checkpoint.sync()


def test_the_interpreter_waits_for_a_save_in_the_background(tf, prefix):
    run_python(
        """
        import sys
        import tensorflow as tf
        import tensorbundle.tensorflow as tbtf

        checkpoint = tbtf.Checkpoint(v=tf.Variable(tf.ones((1000, 1000))))
        checkpoint.save(sys.argv[1], tf.train.CheckpointOptions(enable_async=True))
        """,
        prefix,
    )
    assert tb.verify(prefix + "-1").ok


def test_shards_that_the_caller_chooses_are_as_tensorflow_makes_them(tf, tbtf, prefix):
    checkpoint = tbtf.Checkpoint(v=tf.Variable(tf.range(1000.0)))
    policy = tf.train.experimental.MaxShardSizePolicy(max_shard_size=1000)
    options = tf.train.CheckpointOptions(experimental_sharding_callback=policy)
    path = checkpoint.save(prefix, options)
    assert len(listing(prefix)) > 4
    assert checkpoint.save_report is None
    target = tbtf.Checkpoint(v=tf.Variable(tf.zeros(1000)))
    target.restore(path).assert_consumed()
    assert target.v.numpy().tolist() == list(range(1000))
    with pytest.raises(ValueError, match="num_shards"):
        checkpoint.write(prefix, options, num_shards=2)


def test_registered_savers_write_their_own_files(tf, tbtf, prefix):
    from tensorflow.python.saved_model import registration

    class Part(tf.__internal__.tracking.AutoTrackable):
        def __init__(self, value):
            self.value = value

    def save_part(trackables, file_prefix):
        for name, part in trackables.items():
            tf.io.write_file(tf.strings.join([file_prefix, name]), part.value)

    def restore_part(trackables, merged_prefix):
        for name, part in trackables.items():
            path = tf.strings.join([merged_prefix, "-tests.Part", name])
            part.value = tf.io.read_file(path).numpy().decode()

    registration.register_checkpoint_saver(
        package="tests",
        name="Part",
        predicate=lambda x: isinstance(x, Part),
        save_fn=save_part,
        restore_fn=restore_part,
    )
    path = tbtf.Checkpoint(part=Part("mine"), v=tf.Variable(3.0)).write(prefix)
    for kind in (tbtf.Checkpoint, tf.train.Checkpoint):
        part, variable = Part("other"), tf.Variable(0.0)
        kind(part=part, v=variable).read(path).assert_consumed()
        assert (part.value, variable.numpy()) == ("mine", 3)


def test_inside_a_function_and_of_a_tensor_path_it_is_written(tf, tbtf, prefix):
    checkpoint = tbtf.Checkpoint(v=tf.Variable(3.0))

    @tf.function
    def write():
        checkpoint.v.assign_add(1.0)
        return checkpoint.write(prefix + "-f")

    write()
    assert saved_value(prefix + "-f") == 4
    checkpoint.write(tf.constant(prefix + "-t"))
    assert saved_value(prefix + "-t") == 4
    checkpoint.write("file://" + prefix + "-u")
    assert saved_value(prefix + "-u") == 4


def saved_value(path):
    return tb.load(path)["v/.ATTRIBUTES/VARIABLE_VALUE"]


def test_in_a_graph_with_a_session_it_is_saved_and_restored(tf, tbtf, prefix):
    with tf.Graph().as_default(), tf.compat.v1.Session().as_default() as session:
        variable = tf.compat.v1.get_variable("v", initializer=3.0, use_resource=True)
        session.run(variable.initializer)
        checkpoint = tbtf.Checkpoint(v=variable)
        path = checkpoint.save(prefix)
        session.run(variable.assign(0.0))
        checkpoint.restore(path).assert_consumed().run_restore_ops()
        assert session.run(variable) == 3
    eager = tbtf.Checkpoint(v=tf.Variable(0.0))
    eager.restore(path).assert_consumed()
    assert eager.v.numpy() == 3


def test_another_file_system_is_tensorflows(tf, tbtf):
    checkpoint = tbtf.Checkpoint(v=tf.Variable(3.0))
    path = checkpoint.save("ram://tensorbundle/ckpt")
    checkpoint.v.assign(0.0)
    checkpoint.restore(path).assert_consumed()
    assert checkpoint.v.numpy() == 3


# ---- Managers -------------------------------------------------------------------------------


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("whose", ["theirs", "ours"])
def test_managers_keep_a_series(tf, tbtf, tmp_path, whose, asynchronous):
    checkpoint = tbtf.Checkpoint(v=tf.Variable(0))
    assert isinstance(checkpoint, tf.train.Checkpoint)
    kind = tf.train.CheckpointManager if whose == "theirs" else tbtf.CheckpointManager
    manager = kind(checkpoint, str(tmp_path), max_to_keep=2, checkpoint_name="c")
    assert isinstance(manager, tf.train.CheckpointManager)
    assert manager.restore_or_initialize() is None
    options = tf.train.CheckpointOptions(enable_async=asynchronous)
    for number in range(1, 4):
        checkpoint.v.assign(number)
        manager.save(options=options)
    manager.sync()
    assert manager.latest_checkpoint == str(tmp_path / "c-3")
    assert manager.checkpoints == [str(tmp_path / f"c-{i}") for i in (2, 3)]
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "c-3")
    other = tbtf.Checkpoint(v=tf.Variable(0))
    again = kind(other, str(tmp_path), max_to_keep=2, checkpoint_name="c")
    assert again.restore_or_initialize() == str(tmp_path / "c-3")
    assert (other.v.numpy(), other.save_counter.numpy()) == (3, 3)
    if whose == "ours":
        manager.close()


def test_a_manager_may_recycle_what_it_removes(tf, tbtf, tmp_path):
    checkpoint = tbtf.Checkpoint(v=tf.Variable(tf.ones((300, 1000))))
    with tbtf.CheckpointManager(checkpoint, str(tmp_path), 1, recycle=True) as manager:
        for _ in range(3):
            path = manager.save()
        if not why_no_recycling(tmp_path):
            assert checkpoint.save_report.recycled_bytes >= 1_200_000
    assert names_in(tmp_path) == [
        "checkpoint", "ckpt-3.data-00000-of-00001", "ckpt-3.index",
    ]  # fmt: skip
    other = tbtf.Checkpoint(v=tf.Variable(tf.zeros((300, 1000))))
    other.restore(path).assert_consumed()
    assert (other.v.numpy() == 1).all()


def test_preemption_handlers_take_them(tf, tbtf, tmp_path):
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({}), task_type="", task_id=0, rpc_layer="grpc"
    )
    checkpoint = tbtf.Checkpoint(v=tf.Variable(0))
    with tbtf.CheckpointManager(checkpoint, str(tmp_path), max_to_keep=1) as manager:
        handler = tf.distribute.experimental.PreemptionCheckpointHandler(resolver, manager)
        assert handler is not None


def test_a_path_at_home_makes_no_directory(tf, tbtf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="expanduser"):
        tbtf.Checkpoint(v=tf.Variable(1.0)).save("~/x/c")
    assert list(tmp_path.iterdir()) == []
