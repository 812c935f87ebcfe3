"""The model that ``demo`` saves: shaped like Llama, with random weights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

__all__ = ["FIRST", "MOST_GB", "LEAST_GB", "Model", "make_model", "shapes_of"]

Array = np.ndarray[Any, Any]

LEAST_GB: Final = 0.001
MOST_GB: Final = 1000.0
FIRST: Final = "model.layers.0.self_attn.q_proj.weight"
"""The tensor that is looked at first: of middle size."""

_NUM_LAYERS = 9
# Llama 2 7B has a hidden size of 4096, 11008 between the MLP's matrices and 32000 words.
_MLP_PER_HIDDEN = 11008 / 4096
_WORDS_PER_HIDDEN = 32000 / 4096
_ELEMENT_SIZE = 4  # bytes of a float32
# Of each tensor's memory, as torch and TensorFlow allocate it.
_ALIGNMENT = 64


@dataclasses.dataclass(frozen=True)
class Model:
    """Named weights."""

    tensors: dict[str, Array]
    first: str = FIRST
    """The tensor that is looked at first."""

    @property
    def num_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(array.nbytes for array in self.tensors.values())


def shapes_of(gb: float) -> dict[str, tuple[int, ...]]:
    """Give names and shapes of a float32 model of `gb` times 1e9 bytes, nearly."""
    elements = int(gb * 1e9) // _ELEMENT_SIZE
    per_square = _NUM_LAYERS * (4 + 3 * _MLP_PER_HIDDEN) + 2 * _WORDS_PER_HIDDEN
    hidden = max(8, int(math.sqrt(elements / per_square)) // 8 * 8)
    mlp = round(hidden * _MLP_PER_HIDDEN / 8) * 8
    layers = dict(_layer_shapes(hidden, mlp))
    used = sum(math.prod(shape) for shape in layers.values()) + hidden
    # The vocabulary takes up what rounding has left.
    words = max(1, (elements - used) // (2 * hidden))
    return {
        "model.embed_tokens.weight": (words, hidden),
        **layers,
        "model.norm.weight": (hidden,),
        "lm_head.weight": (words, hidden),
    }


def make_model(gb: float, seed: int = 0) -> Model:
    """Make the model; its memory has been written, so it is backed by real pages."""
    generator = np.random.default_rng(seed)
    tensors = {}
    for name, shape in shapes_of(gb).items():
        array = _aligned_empty(shape)
        generator.standard_normal(out=array, dtype=np.float32)
        array *= np.float32(0.02)  # Llama's initializer_range
        tensors[name] = array
    return Model(tensors)


def _layer_shapes(hidden: int, mlp: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for layer in range(_NUM_LAYERS):
        prefix = f"model.layers.{layer}"
        yield f"{prefix}.input_layernorm.weight", (hidden,)
        for letter in "qkvo":
            yield f"{prefix}.self_attn.{letter}_proj.weight", (hidden, hidden)
        yield f"{prefix}.post_attention_layernorm.weight", (hidden,)
        yield f"{prefix}.mlp.gate_proj.weight", (mlp, hidden)
        yield f"{prefix}.mlp.up_proj.weight", (mlp, hidden)
        yield f"{prefix}.mlp.down_proj.weight", (hidden, mlp)


def _aligned_empty(shape: tuple[int, ...]) -> Array:
    size = math.prod(shape) * _ELEMENT_SIZE
    memory = np.empty(size + _ALIGNMENT, dtype=np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].view(np.float32).reshape(shape)
