"""Each check passes on what is right and finds what was planted in neurons, gains, bounds, verifiers, radii."""

import math
from dataclasses import replace

import pytest
import snntorch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import L2, LIF, LInf, SpikingNetwork, Verdict, from_snntorch, gain, mlp
from spikecert.certify import LogitBounds
from spikecert.certify.problem import Problem
from spikecert.certify.verifiers import TRAINS, MarginVerifier, Verifier
from spikecert.models.elements.neurons import Run
from spikecert.testing import (
    Refuted,
    check_conversion,
    check_gain_bound,
    check_mppd_identity,
    check_sandwich,
    check_sound,
    image_networks,
    inputs,
    networks,
    perturbations,
)

SOME = settings(max_examples=20)


def network(neuron: LIF | None = None, width: int = 8) -> SpikingNetwork:
    torch.manual_seed(2)
    return mlp((6, width, 3), num_steps=5, neuron=neuron or LIF(0.9, threshold=0.3)).eval()


def batch(count: int = 8) -> Tensor:
    return torch.rand(count, 6, generator=torch.Generator().manual_seed(1))


@SOME
@given(st.data())
def test_what_is_right_passes(data: st.DataObject) -> None:
    net = data.draw(networks())
    clean, perturbed = data.draw(inputs(net)), data.draw(inputs(net))
    assert check_mppd_identity(net, clean, perturbed) < 1e-2
    assert len(check_gain_bound(net, clean, perturbed)) == len(net.neurons)
    found = check_sound(net, clean, data.draw(perturbations()), "trains", count=4)
    assert found.verified + found.falsified + found.unknown == 4


@settings(max_examples=6)
@given(st.data())
def test_images_pass(data: st.DataObject) -> None:
    net = data.draw(image_networks(pools=("average",)))  # gains know no other
    clean, perturbed = (data.draw(inputs(net, shape=(1, 6, 6))) for _ in range(2))
    check_mppd_identity(net, clean, perturbed)
    for norms in (("l2", "l2"), ("linf", "linf"), ("l1", "l2")):
        check_gain_bound(net, clean, perturbed, input_norm=norms[0], output_norm=norms[1])
    check_sound(net, clean, data.draw(perturbations()), "interval", count=4)


@settings(max_examples=4)
@given(st.data())
def test_radii_of_three_verifiers_are_in_order(data: st.DataObject) -> None:
    net = data.draw(networks(most_layers=2, most_width=4, most_steps=3))
    norm = data.draw(st.sampled_from(["linf", "l2"]))
    found = check_sandwich(
        net, data.draw(inputs(net, batch=2)), ("interval", "trains", "auto"), norm=norm, count=4
    )
    assert all(low <= high for low, high in zip(found.lower, found.upper, strict=True))


class Rash(Verifier):
    """Answers with whatever it was given."""

    name = "rash"

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict

    def decide(self, problem: Problem) -> list[Verdict]:
        return [self.verdict] * len(problem.labels)


class Optimist(MarginVerifier):
    """Bounds with half of ε, or with logits cut short: bugs that a wrong line of code would make."""

    name = "optimist"

    def __init__(self, share: float = 1.0, cut: float = 0.0) -> None:
        self.share, self.cut = share, cut

    def margins(self, network, inputs, labels, perturbation, expired=lambda: False) -> Tensor:
        assert isinstance(perturbation, LInf)
        small = replace(perturbation, epsilon=perturbation.epsilon * self.share)
        return TRAINS.margins(network, inputs, labels, small, expired)

    def logits(self, network, inputs, perturbation) -> LogitBounds:
        proven = TRAINS.logits(network, inputs, perturbation)
        return LogitBounds(proven.lower + self.cut, proven.upper - self.cut)


def test_half_of_epsilon_is_found() -> None:
    check_sound(network(), batch(), LInf(0.1), Optimist())
    with pytest.raises(Refuted, match=r"^'optimist', sample \d, LInf") as caught:
        check_sound(network(), batch(), LInf(0.1), Optimist(share=0.5))
    assert caught.value.witness is not None
    assert any(bool(LInf(0.1).contains(caught.value.witness[None], x[None])) for x in batch())


@pytest.mark.parametrize(("verdict", "message"), [
    (Verdict("verified", 1e-9, None, "rash", 0.0, ""), "verified, but an allowed input has margin -"),
    (Verdict("unknown", 5.0, None, "rash", 0.0, ""), "proved margin 5, but an allowed input has"),
    (Verdict("falsified", None, torch.full((6,), 2.0), "rash", 0.0, ""), "is not allowed"),
])  # fmt: skip
@pytest.mark.parametrize("threat", [LInf(0.5), L2(1.0)])
def test_rash_verdicts_are_found(verdict: Verdict, message: str, threat: LInf | L2) -> None:
    with pytest.raises(Refuted, match=message):
        check_sound(network(), batch(), threat, Rash(verdict))


def test_a_counterexample_that_does_not_fail_is_found() -> None:
    x = batch(1)
    with pytest.raises(Refuted, match="classified right when run alone"):
        check_sound(network(), x, LInf(0.1), Rash(Verdict("falsified", None, x[0], "rash", 0.0, "")))


def test_logits_outside_of_their_bounds_are_found() -> None:
    with pytest.raises(Refuted, match="leaves its bounds"):
        check_sound(network(), batch(), LInf(0.0), Optimist(cut=0.01))


class Forgetful(LIF):
    """Resets one step late, and says that it does not."""

    def run(self, current: Tensor, num_steps: int) -> Run:
        done = LIF(self.dynamics.decay, self.dynamics.threshold, "none").run(current, num_steps)
        return Run(done.current, done.potentials, done.spikes)


def test_a_neuron_that_is_not_what_it_says_is_found() -> None:
    far = 1 - batch()
    assert check_mppd_identity(network(), batch(), far) < 1e-5
    with pytest.raises(Refuted, match=r"^spiking layer 0 \(Forgetful.*deviate by"):
        check_mppd_identity(network(Forgetful(0.9, 0.3)), batch(), far)


def test_the_quoted_gain_is_refuted() -> None:
    """√(1/(1−λ))·‖W‖₂, as the paper's theorem is quoted, fails for λ = .5; the proven gain holds."""
    net = network(LIF(0.5))
    proven = gain(net)
    quoted = math.sqrt(1 / (1 - 0.5)) * proven.layers[0].operator_norm.upper
    directions = torch.linalg.svd(net.state_dict()["layers.0.weight"])[2]
    clean = torch.full((1, 6), 0.5)
    (seen,) = check_gain_bound(net, clean, clean + 0.1 * directions[:1])
    assert quoted < seen <= proven.layers[0].gain * (1 + 1e-9)
    with pytest.raises(Refuted, match=r"^spiking layer 0, sample 0: ‖ε‖ is .* more than gain") as caught:
        check_gain_bound(net, clean, clean + 0.1 * directions[:1], [quoted])
    assert caught.value.witness is not None


def test_a_gain_of_the_membrane_is_checked_too() -> None:
    """Where trains agree ϑ obeys the gain, too: a neuron that amplifies below its threshold is found."""

    class Loud(LIF):
        def run(self, current: Tensor, num_steps: int) -> Run:
            done = super().run(current, num_steps)
            return Run(done.current, 99 * done.potentials, done.spikes)

    net = network(Loud(0.5, threshold=50.0))
    with pytest.raises(Refuted, match="trains alike"):
        check_gain_bound(net, batch(), batch() * 0.5, [gain(network(LIF(0.5))).layers[0].gain])


class Stepped(nn.Module):
    """An snnTorch network that does one step a call."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)
        self.spikes = snntorch.Leaky(beta=0.9, threshold=0.3, init_hidden=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.spikes(self.first(x)))


def test_a_conversion_that_was_changed_is_found() -> None:
    torch.manual_seed(0)
    source = Stepped()
    converted = from_snntorch(source, batch(), num_steps=5)
    assert check_conversion(source, converted, 1 - batch(), num_steps=5).matches
    converted.state_dict()["layers.0.bias"] += 0.3
    with pytest.raises(Refuted, match=r"^test_checks\.py:\d+: .* spikes differ, first at step"):
        check_conversion(source, converted, batch(), num_steps=5)


def test_gains_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^gains: got 2, expected 1"):
        check_gain_bound(network(), batch(), batch(), [1.0, 2.0])


def test_a_radius_beyond_a_counterexample_is_found() -> None:
    check_sandwich(network(), batch(4), ("interval", "trains"))
    with pytest.raises(Refuted, match=r"sample \d: .*proved radius"):
        check_sandwich(network(), batch(4), (Optimist(share=0.1), "trains"))
