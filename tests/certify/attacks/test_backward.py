"""Gradients of attacks: the equations of their papers, on every neuron, in any blocks; the forward pass stays.

A surrogate that follows the potentials attacks a network alike in every unit of its potentials.

Losses and gradients of attacks, against hand-computed numbers.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from spikecert.certify import APGD, L2, PGD, Attack, LInf, attack
from spikecert.certify.attacks import AdaptiveArctan, AdaptiveSharpness, PotentialDependent, RateGradient
from spikecert.certify.attacks.backward import Backward, Slopes, SlopesOfRun, attack_view
from spikecert.certify.attacks.gradients import (
    LOSSES,
    climb,
    cross_entropy,
    differentiate,
    logits_ratio,
    runner_up,
    targeted,
)
from spikecert.models import DLIF, LIF, Recurrent, Sigmoid, SpikingNetwork, Triangle, VariedLIF
from spikecert.models.running import eager
from support.eager import KERNELS, by

from .conftest import Subject, random_subject, silent_subject

BACKWARDS = [
    AdaptiveSharpness(),
    AdaptiveSharpness(through_reset=True),
    PotentialDependent(),
    *(RateGradient(kind) for kind in ("rga", "bptr", "hart")),
]
NEURONS: dict[str, Callable[[], LIF]] = {
    **{reset: lambda reset=reset: LIF(0.8, 0.5, reset) for reset in ("zero", "subtract", "none")},
    "scaled": lambda: DLIF(3, 0.8, 0.5),
    "varied": lambda: VariedLIF(0.8, torch.linspace(0.5, 0.5, 6)),
    "recurrent": lambda: Recurrent(LIF(0.8, 0.5), nn.Linear(6, 6)),
}


class TriangleOfRun(SlopesOfRun):
    """Triangles of width 1, as a backward pass that is told of whole runs."""

    def __init__(self, through_reset: bool = True) -> None:
        self.through_reset = through_reset

    def remembered(self) -> Slopes:
        """Return the slopes; distances are in units of θ = .5."""

        class Given(Slopes):
            def __call__(self, distance: Tensor, rows: Tensor | None) -> Tensor:
                return 0.5 * Triangle(1.0).derivative(0.5 * distance)

        return Given()


def network(neuron: str, timed: bool = False) -> SpikingNetwork:
    """Return a random 5-6-6-3 network of T = 3."""
    torch.manual_seed(1)
    layers = (nn.Linear(5, 6), NEURONS[neuron](), nn.Linear(6, 6), NEURONS[neuron](), nn.Linear(6, 3))
    return SpikingNetwork(*layers, num_steps=3, encoding="none" if timed else "direct").eval()


def asked(timed: bool = False) -> tuple[Tensor, Tensor]:
    """Return nine samples and labels."""
    generator = torch.Generator().manual_seed(2)
    shape = (9, 3, 5) if timed else (9, 5)
    return 2.0 * torch.rand(shape, generator=generator), torch.arange(9) % 3


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("timed", [False, True])
def test_slopes_of_a_run_go_back_as_a_surrogate_does(
    neuron: str, timed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eager, "BLOCK", 12)  # two samples a block: blocks within steps, or steps within blocks
    points, labels = asked(timed)
    own, other = (
        differentiate(attack_view(network(neuron, timed), how), points, labels, LOSSES["margin"])
        for how in (Triangle(1.0), TriangleOfRun())
    )
    assert bool((own.gradient != 0).any())
    assert torch.allclose(own.gradient, other.gradient, rtol=1e-5, atol=1e-6)


def written_out(subject: SpikingNetwork, points: Tensor) -> Tensor:
    """Return the logits of 5-6-6-3, by torch's own operations, with spikes that resets take as constants."""
    signal = points.transpose(0, 1) if points.dim() == 3 else points.expand(3, *points.shape)
    for affine, neuron in zip(subject.layers[0::2], [*subject.neurons, None], strict=True):
        signal = affine(signal)
        if neuron is None:
            return signal.mean(0)
        d, scale, left, spikes = neuron.dynamics, neuron.scale(3), torch.zeros(()), []
        for t in range(3):
            potential = d.decay * left + signal[t] * (1.0 if scale is None else scale[t])
            slope = (1.0 - (potential - d.threshold).abs()).clamp_min(0.0).detach()
            fired = (potential >= d.threshold).float()
            spikes.append(fired + slope * (potential - potential.detach()))
            left = {"zero": potential * (1 - fired), "subtract": potential - d.drop * fired, "none": potential}[
                d.reset
            ]
        signal = torch.stack(spikes)
    raise AssertionError


@pytest.mark.parametrize("neuron", ["zero", "subtract", "none", "scaled"])
@pytest.mark.parametrize("timed", [False, True])
def test_gradients_beside_the_reset_are_those_of_detached_spikes(neuron: str, timed: bool) -> None:
    points, labels = asked(timed)
    subject = network(neuron, timed)
    found = differentiate(attack_view(subject, TriangleOfRun(False)), points, labels, LOSSES["margin"]).gradient
    through = differentiate(attack_view(subject, TriangleOfRun()), points, labels, LOSSES["margin"]).gradient
    expected = differentiate(lambda x: written_out(subject, x), points, labels, LOSSES["margin"]).gradient
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert torch.allclose(found, through, rtol=1e-5, atol=1e-6) == (neuron == "none")


def test_neurons_that_hear_themselves_go_back_through_their_reset() -> None:
    points, labels = asked()
    one, other = (
        differentiate(attack_view(network("recurrent"), TriangleOfRun(way)), points, labels, LOSSES["margin"])
        for way in (True, False)
    )
    assert one.gradient.equal(other.gradient)


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("backward", BACKWARDS, ids=repr)
def test_the_forward_pass_stays_and_every_gradient_says_something(neuron: str, backward: Backward) -> None:
    for timed in (False, True):
        points, labels = asked(timed)
        subject = network(neuron, timed)
        view = attack_view(subject, backward)
        assert view(points).equal(subject(points))
        slope = differentiate(view, points, labels, LOSSES["cross-entropy"])
        assert bool(slope.gradient.isfinite().all())
        assert bool((slope.gradient != 0).any())
        assert subject.neurons[0].surrogate == Triangle(1.0)


def test_sharpness_follows_each_neuron_over_runs_of_some_of_the_samples() -> None:
    slopes = AdaptiveSharpness(0.85, 0.9, 1.5).remembered()
    mean, deviation = dict.fromkeys(range(4), 1.0), dict.fromkeys(range(4), 0.0)
    for rows in ([0, 1, 2], [1, 3], [3, 1]):
        distance = torch.tensor([[[0.3 * k - 0.5 + 0.1 * len(rows)] for k in rows]], dtype=torch.float64)
        found = slopes(distance, torch.tensor(rows))
        for place, k in enumerate(rows):
            x = float(distance[0, place, 0])
            mean[k] = 0.9 * mean[k] + 0.1 * abs(x)
            deviation[k] = 0.9 * deviation[k] + 0.1 * abs(abs(x) - mean[k])
            alpha = 2 * math.tan(math.pi * 0.425) / math.pi / (mean[k] + 1.5 * deviation[k] + 1e-4)
            assert float(found[0, place, 0]) == pytest.approx(alpha / 2 / (1 + (math.pi * alpha * x / 2) ** 2))


@pytest.mark.parametrize("shape", [(4, 5, 3), (4, 5, 3, 2, 2)])
def test_potentials_decide_the_width_up_to_each_step(shape: tuple[int, ...]) -> None:
    distance = torch.randn(shape, dtype=torch.float64) + 3.0
    found = PotentialDependent().remembered()(distance, None)
    others = (0, 1, *range(3, len(shape)))
    for t in range(len(distance)):
        width = distance[: t + 1].std(others, keepdim=True)[0]
        x = distance[t]
        expected = torch.exp(-0.5 * ((x - width / 2) / width) ** 2) / (math.sqrt(2 * math.pi) * width)
        assert torch.allclose(found[t], expected)


def test_one_potential_alone_has_width_one() -> None:
    found = PotentialDependent().remembered()(torch.zeros(1, 1, 2), None)
    assert found.flatten().tolist() == pytest.approx([math.exp(-0.125) / math.sqrt(2 * math.pi)] * 2)


CURRENTS = torch.tensor([[[-0.5, 0.05, 0.3, 0.9, 3.0]], [[-0.5, 0.05, 0.5, 0.9, 3.0]]])
"""Two steps of five neurons, in units of θ = 2: means −.25, .025, .2, .45, 1.5; 1 − λ = .1."""


@pytest.mark.parametrize(
    ("kind", "slopes"),
    [
        ("rga", [0.0, 0.2, 0.98 / 1.9, 0.98 / 1.9, 0.98 / 1.9]),  # λ = .9: .1 ≤ x ≤ 2 is (1 − .2 + .18)/1.9
        ("bptr", [0.0, 0.0, 0.0, 0.0, 1.0]),
    ],
)
def test_rates_pass_gradients_on_step_by_step(kind: str, slopes: list[float]) -> None:
    view = attack_view(SpikingNetwork(LIF(0.9, 2.0), nn.Linear(5, 2), num_steps=2, encoding="none"), None).network
    RateGradient(kind).attach(view.neurons[0], None)  # type: ignore[arg-type]
    current = CURRENTS.clone().requires_grad_()
    spikes = view.neurons[0](current, 2)
    (spikes * torch.tensor([1.0, 3.0]).view(2, 1, 1)).sum().backward()
    assert current.grad is not None
    for t, weight in enumerate((1.0, 3.0)):
        assert current.grad[t, 0].tolist() == pytest.approx([weight * slope / 2.0 for slope in slopes])


def test_hart_gives_all_steps_their_mean() -> None:
    neuron = LIF(0.5, 2.0)
    RateGradient("hart").attach(neuron, None)  # type: ignore[arg-type]
    current = torch.tensor(
        [[[1.0]], [[1.0]], [[4.0]]], requires_grad=True
    )  # v = 1, 1.5, 4.75: x = −.5, −.25, 1.375
    spikes = neuron(current, 3)
    assert spikes.flatten().tolist() == [0.0, 0.0, 1.0]
    (spikes * torch.tensor([1.0, 2.0, 4.0]).view(3, 1, 1)).sum().backward()
    assert current.grad is not None
    assert current.grad.flatten().tolist() == pytest.approx([(0.5 + 2 * 0.75) / 3 / 2.0] * 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RateGradient("none"), "kind: got 'none', expected"),
        (lambda: RateGradient("hart", 0.0), "width: got 0"),
        (lambda: AdaptiveSharpness(1.5), "vanishing: got 1.5"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], Backward], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def in_another_unit(network: SpikingNetwork, unit: float) -> SpikingNetwork:
    """Return the same function: thresholds and the currents of neurons times a power of two."""
    found = copy.deepcopy(network)
    for neuron in found.neurons:
        neuron.dynamics = replace(neuron.dynamics, threshold=unit * neuron.dynamics.threshold)
    for layer in list(found.layers)[:-1]:
        if isinstance(layer, nn.Linear):
            layer.weight.data *= unit
            layer.bias.data *= unit
    return found


@pytest.mark.parametrize("unit", [2.0**-6, 2.0**6, 2.0**20])
@pytest.mark.parametrize("method", [PGD(5, 1, surrogate=AdaptiveArctan()), APGD(8, surrogate=AdaptiveArctan())])
def test_the_unit_of_potentials_changes_nothing(digits: Subject, method: Attack, unit: float):
    there = in_another_unit(digits.network, unit)
    asked = digits.inputs, digits.labels, LInf(0.1), method
    here, other = attack(digits.network, *asked), attack(there, *asked)
    assert torch.equal(here.inputs, other.inputs)
    assert 5 < int(here.success.sum()) < 55


def test_what_a_fixed_width_misses_in_another_unit_it_finds(digits: Subject):
    there = in_another_unit(digits.network, 2.0**6)
    asked = there, digits.inputs, digits.labels, LInf(0.1)
    fixed, adaptive = (attack(*asked, PGD(20, 1, surrogate=s)).success for s in (None, AdaptiveArctan()))
    assert int(adaptive.sum()) >= int(fixed.sum()) + 10
    assert int(attack(*asked, "ensemble-fast").success.sum()) >= int(adaptive.sum())


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_sample_has_its_own_slope(digits: Subject, kernel: str):
    """What else is in the batch changes no more of it than the order of sums does."""
    view = attack_view(digits.network, AdaptiveArctan())
    loss = LOSSES["margin"]
    with by(kernel):
        whole = differentiate(view, digits.inputs, digits.labels, loss).gradient
        pairs = zip(digits.inputs, digits.labels, strict=True)
        alone = [differentiate(view, x[None], y[None], loss).gradient for x, y in pairs]
    assert torch.allclose(whole, torch.cat(alone), rtol=1e-4, atol=1e-6 * float(whole.abs().max()))
    assert bool((whole != 0).flatten(1).any(1).all())


def test_the_slope_is_that_of_an_arctan_of_the_mean_distance():
    distance = torch.tensor([[0.5, -1.5], [0.0, 0.0]])
    slope = AdaptiveArctan(2.0).derivative(distance)
    expected = [1 / (2 * (1 + (math.pi * x / 2) ** 2)) for x in (0.5, -1.5)]
    assert slope[0].tolist() == pytest.approx(expected)
    assert bool(slope.isfinite().all())
    assert distance.tolist() == [[0.5, -1.5], [0.0, 0.0]]
    with pytest.raises(ValueError, match="width: got 0"):
        AdaptiveArctan(0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_potentials_that_are_not_finite_have_no_slope(dtype: torch.dtype):
    """A neuron with a bias of −3e38 falls below all numbers of float32 in two steps."""
    distance = torch.tensor([[-math.inf, 1.0], [math.nan, 1.0], [1e38, -3e38], [0.0, 1e-40]], dtype=dtype)
    slope = AdaptiveArctan().derivative(distance)
    assert bool((slope.isfinite() & (slope >= 0)).all())
    assert slope[0].tolist() == [0.0, 0.0]


def test_silent_neurons_have_a_slope():
    subject = silent_subject()
    found = attack(subject.network, subject.inputs, subject.labels, LInf(0.1), PGD(3, surrogate=AdaptiveArctan()))
    assert bool((found.inputs - subject.inputs).abs().max() <= 0.1 + 1e-6)
    assert not bool(found.success.any())


LOGITS = torch.tensor([[4.0, 1.0, 3.0, 0.0], [0.0, 2.0, 6.0, 1.0]])
LABELS = torch.tensor([0, 3])


def test_the_margin_loss_is_best_wrong_less_right() -> None:
    assert LOSSES["margin"](LOGITS, LABELS).tolist() == [-1.0, 5.0]


def test_the_logits_ratio_divides_by_first_less_third() -> None:
    assert logits_ratio(LOGITS, LABELS).tolist() == pytest.approx([-1 / 3, 5 / 5])


def test_the_logits_ratio_ignores_scale_and_shift() -> None:
    assert logits_ratio(7 * LOGITS - 3, LABELS).tolist() == pytest.approx(logits_ratio(LOGITS, LABELS).tolist())


def test_the_logits_ratio_of_two_classes_is_the_margin() -> None:
    assert logits_ratio(LOGITS[:, :2], torch.tensor([0, 0])).tolist() == [-3.0, 2.0]


def test_the_logits_ratio_of_equal_logits_is_finite() -> None:
    logits = torch.zeros(1, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(logits_ratio(logits, torch.tensor([1])).sum(), logits)
    assert bool(gradient.isfinite().all())


def test_the_targeted_loss_divides_by_first_less_mean_of_third_and_fourth() -> None:
    values = targeted(torch.tensor([2, 1]))(LOGITS, LABELS)
    assert values.tolist() == pytest.approx([-1 / 3.5, 1 / 5.5])


def test_runners_up_are_ranked_without_the_label() -> None:
    assert runner_up(LOGITS, LABELS, 1).tolist() == [2, 2]
    assert runner_up(LOGITS, LABELS, 3).tolist() == [3, 0]


def test_a_view_shares_weights_and_forward_pass_but_not_the_gradient() -> None:
    subject = random_subject()
    view = attack_view(subject.network, Sigmoid(0.7))
    assert view(subject.inputs).equal(subject.network(subject.inputs))
    own = differentiate(subject.network, subject.inputs, subject.labels, cross_entropy)
    other = differentiate(view, subject.inputs, subject.labels, cross_entropy)
    assert not own.gradient.equal(other.gradient)
    assert own.losses.equal(other.losses)
    assert not any(parameter.requires_grad for parameter in view.network.parameters())
    pairs = zip(view.network.parameters(), subject.network.parameters(), strict=True)
    assert all(one.data_ptr() == two.data_ptr() for one, two in pairs)


@pytest.mark.parametrize("perturbation", [LInf(0.2), L2(0.2)])
def test_a_vanished_gradient_becomes_a_random_step_of_full_length(perturbation: LInf | L2) -> None:
    subject = silent_subject()
    slope = differentiate(subject.network, subject.inputs, subject.labels, cross_entropy)
    assert int(slope.gradient.count_nonzero()) == 0
    step = climb(perturbation, slope.gradient, torch.Generator().manual_seed(0))
    order = float("inf") if isinstance(perturbation, LInf) else 2
    assert step.norm(order, dim=1).tolist() == pytest.approx([0.2] * 3)
    assert not step[0].equal(step[1])


def test_tiny_gradients_keep_their_direction() -> None:
    gradient = torch.tensor([[3e-30, -4e-30]])
    assert L2(1.0).ascent(gradient)[0].tolist() == pytest.approx([0.6, -0.8])
