"""What a tie between logits is, and what integer counts add to a bound.

Verdicts, attacks and radii compare, though they hold tensors.

What a verifier, an attack or a radius hands out never requires a gradient, whatever was handed in.

Which arithmetic of the run is certified: plain sums, in batches of any size.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert import (
    LIF,
    LInf,
    Recurrent,
    Residual,
    SpikeFlip,
    SpikeShift,
    SpikingNetwork,
    attack,
    certified_radius,
    mlp,
    verify,
)
from spikecert.certify import AttackResult, EventChange, Perturbation, Radius, Verdict, reconcile
from spikecert.certify.attacks import ATTACKS
from spikecert.certify.bounds.exact import counted
from spikecert.certify.problem import Problem
from spikecert.certify.replay import TOGETHER, evaluating, fails, margins, replays
from spikecert.certify.ties import TIES, Goal, settled_ties
from spikecert.certify.verification import bounds
from spikecert.certify.verifiers import VERIFIERS, Milp
from spikecert.models.circuit import circuit
from spikecert.models.linear_maps.averaging import Share
from support.command_line import run as run
from support.examples import by_night
from support.fleets import Here
from support.ties import tied_network


def every(values: tuple[float, ...], classes: int) -> Tensor:
    """Return all logits of so many classes over some values."""
    return torch.tensor(list(itertools.product(values, repeat=classes)))


def test_argmax_is_the_lowest_index_of_torch_and_strict_is_every_tie() -> None:
    logits = every((0.0, 0.25, 0.5), 4)
    for label in range(4):
        labels = torch.full((len(logits),), label)
        assert fails(logits, labels, "argmax").equal(logits.argmax(1) != label)
        alone = logits.clone()
        alone[:, label] = -math.inf
        assert fails(logits, labels, "strict").equal(logits[:, label] <= alone.amax(1))


def test_a_wide_argmax_is_the_lowest_index_too() -> None:
    logits = torch.randint(0, 3, (50, 1000), generator=torch.Generator().manual_seed(0)).float()
    labels = logits.argmax(1)
    assert not bool(fails(logits, labels, "argmax").any())
    assert bool(fails(logits, (labels + 1) % 1000, "argmax").all())


@pytest.mark.parametrize("ties", TIES)
def test_a_margin_that_is_not_a_number_says_nothing(ties: str) -> None:
    logits = torch.tensor([[math.inf, math.inf], [math.nan, 0.0], [-math.inf, -math.inf]])
    assert not bool(fails(logits, torch.tensor([0, 0, 0]), ties).any())
    assert not bool(fails(logits, torch.tensor([1, 1, 1]), ties).any())


def goal(ties: str, steps: int, dtype: torch.dtype) -> Goal:
    torch.manual_seed(0)
    return Goal.of(circuit(SpikingNetwork(torch.nn.Linear(1, 2), LIF(), num_steps=steps).to(dtype)), ties)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("by_product", [False, True])
def test_bounds_of_counts_round_up_and_never_past_the_run(dtype: torch.dtype, by_product: bool) -> None:
    """All pairs of counts; the bound is the run's own margin, one number below it, and nearly a step below it."""
    for steps in (*range(1, 30), 97, 255, 1000):
        counts = torch.arange(steps + 1, dtype=dtype)[:: max(1, steps // 40)]
        means = counts * torch.tensor(1 / steps, dtype=dtype) if by_product else counts / steps
        exact = means.double()[:, None] - means.double()  # the difference of two floats of [0, 1], for float32
        found = goal("argmax", steps, dtype)
        for below in (exact, exact.nextafter(torch.tensor(-math.inf).double()), exact - 0.9 / steps):
            raised = found.tightened(below)
            errors = [
                Fraction(raised[i, k].item()) - (Fraction(means[i].item()) - Fraction(means[k].item()))
                for i, k in itertools.product(range(len(counts)), repeat=2)
            ]
            assert max(errors) <= (0 if dtype == torch.float32 else Fraction(1, 2**50))
            assert bool((raised >= exact - 20 * torch.finfo(dtype).eps).all())
            same = torch.eye(len(counts), dtype=torch.bool)
            assert bool((raised[same] == 0).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_exceeds_the_floor_is_enough_and_no_lesser_count_does(dtype: torch.dtype) -> None:
    labels = torch.tensor([1])
    for steps in (1, 2, 3, 7, 25, 255):
        means = torch.arange(steps + 1, dtype=dtype) / steps
        exact = (means.double()[:, None] - means.double()).flatten()
        for ties, place in itertools.product(TIES, (0, 2)):
            found = goal(ties, steps, dtype)
            floor = found.floor(labels, 3)[0, place]
            least = 0 if ties == "argmax" and place == 2 else 1
            counts = torch.arange(steps + 1)
            wanted = (counts[:, None] - counts >= least).flatten()
            assert (exact > floor).equal(wanted)
            bounds = torch.zeros(len(exact), 3, dtype=torch.float64)
            bounds[:, place] = exact
            bounds[:, 2 - place] = 1.0
            bounds[:, 1] = math.inf
            proven = found.proven(found.tightened(bounds), labels.expand(len(exact))).all(1)
            assert proven.equal(wanted)


def test_margins_of_other_readouts_stay_as_they_are() -> None:
    found = Goal.of(circuit(mlp((3, 4, 2), num_steps=4)), "argmax")
    bounds = torch.tensor([[math.inf, -0.1], [-0.0, math.inf], [math.inf, 0.0]], dtype=torch.float64)
    assert found.tightened(bounds) is bounds
    assert found.proven(bounds, torch.tensor([0, 1, 0])).all(1).tolist() == [False, False, True]
    assert (bounds > found.floor(torch.tensor([0, 1, 0]), 2)).all(1).tolist() == [False, False, True]


def votes(weight: list[float], steps: int, *behind: torch.nn.Module, **known: Any) -> SpikingNetwork:
    """Return a network whose two neurons vote by given weights, one logit for each."""
    sums = torch.nn.Linear(2, 2, bias=False)
    sums.weight.data = torch.diag(torch.tensor(weight))
    return SpikingNetwork(torch.nn.Linear(2, 2), LIF(), sums, *behind, num_steps=steps, **known)


def test_what_counts_logits_are_is_known_of_sums_that_do_not_round() -> None:
    adding, fading = LIF(1.0, reset="none"), LIF(0.5, reset="none")
    spikes = torch.nn.Linear(2, 2), LIF()
    eps = 2.0**-23
    asked = [
        (SpikingNetwork(*spikes, num_steps=5), (5, eps)),
        (SpikingNetwork(*spikes, num_steps=5, readout="first"), (1, 0.0)),
        (SpikingNetwork(*spikes, Share(5.0), num_steps=5), (1.0, 10 * eps)),
        (SpikingNetwork(*spikes, Share(-5.0), num_steps=5), None),
        (SpikingNetwork(*spikes, Share(2.0**-110), num_steps=5), None),
        (votes([1.0, 3.0], 4), (4.0, 0.0)),
        (votes([0.5, 0.25], 4), (16.0, 0.0)),
        (votes([1.0, 3.0], 5), None),
        (votes([0.1, 0.1], 4), None),
        (votes([0.5, 3.0], 5, adding, readout="potential"), (2.0, 0.0)),
        (votes([0.5, 3.0], 5, fading, readout="potential"), None),
        (votes([1.0, 2.0**21], 7, adding, readout="potential"), (1.0, 0.0)),
        (votes([1.0, 2.0**21], 9, adding, readout="potential"), None),
        (votes([1.0, 3.0], 4, torch.nn.Linear(2, 2)), None),
    ]
    for network, expected in asked:
        found = counted(circuit(network.eval()))
        assert (found and (found.steps, found.unit)) == expected
    assert Goal.of(circuit(SpikingNetwork(*spikes, num_steps=2**18)), "argmax").steps is None
    assert settled_ties(votes([1.0, 3.0], 4), None) == "strict"


def test_the_default_goes_by_the_readout() -> None:
    counting = SpikingNetwork(torch.nn.Linear(2, 2), LIF(), num_steps=3)
    assert settled_ties(counting, None) == "argmax"
    assert settled_ties(mlp((2, 3, 2), num_steps=3), None) == "strict"
    assert settled_ties(counting, "strict") == "strict"
    with pytest.raises(ValueError, match=r"^ties: got 'lowest', expected one of argmax, strict$"):
        verify(counting, torch.rand(1, 2), torch.tensor([0]), LInf(0.1), ties="lowest")


INPUTS = torch.full((2, 2), 0.5)


@pytest.mark.parametrize("verifier", sorted(set(VERIFIERS) - {"enumeration", "lirpa"}))
def test_a_tie_falls_to_the_lower_index(verifier: str) -> None:
    net, labels = tied_network(), torch.tensor([0, 1])
    argmax = verify(net, INPUTS, labels, LInf(0.05), verifier)
    assert [(found.status, found.margin, found.ties) for found in argmax] == [
        ("verified", 0.0, "argmax"),
        ("falsified", None, "argmax"),
    ]
    assert argmax[1].reason == "tied with another class unperturbed"
    strict = verify(net, INPUTS, labels, LInf(0.05), verifier, ties="strict")
    assert [(found.status, found.ties) for found in strict] == [("falsified", "strict")] * 2


def test_members_that_tie_are_proven_where_the_tie_falls_to_the_label() -> None:
    asked = tied_network(), torch.ones(2, 2), torch.tensor([0, 1]), SpikeFlip(1), "enumeration"
    assert [(found.status, found.margin) for found in verify(*asked)] == [("verified", 0.0), ("falsified", None)]
    assert [found.status for found in verify(*asked, ties="strict")] == ["falsified"] * 2


def test_attacks_radii_and_sets_take_ties_alike() -> None:
    net, labels = tied_network(), torch.tensor([0, 1])
    for ties, broken in (("argmax", [False, True]), ("strict", [True, True])):
        result = attack(net, INPUTS, labels, LInf(0.05), "ensemble-fast", ties=ties)
        assert (result.success.tolist(), result.ties) == (broken, ties)
        radii = certified_radius(net, INPUTS, labels, verifier="trains", ties=ties, tolerance=0.1, timeout=2.0)
        assert [(radius.lower > 0, radius.ties) for radius in radii] == [(not fails, ties) for fails in broken]
        found = verify(net, INPUTS, labels, LInf(0.05), "trains", ties=ties, engine=Here())
        assert [(one.status == "falsified", one.ties) for one in found] == [(fails, ties) for fails in broken]
        reconcile(found, result)


def test_a_proof_and_an_attack_with_other_ties_are_not_compared() -> None:
    net, labels = tied_network(), torch.tensor([0, 1])
    verdicts = verify(net, INPUTS, labels, LInf(0.05), "trains")
    result = attack(net, INPUTS, labels, LInf(0.05), "fgsm", ties="strict")
    with pytest.raises(ValueError, match=r"^verdicts: got ties 'argmax', expected the attack's 'strict'$"):
        reconcile(verdicts, result)


def test_a_verified_margin_of_0_needs_ties_that_fall_to_the_label() -> None:
    found = Verdict("verified", 0.0, None, "mine", 0.0, "", "argmax")
    with pytest.raises(ValueError, match=r"^margin: got 0\.0, expected a positive number for 'verified'$"):
        replace(found, ties="strict")
    with pytest.raises(ValueError, match=r"^margin: got -0\.1, expected a number of at least 0 for 'verified'$"):
        replace(found, margin=-0.1)
    with pytest.raises(ValueError, match=r"^ties: got 'none'"):
        replace(found, ties="none")


def test_replays_go_by_the_ties() -> None:
    net = tied_network()
    assert margins(net(INPUTS), torch.tensor([0, 1])).tolist() == [0.0, 0.0]
    assert not replays(net, INPUTS[0], 0, "argmax")
    assert replays(net, INPUTS[0], 0, "strict")
    assert replays(net, INPUTS[1], 1, "argmax")


def test_a_bound_of_0_suffices_a_program_above_the_label_only() -> None:
    margins = torch.tensor([[math.inf, -1e-5, 0.5], [-1e-5, math.inf, 0.5]], dtype=torch.float64)
    statuses = []
    for label in (0, 1):
        problem = Problem(tied_network(), INPUTS[:1], torch.tensor([label]), LInf(0.0), ties="argmax")
        statuses.append(Milp()._unfalsified(problem, margins[label, None], 0.0).status)
    assert statuses == ["verified", "unknown"]


FOUND = torch.tensor([[0.25, 0.5]])
VERDICT = Verdict("falsified", -0.5, FOUND, "pgd", 0.1, "broken")
RESULT = AttackResult(FOUND, torch.tensor([True]), torch.tensor([[1.0, 2.0]]), "pgd")
RADIUS = Radius(0.0, 0.5, False, FOUND, None)


@pytest.mark.parametrize("result", [VERDICT, RESULT, RADIUS], ids=["verdict", "attack", "radius"])
def test_results_are_equal_where_their_fields_are(result: object) -> None:
    name = "inputs" if isinstance(result, AttackResult) else "counterexample"
    assert result == replace(result, **{name: FOUND.clone()})  # type: ignore[type-var]
    assert hash(result) == hash(replace(result, **{name: FOUND.clone()}))  # type: ignore[type-var]
    for other in (FOUND + 1, FOUND.double(), FOUND[:, :1], torch.full_like(FOUND, torch.nan)):
        assert result != replace(result, **{name: other})  # type: ignore[type-var]
    assert result != "falsified"
    assert len({result, replace(result)}) == 1  # type: ignore[type-var]


def test_time_is_no_part_of_a_verdict_and_the_rest_is() -> None:
    assert replace(VERDICT, seconds=9.0) == VERDICT
    assert replace(VERDICT, status="unknown", counterexample=None) != VERDICT
    for changed in ({"margin": None}, {"verifier": "trains"}, {"reason": ""}, {"ties": "argmax"}):
        assert replace(VERDICT, **changed) != VERDICT
    assert [VERDICT, VERDICT].index(replace(VERDICT)) == 0


EVENTS: dict[str, Perturbation] = {
    "spike-flip": SpikeFlip(2),
    "sparse-flip": SpikeFlip(2),
    "random-events": SpikeFlip(2),
    "listed-events": SpikeFlip(2),
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
    verdicts = verify(network, inputs, labels, LInf(0.3), "trains", workers=1, engine="local")
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
