"""Budgets of events as radii: the largest that is proved, the smallest that breaks."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert import LIF, SpikeFlip, SpikeShift, SpikingNetwork, certified_radius, mlp, save
from spikecert.certify import EventRegion
from spikecert.certify.problem import NORMS, FlipScale, Scale, ShiftScale
from support.command_line import run as run
from support.oracles import every_flip, every_shift, least_margin

NETWORK_SEED, STEPS = 5, 3


def recordings() -> tuple[SpikingNetwork, Tensor, Tensor]:
    torch.manual_seed(NETWORK_SEED)
    network = mlp((2, 5, 3), num_steps=STEPS, neuron=LIF(0.8, threshold=0.5), encoding="none").eval()
    events = (torch.rand(5, STEPS, 2) < 0.5).float()
    with torch.no_grad():
        return network, events, network(events).argmax(1)


def listed(sets: Scale, sample: Tensor, budget: int) -> Tensor:
    threat = sets.around(budget)
    if isinstance(threat, SpikeFlip):
        every = every_flip(sample, budget)
        return every if threat.kind == "flip" else every[(every >= sample).flatten(1).all(1)]
    assert isinstance(threat, SpikeShift)
    reach = min(threat.reach, STEPS - 1)
    mask = torch.ones_like(sample) * threat.allowed(sample[None])
    return every_shift(sample, replace(threat, jitter=reach, where=None), mask)


SETS = {
    "l0": FlipScale(),
    "shift": ShiftScale(),
    "insertions": FlipScale(SpikeFlip(0, "insert")),
    "moves by one step": ShiftScale("count", SpikeShift(1, border="leave")),
    "two moves": ShiftScale("total", SpikeShift(None, 2)),
    "moves of the first steps": ShiftScale("count", SpikeShift(None, total=3, where=EventRegion(steps=(0, 2)))),
}


@pytest.mark.parametrize("name", SETS)
def test_brackets_hold_the_least_budget_that_breaks(name: str):
    network, events, labels = recordings()
    sets = SETS[name]
    radii = certified_radius(network, events, labels, name if name in NORMS else sets, "enumeration")
    for sample, label, radius in zip(events, labels.tolist(), radii, strict=True):
        breaks = [b for b in range(7) if least_margin(network, listed(sets, sample, b), label) <= 0]
        assert radius.exact
        if breaks:
            assert (radius.lower, radius.upper) == (breaks[0] - 1, breaks[0])
        else:
            assert radius.counterexample is None or radius.upper > 6
        if radius.counterexample is not None:
            assert bool(sets.around(radius.upper).contains(radius.counterexample[None], sample[None]))
            assert not bool(sets.around(radius.upper - 1).contains(radius.counterexample[None], sample[None]))


@pytest.mark.parametrize("norm", ["flips", "shift"])
def test_the_command_line_takes_budgets_of_events(norm: str, tmp_path: Path, run: Callable[..., Any]):
    network = SpikingNetwork(
        nn.Flatten(), nn.Linear(128, 4), LIF(0.8), nn.Linear(4, 10), num_steps=2, encoding="none"
    )
    save(network, tmp_path / "net.safetensors")
    common = tmp_path / "net.safetensors", "--data", "digit-events", "--norm", norm, "--json"
    status, out, told = run("radius", *common, "--verifier", "interval", "--samples", "1")
    assert status == 0, told
    found = json.loads(out)
    assert (found["threat"]["norm"], found["tolerance"]) == (norm, 1.0)
    assert all(float(row["lower"]).is_integer() for row in found["radii"])


def test_what_no_moves_make_is_infinitely_far():
    sample = torch.tensor([[1.0], [0.0]])
    assert ShiftScale().distance(torch.zeros(1, 2, 1), sample[None]).tolist() == [float("inf")]
    assert FlipScale().around(2.0) == SpikeFlip(2)
    where = EventRegion(steps=(0, 1))
    assert FlipScale(SpikeFlip(0, "insert", where)).around(2.0) == SpikeFlip(2, "insert", where)
    assert ShiftScale("count", SpikeShift(1, where=where)).around(2.0) == SpikeShift(1, 2, where=where)


def test_a_budget_counts_moves_or_their_steps():
    before, after = torch.tensor([[[1.0], [0.0], [0.0]]]), torch.tensor([[[0.0], [0.0], [1.0]]])
    assert ShiftScale().distance(after, before).tolist() == [2.0]
    assert ShiftScale("count").distance(after, before).tolist() == [1.0]


def test_a_budget_is_of_one_thing():
    with pytest.raises(ValueError, match=r"^count: got 3, expected None: it is what ε is"):
        ShiftScale("count", SpikeShift(1, 3))
    with pytest.raises(ValueError, match=r"^budget: got 'sum', expected one of total, count, jitter"):
        ShiftScale("sum")
