"""Saves in the background: what a step of training takes when it saves, either way.

The same training runs twice, first with saves that it waits for, then with saves that copy
the state and go on. The times of all steps are drawn as a page, by plotly if it is installed.

    python examples/async_training.py --steps 60 --every 10 --plot step_times.html
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time

import torch

import tensorbundle.torch as tbt


def train(directory: str, options: argparse.Namespace, *, blocking: bool) -> list[float]:
    """Train, save now and then; give the seconds of each step."""
    torch.manual_seed(0)
    width = options.width
    model = torch.nn.Sequential(*(torch.nn.Linear(width, width) for _ in range(4)))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
    seconds = []
    handle = None
    for step in range(1, options.steps + 1):
        start = time.perf_counter()
        optimizer.zero_grad()
        model(torch.randn(8, width)).square().mean().backward()
        optimizer.step()
        if step % options.every == 0:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            path = os.path.join(directory, "state")
            handle = tbt.save({**state, "step": step}, path, blocking=blocking)
        seconds.append(time.perf_counter() - start)
    if not blocking and handle is not None:
        handle.result()  # raises what went wrong
    return seconds


def draw(times: dict[str, list[float]], path: str) -> None:
    """Draw the milliseconds of each step, a line for each way to save."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for name, seconds in times.items():
        steps = list(range(1, len(seconds) + 1))
        figure.add_scatter(x=steps, y=[1e3 * s for s in seconds], name=name)
    figure.update_layout(xaxis_title="step", yaxis_title="milliseconds")
    figure.write_html(path)


def main(arguments: list[str] | None = None) -> dict[str, list[float]]:
    """Train both ways; give the seconds of all steps by the way to save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--every", type=int, default=10, help="steps from save to save")
    parser.add_argument("--width", type=int, default=2048, help="of the model's layers")
    parser.add_argument("--plot", metavar="FILE.html", help="draw the times (needs plotly)")
    options = parser.parse_args(arguments)
    times = {}
    for name, blocking in (("waits for the save", True), ("saves in the background", False)):
        with tempfile.TemporaryDirectory(dir=".") as directory:
            times[name] = train(directory, options, blocking=blocking)
        saves = times[name][options.every - 1 :: options.every]
        others = [s for i, s in enumerate(times[name], 1) if i % options.every]
        print(
            f"{name:24} a step {1e3 * statistics.median(others):8.1f} ms, "
            f"with a save {1e3 * statistics.median(saves):8.1f} ms"
        )
    if options.plot:
        draw(times, options.plot)
        print(f"wrote {options.plot}")
    return times


if __name__ == "__main__":
    main()
