"""Bounds of windows: they hold all runs, no wider than step by step, and kernels find what torch does."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from spikecert.certify import LInf, SpikeFlip
from spikecert.models import LIF, Residual, SpikingNetwork, mlp
from spikecert.training import CertifiedEvents, CertifiedLoss
from spikecert.training.bounds.interval_bounds import WindowRows, eager_windows, window_spikes, worst_logits
from support.eager import KERNELS, by
from support.examples import examples

DECAYS = st.sampled_from([0.0, 0.5, 0.9, 1.0])


def images(readout: str | None, steps: int) -> SpikingNetwork:
    """A convolution, a norm of both signs, pools of currents and of spikes, a sum, and each readout."""
    norm = nn.BatchNorm2d(3)
    norm.running_mean, norm.running_var = torch.rand(3) - 0.5, torch.rand(3) + 0.1
    norm.weight.data = torch.tensor([1.0, -0.7, 0.4])
    first = [nn.Conv2d(1, 3, 3, stride=2, padding=1), norm, nn.MaxPool2d(2), LIF(0.9, 0.3)]
    middle = [
        Residual([nn.Conv2d(3, 3, 3, padding=1), LIF(0.5, 0.2, fires_at=">")]),
        nn.MaxPool2d(2),
        nn.Flatten(),
    ]
    last: list[nn.Module] = {
        None: [nn.Linear(3, 3)],
        "spikes": [nn.Linear(3, 3), LIF(0.9, 0.1)],
        "potential": [nn.Linear(3, 3), LIF(0.7, reset="none")],
        "mean": [nn.Linear(3, 3), nn.BatchNorm1d(3)],
    }[readout]
    return SpikingNetwork(*first, *middle, *last, num_steps=steps, readout=readout).eval().double()


def gaps(logits: Tensor, labels: Tensor) -> Tensor:
    return logits - logits.gather(-1, labels.expand(logits.shape[:-1])[..., None])


def check_none_escapes(network: SpikingNetwork, inputs: Tensor, radius: float) -> None:
    """At radius 0 the bounds are the run; else they hold runs inside the box, and are no wider than by steps."""
    labels = network(inputs).argmax(1)
    found = worst_logits(network, inputs, inputs, labels, "windows")
    torch.testing.assert_close(found, gaps(network(inputs), labels))
    lower, upper = (inputs - radius).clamp(0, 1), (inputs + radius).clamp(0, 1)
    worst = worst_logits(network, lower, upper, labels, "windows")
    for share in (0.0, 1.0, *torch.rand(12).tolist()):
        moved = lower + (upper - lower) * (torch.rand_like(inputs) < share)
        assert bool((gaps(network(moved), labels) <= worst + 1e-9).all())
    assert bool((worst <= worst_logits(network, lower, upper, labels, "trains") + 1e-9).all())


@examples(60)
@given(
    readout=st.sampled_from([None, "spikes", "potential", "mean"]),
    steps=st.sampled_from([1, 2, 5]),
    seed=st.integers(0, 10_000),
    radius=st.sampled_from([0.01, 0.05, 0.3]),
)
def test_no_image_escapes(readout: str | None, steps: int, seed: int, radius: float) -> None:
    torch.manual_seed(seed)
    check_none_escapes(images(readout, steps), torch.rand(4, 1, 7, 7, dtype=torch.float64), radius)


@examples(80)
@given(
    decays=st.tuples(DECAYS, DECAYS),
    fires_at=st.sampled_from([">=", ">"]),
    steps=st.sampled_from([1, 2, 4, 8]),
    timed=st.booleans(),
    seed=st.integers(0, 10_000),
    radius=st.sampled_from([0.0, 0.02, 0.2]),
)
def test_no_run_escapes(
    decays: tuple[float, float], fires_at: str, steps: int, timed: bool, seed: int, radius: float
) -> None:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for width, decay in zip((6, 8), decays, strict=True):
        layers += [nn.Linear(width, 8), LIF(decay, 0.3, fires_at=fires_at)]
    encoding = "none" if timed else "direct"
    network = SpikingNetwork(*layers, nn.Linear(8, 3), num_steps=steps, encoding=encoding).double()
    inputs = torch.rand(4, *([steps] if timed else []), 6, dtype=torch.float64)
    check_none_escapes(network, inputs, radius)


@examples(60)
@given(
    decay=DECAYS,
    steps=st.integers(1, 7),
    seed=st.integers(0, 10_000),
    width=st.sampled_from([0.0, 0.1, 0.4, 1.0]),
)
def test_one_neuron_has_its_exact_trains(decay: float, steps: int, seed: int, width: float) -> None:
    """Ends of rows are those of all trains of currents at a corner of the box of steps, or at a tie."""
    torch.manual_seed(seed)
    rows = WindowRows.of({decay}, steps, torch.zeros(1, dtype=torch.float64))
    middle = torch.randint(-2, 9, (steps,)).double() / 8
    low, high = middle - width / 2, middle + width / 2
    dynamics = LIF(decay, 0.75).dynamics
    windows = torch.stack([rows.sums(end[:, None, None])[rows.of_decay(decay)] for end in (low, high)])
    ends = eager_windows(windows, dynamics, rows)[0].squeeze()
    corners = torch.tensor(list(itertools.product((0.0, 1.0), repeat=steps)), dtype=torch.float64)
    currents = torch.cat((low + (high - low) * corners, low + (high - low) * torch.rand(500, steps).double()))
    trains = LIF(decay, 0.75).double()(currents.T[:, :, None], steps).squeeze(2)
    sums = rows.weights @ trains
    assert bool((ends[0] <= sums.amin(1) + 1e-12).all())
    assert bool((sums.amax(1) <= ends[1] + 1e-12).all())
    whole = steps - 1 if decay == 0.0 else len(rows.weights) - 1
    if width in (0.0, 1.0):  # a point, or one so wide that each step may or may not fire
        torch.testing.assert_close(ends[0, whole], sums[whole].amin())
        torch.testing.assert_close(ends[1, whole], sums[whole].amax())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("steps", [1, 2, 5, 8])
def test_the_kernel_finds_bitwise_what_torch_does(dtype: torch.dtype, steps: int) -> None:
    torch.manual_seed(steps)
    for decay, fires_at, batch in itertools.product((0.0, 0.5, 0.9, 1.0), (">=", ">"), (1, 40)):
        rows = WindowRows.of({decay, 0.3}, steps, torch.zeros(1, dtype=dtype))
        drawn = torch.randn(2, steps, batch, 7, dtype=dtype)
        drawn = torch.where(torch.rand_like(drawn) < 0.4, (drawn * 8).round() / 8, drawn)  # sums on the threshold
        ends = torch.stack((drawn.amin(0), drawn.amax(0)))
        windows = torch.stack([rows.sums(end)[rows.of_decay(decay)] for end in ends]).requires_grad_()
        found = []
        neuron = LIF(decay, 0.75, fires_at=fires_at)
        for kernel in KERNELS:
            with by(kernel):
                box = window_spikes(windows, neuron, rows)
            rated = torch.stack((box.lower, box.upper))
            weights = torch.linspace(-1, 1, rated.numel(), dtype=dtype).reshape(rated.shape)
            found.append((rated, *torch.autograd.grad((rated * weights).sum(), windows)))
        assert all(torch.equal(*pair) for pair in zip(*found, strict=True))
        assert bool((found[0][1] != 0).any())


@pytest.mark.parametrize("kernel", KERNELS)
def test_without_a_ball_the_gradient_is_that_of_resets_that_are_fixed(kernel: str) -> None:
    """Two layers: the second one's potential, as a sum since its last spike, by torch's own autograd."""
    torch.manual_seed(3)
    network = mlp((6, 9, 8, 3), 5, LIF(0.9, 0.3)).double()
    inputs, labels = torch.rand(10, 6, dtype=torch.float64), torch.arange(10) % 3
    with by(kernel):
        loss = CertifiedLoss(0.0, "windows", weight=1.0).loss(network, inputs, labels, None)
        ours = torch.autograd.grad(loss.total, list(network.parameters()))
    first, one, second, two, last = (module for module in network.modules() if isinstance(module, nn.Linear | LIF))
    assert isinstance(two, LIF)
    assert isinstance(one, LIF)
    currents = second(one(first(inputs)[None], 5))
    residue, spikes = torch.zeros_like(currents[0]), []
    for current in currents:
        potential = current + 0.9 * residue
        spikes.append(two(potential[None], 1)[0])
        residue = potential * (1.0 - spikes[-1].detach())
    logits = last(torch.stack(spikes).mean(0))
    torch.testing.assert_close(logits, network(inputs))
    plain = torch.autograd.grad(cross_entropy(logits, labels), list(network.parameters()))
    for mine, theirs in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_gradients_lower_the_loss() -> None:
    torch.manual_seed(0)
    network = mlp((6, 16, 16, 3), 6, LIF(0.9, 0.3))
    inputs, labels = torch.rand(64, 6), torch.arange(64) % 3
    objective = CertifiedLoss(0.02, "windows", weight=1.0)
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        losses.append(objective.loss(network, inputs, labels, None).total)
        losses[-1].backward()
        optimizer.step()
    assert float(losses[-1].detach()) < 0.9 * float(losses[0].detach())


def test_changed_events_are_bounded_too() -> None:
    """No recording with one flip escapes, and the loss stands below that of single steps."""
    torch.manual_seed(1)
    network = mlp((4, 10, 8, 3), 4, LIF(0.9, 0.4), encoding="none")
    events = (torch.rand(6, 4, 4) < 0.4).float()
    labels = network(events).argmax(1)
    losses = []
    for bounds in ("interval", "windows"):
        objective = CertifiedEvents(SpikeFlip(1), bounds, weight=1.0, ramp=0.0)
        losses.append(float(objective.loss(network, events, labels, None).total.detach()))
    assert losses[1] < losses[0]
    for place in itertools.product(range(4), range(4)):
        flipped = events.clone()
        flipped[:, place[0], place[1]] = 1.0 - flipped[:, place[0], place[1]]
        assert float(cross_entropy(network(flipped), labels).detach()) <= losses[1] + 1e-6


def test_it_proves_nothing_that_an_attack_breaks() -> None:
    from spikecert import attack

    torch.manual_seed(0)
    network = mlp((6, 16, 12, 3), 6, LIF(0.9, 0.5))
    inputs = torch.rand(60, 6)
    labels = network(inputs).argmax(1)
    lower, upper = (inputs - 0.01).clamp(0, 1), (inputs + 0.01).clamp(0, 1)
    worst = worst_logits(network, lower, upper, labels, "windows")
    proven = worst.scatter(1, labels[:, None], -1.0).amax(1) < -1e-3
    broken = attack(network, inputs, labels, LInf(0.01), "pgd").success
    assert 10 < int(proven.sum()) < 60
    assert not bool((proven & broken).any())
