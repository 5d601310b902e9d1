"""Neurons of several linear states, written out: they come in as they are, and their near-misses do not."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert import ConversionRefused, CoupledLIF, LInf, Recurrent, SpikingNetwork, from_torch, verify
from spikecert.testing import check_sound
from support.traced_modules import States, dendrite, dendrites, fires, resonating

STEPS, LITTLE = 8, 2.0**-12
SAMPLE = torch.rand(8, 5, generator=torch.Generator().manual_seed(0))
EVENTS = (torch.rand(8, STEPS, 5, generator=torch.Generator().manual_seed(0)) < 0.6).float()
Idiom = Callable[[Callable[[Any], Any], Tensor, States], States]


def response(c: Callable[[Any], Any], i: Tensor, before: States) -> States:
    """A spike response of three exponentials: two of the input, one of its own spikes."""
    d, e, r, s = before
    d, e, r = c(0.75) * d + i, c(0.25) * e + i, c(0.5) * r + c(1.0) * s
    s = fires(c(1.0) * d - c(0.5) * e - c(1.0) * r - c(0.5))
    return d, e, r, s


def growing(c: Callable[[Any], Any], i: Tensor, before: States) -> States:
    """A state that grows and one that changes its sign at each step."""
    d, v, e, _ = before
    d, e = c(-0.75) * d + i, c(1.25) * e + c(0.5) * i
    v = c(0.5) * v + c(0.5) * d + c(0.25) * e
    s = fires(v - c(1.0))
    return d, v - c(1.0) * s, e - c(0.25) * s, s


IDIOMS: dict[Idiom, tuple[int, int]] = {
    dendrite: (1, 7),
    dendrites: (1, 7),
    resonating: (1, 7),
    response: (2, 7),
    growing: (2, 8),
}
"""How many w there are besides the potential, and how many constants."""


class Written(nn.Module):
    """Dense layers 5-6-3 around an idiom, of which one constant is other at one step."""

    def __init__(self, idiom: Idiom, other: tuple[int, int] | None = None, heard: bool = False) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.idiom, self.other, self.heard = idiom, other, heard
        self.first, self.last, self.rec = nn.Linear(5, 6), nn.Linear(6, 3), nn.Linear(6, 6)
        self.first.weight.data.mul_(4.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over time; of events, time is first."""
        states = (torch.zeros(x.shape[-2], 6),) * 4
        total = torch.zeros(x.shape[-2], 3)
        for t in range(STEPS):
            asked = iter(range(100))

            def constant(value: Any, t: int = t, asked: Any = asked) -> Any:
                return value + (LITTLE if (next(asked), t) == self.other else 0.0)

            current = self.first(x[t] if x.dim() == 3 else x) + (self.rec(states[-1]) if self.heard else 0.0)
            states = self.idiom(constant, current, states)
            total = total + self.last(states[-1])
        return total / STEPS


def came(idiom: Idiom, timed: bool = False, **settings: Any) -> SpikingNetwork:
    module = Written(idiom, **settings).eval()
    network = from_torch(module, EVENTS if timed else SAMPLE, encoding="none" if timed else "direct")
    inputs = EVENTS.flip(0) if timed else torch.randn(500, 5) * 3.0
    with torch.no_grad():
        theirs, ours = module(inputs.transpose(0, 1) if timed else inputs), network(inputs)
    assert float((theirs - ours).abs().amax(1).gt(1e-4).double().mean()) < 5e-3  # a few that rounding decides
    return network


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("idiom", IDIOMS, ids=lambda idiom: idiom.__name__)
def test_states_of_ones_own_come_in(idiom: Idiom, timed: bool) -> None:
    (neuron,) = came(idiom, timed).neurons
    assert type(neuron) is CoupledLIF
    assert neuron.others == IDIOMS[idiom][0]


def test_states_may_hear_their_own_spikes() -> None:
    network = came(dendrite, heard=True)
    (loop,) = (layer for layer in network.layers if isinstance(layer, Recurrent))
    assert type(loop.neuron) is CoupledLIF


@pytest.mark.parametrize("step", [3, *(pytest.param(t, marks=pytest.mark.slow) for t in (2, 4, 5, 6))])
@pytest.mark.parametrize(
    ("idiom", "place"), [(each, place) for each, (_, count) in IDIOMS.items() for place in range(count)]
)
def test_one_constant_that_is_other_at_one_step_is_refused(idiom: Idiom, place: int, step: int) -> None:
    module = Written(idiom, (place, step)).eval()
    with pytest.raises(ConversionRefused, match="is no neuron that is known here"):
        from_torch(module, SAMPLE)


@pytest.mark.parametrize("idiom", IDIOMS, ids=lambda idiom: idiom.__name__)
def test_what_came_in_is_proved_near_a_sample(idiom: Idiom) -> None:
    network = came(idiom)
    check_sound(network, SAMPLE, LInf(0.05), "trains", count=16)
    with torch.no_grad():
        labels = network(SAMPLE).argmax(1)
    assert any(each.status == "verified" for each in verify(network, SAMPLE, labels, LInf(1e-5), "trains"))
