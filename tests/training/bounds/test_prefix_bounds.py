"""Bounds of counts: they hold all runs, are exact behind one layer, and at radius 0 they are the run."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from spikecert.certify import LInf
from spikecert.models import DLIF, LIF, Residual, SpikingNetwork, mlp
from spikecert.training import CertifiedLoss, CrossEntropy
from spikecert.training.bounds.interval_bounds import worst_logits
from support.eager import KERNELS, by
from support.examples import examples


def counting(threshold: float = 1.0, fires_at: str = ">=", amount: float | None = None) -> LIF:
    return LIF(1.0, threshold, reset="subtract", fires_at=fires_at, reset_amount=amount)


def images(readout: str | None, steps: int) -> SpikingNetwork:
    """A convolution, a norm of both signs, a sum, a pool of currents, and each readout."""
    norm = nn.BatchNorm2d(3)
    norm.running_mean, norm.running_var = torch.rand(3) - 0.5, torch.rand(3) + 0.1
    norm.weight.data = torch.tensor([1.0, -0.7, 0.4])
    first = [nn.Conv2d(1, 3, 3, stride=2, padding=1), norm, nn.MaxPool2d(2), counting(0.3)]
    middle = [Residual([nn.Conv2d(3, 3, 3, padding=1), counting(0.2, ">", 0.4)]), nn.Flatten()]
    last: list[nn.Module] = {
        None: [nn.Linear(12, 3)],
        "spikes": [nn.Linear(12, 3), counting(0.1, amount=0.05)],
        "potential": [nn.Linear(12, 3), LIF(1.0, reset="none")],
        "mean": [nn.Linear(12, 3), nn.BatchNorm1d(3)],
    }[readout]
    return SpikingNetwork(*first, *middle, *last, num_steps=steps, readout=readout).eval().double()


def gaps(logits: Tensor, labels: Tensor) -> Tensor:
    return logits - logits.gather(-1, labels.expand(logits.shape[:-1])[..., None])


@examples(60)
@given(
    readout=st.sampled_from([None, "spikes", "potential", "mean"]),
    steps=st.sampled_from([1, 2, 5]),
    seed=st.integers(0, 10_000),
    radius=st.sampled_from([0.01, 0.05, 0.3]),
)
def test_no_image_escapes_and_radius_0_is_the_run(
    readout: str | None, steps: int, seed: int, radius: float
) -> None:
    torch.manual_seed(seed)
    network = images(readout, steps)
    inputs = torch.rand(4, 1, 7, 7, dtype=torch.float64)
    labels = network(inputs).argmax(1)
    found = worst_logits(network, inputs, inputs, labels, "prefix")
    torch.testing.assert_close(found, gaps(network(inputs), labels))
    lower, upper = (inputs - radius).clamp(0, 1), (inputs + radius).clamp(0, 1)
    worst = worst_logits(network, lower, upper, labels, "prefix")
    for share in (0.0, 1.0, *torch.rand(12).tolist()):
        moved = lower + (upper - lower) * (torch.rand_like(inputs) < share)
        assert bool((gaps(network(moved), labels) <= worst + 1e-9).all())


@examples(60)
@given(steps=st.integers(1, 9), seed=st.integers(0, 10_000), radius=st.sampled_from([0.02, 0.1, 0.5]))
def test_events_stay_inside_and_time_costs_no_width(steps: int, seed: int, radius: float) -> None:
    torch.manual_seed(seed)
    network = mlp((5, 8, 7, 3), steps, counting(0.4), encoding="none").double()
    inputs = torch.rand(4, steps, 5, dtype=torch.float64)
    labels = network(inputs).argmax(1)
    lower, upper = (inputs - radius).clamp(0, 1), (inputs + radius).clamp(0, 1)
    worst = worst_logits(network, lower, upper, labels, "prefix")
    for share in (0.0, 1.0, *torch.rand(12).tolist()):
        moved = lower + (upper - lower) * (torch.rand_like(inputs) < share)
        assert bool((gaps(network(moved), labels) <= worst + 1e-9).all())
    assert bool((worst <= worst_logits(network, lower, upper, labels) + 1e-9).all()), "per-step ends were narrower"


@examples(60)
@given(steps=st.integers(1, 12), seed=st.integers(0, 10_000), threshold=st.sampled_from([0.25, 1.0, 3.0]))
def test_one_neuron_has_its_exact_counts(steps: int, seed: int, threshold: float) -> None:
    torch.manual_seed(seed)
    before, behind = nn.Linear(1, 1, bias=False), nn.Linear(1, 2, bias=False)
    before.weight.data.fill_(1.0)
    behind.weight.data.copy_(torch.tensor([[0.0], [1.0]]))
    network = SpikingNetwork(before, counting(threshold), behind, num_steps=steps).double()
    low, high = torch.rand(2, dtype=torch.float64).mul(3).sub(1).sort().values
    label = torch.zeros(1, dtype=torch.long)
    worst = worst_logits(network, low.view(1, 1), high.view(1, 1), label, "prefix")[0, 1]
    runs = network(torch.linspace(float(low), float(high), 101, dtype=torch.float64)[:, None])[:, 1]
    torch.testing.assert_close(worst, runs.max())


@examples(60)
@given(
    decays=st.tuples(*[st.sampled_from([0.0, 0.3, 0.9, 1.0])] * 3),
    readout=st.sampled_from(["mean", "potential"]),
    fires_at=st.sampled_from([">=", ">"]),
    amount=st.sampled_from([None, 0.1, 0.7]),
    steps=st.sampled_from([1, 3, 8]),
    seed=st.integers(0, 10_000),
    radius=st.sampled_from([0.0, 0.02, 0.2]),
)
def test_no_run_of_neurons_that_forget_escapes(
    decays: tuple[float, ...],
    readout: str,
    fires_at: str,
    amount: float | None,
    steps: int,
    seed: int,
    radius: float,
) -> None:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for width, decay in zip((6, 8), decays, strict=False):
        layers += [nn.Linear(width, 8), LIF(decay, 0.3, reset="subtract", reset_amount=amount, fires_at=fires_at)]
    layers += [nn.Unflatten(1, (1, 8)), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(4, 3)]
    layers += [LIF(decays[2], reset="none")] if readout == "potential" else []
    encoding = "none" if seed % 2 else "direct"
    network = SpikingNetwork(*layers, num_steps=steps, encoding=encoding, readout=readout).double()
    inputs = torch.rand(4, *([steps] if seed % 2 else []), 6, dtype=torch.float64)
    labels = network(inputs).argmax(1)
    counted = decays if readout == "potential" else decays[:2]
    if steps > 1 and all(decay == 1.0 for decay in counted):
        with pytest.raises(ValueError, match="max pool"):
            worst_logits(network, inputs, inputs, labels, "prefix")
        return
    lower, upper = (inputs - radius).clamp(0, 1), (inputs + radius).clamp(0, 1)
    worst = worst_logits(network, lower, upper, labels, "prefix")
    if radius == 0.0:
        torch.testing.assert_close(worst, gaps(network(inputs), labels))
    for share in (0.0, 1.0, *torch.rand(12).tolist()):
        moved = lower + (upper - lower) * (torch.rand_like(inputs) < share)
        assert bool((gaps(network(moved), labels) <= worst + 1e-9).all())
    assert bool((worst <= worst_logits(network, lower, upper, labels) + 1e-9).all()), "per-step ends were narrower"


@pytest.mark.parametrize("decay", [0.9, 1.0])
@pytest.mark.parametrize("kernel", KERNELS)
def test_without_a_ball_the_gradient_is_that_of_the_network(kernel: str, decay: float) -> None:
    inputs, labels = torch.rand(10, 6, dtype=torch.float64), torch.arange(10) % 3
    gradients = []
    for objective in (CertifiedLoss(0.0, "prefix", weight=0.7), CrossEntropy()):
        torch.manual_seed(2)
        network = mlp((6, 9, 8, 3), 5, LIF(decay, 0.3, reset="subtract")).double()
        with by(kernel):
            loss = objective.loss(network, inputs, labels, None)
            loss.total.backward()
        torch.testing.assert_close(loss.total, cross_entropy(network(inputs), labels))
        gradients.append([weight.grad for weight in network.parameters()])
    for ours, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize(
    ("bounds", "neuron", "told"),
    [
        ("prefix", LIF(1.0), "'zero' reset, expected to subtract"),
        ("prefix", LIF(0.9, reset="none"), "'none' reset, expected to subtract"),
        ("prefix", DLIF(3, 1.0, reset="subtract"), "'subtract' reset and an input scale"),
        ("prefix", DLIF(3, 0.5, reset="subtract"), "'subtract' reset and an input scale"),
        ("windows", LIF(0.9, reset="subtract"), "'subtract' reset, expected to reset to 0"),
        ("windows", LIF(0.9, reset="none"), "'none' reset, expected to reset to 0"),
        ("windows", DLIF(3, 0.5), "'zero' reset and an input scale"),
    ],
)
def test_other_neurons_are_refused_by_name(bounds: str, neuron: LIF, told: str) -> None:
    network = SpikingNetwork(nn.Linear(2, 3), neuron, nn.Linear(3, 2), num_steps=3)
    inputs = torch.rand(2, 2)
    with pytest.raises(ValueError, match=f"{bounds}.*{told}"):
        worst_logits(network, inputs, inputs, torch.tensor([0, 1]), bounds)


def test_it_proves_what_the_verifier_proves() -> None:
    """Where the loss's bound is below 0 by more than rounding, "trains" must not find a run that fails."""
    from spikecert import attack

    torch.manual_seed(0)
    network = mlp((6, 16, 3), 6, counting(0.5))
    inputs = torch.rand(60, 6)
    labels = network(inputs).argmax(1)
    lower, upper = (inputs - 0.02).clamp(0, 1), (inputs + 0.02).clamp(0, 1)
    proven = (
        worst_logits(network, lower, upper, labels, "prefix").scatter(1, labels[:, None], -1.0).amax(1) < -1e-3
    )
    broken = attack(network, inputs, labels, LInf(0.02), "pgd").success
    assert 10 < int(proven.sum()) < 60
    assert not bool((proven & broken).any())
