"""The planes of a spike and of a reset enclose every pair (v, s), ties and rounding included."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from spikecert.certify import LInf
from spikecert.certify.lirpa.graph import BoundedCircuit
from spikecert.certify.lirpa.relaxation import JumpSegments, RelaxedLayer, ResidueSegments, SpikeSegments
from spikecert.models import LIF, Dynamics, mlp
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
