"""Where auto_LiRPA raises the answer is "unknown" with its reason; where we do, that is a bug and is seen."""

import pytest
import torch
from torch import nn

from spikecert.certify import LInf, verify
from spikecert.certify.lirpa import running
from spikecert.certify.lirpa.compat import load
from spikecert.certify.lirpa.unrolled import Unrolled
from spikecert.certify.verification import bounds
from spikecert.models import LIF, Residual, SpikingNetwork, mlp
from spikecert.models.circuit import circuit


def images_without_channels() -> SpikingNetwork:
    torch.manual_seed(0)
    layers = nn.AvgPool2d((1, 2)), nn.Flatten(), nn.Linear(8, 5), LIF(0.9, 0.3), nn.Linear(5, 3)
    return SpikingNetwork(*layers, num_steps=2).eval()


@pytest.mark.parametrize("count", [1, 4])
def test_a_pool_of_images_without_channels_is_unknown(count: int):
    """As many samples as rows would be taken for channels."""
    network, inputs = (
        images_without_channels(),
        torch.rand(count, 4, 4, generator=torch.Generator().manual_seed(0)),
    )
    labels = network(inputs).argmax(1)
    for verdict in verify(network, inputs, labels, LInf(0.0), "lirpa"):
        assert verdict.status == "unknown"
        assert verdict.reason.endswith("on 2 axes, expected images for lirpa")


ERRORS = [
    RuntimeError("no bound\nfor this"),
    AssertionError(),
    NotImplementedError("Conv3d"),
    IndexError("dimension 3"),
    KeyError("/5"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("part", ["BoundedModule", "BoundedTensor", "compute_bounds"])
def test_what_the_library_raises_is_a_reason(monkeypatch: pytest.MonkeyPatch, part: str, error: Exception):
    def broken(*arguments: object, **options: object) -> None:
        raise error

    library = load()
    owner = library.BoundedModule if part == "compute_bounds" else library
    monkeypatch.setattr(owner, part, broken)
    network, inputs = mlp((4, 5, 3), num_steps=2).eval(), torch.rand(2, 4)
    verdicts = verify(network, inputs, network(inputs).argmax(1), LInf(0.01), "lirpa")
    for verdict in verdicts:
        assert verdict.status == "unknown"
        assert verdict.reason.startswith(f"network: auto_LiRPA raised {type(error).__name__}")
        assert "\n" not in verdict.reason
    with pytest.raises(ValueError, match=rf"^network: auto_LiRPA raised {type(error).__name__}: [^\n]*$"):
        bounds(network, inputs, LInf(0.01), "lirpa")


@pytest.mark.parametrize("place", ["slacks", "Unrolled", "_set"])
def test_our_own_mistakes_are_no_reason(monkeypatch: pytest.MonkeyPatch, place: str):
    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(running, place, broken)
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
    unrolled = Unrolled(circuit(network), inputs)
    with torch.no_grad():
        torch.testing.assert_close(unrolled(inputs) * unrolled.readout.factor, network(inputs))
