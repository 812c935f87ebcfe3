"""tensorbundle.keras: weights and training state, under every backend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import tensorbundle as tb

from .helpers import data_file, flip_byte, listed

BACKENDS = ["tensorflow", "jax", "torch"]

# What every program below begins with: a model with inner layers, lists and dropout.
MODEL = """
    import sys
    import keras
    import numpy as np
    import tensorbundle as tb
    import tensorbundle.keras as tbk

    class Block(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.parts = [keras.layers.Dense(3), keras.layers.Dropout(0.5)]
            self.named = {"x": keras.layers.Dense(3)}
            self.norm = keras.layers.BatchNormalization()
            self.extra = self.add_weight(shape=(2,), name="extra")

        def build(self, shape):
            self.parts[0].build(shape)
            for layer in (self.parts[1], self.named["x"], self.norm):
                layer.build((None, 3))

        def call(self, x, training=False):
            x = self.parts[1](self.parts[0](x), training=training)
            return self.norm(self.named["x"](x), training=training)

    def make(seed, units=3, **compiled):
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((3,))
        x = Block()(keras.layers.Dense(units)(inputs))
        x = keras.layers.MultiHeadAttention(2, 4)(x[:, None], x[:, None])[:, 0]
        model = keras.Model(inputs, keras.layers.Dense(1)(x))
        model.compile(keras.optimizers.Adam(1e-2), "mse", **compiled)
        return model

    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    y = x.sum(axis=1, keepdims=True)

    def train(model, epochs, **more):
        history = model.fit(x, y, epochs=epochs, shuffle=False, verbose=0, **more)
        return history.history["loss"]
"""


@pytest.fixture(scope="module")
def tbk(tf):
    import tensorbundle.keras

    return tensorbundle.keras


@pytest.fixture(scope="module")
def made(tf):
    """Give the names that MODEL defines, under the backend of this process."""
    found: dict = {}
    exec(textwrap.dedent(MODEL), found)
    make = found["make"]
    # To trace a training step takes longer than the few steps that are made here.
    found["make"] = lambda *given, **more: make(*given, run_eagerly=True, **more)
    return found


# Runs programs in the names of MODEL, one per line of its input, and says how each ended.
SERVER = """
    import json
    import os
    import traceback

    answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr
    for line in sys.stdin:
        code, sys.argv = json.loads(line)
        try:
            exec(code, dict(globals()))
            told = ""
        except BaseException:
            told = traceback.format_exc()
        print(json.dumps(told), file=answers, flush=True)
"""


class Backend:
    """A process with Keras under one backend, which takes long to start."""

    def __init__(self, name, log):
        self._process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(MODEL) + textwrap.dedent(SERVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "KERAS_BACKEND": name},
        )

    def begin(self, code, *arguments):
        line = json.dumps([textwrap.dedent(code), ["program", *arguments]])
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def finish(self):
        answer = self._process.stdout.readline()
        assert answer, "the process has ended"
        assert json.loads(answer) == "", json.loads(answer)

    def close(self):
        self._process.kill()  # it takes long to end, too
        self._process.communicate()


@pytest.fixture(scope="module")
def backends(tf, torch, jax, tmp_path_factory):
    """Start a process for each backend, all at once."""
    with open(tmp_path_factory.mktemp("logs") / "log", "w") as log:
        started = {name: Backend(name, log) for name in BACKENDS}
        yield started
        for backend in started.values():
            backend.close()


# ---- Every backend --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(backends, tmp_path_factory):
    """Train a model under each backend, save it, and go on from there; give the prefixes."""
    directory = tmp_path_factory.mktemp("trained")
    for name, backend in backends.items():
        backend.begin(
            """
            model = make(1)
            saves = tbk.ModelCheckpoint(sys.argv[1], blocking=False)
            train(model, 2, callbacks=[saves])
            expected = model.predict(x, verbose=0)
            np.save(sys.argv[1], expected)
            rest = make(2)
            train(rest, 1)  # the first fit draws from torch's own random numbers
            tbk.load_weights(rest, sys.argv[1])
            again = make(3)
            tb.Checkpoint(model=model).write(sys.argv[1] + "-graph")
            again.optimizer.build(again.trainable_variables)
            tb.Checkpoint(model=again).read(sys.argv[1] + "-graph").assert_consumed()
            same = again.predict(x, verbose=0) == expected
            # TensorFlow does not track what Keras layers hold in lists.
            assert same.all() or keras.backend.backend() == "tensorflow"
            losses = []
            for each in (model, rest):
                keras.utils.set_random_seed(7)  # of torch, which has no seeds of models
                losses.append(train(each, 2))
            assert losses[0] == losses[1]  # to the last bit
            """,
            str(directory / name),
        )
    for backend in backends.values():
        backend.finish()
    return directory


@pytest.fixture(scope="module")
def loading(trained, backends):
    """Load under each backend what every one has trained, all of them at once."""
    for backend in backends.values():
        backend.begin(
            f"""
            model = make(3)
            for source in {BACKENDS}:
                path = sys.argv[1] + "/" + source
                for variable in model.variables:
                    variable.assign(variable.value * 0)
                loaded = tbk.load_weights(model, path)
                assert len(loaded.loaded) == len(tb.open(path)) > 60
                assert int(model.optimizer.iterations) == 4
                found = model.predict(x, verbose=0)
                np.testing.assert_allclose(found, np.load(path + ".npy"), atol=1e-5)
                if source == keras.backend.backend():
                    assert (found == np.load(path + ".npy")).all()
            """,
            str(trained),
        )


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_one_backend_has_trained_all_load(loading, backends, backend):
    backends[backend].finish()


def test_names_are_the_same_under_every_backend_and_tensorflow_reads_them(tf, trained):
    names = {b: [n for n, _ in tf.train.list_variables(str(trained / b))] for b in BACKENDS}
    assert names["tensorflow"] == names["jax"] == names["torch"]
    assert "layers/block/parts/dense/vars/0" in names["jax"]
    reader = tf.train.load_checkpoint(str(trained / "jax"))
    assert reader.get_tensor("layers/dense_1/vars/0").shape == (3, 1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_savers_and_warm_starts_see_the_variables_of_keras(backends, tmp_path, backend):
    backends[backend].begin(
        """
        def small():
            layers = [keras.Input((3,)), keras.layers.Dense(2, name="dense")]
            return keras.Sequential(layers, name="net")

        model, other, third = small(), small(), small()
        path = tb.Saver(model).save(None, sys.argv[1])
        assert set(tb.open(path)) == {v.path for v in model.variables}, list(tb.open(path))
        tb.Saver(other).restore(path)
        tb.init_from_checkpoint(path, {"/": "/"}, target=third)
        for own in (other, third):
            assert (own.predict(x, verbose=0) == model.predict(x, verbose=0)).all()
        """,
        str(tmp_path / "run"),
    )
    backends[backend].finish()


# ---- In the graph of a tb.Checkpoint --------------------------------------------------------


@pytest.mark.parametrize(("by", "of"), [("jax", "tensorflow"), ("tensorflow", "jax")])
def test_a_graph_of_other_names_does_not_count_as_restored(trained, backends, by, of):
    backends[by].begin(
        """
        model = make(3)
        before = model.predict(x, verbose=0)
        status = tb.Checkpoint(model=model).read(sys.argv[1])
        report = status.report()
        # The optimizer's counter may have the same name.
        assert len(report.matched) <= 2, report.matched
        assert len(report.unexpected) > 30
        try:
            status.assert_consumed()
        except tb.UnmatchedError:
            assert (model.predict(x, verbose=0) == before).all()
        else:
            raise AssertionError("passed")
        """,
        str(trained / of) + "-graph",
    )
    backends[by].finish()


def test_an_optimizer_that_is_not_built_is_built_by_a_restore(backends, tmp_path):
    for name, backend in backends.items():
        backend.begin(
            """
            def small(units=1, optimizer=None):
                layers = [keras.layers.Input((3,)), keras.layers.Dense(units)]
                model = keras.Sequential(layers)
                model.compile(optimizer or keras.optimizers.Adam(0.01), "mse")
                return model

            def rest(model):
                return train(model, 2)

            stock = []
            if keras.backend.backend() == "tensorflow":
                import tensorflow as tf
                stock = [lambda **objects: tf.train.Checkpoint(**objects)]
            for number, make_checkpoint in enumerate([tb.Checkpoint, *stock]):
                model, path = small(), sys.argv[1] + str(number)
                train(model, 3)
                path = make_checkpoint(model=model).save(path + "/alone")
                both = make_checkpoint(model=model, optimizer=model.optimizer)
                both = both.save(path + "-both")
                expected = rest(model)

                resumed = small()
                tb.Checkpoint(model=resumed).restore(path).assert_consumed()
                assert int(resumed.optimizer.iterations) == 6
                assert rest(resumed) == expected  # to the last bit
                resumed = small()
                checkpoint = tb.Checkpoint(model=resumed, optimizer=resumed.optimizer)
                checkpoint.restore(both)
                assert int(resumed.optimizer.iterations) == 6
                assert rest(resumed) == expected
                # One that is compiled into no model goes with the only one there is.
                given = keras.optimizers.Adam(0.01)
                tb.Checkpoint(model=small(), optimizer=given).restore(both)
                assert int(given.iterations) == 6
                assert given.built
            """,
            str(tmp_path / name),
        )
    for backend in backends.values():
        backend.finish()


def test_optimizers_of_every_kind_are_built(backends, tmp_path):
    for name, backend in backends.items():
        backend.begin(
            """
            of = keras.optimizers
            decay = of.schedules.ExponentialDecay(0.1, 2, 0.9)
            for number, make_optimizer in enumerate([
                lambda: of.SGD(0.01, momentum=0.9),
                lambda: of.SGD(decay),
                lambda: of.Adam(0.01, gradient_accumulation_steps=2),
                lambda: of.Adafactor(0.01),
                lambda: of.LossScaleOptimizer(of.Adam(0.01)),
            ]):
                def whole():
                    layers = [keras.layers.Input((3,)), keras.layers.Dense(2)]
                    model = keras.Sequential(layers)
                    model.optimizer = make_optimizer()
                    return model

                model, resumed = whole(), whole()
                model.optimizer.build(model.trainable_variables)
                for variable in model.optimizer.variables:
                    variable.assign(variable + 3)
                path = tb.Checkpoint(model=model).write(sys.argv[1] + str(number))
                tb.Checkpoint(model=resumed).read(path).assert_consumed()
                found = resumed.optimizer.variables
                assert len(found) == len(model.optimizer.variables), number
                for one, other in zip(found, model.optimizer.variables):
                    assert (np.array(one) == np.array(other)).all(), one.path
            """,
            str(tmp_path / name),
        )
    for backend in backends.values():
        backend.finish()


def test_an_optimizer_that_cannot_be_built_is_told_of(backends, tmp_path):
    for name, backend in backends.items():
        backend.begin(
            """
            def small():
                return keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])

            model = small()
            optimizer = keras.optimizers.Adam(0.01)
            optimizer.build(model.trainable_variables)
            parts = {"model": model, "second": small(), "optimizer": optimizer}
            path = tb.Checkpoint(**parts).save(sys.argv[1])
            given = keras.optimizers.Adam(0.01)
            for others in ({}, {"model": small(), "second": small()}):
                status = tb.Checkpoint(optimizer=given, **others).restore(path)
                assert not given.built
                report = status.report()
                slots = [n for n in report.unexpected if "vars/" in n or "variables/" in n]
                assert len(slots) >= 4, report
                assert not [n for n in report.matched if n in slots]
                try:
                    status.assert_consumed()
                except tb.UnmatchedError as error:
                    assert "in the checkpoint, but not restored" in str(error)
                else:
                    raise AssertionError("passed")
            # Built by hand, it takes what has waited.
            given.build(model.trainable_variables)
            status = tb.Checkpoint(optimizer=given).restore(path)
            assert set(slots) <= set(status.report().matched)
            """,
            str(tmp_path / name),
        )
    for backend in backends.values():
        backend.finish()


def test_a_model_that_is_built_by_fit_goes_on_as_if_never_stopped(tf, made, prefix):
    import keras

    def unbuilt():
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile(keras.optimizers.Adam(0.01), "mse")
        return model

    model, resumed = unbuilt(), unbuilt()
    made["train"](model, 3)
    tb.Checkpoint(model=resumed).restore(tb.Checkpoint(model=model).save(prefix))
    # fit() makes the variables as it traces its function.
    assert made["train"](resumed, 2) == made["train"](model, 2)


# ---- Bad input ------------------------------------------------------------------------------


def test_a_model_that_is_not_built_is_refused(tbk, made, prefix):
    import keras

    model = keras.Sequential([keras.layers.Dense(2)], name="mine")
    for call in (tbk.save_weights, tbk.load_weights):
        with pytest.raises(ValueError, match="Sequential 'mine' is not built"):
            call(model, prefix)
    with pytest.raises(ValueError, match="not built"):
        model.compile("sgd", "mse")
        model.fit(made["x"], made["y"], verbose=0, callbacks=[tbk.BackupAndRestore(prefix)])


def test_what_does_not_fit_is_told_together_and_nothing_is_loaded(tbk, made, prefix):
    import keras

    tbk.save_weights(made["make"](1, units=4), prefix)
    model = made["make"](2)
    model.extra_layer = keras.layers.Dense(2)
    model.extra_layer.build((None, 2))
    before = [v.numpy() for v in model.variables]
    with pytest.raises(tb.RestoreMismatchError) as caught:
        tbk.load_weights(model, prefix)
    told = str(caught.value)
    assert "extra_layer/vars/0: not in the checkpoint" in told
    assert "layers/dense/vars/0: shape (3, 4) in the checkpoint, (3, 3) here" in told
    assert all((v.numpy() == b).all() for v, b in zip(model.variables, before, strict=True))
    loaded = tbk.load_weights(model, prefix, skip_mismatch=True)
    assert loaded.missing == ["extra_layer/vars/0", "extra_layer/vars/1"]
    assert loaded.mismatched[0].startswith("layers/dense/vars/0: shape")
    assert "layers/dense_1/vars/0" in loaded.loaded


def test_damage_changes_no_variable(tbk, made, prefix):
    tbk.save_weights(made["make"](1), prefix)
    flip_byte(data_file(prefix), tb.open(prefix).entry("layers/dense_1/vars/0").offset)
    model = made["make"](2)
    before = [v.numpy() for v in model.variables]
    with pytest.raises(tb.CorruptionError, match="layers/dense_1/vars/0"):
        tbk.load_weights(model, prefix)
    assert all((v.numpy() == b).all() for v, b in zip(model.variables, before, strict=True))


def test_integers_that_do_not_fit_are_refused(tbk, prefix):
    import keras

    layer = keras.layers.Layer()
    layer.number = layer.add_weight(shape=(2,), dtype="int8", initializer="zeros")
    layer.built = True
    for value, fits in (([1, -2], True), ([1, 200], False)):
        tb.save(prefix, {"vars/0": np.array(value)})
        if fits:
            tbk.load_weights(layer, prefix)
            continue
        with pytest.raises(tb.RestoreMismatchError, match=r"vars/0: .* fit in int8"):
            tbk.load_weights(layer, prefix)
        assert layer.number.numpy().tolist() == [1, -2]


# ---- Optimizers -----------------------------------------------------------------------------


def test_the_optimizer_is_left_out_where_wanted_or_absent(tbk, made, prefix):
    trained = made["make"](1)
    made["train"](trained, 1)
    tbk.save_weights(trained, prefix, include_optimizer=False)
    assert not [n for n in tb.open(prefix) if n.startswith("optimizer")]
    model = made["make"](2)
    tbk.load_weights(model, prefix)
    assert int(model.optimizer.iterations) == 0
    tbk.save_weights(trained, prefix)
    tbk.load_weights(model, prefix, include_optimizer=False)
    assert int(model.optimizer.iterations) == 0
    model.optimizer = None  # as of a model that was never compiled
    tbk.load_weights(model, prefix)


# ---- Callbacks ------------------------------------------------------------------------------


def test_checkpoints_are_made_as_kerass_callback_makes_them(tbk, made, tmp_path):
    import keras

    arguments = [
        {"filepath": "{epoch:02d}-{val_loss:.4f}"},
        {"filepath": "b-{epoch}-{batch}", "save_freq": 2},
        {"filepath": "best", "save_best_only": True, "monitor": "val_loss"},
        {"filepath": "none", "save_best_only": True, "monitor": "loss",
         "initial_value_threshold": 0.0},
        {"filepath": "max-{epoch}", "save_best_only": True, "monitor": "loss", "mode": "max"},
        {"filepath": "weights-{epoch}", "save_weights_only": True},
    ]  # fmt: skip
    names = {}
    for kind, suffix, module in (
        ("theirs", ".weights.h5", keras.callbacks),
        ("ours", "", tbk),
    ):
        directory = tmp_path / kind
        directory.mkdir()
        callbacks = []
        for given in arguments:
            path = str(directory / given["filepath"]) + suffix
            weights_only = {"save_weights_only": True} if kind == "theirs" else {}
            callbacks.append(
                module.ModelCheckpoint(**{**given, **weights_only, "filepath": path})
            )
        made["train"](made["make"](1), 3, validation_split=0.5, callbacks=callbacks)
        ends = ".index" if kind == "ours" else suffix
        names[kind] = [n.removesuffix(ends) for n in listed(directory) if n.endswith(ends)]
    assert names["ours"] == names["theirs"]
    assert "none" not in names["ours"]
    assert not [n for n in tb.open(tmp_path / "ours" / "weights-1") if "optimizer" in n]
    model = made["make"](2)
    tbk.load_weights(model, tmp_path / "ours" / "best")


def test_an_error_of_a_save_in_the_background_ends_fit(tbk, made, tmp_path):
    (tmp_path / "file").write_text("")
    callback = tbk.ModelCheckpoint(tmp_path / "w", blocking=False, progress=fail)
    with pytest.raises(RuntimeError, match="no room"):
        made["train"](made["make"](1), 1, callbacks=[callback])


def test_options_of_callbacks_are_checked_when_they_are_made(tbk, tmp_path):
    for make, name in [(tbk.ModelCheckpoint, "w"), (tbk.BackupAndRestore, "b")]:
        with pytest.raises(TypeError, match=f"{make.__name__} takes no option 'durabilty'"):
            make(tmp_path / name, durabilty="none")
        with pytest.raises(ValueError, match="durability must be 'full' or 'none'"):
            make(tmp_path / name, durability="fast")


def fail(done, total):
    raise RuntimeError("no room")


@pytest.mark.parametrize("save_freq", ["epoch", 1])
def test_an_interrupted_training_goes_on_where_it_was(tbk, made, tmp_path, save_freq):
    import keras

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    whole = made["train"](made["make"](1), 4)
    backup = tmp_path / "backup"
    callback = tbk.BackupAndRestore(backup, save_freq=save_freq)
    with pytest.raises(KeyboardInterrupt):
        made["train"](made["make"](1), 4, callbacks=[callback, Interrupt()])
    assert [n for n in listed(backup) if n.endswith(".index")]
    rest = made["train"](made["make"](2), 4, callbacks=[tbk.BackupAndRestore(backup)])
    if save_freq == "epoch":
        assert rest == whole[2:]
    assert len(rest) in (2, 3)
    assert not backup.exists()


def test_the_backup_before_is_taken_where_the_newest_is_damaged(tbk, made, tmp_path):
    backup = tmp_path / "backup"
    options = {"double_checkpoint": True, "delete_checkpoint": False, "durability": "none"}
    whole = made["train"](
        made["make"](1), 3, callbacks=[tbk.BackupAndRestore(backup, **options)]
    )
    newest = tb.latest_checkpoint(backup)
    assert len([n for n in listed(backup) if n.endswith(".index")]) == 2
    flip_byte(data_file(newest), 0)
    rest = made["train"](
        made["make"](2), 3, callbacks=[tbk.BackupAndRestore(backup, **options)]
    )
    assert rest == whole[2:]
    with pytest.raises(tb.RestoreMismatchError):
        made["train"](made["make"](2, units=5), 3,
                      callbacks=[tbk.BackupAndRestore(backup, **options)])  # fmt: skip
