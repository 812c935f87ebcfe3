"""Makes the golden bundles with the real TensorFlow; see README.md.

It shares no code with the oracle: it walks the index with twenty lines of its own, parses
entries with TensorFlow's protobuf classes and takes all values from RestoreV2. The one
exception is what no machine here can write, a big-endian bundle: the oracle turns three of
the others round, and TensorFlow reads what it can of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before the import: a quiet log, and no choice of kernels by machine.
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import ml_dtypes
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import tensor_bundle_pb2

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from reference.bundle import read_bundle, read_entries, write_bundle  # noqa: E402

# What the big-endian bundle has.
TURNED_ROUND = ("dtypes", "strings", "variants")

# What TensorFlow 2.21 writes in the V1 format, strings apart, and what it restores for sure.
V1_DTYPES = {
    "float32", "float64", "float16", "complex64", "complex128", "bool", "int8", "uint8",
    "int16", "uint16", "int32", "int64", "qint8", "quint8", "qint32",
}  # fmt: skip
V1_RESTORED = {"float32", "float64", "int32", "int64", "bool", "string"}

QUANTIZED: dict[str, type[np.integer[Any]]] = {
    "qint8": np.int8,
    "quint8": np.uint8,
    "qint16": np.int16,
    "quint16": np.uint16,
    "qint32": np.int32,
}


def save(
    prefix: Path, tensors: dict[str | bytes, Any], specs: list[str] | None = None
) -> None:
    """Write `tensors` in their order with SaveV2."""
    names = list(tensors)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=names,
        shape_and_slices=specs or [""] * len(names),
        tensors=list(tensors.values()),
    )


def make_dtypes(prefix: Path) -> None:
    """Write every dtype but string and variant: a scalar, a vector, an empty tensor."""
    tensors: dict[str | bytes, Any] = {}
    for name, vector in vectors():
        for kind, array in (
            ("scalar", vector[-1]),
            ("vector", vector),
            ("empty", vector[:0].reshape(0, 3)),
        ):
            tensor = tf.constant(array)
            if name in QUANTIZED:
                tensor = tf.bitcast(tensor, tf.as_dtype(name))
            tensors[f"{name}/{kind}"] = tensor
    save(prefix, tensors)


def vectors() -> Iterator[tuple[str, Any]]:
    """Yield each dtype's name and a vector with its extremes and its odd values."""
    for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"):
        info = np.iinfo(name)
        yield name, np.array([info.min, 0, 1, 2, info.max - 1, info.max], name)
    for name, integer in QUANTIZED.items():
        info = np.iinfo(integer)
        yield name, np.array([info.min, 0, 1, info.max], integer)
    for name, bits in (("int4", 4), ("uint4", 4), ("int2", 2), ("uint2", 2)):
        low = -(1 << bits - 1) if name.startswith("i") else 0
        yield name, np.arange(low, low + (1 << bits)).astype(getattr(ml_dtypes, name))
    yield "float4_e2m1fn", np.arange(16, dtype=np.uint8).view(ml_dtypes.float4_e2m1fn)
    for name in ("e5m2", "e4m3fn", "e4m3fnuz", "e4m3b11fnuz", "e5m2fnuz"):
        # All 256 patterns: infinities, every NaN, both zeros.
        patterns = np.arange(256, dtype=np.uint8)
        yield f"float8_{name}", patterns.view(getattr(ml_dtypes, f"float8_{name}"))
    floats = [-0.0, 1.0, -1.5, 1e-6, np.inf, -np.inf, np.nan, 0.1]
    for dtype in (np.float16, ml_dtypes.bfloat16, np.float32, np.float64):
        yield np.dtype(dtype).name, np.array(floats, np.float64).astype(dtype)
    for dtype in (np.complex64, np.complex128):
        yield np.dtype(dtype).name, np.array([1 + 2j, -3.5 - 0.25j, 0j, 4j], dtype)
    yield "bool", np.array([True, False, True])


def make_strings(prefix: Path) -> None:
    """Write string tensors of several sizes; lengths take one, two and three bytes."""
    cases: dict[str | bytes, Any] = {
        "scalar": b"scalar",
        "scalar_empty": b"",
        "none": np.zeros([0], object),
        "none_rank_2": np.zeros([4, 0], object),
        "one": [b"alone"],
        "three": [b"hello", b"", b"x" * 300],
        "three_empty": [b"", b"", b""],
        "matrix": [[b"a", b"bc"], [b"def", b"ghij"], [b"klmno", b"pqrstu"]],
        "binary": [bytes(range(256)), b"\0", b"trailing zero\0", b"\xff\xfe"],
        "unicode": ["größe".encode(), "検査".encode(), "🙂".encode()],
        "lengths": [b"a" * 127, b"b" * 128, b"c" * 16384],
    }
    save(prefix, {k: tf.constant(v, tf.string) for k, v in cases.items()})


def make_keys(prefix: Path) -> None:
    """Write names that try the index, enough of them for two data blocks of 256 KiB."""
    names: list[str | bytes] = [
        b"\xff\xfe",
        b"\xff\xff",
        b"\xff",
        b"\x01control",
        b"middle\x00zero",
        "größe/検査/🙂",
        "a",
        "a/",
        "a/b",
        "a0",
        "a b",
        "trailing space ",
        "UPPER/lower",
        "path with 'quotes\" and \\ [brackets]*?",
    ]
    # Many keys of one prefix: sharing, and a restart point every 16.
    names += [f"model/layers/{i}/attention/kernel" for i in range(40)]
    names += [f"model/layers/{i}/attention/kernel/.OPTIMIZER_SLOT/m" for i in range(40)]
    # What makes the second block; a new first letter each, so that little is shared.
    names += [f"{i:03d}/{'filler-' * 210}" for i in range(180)]
    save(prefix, {k: tf.constant(i, tf.int32) for i, k in enumerate(names)})


def make_checkpoint(prefix: Path) -> None:
    """Write a tf.train.Checkpoint: modules, a list, a dict, an optimizer with slots."""
    dense = tf.Module(name="dense")
    dense.kernel = tf.Variable(np.arange(12, dtype=np.float32).reshape(4, 3), name="kernel")
    dense.bias = tf.Variable([0.5, -0.5, 0.25], name="bias")
    model = tf.Module(name="model")
    model.layers = [dense]
    model.tables = {"k/ey.x": tf.Variable([1, 2, 3], dtype=tf.int64, name="table")}
    optimizer = tf.compat.v1.train.AdamOptimizer(0.5)
    optimizer.apply_gradients([(tf.ones_like(v), v) for v in (dense.kernel, dense.bias)])
    checkpoint = tf.train.Checkpoint(
        model=model, optimizer=optimizer, half=tf.Variable(tf.constant(1.5, tf.bfloat16))
    )
    # As save() does, but without the state file, which holds the time.
    checkpoint.save_counter.assign_add(1)
    checkpoint.write(str(prefix))


def make_partitioned(prefix: Path) -> None:
    """Write partitioned tensors, with both spellings of a whole dimension."""
    grid = np.arange(24, dtype=np.float32).reshape(4, 6)
    wide = np.arange(300, dtype=np.int64)
    odd = np.array([1 + 1j, 2 + 2j], np.complex64)
    parts: list[tuple[str | bytes, str, Any]] = [
        ("grid", "4 6 0,2:-", grid[:2]),
        ("grid", "4 6 2,2:-", grid[2:]),
        ("explicit", "4 6 0,4:0,1", grid[:, :1]),
        ("explicit", "4 6 0,4:1,5", grid[:, 1:]),
        ("whole", "4 6 -:0,6", grid),
        ("plain", "", np.float32(7)),
        # Not in order, and starts of one, two and three bytes in the slice key.
        ("wide", "300 130,170", wide[130:]),
        ("wide", "300 0,64", wide[:64]),
        ("wide", "300 64,66", wide[64:130]),
        (b"z\x00\xff", "2 0,1", odd[:1]),
        (b"z\x00\xff", "2 1,1", odd[1:]),
    ]
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=[name for name, _, _ in parts],
        shape_and_slices=[spec for _, spec, _ in parts],
        tensors=[tf.constant(array) for _, _, array in parts],
    )


def make_variants(prefix: Path) -> None:
    """Write TensorLists, the variants that can be read back without a dataset."""
    lists = [
        tf.raw_ops.TensorListFromTensor(tensor=tensor, element_shape=tensor.shape[1:])
        for tensor in (tf.constant([[1.0, 2.0], [3.0, 4.0]]), tf.constant([5, 6, 7]))
    ]
    save(prefix, {"scalar": lists[0], "vector": tf.stack(lists)})


def make_big_endian(prefix: Path) -> None:
    """Write the tensors of three other bundles as a big-endian machine would."""
    tensors: dict[bytes, Any] = {}
    numbers: dict[bytes, int] = {}
    for name in TURNED_ROUND:
        little = prefix.with_name(name)
        found, entries = read_bundle(little), read_entries(little)
        for key in found:
            if key != b"lengths":  # large
                tensors[f"{name}/".encode() + key] = found[key]
                numbers[f"{name}/".encode() + key] = entries[key].dtype
    write_bundle(prefix, tensors, dtypes=numbers, big_endian=True)


def describe_big_endian(prefix: Path, bundles: dict[str, Any]) -> dict[str, Any]:
    """Return what golden.json says: places of its own, the values of the other bundles."""
    lines = []
    for key, value in index_items(prefix)[1:]:
        entry = tensor_bundle_pb2.BundleEntryProto.FromString(value)
        source, _, name = key.decode().partition("/")
        (like,) = [line for line in bundles[source]["tensors"] if line["key"] == name]
        place = {"shard_id": entry.shard_id, "offset": entry.offset, "size": entry.size}
        lines.append({**like, "key": key.decode(), **place})
        if not is_refused_by_tensorflow(entry.dtype):
            found = describe_tensor(prefix, key, entry, big_endian=True)
            assert found == lines[-1], (found, lines[-1])
    return {"num_shards": 1, "tensors": lines}


def is_refused_by_tensorflow(number: int) -> bool:
    """Tell whether TensorFlow turns no big-endian tensor of that dtype round."""
    dtype = tf.as_dtype(number)
    narrow = ("float8", "float4", "int4", "int2")
    return dtype == tf.variant or any(kind in dtype.name for kind in narrow)


def v1_tensors() -> dict[str, Any]:
    """Return a tensor of each kind that a V1 checkpoint can store."""
    tensors: dict[str, Any] = {}
    for name, vector in vectors():
        if name in V1_DTYPES:
            for kind, array in (
                ("scalar", vector[-1]),
                ("vector", vector),
                ("empty", vector[:0].reshape(0, 3)),
            ):
                tensor = tf.constant(array)
                if name in QUANTIZED:
                    tensor = tf.bitcast(tensor, tf.as_dtype(name))
                tensors[f"{name}/{kind}"] = tensor
    tensors["string/scalar"] = tf.constant(b"scalar")
    tensors["string/matrix"] = tf.constant([[b"hello", b""], [bytes(range(256)), b"x" * 300]])
    tensors["string/empty"] = tf.constant(np.zeros([0], object), tf.string)
    return tensors


def v1_slices() -> list[tuple[str, str, Any]]:
    """Return parts of tensors: rows, columns, not in order, of one element."""
    grid = np.arange(24, dtype=np.float32).reshape(4, 6)
    wide = np.arange(300, dtype=np.int64) - 150
    half = np.arange(12, dtype=np.float16).reshape(3, 4)
    pairs = np.arange(6, dtype=np.float64) * (1 - 2j)
    return [
        ("rows", "4 6 0,2:-", grid[:2]),
        ("rows", "4 6 2,2:-", grid[2:]),
        ("columns", "3 4 0,3:0,1", half[:, :1]),
        ("columns", "3 4 0,3:1,3", half[:, 1:]),
        ("wide", "300 130,170", wide[130:]),
        ("wide", "300 0,64", wide[:64]),
        ("wide", "300 64,66", wide[64:130]),
        ("pairs", "6 0,5", pairs[:5]),
        ("pairs", "6 5,1", pairs[5:]),
        ("whole", "", grid),
    ]


def make_v1(directory: Path) -> dict[str, Any]:
    """Write V1 checkpoints: whole tensors, slices, and slices in two files."""
    tensors = v1_tensors()
    tf.raw_ops.Save(
        filename=str(directory / "v1_dtypes"),
        tensor_names=list(tensors),
        data=list(tensors.values()),
    )
    slices = v1_slices()
    save_v1_slices(directory / "v1_slices", slices)
    save_v1_slices(directory / "v1_shards-00000-of-00002", slices[::2])
    save_v1_slices(directory / "v1_shards-00001-of-00002", slices[1::2])
    whole = {
        "rows": np.arange(24, dtype=np.float32).reshape(4, 6),
        "columns": np.arange(12, dtype=np.float16).reshape(3, 4),
        "wide": np.arange(300, dtype=np.int64) - 150,
        "pairs": np.arange(6, dtype=np.float64) * (1 - 2j),
        "whole": np.arange(24, dtype=np.float32).reshape(4, 6),
    }
    sliced = {name: tf.constant(array) for name, array in whole.items()}
    return {
        name: describe_v1(str(directory / name), found)
        for name, found in (
            ("v1_dtypes", tensors),
            ("v1_slices", sliced),
            ("v1_shards-?????-of-00002", sliced),
        )
    }


def save_v1_slices(path: Path, parts: list[tuple[str, str, Any]]) -> None:
    """Write parts of tensors to one file."""
    tf.raw_ops.SaveSlices(
        filename=str(path),
        tensor_names=[name for name, _, _ in parts],
        shapes_and_slices=[spec for _, spec, _ in parts],
        data=[tf.constant(array) for _, _, array in parts],
    )


def describe_v1(path: str, tensors: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a line per tensor; what TensorFlow can restore of them must be the same."""
    lines = []
    for name, tensor in sorted(tensors.items()):
        line = {"key": name, "dtype": tensor.dtype.as_datatype_enum}
        lines.append(line | {"shape": tensor.shape.as_list()} | values_of(tensor))
        try:
            found = tf.raw_ops.Restore(file_pattern=path, tensor_name=name, dt=tensor.dtype)
        except (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError):
            assert tensor.dtype.name not in V1_RESTORED, tensor.dtype
            continue
        assert values_of(found) == values_of(tensor), name
    return lines


def values_of(tensor: Any) -> dict[str, Any]:
    """Return the values of a tensor that is no variant, as golden.json has them."""
    if tensor.dtype == tf.string:
        flat = tf.reshape(tensor, [-1]).numpy()
        return {"values_hex": [value.hex() for value in flat]}
    if tensor.dtype.name in QUANTIZED:
        tensor = tf.bitcast(tensor, QUANTIZED[tensor.dtype.name])
    return {"sha256": hashlib.sha256(tensor.numpy().tobytes()).hexdigest()}


def index_items(prefix: Path) -> list[tuple[bytes, bytes]]:
    """Return the entries of an uncompressed index, trusting it: TensorFlow made it."""
    table = prefix.with_name(prefix.name + ".index").read_bytes()

    def varint(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            value |= (table[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if table[at - 1] < 128:
                return value, at

    def block(at: int) -> Iterator[tuple[bytes, int, int]]:
        offset, at = varint(at)
        size, _ = varint(at)
        end = offset + size
        end -= 4 + 4 * int.from_bytes(table[end - 4 : end], "little")
        key = b""
        while offset < end:
            shared, offset = varint(offset)
            unshared, offset = varint(offset)
            size, offset = varint(offset)
            key = key[:shared] + table[offset : offset + unshared]
            offset += unshared
            yield key, offset, size
            offset += size

    _, at = varint(len(table) - 48)  # the metaindex handle, skipped
    _, at = varint(at)
    return [
        (key, table[at : at + size])
        for _, handle, _ in block(at)
        for key, at, size in block(handle)
    ]


def describe(prefix: Path) -> dict[str, Any]:
    """Return what golden.json says of one bundle."""
    items = index_items(prefix)
    header = tensor_bundle_pb2.BundleHeaderProto.FromString(items[0][1])
    tensors = [
        describe_tensor(prefix, key, tensor_bundle_pb2.BundleEntryProto.FromString(value))
        for key, value in items[1:]
    ]
    return {"num_shards": header.num_shards, "tensors": tensors}


def describe_tensor(
    prefix: Path, key: bytes, entry: Any, *, big_endian: bool = False
) -> dict[str, Any]:
    """Return one tensor's line; checks that the bytes at its place are its values."""
    shape = [dim.size for dim in entry.shape.dim]
    out: dict[str, Any] = {"key": text(key)} if text(key) else {"key_hex": key.hex()}
    out |= {"dtype": entry.dtype, "shape": shape}
    (tensor,) = tf.raw_ops.RestoreV2(
        prefix=str(prefix),
        tensor_names=[key],
        shape_and_slices=[""],
        dtypes=[tf.as_dtype(entry.dtype)],
    )
    assert tensor.shape.as_list() == shape
    if entry.slices:
        out["slices"] = [
            [[e.start, e.length if e.HasField("length") else -1] for e in s.extent]
            for s in entry.slices
        ]
    else:
        out |= {"shard_id": entry.shard_id, "offset": entry.offset, "size": entry.size}
    if tensor.dtype == tf.string:
        flat = tf.reshape(tensor, [-1]).numpy()
        return out | {"values_hex": [value.hex() for value in flat]}
    if tensor.dtype == tf.variant:
        variants = tf.unstack(tensor) if shape else [tensor]
        return out | {"elements": [describe_list(variant) for variant in variants]}
    if tensor.dtype.name in QUANTIZED:
        tensor = tf.bitcast(tensor, QUANTIZED[tensor.dtype.name])
    raw = tensor.numpy().tobytes()
    if not entry.slices and not big_endian:
        shard = prefix.with_name(f"{prefix.name}.data-{entry.shard_id:05d}-of-00001")
        assert shard.read_bytes()[entry.offset : entry.offset + entry.size] == raw
    return out | {"sha256": hashlib.sha256(raw).hexdigest()}


def describe_list(variant: Any) -> dict[str, Any]:
    """Return a TensorList's element dtype, stacked shape and hash of its elements."""
    for dtype in (tf.float32, tf.int32):
        try:
            stacked = tf.raw_ops.TensorListStack(
                input_handle=variant, element_shape=-1, element_dtype=dtype
            )
        except tf.errors.InvalidArgumentError:  # a list of another dtype
            continue
        return {
            "dtype": dtype.as_datatype_enum,
            "shape": stacked.shape.as_list(),
            "sha256": hashlib.sha256(stacked.numpy().tobytes()).hexdigest(),
        }
    raise ValueError("a TensorList of an unexpected dtype")


def text(key: bytes) -> str | None:
    """Return the key as text if that is readable."""
    try:
        decoded = key.decode()
    except UnicodeDecodeError:
        return None
    return decoded if decoded.isprintable() else None


def main() -> None:
    """Write all bundles and golden.json."""
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else HERE)
    makers = {
        "checkpoint": make_checkpoint,
        "dtypes": make_dtypes,
        "keys": make_keys,
        "partitioned": make_partitioned,
        "strings": make_strings,
        "variants": make_variants,
    }
    for name, make in makers.items():
        make(directory / name)
    bundles = {name: describe(directory / name) for name in makers}
    make_big_endian(directory / "big_endian")
    bundles["big_endian"] = describe_big_endian(directory / "big_endian", bundles)
    for name in ("tf_legacy/foo", "tf_legacy/leg"):
        bundles[name] = describe(HERE / name)
    # One line per tensor, so that a difference is readable.
    lines = []
    for name, bundle in bundles.items():
        tensors = ",\n    ".join(json.dumps(t, ensure_ascii=False) for t in bundle["tensors"])
        head = f'"num_shards": {bundle["num_shards"]}, "tensors": ['
        lines.append(f"  {json.dumps(name)}: {{{head}\n    {tensors}]}}")
    v1 = [
        f"  {json.dumps(name)}: [\n    "
        + ",\n    ".join(json.dumps(line) for line in tensors)
        + "]"
        for name, tensors in make_v1(directory).items()
    ]
    v1_body = ",\n".join(v1)
    made_with = json.dumps(f"tensorflow {tf.__version__}")
    body = ",\n".join(lines)
    (directory / "golden.json").write_text(
        f'{{"made_with": {made_with}, "bundles": {{\n{body}\n}},\n"v1": {{\n{v1_body}\n}}}}\n',
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
