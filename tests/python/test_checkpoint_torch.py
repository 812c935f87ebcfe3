"""tb.Checkpoint with torch modules and optimizers."""

from __future__ import annotations

import pytest

import tensorbundle as tb


def training(torch, seed, optimizer="Adam"):
    """Make a model with buffers and tied weights, an optimizer and a schedule."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 4),
        torch.nn.Linear(4, 4),
    )  # fmt: skip
    model[3].weight = model[2].weight
    made = getattr(torch.optim, optimizer)(model.parameters(), lr=0.1 * seed)
    return {"model": model, "optimizer": made,
            "schedule": torch.optim.lr_scheduler.StepLR(made, 2)}  # fmt: skip


def train(torch, parts, steps):
    for _ in range(steps):
        parts["optimizer"].zero_grad()
        data = torch.arange(6.0).reshape(2, 3)
        (parts["model"](data) ** 2).sum().backward()
        parts["optimizer"].step()
        parts["schedule"].step()


@pytest.mark.parametrize("optimizer", ["Adam", "SGD", "Adagrad", "RMSprop"])
@pytest.mark.parametrize("stepped", [0, 1])
@pytest.mark.parametrize("staged", [True, False])
def test_training_goes_on_as_if_never_stopped(
    torch, prefix, optimizer, stepped, staged, monkeypatch
):
    if not staged:
        monkeypatch.setattr("tensorbundle.checkpoint.restoring._STAGED_BYTES", 0)
    saved = training(torch, 1, optimizer)
    train(torch, saved, 3)
    path = tb.Checkpoint(**saved).save(prefix)
    resumed = training(torch, 2, optimizer)
    train(torch, resumed, stepped)  # a new optimizer keeps nothing before its first step
    tb.Checkpoint(**resumed).restore(path).assert_consumed()
    train(torch, saved, 3)
    train(torch, resumed, 3)
    expected = saved["model"].state_dict()
    assert all(torch.equal(t, expected[n]) for n, t in resumed["model"].state_dict().items())
    group = resumed["optimizer"].param_groups[0]
    assert group["lr"] == saved["optimizer"].param_groups[0]["lr"]


def test_names_are_the_modules_own_and_tied_weights_are_saved_once(torch, prefix):
    path = tb.Checkpoint(**training(torch, 1)).write(prefix)
    names = [n.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE") for n in tb.open(path)]
    assert "model/1/running_mean" in names
    assert "model/2/weight" in names
    assert "model/3/weight" not in names
    assert "optimizer/param_groups/0/betas/1" in names
    assert not any(name.startswith("optimizer/param_groups/0/params") for name in names)


def test_tensors_are_filled_in_place(torch, prefix):
    tensors = [torch.ones(3, dtype=torch.bfloat16), torch.ones(2, 3).T, torch.ones(()),
               torch.nn.Parameter(torch.ones(2))]  # fmt: skip
    path = tb.Checkpoint(tensors=tensors).write(prefix)
    targets = [torch.zeros_like(t) for t in tensors[:3]] + [torch.nn.Parameter(torch.zeros(2))]
    held = list(targets)
    tb.Checkpoint(tensors=targets).read(path).assert_consumed()
    for found, same, expected in zip(targets, held, tensors, strict=True):
        assert found is same
        assert torch.equal(found, expected)
    assert targets[3].requires_grad


def test_another_shape_changes_nothing(torch, prefix):
    path = tb.Checkpoint(a=torch.ones(2), b=torch.ones(3)).write(prefix)
    a = torch.zeros(2)
    with pytest.raises(
        tb.RestoreMismatchError, match=r"\(3,\) in the checkpoint, \(4,\) here"
    ):
        tb.Checkpoint(a=a, b=torch.zeros(4)).read(path)
    assert not a.any()


def test_a_state_of_lists_is_told_and_not_made_of_dicts(torch, prefix):
    def optimizer(steps):
        weights = torch.nn.Parameter(torch.ones(3))
        made = torch.optim.LBFGS([weights], max_iter=3)

        def loss():
            made.zero_grad()
            found = ((weights - torch.arange(3.0)) ** 4).sum()
            found.backward()
            return found

        for _ in range(steps):
            made.step(loss)
        return made, loss

    path = tb.Checkpoint(o=optimizer(2)[0]).write(prefix)
    target, loss = optimizer(0)
    status = tb.Checkpoint(o=target).read(path)
    with pytest.raises(tb.UnmatchedError, match="o/state/0/al/0"):
        status.assert_consumed()
    assert not target.state
    target.step(loss)  # as a new one


def test_a_state_of_dicts_is_made_as_it_was(torch, prefix):
    weights = [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]
    saved, target = (torch.optim.SGD([w], lr=0.1) for w in weights)
    saved.state[weights[0]] = {"factors": {"left": torch.eye(2), "right": torch.ones(3)}}
    path = tb.Checkpoint(o=saved).write(prefix)
    tb.Checkpoint(o=target).read(path).assert_consumed()
    factors = target.state[weights[1]]["factors"]
    assert torch.equal(factors["left"], torch.eye(2))
    assert torch.equal(factors["right"], torch.ones(3))


def test_extra_state_goes_with_its_module(torch, prefix):
    class Extra(torch.nn.Module):
        def __init__(self, extra):
            super().__init__()
            self.extra = extra

        def get_extra_state(self):
            return {"n": self.extra}

        def set_extra_state(self, state):
            self.extra = state["n"]

    path = tb.Checkpoint(m=Extra(5)).write(prefix)
    target = Extra(0)
    tb.Checkpoint(m=target).read(path).assert_consumed()
    assert target.extra == 5
