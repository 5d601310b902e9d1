"""Where auto_LiRPA raises the answer is "unknown" with its reason; where we do, that is a bug and is seen."""

import pytest
import torch
from torch import nn

from spikecert.certify import LInf, verify
from spikecert.certify.lirpa import running
from spikecert.certify.lirpa.compat import load
from spikecert.certify.verification import bounds
from spikecert.models import LIF, SpikingNetwork, mlp


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
