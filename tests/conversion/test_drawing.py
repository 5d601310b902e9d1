"""Poisson encoders inside a module: it is run with a network's draws in their place, and put back as it was."""

from collections.abc import Callable
from pathlib import Path

import norse.torch as norse
import pytest
import torch
from norse.torch.module.encode import PoissonEncoderStep
from spikingjelly.activation_based import encoding, functional
from spikingjelly.activation_based import neuron as sj_neurons
from torch import Tensor, nn

from spikecert import ConversionRefused, LInf, RateDraws, convert, load, save, verify
from spikecert.models import check_conversion
from support.elements import box

STEPS = 5
Strong = Callable[[int, int], nn.Linear]


class Looping(nn.Module):
    """Loops over time itself, with its encoder called once, at each step, or for all of them."""

    def __init__(self, strong: Strong, way: str) -> None:
        super().__init__()
        self.encoder = encoding.PoissonEncoder()
        self.net = nn.Sequential(strong(16, 12), sj_neurons.IFNode(), strong(12, 4), sj_neurons.IFNode())
        self.way = way
        if way == "sequence":
            functional.set_step_mode(self, "m")

    def forward(self, x: Tensor) -> Tensor:
        if self.way == "sequence":
            return self.net(self.encoder(x.unsqueeze(0).repeat(STEPS, 1, 1))).mean(0)
        once = self.encoder(x)
        steps = [once, *(once if self.way == "once" else self.encoder(x) for _ in range(STEPS - 1))]
        return torch.stack([self.net(step) for step in steps]).mean(0)


def single(strong: Strong, *front: nn.Module) -> nn.Sequential:
    """Return a SpikingJelly network behind some modules, of one step a call."""
    return nn.Sequential(*front, strong(16, 12), sj_neurons.IFNode(), strong(12, 4), sj_neurons.IFNode())


def multi(strong: Strong) -> nn.Sequential:
    """Return the same of all steps a call."""
    module = single(strong, encoding.PoissonEncoder())
    functional.set_step_mode(module, "m")
    return module


def stateful(strong: Strong, *front: nn.Module) -> norse.SequentialState:
    """Return a Norse network behind an encoder, of one step a call."""
    low = {"v_th": torch.tensor(0.25)}
    return norse.SequentialState(*front, strong(16, 12), box(**low), strong(12, 4), box(**low))


class Sliced(nn.Module):
    """Has all steps drawn at once, and takes them one by one in an order of its own."""

    def __init__(self, strong: Strong, order: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder = norse.PoissonEncoder(STEPS, f_max=500)
        self.layer, self.neuron, self.order = strong(16, 4), box(v_th=torch.tensor(0.25)), order

    def forward(self, x: Tensor) -> Tensor:
        spikes, state, found = self.encoder(x), None, []
        for step in self.order:
            out, state = self.neuron(self.layer(spikes[step]), state)
            found.append(out)
        return torch.stack(found).mean(0)


MADE: dict[str, tuple[Callable[[Strong], nn.Module], int | None, float]] = {
    "spikingjelly s": (lambda strong: single(strong, encoding.PoissonEncoder()), STEPS, 1.0),
    "spikingjelly m": (multi, STEPS, 1.0),
    "each": (lambda strong: Looping(strong, "each"), None, 1.0),
    "sequence": (lambda strong: Looping(strong, "sequence"), None, 1.0),
    "norse step": (lambda strong: stateful(strong, PoissonEncoderStep()), STEPS, 1.0),
    "norse step of ½": (lambda strong: stateful(strong, PoissonEncoderStep(f_max=500)), STEPS, 0.5),
    "norse": (
        lambda strong: norse.SequentialState(
            norse.PoissonEncoder(STEPS, f_max=250), strong(16, 12), norse.IAF(), strong(12, 4), norse.IAF()
        ),
        None,
        0.25,
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_an_encoder_becomes_a_rate_code(name: str, strong: Strong, sample: Tensor, tmp_path: Path):
    make, steps, share = MADE[name]
    module = make(strong).train()
    before = [(type(part), part.training) for part in module.modules()]
    found = convert(module, sample, num_steps=steps, seed=3)
    network, check = found.network, found.check
    assert [(type(part), part.training) for part in module.modules()] == before
    assert (network.encoding, network.num_steps) == ("rate", STEPS)
    assert check.matches
    assert check.output_error is not None
    assert min(check.rates) > 0
    assert any("draws of the network's own" in note for note in found.notes)
    drawn = network.draws.thresholds(STEPS, (16,))
    assert torch.equal(drawn, RateDraws(3).thresholds(STEPS, (16,)) / share)
    assert check_conversion(module, network, sample, steps).matches
    save(network, tmp_path / "network.safetensors")
    again = load(tmp_path / "network.safetensors")
    assert again.draws == network.draws or torch.equal(again.draws.thresholds(STEPS, (16,)), drawn)
    assert torch.equal(again(sample), network(sample))
    labels = network(sample).argmax(1)
    assert "verified" in {verdict.status for verdict in verify(network, sample, labels, LInf(1e-5), "interval")}


def test_steps_that_were_drawn_at_once_are_taken_in_their_order(strong: Strong, sample: Tensor):
    module = Sliced(strong, (0, 1, 2, 3, 4))
    found = convert(module, sample)
    assert (found.network.encoding, found.network.num_steps) == ("rate", STEPS)
    assert found.check.matches
    for order in ((4, 3, 2, 1, 0), (0, 1, 2, 4, 3), (0, 0, 1, 2, 3)):
        with pytest.raises(
            ConversionRefused, match=r"^test_drawing\.py:\d+: .* takes in another current than step 5"
        ):
            convert(Sliced(strong, order), sample)


def test_a_network_gives_what_the_module_gives_with_its_draws(strong: Strong, sample: Tensor):
    module = single(strong, encoding.PoissonEncoder())
    network = convert(module, sample, num_steps=STEPS, seed=3).network
    functional.reset_net(module)
    drawn = RateDraws(3).thresholds(STEPS, (16,))
    with torch.no_grad():
        spikes = torch.stack([module[1:]((step < sample.double()).float()) for step in drawn])
        assert torch.equal(spikes.mean(0), network(sample))
    functional.reset_net(module)
    other = convert(module, sample, num_steps=STEPS, seed=4).network
    assert not check_conversion(single(strong, encoding.PoissonEncoder()), other, sample, STEPS).matches


def test_an_encoder_fires_as_often_as_its_stand_in(strong: Strong):
    inputs, rates = torch.full((1, 4000), 0.6), []
    for encoder, share in ((encoding.PoissonEncoder(), 1.0), (PoissonEncoderStep(f_max=500), 0.5)):
        drawn = RateDraws(0).thresholds(1, (4000,)) / share
        torch.manual_seed(0)
        rates.append(float(encoder(inputs).mean() - (drawn < 0.6).double().mean()))
    assert max(map(abs, rates)) < 0.05


def test_groups_of_a_population_keep_the_draws(strong: Strong, sample: Tensor):
    module = single(strong, encoding.PoissonEncoder())
    network = convert(module, sample, num_steps=STEPS, seed=3, classes=2).network
    assert network.draws == RateDraws(3)


def poisson() -> nn.Module:
    return encoding.PoissonEncoder()


def complement(module: nn.Module, given: tuple[Tensor], gave: Tensor) -> Tensor:
    return 1 - gave


def hooked() -> nn.Module:
    encoder = poisson()
    encoder.register_forward_hook(complement)
    return encoder


class Beside(nn.Module):
    """Gives a layer its input beside the spikes of it."""

    def __init__(self, strong: Strong) -> None:
        super().__init__()
        self.encoder, self.net = poisson(), single(strong)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(self.encoder(x) + x)


WITHOUT = {"num_steps": None}
REFUSED: dict[str, tuple[Callable[[Strong], nn.Module], dict, str]] = {
    "two": (lambda s: single(s, poisson(), poisson()), {}, "module: has 2 encoders that draw at random, 0, 1"),
    "behind a layer": (
        lambda s: single(s, s(16, 16), poisson()),
        {},
        "1: draws its spikes of something else than the module's input; expected it to be first",
    ),
    "behind a smaller one": (
        lambda s: nn.Sequential(s(16, 3), poisson(), s(3, 4), sj_neurons.IFNode()),
        {},
        "1: draws its spikes of something else than the module's input; expected it to be first",
    ),
    "behind neurons": (
        lambda s: single(s, s(16, 16), sj_neurons.IFNode(), poisson()),
        {},
        "2: draws its spikes of something else than the module's input",
    ),
    "beside its input": (
        Beside,
        {},
        "module: uses its input beside the encoder that draws; expected the spikes alone",
    ),
    "once": (
        lambda s: Looping(s, "once"),
        WITHOUT,
        r"test_drawing\.py:\d+: is no neuron that is known here, .* takes in another current than step 5",
    ),
    "over time": (lambda s: single(s, poisson()), {"encoding": "none"}, "0: draws its spikes of inputs over time"),
    "of too much": (
        lambda s: stateful(s, PoissonEncoderStep(f_max=1500)),
        {},
        r"0: fires by 1.5 of its input, expected a share in \(0, 1\]",
    ),
    "of nothing": (lambda s: stateful(s, PoissonEncoderStep(f_max=0)), {}, "0: fires by 0 of its input"),
    "of no number": (lambda s: stateful(s, PoissonEncoderStep(f_max=float("nan"))), {}, "0: has a f_max·dt that"),
    "all steps at each": (lambda s: stateful(s, norse.PoissonEncoder(STEPS)), {}, "0: makes all 5 steps of one"),
    "hooked": (lambda s: single(s, hooked()), {}, "0: has a hook or a forward of its own, expected none"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_another_encoder_is_refused_and_put_back(name: str, strong: Strong, sample: Tensor):
    make, settings, reason = REFUSED[name]
    module = make(strong).train()
    inputs = sample.unsqueeze(1).repeat(1, STEPS, 1) if "encoding" in settings else sample
    before = list(module.modules())
    with pytest.raises(ConversionRefused, match=f"^{reason}"):
        convert(module, inputs, **{"num_steps": STEPS, **settings})
    assert list(module.modules()) == before
    assert all(part.training for part in module.modules())


def test_draws_of_another_share_or_of_other_steps_are_not_the_encoders(strong: Strong, sample: Tensor):
    half = stateful(strong, PoissonEncoderStep(f_max=500))
    whole = convert(stateful(strong, PoissonEncoderStep()), sample, num_steps=STEPS).network
    with pytest.raises(ConversionRefused, match=r"^0: fires by 0.5 of its input"):
        check_conversion(half, whole, sample, STEPS)
    longer = stateful(strong, norse.PoissonEncoder(STEPS + 1, f_max=1000))
    with pytest.raises(ConversionRefused, match=r"^0: makes 6 steps, expected those of the network, 5"):
        check_conversion(longer, whole, sample)
