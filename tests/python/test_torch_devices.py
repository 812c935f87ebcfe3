"""Tensors of other devices are saved and restored through pinned memory.

Without a GPU the same code runs with tensors of the CPU that are taken for another device's.
"""

from __future__ import annotations

import ctypes
import threading

import numpy as np
import pytest

import tensorbundle as tb

from .helpers import assert_same, listing
from .torch_objects import assert_identical, bits

MIB = 1 << 20


@pytest.fixture
def tbt(torch):
    import tensorbundle.torch

    return tensorbundle.torch


@pytest.fixture
def staging(torch):
    from tensorbundle.frameworks.torch import staging

    return staging


@pytest.fixture
def pretend(torch, monkeypatch, staging):
    """Take all tensors for those of a device, on the way in and on the way out."""
    from tensorbundle.frameworks.torch import loading

    monkeypatch.setattr(staging, "is_elsewhere", lambda tensor: not tensor.is_meta)
    monkeypatch.setattr(loading, "goes_elsewhere", lambda device: device.type != "meta")


def tensors_of(torch):
    """Make tensors of many sizes, larger and smaller than a piece."""
    generator = torch.Generator().manual_seed(3)
    large = torch.randn(3 * MIB // 4 + 5, generator=generator)
    return {
        "large": large,
        "larger": torch.randn(1500, 2000, generator=generator).bfloat16(),
        "piece": large[: MIB // 4].clone(),
        "small": torch.arange(5),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "empty": torch.ones(0, 3),
        "bool": torch.tensor([True, False]),
        "complex": torch.randn(7, dtype=torch.complex64).conj(),
        "fp8": torch.randn(40).to(torch.float8_e4m3fn),
        "transposed": torch.randn(30, 40).T,
        "e8m0fnu": torch.arange(8, dtype=torch.uint8).view(torch.float8_e8m0fnu),
        "tied": large,
        "part": large[3:9],
        "number": np.arange(3),
    }


@pytest.mark.parametrize("backend", ["buffered", "direct", "uring"])
@pytest.mark.parametrize("threads", [1, 3])
def test_tensors_go_to_the_disk_and_back(tbt, torch, prefix, pretend, backend, threads):
    obj = tensors_of(torch)
    report = tbt.save(obj, prefix, backend=backend, num_threads=threads)
    assert report.zero_copy_bytes == 0
    assert tb.verify(prefix).ok
    found = tbt.load(prefix)
    assert_identical(found, obj)
    assert found["part"].data_ptr() == found["large"].data_ptr() + 12
    for name in ("large", "larger", "small", "fp8"):
        assert tb.load(prefix, [name])[name].tobytes() == bits(obj[name])


def test_save_takes_tensors_of_devices_too(torch, prefix, pretend):
    obj = {n: t for n, t in tensors_of(torch).items() if n not in ("e8m0fnu", "number")}
    tb.save(prefix, {"nested": obj, "array": np.ones(3)})
    for name, tensor in obj.items():
        assert tb.load(prefix, [f"nested/{name}"])[f"nested/{name}"].tobytes() == bits(tensor)


@pytest.mark.parametrize("blocking", [True, False])
def test_checkpoints_of_objects_take_tensors_of_devices_piece_by_piece(
    torch, prefix, pretend, monkeypatch, staging, blocking
):
    monkeypatch.setattr(
        "tensorbundle.frameworks.torch.graph.is_elsewhere", staging.is_elsewhere
    )
    model = torch.nn.Linear(1000, 600)
    model.register_buffer("steps", torch.tensor(7))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 1000)).sum().backward()
    optimizer.step()
    expected = {n: t.clone() for n, t in model.state_dict().items()}
    moments = optimizer.state[model.weight]["exp_avg"].clone()
    seen = []
    lane = staging.HostLane
    monkeypatch.setattr(staging, "HostLane", lambda: seen.append(1) or lane())
    monkeypatch.setattr(staging._lanes, "_free", {})
    checkpoint = tb.Checkpoint(model=model, optimizer=optimizer)
    done = checkpoint.write(prefix, blocking=blocking)
    with torch.no_grad():
        for tensor in (model.weight, model.steps, optimizer.state[model.weight]["exp_avg"]):
            tensor.zero_()
    if not blocking:
        done.result()
    assert seen
    checkpoint.read(prefix).assert_consumed()
    assert all(torch.equal(t, expected[n]) for n, t in model.state_dict().items())
    assert torch.equal(optimizer.state[model.weight]["exp_avg"], moments)


def test_a_background_save_has_the_values_of_the_call(tbt, torch, prefix, pretend):
    tensor = torch.ones(3 * MIB)
    with tb.AsyncSaver() as saver:
        handle = saver.save(prefix, {"t": tensor})
        tensor.zero_()
        handle.result()
        assert (tb.load(prefix)["t"] == 1).all()
    with tb.AsyncSaver(max_bytes=0) as saver:  # nothing fits: the call waits for the device
        handle = saver.save(prefix, {"t": tensor})
        tensor.fill_(3)
        handle.result()
        assert (tb.load(prefix)["t"] == 0).all()


class _Lost:
    """A lane of a device that fails in the middle."""

    def __init__(self, lane, left):
        self.buffer, self._lane, self._left = lane.buffer, lane, left

    def start(self, target, source, after):
        self._left.append(0)
        self._lane.start(target, source, after)

    def wait(self):
        if len(self._left) > 3:
            raise RuntimeError("the device has gone")


@pytest.mark.parametrize("blocking", [True, False])
def test_a_device_that_fails_fails_the_save(
    tbt, torch, prefix, pretend, monkeypatch, staging, blocking
):
    tbt.save({"t": torch.ones(2)}, prefix)
    before = listing(prefix)
    left = []
    monkeypatch.setattr(staging._lanes, "_free", {})
    monkeypatch.setattr(staging._lanes, "take", lambda device: _Lost(staging.HostLane(), left))
    with pytest.raises(RuntimeError, match="the device has gone"):
        result = tbt.save({"t": torch.ones(3 * MIB)}, prefix, blocking=blocking)
        result.result()
    assert listing(prefix) == before
    monkeypatch.undo()
    assert_same(tb.load(prefix)["t"], np.ones(2, np.float32))


def test_pieces_may_be_read_in_any_order_by_many_threads(torch, staging):
    source = torch.arange(5 * MIB + 77, dtype=torch.int64).to(torch.uint8)
    reader = staging._Reader(source)
    found = np.zeros(source.numel(), np.uint8)
    size = len(found)
    ranges = [(a, min(a + s, size)) for s in (300_001, MIB, size) for a in range(0, size, s)]

    def read(part):
        for begin, end in part:
            reader.read(begin, memoryview(found[begin:end]))

    parts = [ranges[::2], ranges[1::2], list(reversed(ranges))]
    threads = [threading.Thread(target=read, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found == source.numpy()).all()
    assert len(reader._ahead) <= staging._MOST_AHEAD


class _Runtime:
    """What torch hands out of CUDA's runtime, as it answers to locks of memory."""

    def __init__(self, answer=0):
        self.locked, self.unlocked, self._answer = [], [], answer

    def cudaHostRegister(self, address, size, flags):
        self.locked.append((address, size, flags))
        return self._answer

    def cudaHostUnregister(self, address):
        self.unlocked.append(address)
        return 0


@pytest.fixture
def runtime(torch, monkeypatch, request):
    made = _Runtime(getattr(request, "param", 0))
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "cudart", lambda: made)
    return made


def test_the_copies_of_background_saves_lie_in_locked_memory(
    torch, prefix, pretend, runtime, monkeypatch, staging
):
    class DirectLane(staging.HostLane):
        def __init__(self):
            self.buffer = None  # nothing may take the way by it

    copied, freed = [], []

    def is_locked(memory):
        address, size, _ = runtime.locked[-1]
        inside = address <= memory.data_ptr() < address + size
        copied.append(memory.nbytes if inside else 0)
        return inside

    monkeypatch.setattr(staging, "_is_locked", is_locked)
    monkeypatch.setattr(staging, "HostLane", DirectLane)
    monkeypatch.setattr(staging._lanes, "_free", {})
    tensor = torch.randn(MIB)
    with tb.AsyncSaver() as saver:
        for factor in (1, 2):  # the same memory twice, then more of it
            freed.append(len(runtime.unlocked))
            saver.save(prefix, {"t": tensor}).result()
            saver.save(prefix, {"t": tensor.repeat(factor)}).result()
            assert_same(tb.load(prefix)["t"], tensor.repeat(factor).numpy())
    assert sum(copied) == 4 * (4 * MIB) + 4 * MIB
    assert [size for _, size, _ in runtime.locked] == [4 * MIB, 8 * MIB]
    assert runtime.unlocked == [address for address, _, _ in runtime.locked]
    assert freed == [0, 0]


@pytest.mark.parametrize("runtime", [2], indirect=True)  # cudaErrorMemoryAllocation
def test_memory_that_cannot_be_locked_serves_as_it_is(torch, prefix, runtime, monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "zeros", lambda *args, **more: asked.append(more))
    with tb.AsyncSaver() as saver:
        saver.save(prefix, {"t": torch.ones(1000)}).result()
    assert asked == [{"device": "cuda"}]  # takes the error out of torch's way
    assert (len(runtime.locked), runtime.unlocked) == (1, [])
    assert (tb.load(prefix)["t"] == 1).all()


def test_slots_of_the_ring_are_used_again(tbt, torch, prefix, pretend, monkeypatch):
    from tensorbundle.frameworks.torch import device_loading

    monkeypatch.setattr(device_loading, "SLOT", 1000)
    obj = {str(i): torch.full((i * 10,), float(i)) for i in range(60)}
    tbt.save(obj, prefix)
    seen = []
    found = tbt.load(prefix, progress=lambda done, total: seen.append((done, total)))
    assert_identical(found, obj)
    assert seen == sorted(seen)
    assert {total for _, total in seen} == {sum(t.nbytes for t in obj.values())}


def test_damage_is_found_on_the_way_to_a_device(tbt, torch, prefix, pretend):
    from .helpers import data_file, flip_byte

    tbt.save({"t": torch.ones(100)}, prefix)
    flip_byte(data_file(prefix), tb.open(prefix).entry("t").offset)
    for mmap in (False, True):
        with pytest.raises(tb.CorruptionError, match='tensor "t"'):
            tbt.load(prefix, mmap=mmap)


# ---- With a GPU -----------------------------------------------------------------------------


@pytest.fixture
def cuda(torch):
    if not torch.cuda.is_available():
        pytest.skip("this machine has no CUDA device")
    return torch.device("cuda", 0)


def moved(torch, obj, device):
    return {n: t.to(device) if isinstance(t, torch.Tensor) else t for n, t in obj.items()}


def test_cuda_tensors_go_to_the_disk_and_back(tbt, torch, prefix, cuda):
    obj = tensors_of(torch)
    obj = {n: t for n, t in obj.items() if n not in ("tied", "part")}
    there = moved(torch, obj, cuda)
    there["part"] = there["large"][3:9]
    tbt.save(there, prefix)
    found = tbt.load(prefix)
    assert found["large"].device == cuda
    assert found["part"].data_ptr() == found["large"].data_ptr() + 12
    for name in obj:
        if name != "number":
            assert bits(found[name]) == bits(obj[name])
    assert tbt.load(prefix, "cpu", mmap=True)["large"].equal(obj["large"])
    assert tbt.load(prefix, cuda, mmap=True)["large"].equal(there["large"])


def test_work_queued_before_a_save_is_in_it(tbt, torch, prefix, cuda):
    tensor = torch.zeros(2000, 2000, device=cuda)
    for _ in range(200):
        tensor = (tensor @ tensor) + 1 - (tensor @ tensor)
    tbt.save({"t": tensor}, prefix)
    assert tbt.load(prefix, "cpu")["t"].equal(tensor.cpu())


def test_background_saves_copy_from_cuda_to_locked_memory(torch, prefix, cuda, staging):
    tensor = torch.arange(3 * MIB, device=cuda)
    expected = tensor.cpu()
    with tb.AsyncSaver() as saver:
        handle = saver.save(prefix, {"t": tensor})
        locked = torch.frombuffer(
            (ctypes.c_char * MIB).from_address(saver._arena.memory.address), dtype=torch.uint8
        )
        assert staging._is_locked(locked)
        tensor.zero_()
        handle.result()
    assert torch.from_numpy(tb.load(prefix)["t"]).equal(expected)
