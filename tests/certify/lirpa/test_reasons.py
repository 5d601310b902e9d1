"""Where auto_LiRPA raises the answer is "unknown" with its reason; where we do, that is a bug and is seen."""

import pytest
import torch
from torch import nn

from spikecert.certify import LInf, verify
from spikecert.certify.lirpa import graph
from spikecert.certify.lirpa.graph import BoundedCircuit
from spikecert.certify.lirpa.relaxation import load
from spikecert.certify.verification import bounds
from spikecert.certify.verifiers import lirpa
from spikecert.models import LIF, Residual, SpikingNetwork, mlp
from spikecert.models.circuit import circuit


@pytest.mark.parametrize("count", [1, 4])
def test_a_pool_of_images_without_channels_is_no_pool_of_the_batch(count: int):
    """As many samples as rows would be taken for channels."""
    torch.manual_seed(0)
    layers = nn.AvgPool2d((1, 2)), nn.Flatten(), nn.Linear(8, 5), LIF(0.9, 0.3), nn.Linear(5, 3)
    network = SpikingNetwork(*layers, num_steps=2).eval()
    inputs = torch.rand(count, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ends, logits = bounds(network, inputs, LInf(0.0), "lirpa"), network(inputs).double()
    torch.testing.assert_close(torch.stack([ends.lower, ends.upper]), logits.expand(2, -1, -1), rtol=0, atol=1e-4)


ERRORS = [
    RuntimeError("no bound\nfor this"),
    AssertionError(),
    NotImplementedError("Conv3d"),
    IndexError("dimension 3"),
    KeyError("/5"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("part", ["_build_graph", "BoundedTensor", "compute_bounds"])
def test_what_the_library_raises_is_a_reason(monkeypatch: pytest.MonkeyPatch, part: str, error: Exception):
    def broken(*arguments: object, **options: object) -> None:
        raise error

    library = load()
    owner = library if part == "BoundedTensor" else library.BoundedModule
    monkeypatch.setattr(owner, part, broken)
    network, inputs = mlp((4, 5, 3), num_steps=2).eval(), torch.rand(2, 4)
    verdicts = verify(network, inputs, network(inputs).argmax(1), LInf(0.01), "lirpa")
    for verdict in verdicts:
        assert verdict.status == "unknown"
        assert verdict.reason.startswith(f"network: auto_LiRPA raised {type(error).__name__}")
        assert "\n" not in verdict.reason
    with pytest.raises(ValueError, match=rf"^network: auto_LiRPA raised {type(error).__name__}: [^\n]*$"):
        bounds(network, inputs, LInf(0.01), "lirpa")


@pytest.mark.parametrize("place", ["slacks", "SumNode", "InputSets"])
def test_our_own_mistakes_are_no_reason(monkeypatch: pytest.MonkeyPatch, place: str):
    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(graph, place, broken)
    network, inputs = mlp((4, 5, 3), num_steps=2).eval(), torch.rand(2, 4)
    with pytest.raises(RuntimeError, match=r"^a bug$"):
        verify(network, inputs, network(inputs).argmax(1), LInf(0.01), "lirpa")


@pytest.mark.parametrize("encoding", ["direct", "none"])
def test_an_unrolled_residual_network_is_the_network(encoding: str):
    """Branch and shortcut are both read, step by step."""
    torch.manual_seed(0)
    first = Residual([nn.Linear(6, 6), LIF(0.9, 0.3)], [nn.Linear(6, 6)])
    second = Residual([nn.Linear(6, 6), LIF(0.8, 0.2)])
    layers = nn.Linear(4, 6), LIF(0.7, 0.2), first, LIF(0.9, 0.5), second, nn.Linear(6, 3)
    network = SpikingNetwork(*layers, num_steps=5, encoding=encoding).double().eval()
    inputs = torch.rand(8, *((5, 4) if encoding == "none" else (4,)), dtype=torch.float64)
    with torch.no_grad():
        unrolled = BoundedCircuit(circuit(network), LInf(0.0).enclosure(inputs))
        torch.testing.assert_close(unrolled.forward(inputs), network(inputs))


def test_what_would_not_fit_is_told_before_it_is_tried(monkeypatch: pytest.MonkeyPatch):
    network, inputs = mlp((4, 16, 3), num_steps=2).eval(), torch.rand(2, 4)
    labels = network(inputs).argmax(1)
    monkeypatch.setattr(lirpa, "free_memory", lambda: 8 * 2 * 16**2)
    fitting = verify(network, inputs, labels, LInf(0.01), "lirpa")
    assert all(verdict.margin is not None and "free" not in verdict.reason for verdict in fitting)
    monkeypatch.setattr(lirpa, "free_memory", lambda: 8 * 2 * 16**2 - 1)
    for verdict in verify(network, inputs, labels, LInf(0.01), "lirpa"):
        assert verdict.status == "unknown"
        assert "N = 16 neurons of a layer and T = 2, expected at most the 0.0 GiB that are free" in verdict.reason
