"""The planes of a spike and of a reset enclose every pair (v, s), ties and rounding included.

Where auto_LiRPA raises the answer is "unknown" with its reason; where we do, that is a bug and is seen.
"""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from spikecert.certify import LInf, verify
from spikecert.certify.lirpa import graph
from spikecert.certify.lirpa.graph import BoundedCircuit
from spikecert.certify.lirpa.relaxation import JumpSegments, RelaxedLayer, ResidueSegments, SpikeSegments, load
from spikecert.certify.verification import bounds
from spikecert.certify.verifiers import lirpa
from spikecert.models import LIF, Dynamics, Residual, SpikingNetwork, mlp
from spikecert.models.circuit import circuit
from spikecert.models.rules import Leaky

NUMBERS = st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 1.5, 2.0]) | st.floats(-3.0, 3.0)
SLOPES = st.sampled_from([0.0, 1.0, 0.9]) | st.floats(-20.0, 20.0)


@st.composite
def neurons(draw: st.DrawFn) -> RelaxedLayer:
    reset = draw(st.sampled_from(["zero", "subtract", "none"]))
    threshold = draw(st.sampled_from([1.0, 0.5]))
    amount = draw(st.sampled_from([None, 0.25, 1.5])) if reset == "subtract" else None
    decay = draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))
    rule = Leaky.of(Dynamics(decay, threshold, reset, reset_amount=amount))
    slack, tie = draw(st.sampled_from([0.0, 1e-6, 0.1])), draw(st.sampled_from([0.0, 1e-6, 0.05]))
    return RelaxedLayer(rule, torch.tensor(slack).double(), threshold + tie, threshold - tie, 1e-12)


def number(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


def outcomes(neuron: RelaxedLayer, low: float, high: float) -> list[tuple[float, float, float, float]]:
    """Return (z, s, v, λu) for many z in [low, high], each error of the run, and each outcome of a tie."""
    slack, found = float(neuron.slack), []
    decisive = [neuron.rule.threshold, neuron.surely, neuron.perhaps]
    grid = [low + (high - low) * k / 16 for k in range(17)] + [min(max(v, low), high) for v in decisive]
    for z in grid:
        for v in (z, z - slack, z + slack, *(v for v in decisive if abs(v - z) <= slack)):
            if v <= neuron.surely:
                found.append((z, 0.0, v, kept(neuron.rule, v, 0.0)))
            if v >= neuron.perhaps:
                found.append((z, 1.0, v, kept(neuron.rule, v, 1.0)))
    return found


def kept(rule: Leaky, v: float, s: float) -> float:
    left = {"zero": v * (1 - s), "subtract": v - rule.drop * s, "none": v}
    return rule.decay * left[rule.reset]


def test_every_outcome_of_a_tie_is_tried():
    neuron = RelaxedLayer(Leaky(0.9), torch.zeros(()), 1.0, 1.0, 0.0)
    assert {(s, u) for _, s, _, u in outcomes(neuron, 1.0, 1.0)} == {(0.0, 0.9), (1.0, 0.0)}


@given(neurons(), NUMBERS, NUMBERS, SLOPES)
def test_lines_of_any_slope_enclose_the_spike(neuron: RelaxedLayer, one: float, other: float, slope: float):
    low, high = min(one, other), max(one, other)
    ends = SpikeSegments.over(number(low), number(high), neuron)
    lower, upper = (ends.plane(number(slope), sign) for sign in (1.0, -1.0))
    assert float(lower.spike) == float(upper.spike) == 0.0
    for z, s, _, _ in outcomes(neuron, low, high):
        assert slope * z + float(lower.offset) <= s <= slope * z + float(upper.offset)


@given(neurons(), NUMBERS, NUMBERS, SLOPES)
def test_planes_of_any_slope_enclose_the_residue(neuron: RelaxedLayer, one: float, other: float, slope: float):
    low, high = min(one, other), max(one, other)
    ends = ResidueSegments.over(number(low), number(high), neuron)
    lower, upper = (ends.plane(number(slope), sign) for sign in (1.0, -1.0))
    for z, s, _, u in outcomes(neuron, low, high):
        assert slope * z + float(lower.spike) * s + float(lower.offset) <= u
        assert u <= slope * z + float(upper.spike) * s + float(upper.offset)


@given(neurons(), NUMBERS, NUMBERS)
def test_ranges_are_attained_and_enclose(neuron: RelaxedLayer, one: float, other: float):
    low, high = min(one, other), max(one, other)
    found = outcomes(neuron, low, high)
    for segments, column in ((SpikeSegments, 1), (ResidueSegments, 3)):
        least, greatest = value_range(segments.over(number(low), number(high), neuron))
        values = [row[column] for row in found]
        assert float(least) == pytest.approx(min(values), abs=1e-9)
        assert float(greatest) == pytest.approx(max(values), abs=1e-9)


@given(neurons(), NUMBERS, NUMBERS, st.floats(-5.0, 5.0), st.sampled_from([1.0, -1.0]))
def test_no_slope_beats_the_best_one_at_the_middle(
    neuron: RelaxedLayer, one: float, other: float, slope: float, sign: float
):
    low, high = min(one, other), max(one, other)
    assume(high - low > 1e-6)
    ends = SpikeSegments.over(number(low), number(high), neuron)
    chosen = ends.slope(sign)
    assert height(ends, chosen, sign) >= height(ends, number(slope), sign) - 1e-9


def value_range(ends: JumpSegments) -> tuple[torch.Tensor, torch.Tensor]:
    return ends.values.amin(0), ends.values.amax(0)


def height(ends: JumpSegments, slope: torch.Tensor, sign: float) -> float:
    found = ends.plane(slope, sign)
    return sign * float(found.slope * (ends.points[0] + ends.points[3]) / 2 + found.offset)


def test_an_interval_below_at_and_above_the_threshold():
    """Hand-computed: θ = 1, no slack. Ties count as both outcomes."""
    neuron = RelaxedLayer(Leaky(1.0), torch.zeros(()), 1.0, 1.0, 0.0)
    low, high = torch.tensor([0.0, 1.0, 0.5, 1.5]), torch.tensor([0.5, 1.0, 1.0, 2.0])
    assert value_range(SpikeSegments.over(low, high, neuron))[0].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert value_range(SpikeSegments.over(low, high, neuron))[1].tolist() == [0.0, 1.0, 1.0, 1.0]
    assert value_range(ResidueSegments.over(low, high, neuron))[0].tolist() == [0.0, 0.0, 0.0, 0.0]
    assert value_range(ResidueSegments.over(low, high, neuron))[1].tolist() == [0.5, 1.0, 1.0, 0.0]


def test_planes_of_a_hard_reset_by_hand():
    """θ = λ = 1 over [−1, 3], slope 1: v − 3s ≤ u ≤ v − s."""
    neuron = RelaxedLayer(Leaky(1.0), torch.zeros(()), 1.0, 1.0, 0.0)
    ends = ResidueSegments.over(number(-1.0), number(3.0), neuron)
    lower, upper = (ends.plane(number(1.0), sign) for sign in (1.0, -1.0))
    assert (float(lower.spike), float(lower.offset)) == (-3.0, 0.0)
    assert (float(upper.spike), float(upper.offset)) == (-1.0, 0.0)


@pytest.mark.parametrize("amount", [None, 0.4, 1.5])
@pytest.mark.parametrize("encoding", ["direct", "none"])
def test_the_unrolled_network_is_the_network(amount: float | None, encoding: str):
    torch.manual_seed(0)
    network = mlp((4, 12, 8, 3), 5, LIF(0.9, 0.3, reset="subtract", reset_amount=amount), encoding).double().eval()
    inputs = torch.rand(20, 4).double() if encoding == "direct" else torch.rand(20, 5, 4).double()
    with torch.no_grad():
        unrolled = BoundedCircuit(circuit(network), LInf(0.0).enclosure(inputs))
        torch.testing.assert_close(unrolled.forward(inputs), network(inputs))


@pytest.mark.parametrize("count", [1, 4])
def test_a_pool_of_images_without_channels_is_no_pool_of_the_batch(count: int):
    """As many samples as rows would be taken for channels."""
    torch.manual_seed(0)
    layers = nn.AvgPool2d((1, 2)), nn.Flatten(), nn.Linear(8, 5), LIF(0.9, 0.3), nn.Linear(5, 3)
    network = SpikingNetwork(*layers, num_steps=2).eval()
    inputs = torch.rand(count, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ends, logits = bounds(network, inputs, LInf(0.0), "lirpa"), network(inputs).double()
    torch.testing.assert_close(torch.stack([ends.lower, ends.upper]), logits.expand(2, -1, -1), rtol=0, atol=1e-4)


ERRORS = [
    RuntimeError("no bound\nfor this"),
    AssertionError(),
    NotImplementedError("Conv3d"),
    IndexError("dimension 3"),
    KeyError("/5"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("part", ["_build_graph", "BoundedTensor", "compute_bounds"])
def test_what_the_library_raises_is_a_reason(monkeypatch: pytest.MonkeyPatch, part: str, error: Exception):
    def broken(*arguments: object, **options: object) -> None:
        raise error

    library = load()
    owner = library if part == "BoundedTensor" else library.BoundedModule
    monkeypatch.setattr(owner, part, broken)
    network, inputs = mlp((4, 5, 3), num_steps=2).eval(), torch.rand(2, 4)
    verdicts = verify(network, inputs, network(inputs).argmax(1), LInf(0.01), "lirpa")
    for verdict in verdicts:
        assert verdict.status == "unknown"
        assert verdict.reason.startswith(f"network: auto_LiRPA raised {type(error).__name__}")
        assert "\n" not in verdict.reason
    with pytest.raises(ValueError, match=rf"^network: auto_LiRPA raised {type(error).__name__}: [^\n]*$"):
        bounds(network, inputs, LInf(0.01), "lirpa")


@pytest.mark.parametrize("place", ["slacks", "SumNode", "InputSets"])
def test_our_own_mistakes_are_no_reason(monkeypatch: pytest.MonkeyPatch, place: str):
    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(graph, place, broken)
    network, inputs = mlp((4, 5, 3), num_steps=2).eval(), torch.rand(2, 4)
    with pytest.raises(RuntimeError, match=r"^a bug$"):
        verify(network, inputs, network(inputs).argmax(1), LInf(0.01), "lirpa")


@pytest.mark.parametrize("encoding", ["direct", "none"])
def test_an_unrolled_residual_network_is_the_network(encoding: str):
    """Branch and shortcut are both read, step by step."""
    torch.manual_seed(0)
    first = Residual([nn.Linear(6, 6), LIF(0.9, 0.3)], [nn.Linear(6, 6)])
    second = Residual([nn.Linear(6, 6), LIF(0.8, 0.2)])
    layers = nn.Linear(4, 6), LIF(0.7, 0.2), first, LIF(0.9, 0.5), second, nn.Linear(6, 3)
    network = SpikingNetwork(*layers, num_steps=5, encoding=encoding).double().eval()
    inputs = torch.rand(8, *((5, 4) if encoding == "none" else (4,)), dtype=torch.float64)
    with torch.no_grad():
        unrolled = BoundedCircuit(circuit(network), LInf(0.0).enclosure(inputs))
        torch.testing.assert_close(unrolled.forward(inputs), network(inputs))


def test_what_would_not_fit_is_told_before_it_is_tried(monkeypatch: pytest.MonkeyPatch):
    network, inputs = mlp((4, 16, 3), num_steps=2).eval(), torch.rand(2, 4)
    labels = network(inputs).argmax(1)
    monkeypatch.setattr(lirpa, "free_memory", lambda: 8 * 2 * 16**2)
    fitting = verify(network, inputs, labels, LInf(0.01), "lirpa")
    assert all(verdict.margin is not None and "free" not in verdict.reason for verdict in fitting)
    monkeypatch.setattr(lirpa, "free_memory", lambda: 8 * 2 * 16**2 - 1)
    for verdict in verify(network, inputs, labels, LInf(0.01), "lirpa"):
        assert verdict.status == "unknown"
        assert "N = 16 neurons of a layer and T = 2, expected at most the 0.0 GiB that are free" in verdict.reason
