"""Budgets of events as radii: the largest that is proved, the smallest that breaks.

What a verifier, an attack or a radius hands out never requires a gradient, whatever was handed in.

Which arithmetic of the run is certified: plain sums, in batches of any size.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert import (
    LIF,
    EventRegion,
    Recurrent,
    Residual,
    SpikeFlip,
    SpikeShift,
    SpikingNetwork,
    certified_radius,
    mlp,
    save,
)
from spikecert.certify import EventChange, LInf, Perturbation, attack, certify_set, verify
from spikecert.certify.attacks import ATTACKS, AttackResult
from spikecert.certify.radii.radius import Radius
from spikecert.certify.replay import TOGETHER, evaluating, replays
from spikecert.certify.scales import NORMS, FlipScale, Scale, ShiftScale
from spikecert.certify.verdicts import Verdict
from spikecert.certify.verification import bounds
from spikecert.certify.verifiers import VERIFIERS
from support.command_line import run as run
from support.examples import by_night
from support.oracles import every_flip, every_shift, least_margin

NETWORK_SEED, STEPS = 5, 3


def recordings() -> tuple[SpikingNetwork, Tensor, Tensor]:
    torch.manual_seed(NETWORK_SEED)
    network = mlp((2, 5, 3), num_steps=STEPS, neuron=LIF(0.8, threshold=0.5), encoding="none").eval()
    events = (torch.rand(5, STEPS, 2) < 0.5).float()
    with torch.no_grad():
        return network, events, network(events).argmax(1)


def listed(sets: Scale, sample: Tensor, budget: int) -> Tensor:
    threat = sets.around(budget)
    if isinstance(threat, SpikeFlip):
        every = every_flip(sample, budget)
        return every if threat.kind == "flip" else every[(every >= sample).flatten(1).all(1)]
    assert isinstance(threat, SpikeShift)
    reach = min(threat.reach, STEPS - 1)
    mask = torch.ones_like(sample) * threat.allowed(sample[None])
    return every_shift(sample, replace(threat, jitter=reach, where=None), mask)


SETS = {
    "l0": FlipScale(),
    "shift": ShiftScale(),
    "insertions": FlipScale(SpikeFlip(0, "insert")),
    "moves by one step": ShiftScale("count", SpikeShift(1, border="leave")),
    "two moves": ShiftScale("total", SpikeShift(None, 2)),
    "moves of the first steps": ShiftScale("count", SpikeShift(None, total=3, where=EventRegion(steps=(0, 2)))),
}


@pytest.mark.parametrize("name", SETS)
def test_brackets_hold_the_least_budget_that_breaks(name: str):
    network, events, labels = recordings()
    sets = SETS[name]
    radii = certified_radius(network, events, labels, name if name in NORMS else sets, "enumeration")
    for sample, label, radius in zip(events, labels.tolist(), radii, strict=True):
        breaks = [b for b in range(7) if least_margin(network, listed(sets, sample, b), label) <= 0]
        assert radius.exact
        if breaks:
            assert (radius.lower, radius.upper) == (breaks[0] - 1, breaks[0])
        else:
            assert radius.counterexample is None or radius.upper > 6
        if radius.counterexample is not None:
            assert bool(sets.around(radius.upper).contains(radius.counterexample[None], sample[None]))
            assert not bool(sets.around(radius.upper - 1).contains(radius.counterexample[None], sample[None]))


@pytest.mark.parametrize("norm", ["flips", "shift"])
def test_the_command_line_takes_budgets_of_events(norm: str, tmp_path: Path, run: Callable[..., Any]):
    network = SpikingNetwork(
        nn.Flatten(), nn.Linear(128, 4), LIF(0.8), nn.Linear(4, 10), num_steps=2, encoding="none"
    )
    save(network, tmp_path / "net.safetensors")
    common = tmp_path / "net.safetensors", "--data", "digit-events", "--norm", norm, "--json"
    status, out, told = run("radius", *common, "--verifier", "interval", "--samples", "1")
    assert status == 0, told
    found = json.loads(out)
    assert (found["norm"], found["tolerance"]) == (norm, 1.0)
    assert all(float(row["lower"]).is_integer() for row in found["radii"])


def test_what_no_moves_make_is_infinitely_far():
    sample = torch.tensor([[1.0], [0.0]])
    assert ShiftScale().distance(torch.zeros(1, 2, 1), sample[None]).tolist() == [float("inf")]
    assert FlipScale().around(2.0) == SpikeFlip(2)
    where = EventRegion(steps=(0, 1))
    assert FlipScale(SpikeFlip(0, "insert", where)).around(2.0) == SpikeFlip(2, "insert", where)
    assert ShiftScale("count", SpikeShift(1, where=where)).around(2.0) == SpikeShift(1, 2, where=where)


def test_a_budget_counts_moves_or_their_steps():
    before, after = torch.tensor([[[1.0], [0.0], [0.0]]]), torch.tensor([[[0.0], [0.0], [1.0]]])
    assert ShiftScale().distance(after, before).tolist() == [2.0]
    assert ShiftScale("count").distance(after, before).tolist() == [1.0]


def test_a_budget_is_of_one_thing():
    with pytest.raises(ValueError, match=r"^count: got 3, expected None: it is what ε is"):
        ShiftScale("count", SpikeShift(1, 3))
    with pytest.raises(ValueError, match=r"^budget: got 'sum', expected one of total, count, jitter"):
        ShiftScale("sum")


EVENTS: dict[str, Perturbation] = {
    "spike-flip": SpikeFlip(2),
    "sparse-flip": SpikeFlip(2),
    "random-events": SpikeFlip(2),
    "spike-shift": SpikeShift(1),
    "pil": SpikeShift(1),
    "event-change": EventChange(SpikeFlip(1), SpikeShift(1)),
}
TIMED = {"spike-shift", "pil", "event-change"}
"""Attacks on when events come."""

ENCODINGS = pytest.mark.parametrize("encoding", ["direct", "none", "rate"])


def subject(encoding: str, events: bool = False) -> tuple[SpikingNetwork, Tensor, Tensor]:
    """Return a network with parameters that require gradients, inputs that do, and labels, the first one wrong."""
    torch.manual_seed(0)
    network = mlp((5, 6, 3), num_steps=3, neuron=LIF(0.9, 0.2), encoding=encoding)
    inputs = torch.rand(3, *((3, 5) if encoding == "none" else (5,)))
    inputs = inputs.round() if events else inputs
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    labels[0] = (labels[0] + 1) % 3
    return network, inputs.requires_grad_(), labels


@ENCODINGS
@pytest.mark.parametrize("verifier", sorted(VERIFIERS))
@pytest.mark.parametrize("threat", [LInf(0.3), SpikeFlip(2)], ids=lambda threat: threat.norm)
def test_verdicts_are_detached(encoding: str, verifier: str, threat: Perturbation):
    network, inputs, labels = subject(encoding, isinstance(threat, SpikeFlip))
    verdicts = verify(network, inputs, labels, threat, verifier, timeout=1.0)
    found = [verdict.counterexample for verdict in verdicts if verdict.counterexample is not None]
    assert verdicts[0].status == "falsified"
    assert not any(counterexample.requires_grad for counterexample in found)
    assert inputs.requires_grad
    assert inputs.grad is None


@ENCODINGS
@pytest.mark.parametrize("method", [*sorted(set(ATTACKS) - {"ensemble", "standard"}), *by_night("standard")])
def test_attacked_inputs_are_detached(encoding: str, method: str):
    network, inputs, labels = subject(encoding, method in EVENTS)
    threat = EVENTS.get(method, LInf(0.3))
    if method in TIMED and encoding != "none":
        with pytest.raises(ValueError, match="encoding"):
            attack(network, inputs, labels, threat, method)
        return
    result = attack(network, inputs, labels, threat, method)
    assert not result.inputs.requires_grad
    assert not result.logits.requires_grad
    assert inputs.grad is None


@ENCODINGS
def test_sets_radii_and_bounds_are_detached(encoding: str):
    network, inputs, labels = subject(encoding)
    radii = certified_radius(network, inputs, labels, timeout=0.5)
    verdicts = certify_set(network, inputs, labels, LInf(0.3), "trains", workers=1)
    found = [each.counterexample for each in (*radii, *verdicts) if each.counterexample is not None]
    assert len(found) >= 2
    assert not any(counterexample.requires_grad for counterexample in found)
    bounds(network, inputs, LInf(0.01), "interval")


def test_none_is_made_with_a_gradient():
    held = torch.ones(2, requires_grad=True) * 2
    verdict = Verdict("falsified", None, held, "mine", 0.0, "")
    radius = Radius(0.0, 0.1, False, held, None)
    result = AttackResult(held, torch.tensor([True]), held, "mine")
    made = (verdict.counterexample, radius.counterexample, result.inputs, result.logits)
    assert all(tensor is not None and torch.equal(tensor, held) for tensor in made)
    assert not any(tensor is not None and tensor.requires_grad for tensor in made)


@pytest.mark.parametrize("name", ["ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE"])
def test_products_of_fewer_bits_by_the_environment_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "BF16")
    with pytest.raises(ValueError, match=f"arithmetic: got {name}=BF16"):
        verify(*convolving([]), LInf(0.1))
    monkeypatch.setenv(name, "strict")
    verify(*convolving([]), LInf(0.1))


CONVOLUTIONS: dict[str, Callable[[], list[nn.Module]]] = {
    "3×3": lambda: [nn.Conv2d(1, 2, 3)],
    "5×5, strided": lambda: [nn.Conv2d(1, 2, 5, stride=2)],
    "padded": lambda: [nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular")],
    "same": lambda: [nn.Conv2d(1, 2, 3, padding="same")],
    "of groups": lambda: [nn.Conv2d(1, 2, 1), LIF(), nn.Conv2d(2, 2, 3, groups=2)],
    "of sequences": lambda: [nn.Flatten(2), nn.Conv1d(1, 2, 3)],
    "in a sum": lambda: [Residual([nn.Conv2d(1, 1, 3, padding=1)])],
    "in a loop": lambda: [Recurrent(LIF(), nn.Conv2d(1, 1, 3, padding=1))],
}


def convolving(layers: list[nn.Module]) -> tuple[SpikingNetwork, Tensor, Tensor]:
    """Return a network of images with `layers` in front, a sample and its label."""
    torch.manual_seed(0)
    net = SpikingNetwork(*layers, LIF(), nn.Flatten(), nn.LazyLinear(3), num_steps=3)
    image = torch.rand(1, 1, 6, 6)
    return net, image, net(image).argmax(1)


@pytest.fixture
def without_onednn() -> Iterator[None]:
    """Let torch convolve without oneDNN for a while."""
    if not torch.backends.nnpack.is_available():
        pytest.skip("this torch has no NNPACK")
    torch._C._set_mkldnn_enabled(False)
    yield
    torch._C._set_mkldnn_enabled(True)
    torch._C._set_nnpack_enabled(True)


@pytest.mark.usefixtures("without_onednn")
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_that_are_transforms_in_a_batch_are_refused(name: str) -> None:
    net, image, label = convolving(CONVOLUTIONS[name]())
    for call in (
        lambda: verify(net, image, label, LInf(0.0)),
        lambda: bounds(net, image, LInf(0.0)),
        lambda: certified_radius(net, image, label),
    ):
        with pytest.raises(ValueError, match="arithmetic: got a convolution by NnpackSpatial"):
            call()
    torch._C._set_nnpack_enabled(False)
    assert verify(net, image, label, LInf(0.0), timeout=5.0)[0].status in ("verified", "unknown")


SUMS: dict[str, tuple[nn.Module, torch.dtype]] = {
    "dilated": (nn.Conv2d(1, 2, 2, dilation=2), torch.float32),
    "transposed": (nn.ConvTranspose2d(1, 2, 3), torch.float32),
    "wide": (nn.Conv2d(1, 2, 17, padding=8), torch.float32),
    "float64": (nn.Conv2d(1, 2, 3), torch.float64),
    "average": (nn.AvgPool2d(2), torch.float32),
}


@pytest.mark.usefixtures("without_onednn")
@pytest.mark.parametrize("name", SUMS)
def test_convolutions_that_are_sums_in_all_batches_are_taken(name: str) -> None:
    layer, dtype = SUMS[name]
    net, image, _ = convolving([layer])
    net, image = net.to(dtype), image.to(dtype)
    assert verify(net, image, net(image).argmax(1), LInf(0.0))[0].status == "verified"


@pytest.mark.parametrize("layer", [nn.ConvTranspose2d(1, 2, 3), nn.Conv2d(1, 2, 3)], ids=["transposed", "plain"])
def test_convolutions_by_onednn_are_sums(layer: nn.Module) -> None:
    net, image, label = convolving([layer])
    assert verify(net, image, label, LInf(0.0))[0].status == "verified"


class Alone(nn.Module):
    """Says another class in batches of some sizes."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.sizes = sizes

    def forward(self, inputs: Tensor) -> Tensor:
        wrong = float(len(inputs) in self.sizes)
        return torch.tensor([[1.0 - wrong, wrong]]).expand(len(inputs), 2)


@pytest.mark.parametrize("sizes", [(1,), (TOGETHER,), (), (1, TOGETHER)], ids=str)
def test_a_counterexample_fails_alone_and_in_a_batch(sizes: tuple[int, ...]) -> None:
    net: SpikingNetwork = Alone(*sizes)  # type: ignore[assignment]
    assert replays(net, torch.zeros(3), 0, "strict") == (len(sizes) == 2)


def test_modes_are_what_they_were_behind_an_evaluation() -> None:
    """Of a network in training and of one that was evaluated before, also where a mode is set meanwhile."""
    for training in (True, False):
        network = mlp((3, 4, 2)).train(training)
        network.layers[1].eval()
        before = [module.training for module in network.modules()]
        with evaluating(network):
            assert not any(module.training for module in network.modules())
            network.layers[0].train()
        assert [module.training for module in network.modules()] == before
