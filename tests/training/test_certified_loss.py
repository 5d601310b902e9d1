"""The certified loss: its bounds hold, at radius 0 it is cross-entropy, and training with it certifies more."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from spikecert.asking import Numeral
from spikecert.asking.run_files import TrainStep
from spikecert.certify import LInf, verify
from spikecert.certify.bounds.propagation import margin_bounds
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.bounds.trains.trains import train_spikes
from spikecert.certify.verifiers import INTERVAL
from spikecert.models import DLIF, LIF, Dynamics, Residual, SpikingNetwork, mlp, network_hash
from spikecert.models.circuit import circuit
from spikecert.runs import building
from spikecert.testing import Case, cases, points
from spikecert.testing.neurons import DECAYS
from spikecert.training import MSMPPD, CertifiedLoss, CrossEntropy, Dataset, SingleStep, dataset, fit
from spikecert.training.bounds.ends import periodic_trains
from spikecert.training.bounds.interval_bounds import worst_logits
from support.examples import examples


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return dataset("digits")


def box(inputs: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    return (inputs - epsilon).clamp(0, 1), (inputs + epsilon).clamp(0, 1)


def gaps(logits: Tensor, labels: Tensor) -> Tensor:
    return logits - logits.gather(-1, labels.expand(logits.shape[:-1])[..., None])


@pytest.mark.parametrize("bounds", ["interval", "trains"])
@examples(150)
@given(case=cases(dtypes=(torch.float64,)), seed=st.integers(0, 2**31))
def test_no_run_escapes(bounds: str, case: Case, seed: int) -> None:
    candidates = points(case, 24, torch.Generator().manual_seed(seed))
    worst = worst_logits(case.network, *box(case.inputs, case.epsilon), case.labels, bounds)
    logits = torch.stack([case.network(candidate) for candidate in candidates])
    assert bool((gaps(logits, case.labels) <= worst + 1e-9).all())


@examples(100)
@given(case=cases(dtypes=(torch.float64,)))
def test_bounds_are_those_of_the_interval_verifier(case: Case) -> None:
    """Off thresholds, where the verifier counts ties as both outcomes; without decay a potential may stay at θ."""
    assume(all(neuron.dynamics.decay < 1 for neuron in case.network.neurons))
    for layer in case.network.layers:
        if isinstance(layer, nn.Linear):
            layer.bias.data += math.pi * 1e-3
    threat = LInf(case.epsilon)
    proven = INTERVAL.margins(case.network, case.inputs, case.labels, threat)
    worst = worst_logits(case.network, *box(case.inputs, case.epsilon), case.labels)
    others = worst.scatter(1, case.labels[:, None], -torch.inf).amax(1)
    torch.testing.assert_close(-others, proven, rtol=1e-6, atol=1e-6)


@examples(100)
@given(decay=DECAYS, steps=st.integers(1, 6), seed=st.integers(0, 1000), epsilon=st.sampled_from([0.01, 0.1, 0.5]))
def test_one_hidden_layer_has_its_exact_trains(decay: float, steps: int, seed: int, epsilon: float) -> None:
    torch.manual_seed(seed)
    network = mlp((5, 7, 3), steps, LIF(decay, 0.4)).double()
    inputs, labels = torch.rand(6, 5, dtype=torch.float64), torch.arange(6) % 3
    proven = margin_bounds(circuit(network), LInf(epsilon).enclosure(inputs), labels, train_spikes).amin(1)
    worst = worst_logits(network, *box(inputs, epsilon), labels, "trains")
    others = worst.scatter(1, labels[:, None], -torch.inf).amax(1)
    torch.testing.assert_close(-others, proven, rtol=1e-9, atol=1e-9)
    interval = worst_logits(network, *box(inputs, epsilon), labels)
    assert bool((worst <= interval + 1e-9).all())


@given(decay=DECAYS, steps=st.integers(1, 7), low=st.floats(-0.5, 2.0), width=st.floats(0.0, 1.0))
def test_periodic_trains_hold_all_currents_between(decay: float, steps: int, low: float, width: float) -> None:
    currents = torch.linspace(low, low + width, 400, dtype=torch.float64)
    with torch.no_grad():
        trains = LIF(decay)(currents[None, :, None], steps)[:, :, 0]
    found = periodic_trains(Box(currents[:1, None], currents[-1:, None]), Dynamics(decay), steps).steps()
    assert bool((found.lower <= trains.amin(1)[:, None]).all())
    assert bool((found.upper >= trains.amax(1)[:, None]).all())


def image_network(readout: str | None = None) -> SpikingNetwork:
    """Every layer type, scales of both signs, and each readout."""
    torch.manual_seed(3)
    norm = nn.BatchNorm2d(3)
    norm.running_mean, norm.running_var = torch.rand(3) - 0.5, torch.rand(3) + 0.1
    norm.weight.data = torch.tensor([1.0, -0.7, 0.4])
    scaled = DLIF(4, decay=0.9, threshold=0.2)
    scaled.input_scale.data = torch.tensor([1.0, -0.5, 1.2, 0.8])
    first = [nn.Conv2d(1, 3, 3, stride=2, padding=1), norm, LIF(0.8, 0.3, reset="subtract")]
    middle = [Residual([nn.Conv2d(3, 3, 3, padding=1), scaled]), nn.AvgPool2d(2), nn.Flatten()]
    last: list[nn.Module] = {
        None: [nn.Linear(12, 3)],
        "spikes": [nn.Linear(12, 3), LIF(0.9, 0.1, fires_at=">")],
        "potential": [nn.Linear(12, 3), LIF(0.9, reset="none")],
        "mean": [nn.Linear(12, 3), nn.BatchNorm1d(3)],
    }[readout]
    network = SpikingNetwork(*first, *middle, *last, num_steps=4, readout=readout)
    return network.eval().double()


@pytest.mark.parametrize("readout", [None, "spikes", "potential", "mean"])
def test_no_image_escapes_and_radius_0_is_the_run(readout: str | None) -> None:
    network, generator = image_network(readout), torch.Generator().manual_seed(0)
    inputs = torch.rand(6, 1, 7, 7, generator=generator, dtype=torch.float64)
    labels = network(inputs).argmax(1)
    torch.testing.assert_close(worst_logits(network, inputs, inputs, labels), gaps(network(inputs), labels))
    worst = worst_logits(network, *box(inputs, 0.05), labels)
    for _ in range(40):
        moved = LInf(0.05).sample(inputs, generator)
        assert bool((gaps(network(moved), labels) <= worst + 1e-9).all())
    assert bool((worst > gaps(network(inputs), labels)).any())


@pytest.mark.parametrize("bounds", ["interval", "trains"])
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_without_a_ball_it_is_cross_entropy(reset: str, bounds: str) -> None:
    networks = []
    inputs = torch.rand(10, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(10) % 3
    for objective in (CertifiedLoss(0.0, bounds, weight=0.7), CrossEntropy()):
        torch.manual_seed(2)
        network = mlp((6, 9, 8, 3), 5, LIF(0.8, 0.3, reset=reset)).double()
        loss = objective.loss(network, inputs, labels, None)
        loss.total.backward()
        torch.testing.assert_close(loss.total, cross_entropy(network(inputs), labels))
        networks.append(network)
    for ours, plain in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        torch.testing.assert_close(ours.grad, plain.grad)
        assert float(plain.grad.abs().max()) > 1e-4  # type: ignore[union-attr]


def test_the_gradient_lowers_the_bound_and_reaches_every_layer() -> None:
    network = image_network().train()
    inputs = torch.rand(6, 1, 7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(6) % 3
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    losses = []
    for _ in range(80):
        loss = cross_entropy(worst_logits(network, *box(inputs, 0.002), labels), labels)
        optimizer.zero_grad()
        loss.backward()
        losses.append(float(loss.detach()))
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert bool(torch.isfinite(parameter.grad).all()), name
            assert len(losses) > 1 or float(parameter.grad.abs().max()) > 0, name
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1])
def test_the_box_lies_in_the_ball_and_in_range(share: float) -> None:
    torch.manual_seed(0)
    network = mlp((6, 9, 3), 4)
    inputs = torch.rand(50, 6)
    loss = CertifiedLoss(0.1, small_box=share, upper=0.9)
    lower, upper = loss._box(network, inputs.clamp_max(0.9), torch.arange(50) % 3, None)
    assert bool((upper - lower <= 2 * 0.1 * share + 1e-6).all())
    assert bool((lower >= (inputs.clamp_max(0.9) - 0.1 - 1e-6).clamp_min(0)).all())
    assert bool((upper <= (inputs.clamp_max(0.9) + 0.1 + 1e-6).clamp_max(0.9)).all())
    assert float(lower.min()) >= 0
    if share == 0.1:
        assert float(((lower + upper) / 2 - inputs).abs().max()) > 0.05


def test_epsilon_and_weight_ramp_up() -> None:
    loss = CertifiedLoss(0.2, weight=0.6, ramp=0.4)
    told = [(loss.at(p).epsilon, loss.at(p).weight) for p in (0.0, 0.1, 0.4, 0.9)]
    expected = [(0.0, 0.0), (0.05, 0.15), (0.2, 0.6), (0.2, 0.6)]
    assert torch.allclose(torch.tensor(told), torch.tensor(expected))
    assert CertifiedLoss(0.2, ramp=0.0).at(0.0) == CertifiedLoss(0.2, ramp=0.0)
    summed = (CrossEntropy() + loss).at(0.1)
    assert summed == CrossEntropy() + loss.at(0.1)


def certified(network: SpikingNetwork, data: Dataset, verifier: str) -> float:
    verdicts = verify(network, data.test.inputs, data.test.labels, LInf(0.05), verifier)
    return sum(verdict.status == "verified" for verdict in verdicts) / len(verdicts)


def test_training_with_it_certifies_more_digits(digits: Dataset) -> None:
    torch.manual_seed(0)
    start = mlp((64, 64, 10), 4, LIF(decay=0.9))
    adversarial = MSMPPD(rho=0.0, perturbation=SingleStep(0.05))
    runs = [
        fit(start, digits, objective, epochs=40, optimizer="adam", learning_rate=5e-3)
        for objective in (adversarial, CertifiedLoss(0.05))
    ]
    before, after = (certified(run.network, digits, "interval") for run in runs)
    assert after > before + 0.2
    assert certified(runs[1].network, digits, "trains") > certified(runs[0].network, digits, "trains") + 0.1
    picked = runs[1].best.robust_accuracy
    assert picked is not None
    assert picked == max(epoch.robust_accuracy or 0.0 for epoch in runs[1].history)
    split = digits.validation
    verdicts = verify(runs[1].network, split.inputs, split.labels, LInf(0.05), "trains")
    assert picked == sum(verdict.status == "verified" for verdict in verdicts) / len(verdicts)


def test_runs_are_picked_by_it_in_a_sum(digits: Dataset) -> None:
    data = replace(digits, train=digits.train.take(torch.arange(100)))
    objective = MSMPPD(rho=0.0, perturbation=SingleStep(0.01)) + CertifiedLoss(0.01)
    torch.manual_seed(0)
    run = fit(mlp((64, 16, 10), 3), data, objective, epochs=2)
    last = objective.robust_accuracy(run.network, data.validation, 0)
    assert last == run.best.robust_accuracy == CertifiedLoss(0.01).robust_accuracy(run.network, data.validation, 0)


def test_it_goes_on_after_a_stop_bitwise(digits: Dataset, tmp_path: Path) -> None:
    data = replace(digits, train=digits.train.take(torch.arange(200)))
    torch.manual_seed(0)
    start = mlp((64, 16, 10), 3)
    objective = CertifiedLoss(0.05, small_box=0.5)

    def train(folder: Path | None, stop_after: int) -> SpikingNetwork:
        def stop(label: str, done: int, total: int) -> None:
            if done > stop_after * 4:
                raise KeyboardInterrupt

        return fit(start, data, objective, epochs=4, folder=folder, progress=stop).network

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, 2)
    assert network_hash(train(tmp_path, 4)) == network_hash(train(None, 4))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epsilon": -0.1}, "epsilon: got -0.1"),
        ({"epsilon": math.inf}, "epsilon: got inf"),
        ({"weight": 1.5}, "weight: got 1.5"),
        ({"ramp": -1.0}, "ramp: got -1.0"),
        ({"small_box": 0.0}, "small_box: got 0.0"),
        ({"q": 1.5}, "q: got 1.5"),
        ({"bounds": "exact"}, "bounds: got 'exact'"),
        ({"mix": "both"}, "mix: got 'both'"),
        ({"lower": 1.0}, "lower: got 1.0"),
    ],
)
def test_bad_settings_are_named(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CertifiedLoss(**wrong)


def test_the_command_line_names_it() -> None:
    assert building.objective(TrainStep(objective="certified", size=Numeral(0.03))) == CertifiedLoss(0.03)


@pytest.mark.parametrize("q", [0.0, 1e-6, 0.5, 1.0])
def test_the_bounded_loss_is_the_box_cox_of_the_share(q: float, digits: Dataset) -> None:
    """(1 − p^q)/q: cross-entropy where q goes to 0, the missed share at q = 1, never above 1/q."""
    torch.manual_seed(0)
    network = mlp((64, 12, 10), 2, LIF(0.5)).double()
    inputs, labels = digits.train.inputs[:50].double(), digits.train.labels[:50]
    worst = worst_logits(network, *box(inputs, 0.05), labels)
    share = torch.softmax(worst, 1).gather(1, labels[:, None])
    expected = -share.log() if q == 0.0 else (1 - share**q) / q
    loss = CertifiedLoss(0.05, weight=1.0, ramp=0.0, q=q).loss(network, inputs, labels, None)
    torch.testing.assert_close(loss.total, expected.mean(), rtol=1e-7, atol=1e-7)
    assert q == 0.0 or float(loss.total.detach()) <= 1 / q


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_mixes_stand_between_the_attack_and_the_bound(weight: float, digits: Dataset) -> None:
    torch.manual_seed(0)
    network = mlp((64, 12, 10), 2, LIF(0.5)).double()
    inputs, labels = digits.train.inputs[:50].double(), digits.train.labels[:50]

    def loss(mix: str, weight: float = weight) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        objective = CertifiedLoss(0.05, weight=weight, ramp=0.0, mix=mix)
        return objective.loss(network, inputs, labels, generator).total.detach()

    moved = SingleStep(0.05)(network, inputs, labels, torch.Generator().manual_seed(0))
    attacked = cross_entropy(network(moved), labels).detach()
    bound = cross_entropy(worst_logits(network, *box(inputs, 0.05), labels), labels).detach()
    torch.testing.assert_close(loss("attack"), (1 - weight) * attacked + weight * bound)
    for end in (0.0, 1.0):
        torch.testing.assert_close(loss("logits", end), (attacked, bound)[int(end)])
    assert float(attacked) <= float(loss("logits")) + 1e-12
    assert float(loss("logits")) <= float(loss("attack")) + 1e-12, "cross-entropy is convex"
    assert float(attacked) > float(cross_entropy(network(inputs), labels).detach())
