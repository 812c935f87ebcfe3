"""Objects of every kind that programs save with tf.train.Checkpoint."""

from __future__ import annotations

from collections import namedtuple

import numpy as np

Pair = namedtuple("Pair", "right left")


def model_and_optimizer(tf, seed, built=True):
    import keras

    keras.utils.set_random_seed(seed)
    first = [keras.Input((3,))] if built else []
    model = keras.Sequential([*first, keras.layers.Dense(4), keras.layers.Dense(2)])
    optimizer = keras.optimizers.Adam()
    if built:
        optimizer.build(model.trainable_variables)
    for number, variable in enumerate(optimizer.variables):
        if variable.dtype != "int64":
            variable.assign(variable.value + seed + number)
    return {"model": model, "optimizer": optimizer}


def module(tf, number):
    class Net(tf.Module):
        def __init__(self):
            super().__init__()
            self.weights = tf.Variable(np.full((2, 3), number, np.float32), name="w")
            self.function = tf.function(lambda x: x)
            self.parts = {"a/b.c": [tf.Variable(number), 5, (tf.Variable("text"), None)]}
            self.again = self.parts
            self.me = self

    return {"net": Net(), "half": tf.Variable(number, dtype=tf.bfloat16)}


def structures(tf, number):
    shared = tf.Variable(number)
    return {
        "z": {"b": shared, "a": [tf.Variable([number, 2])]},
        "l": [tf.Variable(1.0 * number), {"x": shared}],
        "pair": Pair(tf.Variable(number), tf.Variable(number + 1)),
        "empty": [],
    }


def others(tf, number):
    table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
    table.insert(["a"], [number])
    return {"table": table, "random": tf.random.Generator.from_seed(number)}


def first_version_optimizer(tf, number):
    variable = tf.Variable([1.0 * number, 2.0])
    optimizer = tf.compat.v1.train.AdamOptimizer(0.1)
    optimizer.apply_gradients([(tf.constant([1.0, number]), variable)])
    return {"v": variable, "optimizer": optimizer}


def own_tensors(tf, number):
    class Own(tf.__internal__.tracking.Trackable):
        def __init__(self):
            self.value = tf.constant([number, 7])
            self.text = tf.constant("text")

        def _serialize_to_tensors(self):
            return {"value": self.value, "text": self.text}

        def _restore_from_tensors(self, restored):
            self.value, self.text = restored["value"], restored["text"]

    return {"own": Own(), "list": [Own()]}


def python_state(tf, number):
    class Words(tf.train.experimental.PythonState):
        def __init__(self):
            self.words = f"words {number}"

        def serialize(self):
            return self.words

        def deserialize(self, words):
            self.words = words

    return {"words": Words(), "v": tf.Variable(number)}


def dtypes(tf, number):
    names = ["bfloat16", "half", "bool", "complex64", "uint64", "int8", "float8_e5m2", "int4"]
    made = {}
    for name in names:
        dtype = tf.as_dtype(name).as_numpy_dtype
        made[name] = tf.Variable(tf.constant(np.array([number, 1, 0]).astype(dtype)))
    made["scalar"] = tf.Variable(tf.cast(number, tf.bfloat16))
    made["text"] = tf.Variable(["a", f"b{number}"])
    made["empty"] = tf.Variable(tf.zeros((0, 3)))
    made["any_shape"] = tf.Variable(
        tf.fill((number,), 1.0), shape=tf.TensorShape([None]), validate_shape=False
    )
    return made


def large(tf, number):
    """Make variables above the size from which memory is shared, not copied."""
    values = np.random.default_rng(number).normal(size=(300, 400))
    kinds = ("float32", "bfloat16", "complex64", "float8_e4m3fn", "int8")
    tensors = {k: tf.cast(values, k) for k in kinds}
    tensors["qint8"] = tf.bitcast(tensors["int8"], tf.qint8)
    return {k: tf.Variable(tensor) for k, tensor in tensors.items()}


def tables(tf, number):
    dense = tf.lookup.experimental.DenseHashTable(
        tf.int64, tf.float32, default_value=0.0, empty_key=-1, deleted_key=-2
    )
    dense.insert(tf.constant([1, 2], tf.int64), [1.0 * number, 2.0])
    static = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(["k"], [number]), default_value=0
    )
    return {"dense": dense, "static": static}


def mirrored(tf, number):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        variable = tf.Variable([1.0 * number, 2.0])
        summed = tf.Variable(
            1.0 * number,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.SUM,
        )
    return {"v": variable, "sum": summed}


def sparse_updates(tf, number):
    table = tf.Variable(tf.zeros((200, 200)))
    table.scatter_nd_update([[1]], [tf.fill([200], 1.0 * number)])
    return {"table": table}


def iterators(tf, number):
    iterator = iter(tf.data.Dataset.range(100).shuffle(10, seed=1).batch(2))
    for _ in range(number):
        next(iterator)
    return {"iterator": iterator, "v": tf.Variable(number)}


EVERYTHING = [
    model_and_optimizer, module, structures, others, first_version_optimizer, own_tensors,
    python_state, dtypes, large, tables, mirrored, sparse_updates,
]  # fmt: skip
