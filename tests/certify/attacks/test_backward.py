"""Gradients of attacks: the equations of their papers, on every neuron, in any blocks; the forward pass stays."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from spikecert.certify.attacks import AdaptiveSharpness, PotentialDependent, RateGradient
from spikecert.certify.attacks.backward import Backward, attack_view
from spikecert.certify.attacks.backward.base import Slopes, SlopesOfRun
from spikecert.certify.attacks.gradients import differentiate
from spikecert.certify.attacks.losses import LOSSES
from spikecert.models import DLIF, LIF, Recurrent, SpikingNetwork, Triangle, VariedLIF
from spikecert.models.running import eager

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
