"""How fast are tensorbundle.torch's save and load of a training's state, beside torch's own?

The state is that of a transformer with Llama's layers and tied embeddings, after one step of
AdamW on random gradients. Every save ends with an fsync of its files and their directory.
Loads are warm: all files are read into the page cache before each run.
"""

from __future__ import annotations

import os
from typing import Any

import common
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import tensorbundle.torch as tbt
from tensorbundle.cli.files import sync_all
from tensorbundle.cli.steps import touch_torch

_HIDDEN, _INNER, _WORDS = 1024, 2816, 32_000
_EMBEDDING = _WORDS * _HIDDEN
_LAYER = 4 * _HIDDEN**2 + 3 * _HIDDEN * _INNER
_COPIES = 3  # parameters and AdamW's two moments


def make_state(gb: float, dtype: torch.dtype) -> dict[str, Any]:
    """Train for one step, of gradients drawn at random; give what is saved of it."""
    torch.manual_seed(0)
    wanted = gb * 1e9 / dtype.itemsize / _COPIES
    layers = max(1, round((wanted - _EMBEDDING) / _LAYER))
    config = LlamaConfig(
        vocab_size=_WORDS, hidden_size=_HIDDEN, intermediate_size=_INNER,
        num_hidden_layers=layers, num_attention_heads=16, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config).to(dtype)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1000)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "rng": torch.get_rng_state(),
        "epoch": 1,
        "loss": 2.5,
    }


def touch_state(state: dict[str, Any]) -> None:
    """Read a byte of every page of the model's and the optimizer's tensors."""
    for tensor in state["model"].values():
        touch_torch(tensor)
    for moments in state["optimizer"]["state"].values():
        for tensor in moments.values():
            touch_torch(tensor)


def save_cases(state: dict[str, Any], size: int, directory: str) -> list[common.Case]:
    """Give both saves, and fio as their floor."""
    after = {"after": lambda: common.remove_files(directory)}
    fio_file = os.path.join(directory, "fio")

    def torch_save() -> None:
        torch.save(state, os.path.join(directory, "state.pt"))
        sync_all(directory)

    prefix = os.path.join(directory, "state")
    fio = lambda: common.fio_seconds("write", fio_file, size)  # noqa: E731
    return [
        common.Case("tensorbundle.torch.save", lambda: tbt.save(state, prefix), size, **after),
        common.Case(
            "  zero_copy=True", lambda: tbt.save(state, prefix, zero_copy=True), size, **after
        ),
        common.Case("torch.save + fsync", torch_save, size, **after),
        common.Case("fio", fio, size, own_clock=True, **after),
    ]


def load_cases(size: int, directory: str) -> list[common.Case]:
    """Give both loads, as copies, as maps, and as maps of which every page is touched."""
    prefix, path = os.path.join(directory, "state"), os.path.join(directory, "state.pt")
    before = {"before": lambda: common.fill_cache(directory)}
    ways = {
        "tensorbundle.torch.load (verified)": lambda: tbt.load(prefix),
        "  verify=False": lambda: tbt.load(prefix, verify=False),
        "torch.load (unverified)": lambda: torch.load(path),
    }
    maps = {
        "tensorbundle.torch.load(mmap=True)": lambda: tbt.load(prefix, mmap=True),
        "torch.load(mmap=True)": lambda: torch.load(path, mmap=True),
    }
    touched = {
        f"{name}, touched": lambda load=load: touch_state(load())
        for name, load in maps.items()
    }
    return [
        *(common.Case(name, run, size, **before) for name, run in ways.items()),
        *(common.Case(name, run, **before) for name, run in maps.items()),
        *(common.Case(name, run, size, **before) for name, run in touched.items()),
    ]


def measure(
    dtype: torch.dtype, options: Any, directory: str
) -> tuple[list[common.Case], dict[str, Any]]:
    """Run all cases with a state of one dtype, and print their tables."""
    state = make_state(options.gb, dtype)
    prefix = os.path.join(directory, "state")
    report = tbt.save(state, prefix)
    size = report.tensor_bytes
    common.remove_files(directory)
    common.warm_memory(2 * size)
    saves = save_cases(state, size, directory)
    common.interleave(saves, options.runs)
    tbt.save(state, prefix)
    torch.save(state, prefix + ".pt")
    del state
    loads = load_cases(size, directory)
    common.interleave(loads, options.runs)
    common.remove_files(directory)
    title = f"of {size:,} B in {report.num_tensors} tensors, {dtype}, {options.runs} runs"
    common.print_cases(f"Durable save {title}", saves, saves[0])
    print(
        f"written from the tensors' own memory: {report.zero_copy_bytes:,} B, copied first: "
        f"{report.staged_bytes:,} B ({report.staged_bytes / size:.4%}), {report.backend}"
    )
    common.print_cases(f"Warm load {title}", loads[:3], loads[0])
    common.print_cases(f"Warm map {title}", loads[3:5], loads[3])
    common.print_cases(f"Warm map, a byte of each page read, {title}", loads[5:], loads[5])
    for case in (*saves, *loads):
        case.name = f"{dtype}: {case.name}"
    return [*saves, *loads], {str(dtype): report.as_dict()}


def main() -> None:
    options = common.parse_arguments(__doc__, gb={"type": float, "default": 2.1})
    print(common.machine_line(options.dir) + f", torch {torch.__version__}", flush=True)
    cases, reports = [], {}
    with common.scratch_in(options.dir) as directory:
        for dtype in (torch.float32, torch.bfloat16):
            own, report = measure(dtype, options, directory)
            cases += own
            reports |= report
    common.write_json(options.json, cases, options.dir, reports=reports)


if __name__ == "__main__":
    main()
