"""Models by name have the sizes of the real ones, and random values from one pool."""

from __future__ import annotations

import numpy as np
import pytest

from tensorbundle.cli import peers, steps
from tensorbundle.cli.bench import workloads
from tensorbundle.cli.errors import CommandError
from tensorbundle.cli.memory import make_pool


@pytest.mark.parametrize(
    ("name", "num_parameters", "num_tensors"),
    [
        # Llama 3 8B has 8,030,261,248; the norms (65 of 4096) are on every rank.
        ("llama-8b-shard", (8_030_261_248 - 65 * 4096) // 8 + 65 * 4096, 291),
        # 25,557,032 weights, 53,120 running averages, 53 counters.
        ("resnet50", 25_557_032 + 53_120 + 53, 320),
        ("many-small", 50_000 * 512, 50_000),
    ],
)
def test_a_model_has_the_parameters_of_the_real_one(name, num_parameters, num_tensors):
    made = workloads.named(name)
    sizes = [int(np.prod(shape, dtype=int)) for _, shape in made.shapes.values()]
    assert (sum(sizes), len(sizes)) == (num_parameters, num_tensors)
    assert made.first in made.shapes


def test_tensors_are_aligned_random_and_do_not_overlap():
    made = workloads.Workload(
        "t", {"a": ("bfloat16", (3, 5)), "b": ("int64", ()), "c": ("float32", (7,))}, "a"
    )
    pool = make_pool(made.pool_bytes)
    model = workloads.make_model(made, pool)
    assert model.first == "a"
    assert model.num_bytes == made.num_bytes == 30 + 8 + 28
    ends = 0
    for array in model.tensors.values():
        start = array.ctypes.data - pool.ctypes.data
        assert start % 64 == 0
        assert start >= ends
        ends = start + array.nbytes
        assert array.tobytes().strip(b"\0")
    assert ends <= pool.nbytes


def test_what_is_unknown_or_too_small_is_named():
    with pytest.raises(CommandError, match=r"'gpt' is none of llama-8b-shard, resnet50"):
        workloads.named("gpt")
    with pytest.raises(CommandError, match=r"--gb must be between 0\.001 and 1000, not 0"):
        workloads.of_size(0)


@pytest.mark.parametrize("peer", peers.ALL_PEERS)
def test_every_peer_keeps_every_dtype(peer, tmp_path):
    try:
        peers.choose_peers(peer, peers.ALL_PEERS)
    except CommandError as error:
        pytest.skip(str(error))
    made = workloads.Workload(
        "t", {"a": ("bfloat16", (30, 50)), "b": ("int64", (1,)), "c": ("float32", (70,))}, "a"
    )
    model = workloads.make_model(made, make_pool(made.pool_bytes))
    for step in peers.make_engine(peer, model).steps(str(tmp_path)):
        result = step.run()
        if step.operation == steps.LOAD:
            loaded = dict(zip("abc", result, strict=True)) if peer == "tensorflow" else result
            told = " ".join(str(loaded[name].dtype) for name in "abc")
            assert all(dtype in told for dtype in ("bfloat16", "int64", "float32"))
