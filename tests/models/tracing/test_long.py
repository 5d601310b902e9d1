"""Long runs: what neurons keep besides a potential has names, so that steps are short; near-misses are refused."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert import AdaptiveLIF, ConversionRefused, CoupledLIF, from_torch
from spikecert.models.elements.layers import PerStep
from spikecert.models.tracing.converting import ModuleRun
from support.traced_modules import States, dendrite, dendrites, fires, resonating

STEPS, LITTLE = 30, 2.0**-12
SAMPLE = torch.rand(8, 5, generator=torch.Generator().manual_seed(0))


def adapting(c: Any, i: Tensor, before: States) -> States:
    """adLIF: a second state that the potential and spikes drive."""
    w, v, _, s = before
    w = c(0.9) * w + c(0.1) * v + c(0.3) * s
    v = c(0.9) * (v - c(1.0) * s) + c(1.5) * i - w
    return w, v, v, fires(v - c(1.0))


def rising(c: Any, i: Tensor, before: States) -> States:
    """A threshold that rises by spikes, and a reset to zero."""
    w, v, _, s = before
    w, v = c(0.95) * w + c(0.25) * s, c(0.9) * v * (1.0 - s) + i
    return w, v, v, fires(v - c(1.0) - w)


def refractory(c: Any, i: Tensor, before: States) -> States:
    """Two responses to own spikes, whose difference rises and falls."""
    d, e, _, s = before
    d, e = c(0.75) * d + c(2.0) * s, c(0.5) * e + c(1.5) * s
    return d, e, d, fires(i + e - d - c(0.5))


IDIOMS = {dendrite: 7, dendrites: 7, resonating: 7, adapting: 5, rising: 4, refractory: 5}
"""How many constants each has, but for gains of an input, which may differ from step to step."""
LONGER = (dendrites,)
"""Those of the night."""


def by_day(idiom: Any, *more: Any, day: bool = True) -> Any:
    return pytest.param(idiom, *more, marks=() if day and idiom not in LONGER else pytest.mark.slow)


class Written(nn.Module):
    """Dense layers around two layers of an idiom, of which one constant is other at one step."""

    def __init__(self, idiom: Any, other: tuple[int, int] | None = None, steps: int = STEPS) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.idiom, self.other, self.steps, self.little = idiom, other, steps, LITTLE
        self.first, self.second, self.last = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.first.weight.data.mul_(4.0)
        self.second.weight.data.mul_(4.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over time; of events, time is first."""
        states, more = (torch.zeros(x.shape[-2], 6),) * 4, (torch.zeros(x.shape[-2], 6),) * 4
        total = torch.zeros(x.shape[-2], 3)
        for t in range(self.steps):
            asked = iter(range(100))

            def constant(value: Any, t: int = t, asked: Any = asked) -> Any:
                return value + (self.little if (next(asked), t) == self.other else 0.0)

            states = self.idiom(constant, self.first(x[t] if x.dim() == 3 else x), states)
            more = self.idiom(lambda value: value, self.second(states[-1]), more)
            total = total + self.last(more[-1])
        return total / self.steps


@pytest.fixture
def only_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to read without names."""

    def refused(*_: Any, **__: Any) -> Any:
        raise ConversionRefused("is read without names")

    monkeypatch.setattr(ModuleRun, "_built", refused)


@pytest.mark.usefixtures("only_named")
@pytest.mark.parametrize("timed", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("idiom", [*map(by_day, IDIOMS)], ids=lambda idiom: idiom.__name__)
def test_long_runs_come_in_by_names(idiom: Any, timed: bool) -> None:
    module = Written(idiom).eval()
    events = (torch.rand(8, STEPS, 5, generator=torch.Generator().manual_seed(0)) < 0.6).float()
    network = from_torch(module, events if timed else SAMPLE, encoding="none" if timed else "direct")
    assert {type(each) for each in network.neurons} == {AdaptiveLIF if idiom is rising else CoupledLIF}
    for scale in (1.0, -3.0, 40.0, 1000.0):
        inputs = torch.randn(250, *((STEPS, 5) if timed else (5,))) * scale
        with torch.no_grad():
            theirs, ours = module(inputs.transpose(0, 1) if timed else inputs), network(inputs)
        assert float((theirs - ours).abs().amax(1).gt(1e-4).double().mean()) < 2e-2  # that rounding decides


NEAR = [(each, place) for each, count in IDIOMS.items() for place in range(count)]


@pytest.mark.usefixtures("only_named")
@pytest.mark.parametrize("step", [28, *(pytest.param(t, marks=pytest.mark.slow) for t in (11, 12, 17, 27))])
@pytest.mark.parametrize(("idiom", "place"), [by_day(each, place, day=place < 2) for each, place in NEAR])
def test_one_constant_that_is_other_at_one_late_step_is_refused(idiom: Any, place: int, step: int) -> None:
    with pytest.raises(ConversionRefused, match="is read without names"):
        from_torch(Written(idiom, (place, step)).eval(), SAMPLE)


@pytest.mark.parametrize("step", [11, 28])
def test_a_gain_that_is_other_at_one_step_is_that_steps_gain(step: int) -> None:
    module = Written(adapting, (IDIOMS[adapting], step)).eval()
    network = from_torch(module, SAMPLE)
    assert type(network.layers[1]) is PerStep
    gains = [float(each.share.detach()) for each in network.layers[1].steps]  # pyright: ignore
    assert [t for t, gain in enumerate(gains) if gain != gains[0]] == [step]
    inputs = 3.0 * torch.randn(250, 5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        other = (module(inputs) - network(inputs)).abs().amax(1).gt(1e-4)
    assert float(other.double().mean()) < 2e-2  # that rounding decides


class TwoFaced(Written):
    """The same, which is another one in the large batch of a trace, by what is kept at a late step alone."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over time."""
        self.other, self.little = ((0, STEPS - 2) if len(x) == 67 else None), 2.0**-20
        return super().forward(x)


@pytest.mark.usefixtures("only_named")
def test_what_a_neuron_keeps_is_the_same_in_each_batch() -> None:
    with pytest.raises(ConversionRefused, match="is read without names"):
        from_torch(TwoFaced(resonating).eval(), SAMPLE)


@pytest.mark.slow
@pytest.mark.parametrize("idiom", IDIOMS, ids=lambda idiom: idiom.__name__)
def test_it_is_refused_without_names_too(idiom: Any) -> None:
    with pytest.raises(ConversionRefused, match=r"is no neuron that is known here|to more than"):
        from_torch(Written(idiom, (0, 28)).eval(), SAMPLE)
