"""What is saved: real models' shapes by name, or one like Llama of any size.

The values are random and come from one pool of memory, made before anything is timed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any, Final

import ml_dtypes
import numpy as np

from tensorbundle.cli.errors import CommandError
from tensorbundle.cli.model import FIRST, LEAST_GB, MOST_GB, Model, shapes_of

__all__ = ["MODELS", "Workload", "make_model", "named", "of_size"]

Shapes = dict[str, tuple[str, tuple[int, ...]]]
"""By tensor's name: its dtype's name and its shape."""

_ALIGNMENT = 64  # bytes: of each tensor's memory, as frameworks allocate it
_FLOAT: Final = "float32"


@dataclasses.dataclass(frozen=True)
class Workload:
    """The shapes of a model."""

    name: str
    shapes: Shapes
    first: str
    """The tensor that is looked at first."""

    @property
    def num_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(_size(*tensor) for tensor in self.shapes.values())

    @property
    def pool_bytes(self) -> int:
        """Bytes of the memory that they take up, with the gaps between them."""
        return sum(_aligned(_size(*tensor)) for tensor in self.shapes.values())


def of_size(gb: float) -> Workload:
    """Give Llama's shapes, scaled to so many times 1e9 bytes of float32.

    Raises
    ------
    CommandError
        The size is too small or too large.
    """
    if not LEAST_GB <= gb <= MOST_GB:
        raise CommandError(f"--gb must be between {LEAST_GB:g} and {MOST_GB:g}, not {gb:g}")
    shapes = {name: (_FLOAT, shape) for name, shape in shapes_of(gb).items()}
    return Workload(f"llama-{gb:g}gb", shapes, FIRST)


def named(name: str) -> Workload:
    """Give the shapes of a real model.

    Raises
    ------
    CommandError
        There is none of that name.
    """
    if name not in MODELS:
        raise CommandError(f"--models: {name!r} is none of {', '.join(MODELS)}")
    shapes, first = MODELS[name]
    return Workload(name, dict(shapes()), first)


def make_model(workload: Workload, pool: np.ndarray[Any, Any]) -> Model:
    """Cut a workload's tensors out of a pool; nothing is copied."""
    memory = pool.view(np.uint8)
    tensors, start = {}, 0
    for name, (dtype, shape) in workload.shapes.items():
        size = _size(dtype, shape)
        tensors[name] = memory[start : start + size].view(_dtype(dtype)).reshape(shape)
        start += _aligned(size)
    return Model(tensors, workload.first)


def _size(dtype: str, shape: tuple[int, ...]) -> int:
    return math.prod(shape) * _dtype(dtype).itemsize


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _dtype(name: str) -> np.dtype[Any]:
    return np.dtype(getattr(ml_dtypes, name, name))


def _llama_8b_shard() -> Iterator[tuple[str, tuple[str, tuple[int, ...]]]]:
    """Llama 3 8B in bfloat16: what one of eight tensor-parallel ranks saves."""
    hidden, mlp, kv, words, ranks = 4096, 14336, 1024, 128256, 8
    yield "model.embed_tokens.weight", ("bfloat16", (words // ranks, hidden))
    for layer in range(32):
        prefix = f"model.layers.{layer}"
        shapes = {
            "self_attn.q_proj": (hidden // ranks, hidden),
            "self_attn.k_proj": (kv // ranks, hidden),
            "self_attn.v_proj": (kv // ranks, hidden),
            "self_attn.o_proj": (hidden, hidden // ranks),
            "mlp.gate_proj": (mlp // ranks, hidden),
            "mlp.up_proj": (mlp // ranks, hidden),
            "mlp.down_proj": (hidden, mlp // ranks),
            "input_layernorm": (hidden,),
            "post_attention_layernorm": (hidden,),
        }
        for name, shape in shapes.items():
            yield f"{prefix}.{name}.weight", ("bfloat16", shape)
    yield "model.norm.weight", ("bfloat16", (hidden,))
    yield "lm_head.weight", ("bfloat16", (words // ranks, hidden))


def _resnet50() -> Iterator[tuple[str, tuple[str, tuple[int, ...]]]]:
    """ResNet-50's state_dict in torchvision."""
    yield from _convolution("conv1", "bn1", (64, 3, 7, 7))
    inputs = 64
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 1):
        for block in range(blocks):
            prefix = f"layer{stage}.{block}"
            shapes = ((width, inputs, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1))
            for i, shape in enumerate(shapes, 1):
                yield from _convolution(f"{prefix}.conv{i}", f"{prefix}.bn{i}", shape)
            if block == 0:
                name = f"{prefix}.downsample"
                yield from _convolution(f"{name}.0", f"{name}.1", (4 * width, inputs, 1, 1))
            inputs = 4 * width
    yield "fc.weight", (_FLOAT, (1000, 2048))
    yield "fc.bias", (_FLOAT, (1000,))


def _convolution(
    name: str, norm: str, shape: tuple[int, ...]
) -> Iterator[tuple[str, tuple[str, tuple[int, ...]]]]:
    yield f"{name}.weight", (_FLOAT, shape)
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{norm}.{part}", (_FLOAT, shape[:1])
    yield f"{norm}.num_batches_tracked", ("int64", ())


def _many_small() -> Iterator[tuple[str, tuple[str, tuple[int, ...]]]]:
    """Give 50,000 tensors of 2 KiB: the price of a tensor, not of a byte."""
    for i in range(50_000):
        yield f"layer_{i // 100:03}/tensor_{i:05}", (_FLOAT, (512,))


MODELS: Final[dict[str, tuple[Callable[[], Iterator[Any]], str]]] = {
    "llama-8b-shard": (_llama_8b_shard, FIRST),
    "resnet50": (_resnet50, "layer3.0.conv2.weight"),
    "many-small": (_many_small, "layer_250/tensor_25000"),
}
"""Shapes by name, and the tensor that is looked at first."""
