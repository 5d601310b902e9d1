"""Code that draws the spikes of its input itself: a rate code of the same law, spike for spike by what it drew."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import ConversionRefused, LInf, RateDraws, convert, into, load, save, verify
from spikecert.models import check_conversion
from support.traced_modules import Drawn

STEPS, FEATURES = 5, 6
fresh = torch.rand_like


def signed(x: Tensor, factor: float = 1.0) -> Tensor:
    """Return what a generator of signed spikes gives, as BNTT and hybrid conversions have it."""
    return torch.mul(torch.le(fresh(x) * factor, torch.abs(x)).float(), torch.sign(x))


class Drawing(nn.Module):
    """Two layers behind spikes of the input, which a function of the input and the step makes."""

    def __init__(self, spikes, steps: int | None = STEPS) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.spikes, self.steps = spikes, steps
        self.a, self.b = nn.Linear(FEATURES, 8), nn.Linear(8, 3)
        self.a.weight.data.mul_(3.0)

    def forward(self, x: Tensor) -> Tensor:
        v, total = torch.zeros(len(x), 8), torch.zeros(len(x), 3)
        for t in range(STEPS):
            v = 0.75 * v + self.a(self.spikes(x, t))
            s = (v >= 0.5).float()
            v = v - 0.5 * s
            total = total + self.b(s)
        return total / STEPS


class OneStep(nn.Module):
    """A step a call, its potential kept until the batch is another."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.a, self.b = nn.Linear(FEATURES, 8), nn.Linear(8, 3)
        self.a.weight.data.mul_(3.0)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v = torch.zeros(len(x), 8) if state is None else state
        v = 0.5 * v + self.a((fresh(x) < x).to(x))
        s = (v >= 0.5).float()
        return self.b(s), v * (1 - s)


def sample(count: int = 8, seed: int = 1) -> Tensor:
    return torch.rand(count, FEATURES, generator=torch.Generator().manual_seed(seed))


UNSIGNED = {
    "<": (lambda x, t: (fresh(x) < x).float(), 1.0),
    "<=": (lambda x, t: torch.le(fresh(x), x).type(torch.float32), 1.0),
    ">": (lambda x, t: (x > fresh(x)).to(x.dtype), 1.0),
    ">= of half": (lambda x, t: x.ge(0.5 * fresh(x)).to(x), 0.5),
    "2 and 1.5": (lambda x, t: (fresh(x) * 2 * 1.5 <= x).float(), 3.0),
    "in rows": (lambda x, t: (fresh(x.view(-1, 2, 3)) < x.view(-1, 2, 3)).float().flatten(1), 1.0),
}
SIGNED = {"signed": (lambda x, t: signed(x), 1.0), "signed, by 2": (lambda x, t: signed(x, 2.0), 2.0)}
ALL = UNSIGNED | SIGNED


def by_what_it_drew(module: nn.Module, network, x: Tensor, factor: float, run) -> tuple[Tensor, Tensor]:
    """Return the outputs of a module, and of a network with just the numbers that the module drew."""
    with torch.no_grad(), Drawn() as draws:
        theirs = run(module, x)
    drawn = torch.stack([each.reshape(x.shape) for each in draws.kept]) * factor
    network.draws = RateDraws(torch.nextafter(drawn, torch.tensor(-1.0)))  # at u = x both fire
    with torch.no_grad():
        return theirs, network(x)


@pytest.mark.parametrize("name", ALL)
def test_own_draws_of_the_input_become_a_rate_code(name, tmp_path):
    spikes, factor = ALL[name]
    module = Drawing(spikes).train()
    found = convert(module, sample(), encoding="rate" if name in SIGNED else None, seed=3)
    network = found.network
    assert module.training
    assert (network.encoding, network.num_steps) == ("rate", STEPS)
    assert any(": fires by draws of the network's own, encoding 'rate'" in note for note in found.notes)
    assert torch.equal(
        network.draws.thresholds(STEPS, (FEATURES,)), RateDraws(3).thresholds(STEPS, (FEATURES,)) * factor
    )
    assert check_conversion(module, network, sample(30, 4)).matches
    save(network, tmp_path / "network.safetensors")
    assert torch.equal(load(tmp_path / "network.safetensors")(sample()), network(sample()))
    labels = network(sample()).argmax(1)
    assert "verified" in {each.status for each in verify(network, sample(), labels, LInf(1e-6), "interval")}
    for seed, scale in enumerate((1.0, 3.0, 1000.0, -1.0 if name in UNSIGNED else 0.0)):
        x = scale * (sample(250, seed) - (0.1 if name in UNSIGNED else 0.0))
        theirs, ours = by_what_it_drew(module.eval(), network, x, factor, lambda module, x: module(x))
        assert torch.allclose(theirs, ours, atol=1e-5)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), name=st.sampled_from(sorted(ALL)))
def test_drawn_weights_give_the_same_spikes_by_what_was_drawn(seed, name):
    spikes, factor = ALL[name]
    module = Drawing(spikes).eval()
    generator = torch.Generator().manual_seed(seed)
    for weight in module.parameters():
        weight.data = torch.randn(weight.shape, generator=generator)
    network = convert(module, sample(8, seed), encoding="rate", seed=seed).network
    x = sample(200, seed + 1).round(decimals=2) * 1.25
    theirs, ours = by_what_it_drew(module, network, x, factor, lambda module, x: module(x))
    assert torch.allclose(theirs, ours, atol=1e-4)


def test_a_module_of_one_step_a_call_draws_at_each():
    module, x = OneStep().eval(), sample()
    network = convert(module, x, num_steps=STEPS, seed=2).network
    assert (network.encoding, network.num_steps) == ("rate", STEPS)
    assert check_conversion(module, network, sample(30, 4), num_steps=STEPS).matches

    def run(module: nn.Module, x: Tensor) -> Tensor:
        state, total = None, torch.zeros(len(x), 3)
        for _ in range(STEPS):
            y, state = module(x, state)
            total = total + y
        return total / STEPS

    theirs, ours = by_what_it_drew(module, network, sample(200, 7), 1.0, run)
    assert torch.allclose(theirs, ours, atol=1e-5)


def test_trained_weights_go_back_behind_own_draws():
    module, x = Drawing(ALL["<="][0]), sample()
    network = convert(module, x).network
    first = network.layers[0]
    assert isinstance(first, nn.Linear)
    first.weight.data.mul_(1.25)
    into(module, network, x)
    assert torch.equal(module.a.weight, first.weight)


def seeded(x: Tensor, t: int) -> Tensor:
    torch.manual_seed(0)
    return (torch.rand_like(x) < x).float()


def seeded_once(x: Tensor, t: int) -> Tensor:
    if t == 0:
        torch.manual_seed(torch.initial_seed())
    return (torch.rand_like(x) < x).float()


def twice(x: Tensor, t: int) -> Tensor:
    drawn = torch.rand_like(x)
    return (drawn < x).float() + (drawn < x).float()


def in_two_units(x: Tensor, t: int) -> Tensor:
    drawn = torch.rand_like(x)
    return (drawn < x).float() + (2.0 * drawn < x).float()


def caught(x: Tensor, t: int) -> Tensor:
    try:
        return (torch.rand_like(x) < x).float() + 1e-3 * x
    except Exception:
        return torch.zeros_like(x)


class Shared:
    """Numbers drawn at the first step for all."""

    def __call__(self, x: Tensor, t: int) -> Tensor:
        if t == 0:
            self.drawn = torch.rand_like(x)
        return (self.drawn < x).float()


class Events(Shared):
    """Spikes drawn at the first step for all."""

    def __call__(self, x: Tensor, t: int) -> Tensor:
        if t == 0:
            self.spikes = (torch.rand_like(x) < x).float()
        return self.spikes


class Backwards:
    """Spikes of all steps drawn at first, and taken last to first."""

    def __call__(self, x: Tensor, t: int) -> Tensor:
        if t == 0:
            self.spikes = [(torch.rand_like(x) < x).float() for _ in range(STEPS)]
        return self.spikes[STEPS - 1 - t]


NEAR_MISSES = {
    "normal numbers": lambda x, t: (torch.randn_like(x) < x).float(),
    "bernoulli of half": lambda x, t: torch.bernoulli(torch.full_like(x, 0.5)),
    "another probability": lambda x, t: (torch.rand_like(x) < 0.5 * x).float(),
    "a square": lambda x, t: (torch.rand_like(x) < x * x).float(),
    "a root of what is drawn": lambda x, t: (torch.rand_like(x).sqrt() < x).float(),
    "a shift of what is drawn": lambda x, t: (torch.rand_like(x) + 0.125 < x).float(),
    "a sum of two draws": lambda x, t: (torch.rand_like(x) + torch.rand_like(x) < x).float(),
    "above": lambda x, t: (torch.rand_like(x) > x).float(),
    "other factors": lambda x, t: (torch.rand_like(x) * (1.0 + (t == 3)) < x).float(),
    "a factor of each pixel": lambda x, t: (torch.rand_like(x) * torch.linspace(1, 2, FEATURES) < x).float(),
    "a negative factor": lambda x, t: (torch.rand_like(x) * -1.0 < x).float(),
    "one for all pixels": lambda x, t: (torch.rand(len(x), 1) < x).float(),
    "one for all samples": lambda x, t: (torch.rand(1, FEATURES) < x).float(),
    "of fewer steps": lambda x, t: (torch.rand_like(x) < x).float() if t else torch.zeros_like(x),
    "of a generator": lambda x, t: (torch.rand(x.shape, generator=torch.Generator().manual_seed(t)) < x).float(),
    "with the input besides": lambda x, t: (torch.rand_like(x) < x).float() + 2**-12 * x,
    "with noise": lambda x, t: (torch.rand_like(x) < x).float() + 2**-12 * torch.rand_like(x),
    "with a mask": lambda x, t: (torch.rand_like(x) < x).float() * (torch.rand_like(x) < 0.9).float(),
    "of other pixels": lambda x, t: (torch.rand_like(x) < x.flip(1)).float(),
    "of other samples": lambda x, t: (torch.rand_like(x) < x.flip(0)).float(),
    "of the mean": lambda x, t: (torch.rand_like(x) < x - x.mean(1, keepdim=True)).float(),
    "signs of what is not": lambda x, t: (torch.rand_like(x) < x).float() * torch.sign(x),
    "sizes without signs": lambda x, t: (torch.rand_like(x) < x.abs()).float(),
    "signs at some steps": lambda x, t: signed(x) if t else (torch.rand_like(x) < x).float(),
    "seeded": seeded,
    "seeded once": seeded_once,
    "compared twice": twice,
    "in two units": in_two_units,
    "an error that is caught": caught,
    "numbers of all steps": Shared(),
    "spikes of all steps": Events(),
    "last to first": Backwards(),
}


@pytest.mark.parametrize("encoding", ["direct", "rate"])
@pytest.mark.parametrize("name", NEAR_MISSES)
def test_other_draws_are_refused(name, encoding):
    with pytest.raises(ConversionRefused):
        convert(Drawing(NEAR_MISSES[name]), sample(), encoding=encoding)


def noisy_behind(x: Tensor, t: int) -> Tensor:
    return (torch.rand_like(x) < x).float()


def test_draws_behind_a_layer_are_refused():
    class Later(Drawing):
        def __init__(self) -> None:
            super().__init__(noisy_behind)
            self.c = nn.Linear(FEATURES, FEATURES)

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(self.c(x))

    module = Later()
    with pytest.raises(ConversionRefused, match="draws random numbers"):
        convert(module, sample())


def test_signs_are_taken_by_choice_and_from_0_on_alone():
    module = Drawing(SIGNED["signed"][0])
    with pytest.raises(ConversionRefused, match=r"test_own_draws\.py:\d+: .* expected encoding='rate'"):
        convert(module, sample())
    with pytest.raises(ConversionRefused, match=r"about inputs from 0 on; got some down to -0\.5"):
        convert(module, sample() - 0.5 - sample().min(), encoding="rate")
    found = convert(module, sample(), encoding="rate")
    network = found.network
    assert any(note.endswith("for inputs from 0 on alone, as that sends -1 below 0") for note in found.notes)
    with pytest.raises(ConversionRefused, match="about inputs from 0 on"):
        check_conversion(module, network, -sample())


def test_a_rate_code_of_what_draws_nothing_is_refused():
    with pytest.raises(ConversionRefused, match="encoding: got 'rate', and the module draws nothing"):
        convert(Drawing(lambda x, t: x), sample(), encoding="rate")


def test_inputs_over_time_are_no_rates():
    def forward(x: Tensor) -> Tensor:
        return torch.stack([noisy_behind(each, t) for t, each in enumerate(x)])

    with pytest.raises(ConversionRefused, match="draws random numbers"):
        convert(forward, torch.rand(4, STEPS, FEATURES), encoding="none")
