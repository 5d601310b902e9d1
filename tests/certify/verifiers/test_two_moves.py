"""Single moves are the whole set only where no second event may move: two that fail together are not missed."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert import LIF, SpikeShift, SpikingNetwork
from spikecert.certify.problem import Problem
from spikecert.certify.verifiers.single.single_moves import OneMove
from spikecert.models.circuit import circuit


def meeting(*events: tuple[int, int]) -> tuple[SpikingNetwork, Tensor]:
    """Return a network whose class changes where events of both inputs meet in one step, and a recording."""
    network = SpikingNetwork(nn.Linear(2, 1), LIF(0.0, 1.5), nn.Linear(1, 2), num_steps=4, encoding="none").eval()
    numbers = [[[1.0, 1.0]], [0.0], [[-8.0], [8.0]], [1.0, 0.0]]
    for values, given in zip(network.parameters(), numbers, strict=True):
        values.data = torch.tensor(given)
    sample = torch.zeros(1, 4, 2)
    for place in events:
        sample[0][place] = 1.0
    return network, sample


BOTH, ONE = ((0, 0), (3, 1)), ((0, 0),)
SETS = {
    "one event, one move": (ONE, {"count": 1}, "verified"),
    "one event, any moves": (ONE, {"count": None}, "verified"),
    "two events, one moves": (BOTH, {"count": 1}, "verified"),
    "two events, one step in all": (BOTH, {"count": None, "total": 1}, "verified"),
    "two events, two move": (BOTH, {"count": 2}, "unknown"),
    "two events, both may": (BOTH, {"count": None}, "unknown"),
    "two events, three steps in all": (BOTH, {"count": None, "total": 3}, "unknown"),
}


@pytest.mark.parametrize("name", SETS)
def test_two_moves_are_no_single_ones(name: str):
    events, budgets, status = SETS[name]
    (network, sample), settings = meeting(*events), dict[str, Any](budgets)
    threat = SpikeShift(2, settings.pop("count"), **settings)
    members = torch.cat(list(threat.members(sample[0]).batches(64))).to(sample)
    with torch.no_grad():
        breaks = bool((network(members).argmax(1) != 0).any())
    assert breaks == (status == "unknown")
    problem = Problem(network, sample, torch.tensor([0]), threat, made=circuit(network))
    assert OneMove().decide(problem)[0].status == status
