"""Over many steps samples are bounded in parts, as they are together; one that does not fit is refused."""

import pytest
import torch
from torch import Tensor, nn

from spikecert import LIF, LInf, SpikingNetwork, mlp, verify
from spikecert.certify.bounds import room
from spikecert.certify.bounds.long.long_trains import LONG
from spikecert.certify.problem import Problem
from spikecert.certify.verifiers import TRAINS
from spikecert.models.circuit import circuit


def asked(reset: str, steps: int) -> tuple[SpikingNetwork, Tensor, Tensor]:
    torch.manual_seed(0)
    network = mlp((6, 8, 8, 3), num_steps=steps, neuron=LIF(0.9, 1.0, reset)).eval()
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data *= 2.5
    inputs = torch.rand(5, 6, generator=torch.Generator().manual_seed(1))
    return network, inputs, network(inputs).argmax(1)


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_parts_have_the_bounds_of_the_whole(reset: str, monkeypatch: pytest.MonkeyPatch):
    problem = Problem(*asked(reset, 33), LInf(0.02))
    whole = TRAINS.lower(problem)
    each = room.sample_bytes(circuit(problem.network), (6,))
    monkeypatch.setattr(room, "ROOM", 2 * each)
    assert room.at_once(problem.circuit, problem.inputs) == 2
    assert torch.allclose(TRAINS.lower(problem), whole, rtol=0.0, atol=1e-9)
    monkeypatch.setattr(room, "ROOM", 1)
    assert room.at_once(problem.circuit, problem.inputs) == 1
    assert whole.isfinite().any()


def test_what_a_sample_takes_grows_with_steps_neurons_and_labels():
    short, long = (circuit(asked("zero", steps)[0]) for steps in (32, 64))
    assert room.sample_bytes(short, (6,)) == 32 * 16 * (65 + 32)
    assert room.sample_bytes(long, (6,)) == 64 * 16 * (65 + 64)
    assert room.sample_bytes(circuit(asked("subtract", 32)[0]), (6,)) == 32 * 16 * 256


def test_few_steps_are_bounded_together(monkeypatch: pytest.MonkeyPatch):
    network, inputs, _ = asked("zero", LONG - 1)
    monkeypatch.setattr(room, "free_memory", lambda: 0)
    assert room.at_once(circuit(network), inputs) == len(inputs)


def test_a_sample_that_does_not_fit_what_is_free_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch):
    network, inputs, labels = asked("zero", 40)
    wanted = room.sample_bytes(circuit(network), (6,)) + room.SHARED * 40**2
    monkeypatch.setattr(room, "free_memory", lambda: wanted)
    assert room.at_once(circuit(network), inputs) > 1
    monkeypatch.setattr(room, "free_memory", lambda: wanted - 1)
    told = (
        r"^network: its bounds would take about 0\.0 GiB for a sample of T = 40 steps, expected at most .* free$"
    )
    with pytest.raises(room.NoRoom, match=told):
        room.at_once(circuit(network), inputs)
    for verdict in verify(network, inputs, labels, LInf(0.02), "trains"):
        assert (verdict.status, verdict.reason.split(":")[0]) == ("unknown", "network")
