"""Radii: brackets that hold the exact radius, on a line where it is known.

Radii and sets of samples asked about properties: against all flips of small recordings, and points of boxes.
"""

import math
import random
import time
import warnings
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import moves_at_most, robust, targeted, top_k
from spikecert.certify import L2, LInf, Radius, SoundnessError, Tolerance, Verdict, certified_radius, verify
from spikecert.certify.problem import Problem
from spikecert.certify.questions import Property, abstains, inputs, output, sample
from spikecert.certify.questions.described import build_property, describe_property
from spikecert.certify.radii import Bisection, Bracket, Grid, between
from spikecert.certify.replay import pull, replays
from spikecert.certify.verifiers import Verifier
from spikecert.models import LIF, SpikingNetwork, mlp
from spikecert.models.deadline import passed, share
from spikecert.testing import Case, cases
from support.examples import by_night, examples
from support.oracles import line_margin
from support.properties import grid_network, grid_set, holds_at, random_property


def step(threshold: float, classes: int = 2) -> SpikingNetwork:
    """Return a network of one input that says 0 below a threshold and 1 from there on: one neuron, one step."""
    net = mlp((1, 1, classes), num_steps=1, neuron=LIF(decay=0.0, threshold=threshold)).double().eval()
    first, last = net.layers[0], net.layers[-1]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    first.weight.data.fill_(1.0)
    first.bias.data.zero_()
    last.weight.data = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    last.bias.data = torch.tensor([0.5, -0.5], dtype=torch.float64)
    return net


def samples(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def zeros(count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.long)


class Honest(Verifier):
    """Decides `step` networks below a size of set, says "unknown" above it, and keeps what it was asked."""

    name = "honest"

    def __init__(self, threshold: float, most: float = math.inf) -> None:
        self.threshold, self.most = threshold, most
        self.asked: list[tuple[float, int]] = []

    def decide(self, problem: Problem) -> list[Verdict]:
        ball = problem.perturbation
        assert isinstance(ball, LInf)
        self.asked.append((ball.epsilon, len(problem.labels)))
        return [self._verdict(ball.epsilon, value) for value in problem.inputs.flatten().tolist()]

    def _verdict(self, epsilon: float, value: float) -> Verdict:
        if epsilon > self.most:
            return Verdict("unknown", None, None, self.name, 0.0, "too large")
        if value + epsilon >= self.threshold:
            return Verdict("falsified", None, samples(self.threshold)[0], self.name, 0.0, "")
        return Verdict("verified", 1.0, None, self.name, 0.0, "")


@examples(25)
@given(
    cases(features=1, most_width=5, most_steps=4, dtypes=(torch.float64,), encodings=("direct",)),
    st.sampled_from(["linf", "l2"]),
    st.sampled_from(["trains", "linear", "complete"]),
)
def test_the_bracket_holds_the_radius(case: Case, norm: str, verifier: str) -> None:
    """No piece of the line within `lower` fails; a valid point at `upper` does; "complete" leaves no gap."""
    radii = certified_radius(case.network, case.inputs, case.labels, norm, verifier, tolerance=0.01, timeout=20)
    for own, label, radius in zip(case.inputs, case.labels.tolist(), radii, strict=True):
        value = float(own)
        if radius.lower > 0:
            low, high = max(value - radius.lower, 0.0), min(value + radius.lower, 1.0)
            assert line_margin(case.network, low, high, label) > 0
        if radius.counterexample is None:
            assert radius.upper == 1.0
        else:
            assert replays(case.network, radius.counterexample, label, radius.ties)
            assert 0 <= float(radius.counterexample) <= 1
            assert abs(Fraction(float(radius.counterexample)) - Fraction(value)) <= Fraction(radius.upper)
        assert radius.exact == (radius.upper - radius.lower <= 0.01)


@pytest.mark.parametrize(("norm", "ball"), [("linf", LInf), *by_night(("l2", L2))])
def test_the_lower_end_is_what_verify_says(norm: str, ball: type[LInf] | type[L2]) -> None:
    torch.manual_seed(5)
    net = mlp((4, 8, 3), num_steps=4, neuron=LIF(decay=0.9, threshold=0.3)).eval()
    for layer in net.layers:
        if isinstance(layer, nn.Linear):
            layer.weight.data *= 3.0  # so that classes change within the bracket
    inputs = torch.rand(12, 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        labels = net(inputs).argmax(1)
    radii = certified_radius(net, inputs, labels, norm, "trains", tolerance=2**-6)
    assert sum(radius.lower > 0 for radius in radii) > 6
    assert sum(radius.counterexample is not None for radius in radii) > 6
    for index, radius in enumerate(radii):
        one = slice(index, index + 1)
        if radius.lower > 0:
            assert verify(net, inputs[one], labels[one], ball(radius.lower), "trains")[0].status == "verified"
            assert radius.verifier == "trains"
        if radius.counterexample is not None:
            assert bool(ball(radius.upper).contains(radius.counterexample[None], inputs[one]))
            nearer = ball(math.nextafter(radius.upper, 0.0))
            assert not bool(nearer.contains(radius.counterexample[None], inputs[one]))
    again = certified_radius(net, inputs[8:], labels[8:], norm, "trains", tolerance=2**-6)
    assert [(r.lower, r.upper) for r in again] == [(r.lower, r.upper) for r in radii[8:]]


def test_a_complete_verifier_closes_brackets_to_the_tolerance() -> None:
    inputs = samples(0.0, 0.25, 0.4, 0.7)
    radii = certified_radius(step(0.75), inputs, zeros(4), verifier="complete", tolerance=2**-8)
    for radius, exact in zip(radii, (0.75, 0.5, 0.35, 0.05), strict=True):
        assert radius.exact
        assert radius.lower < exact + 1e-12
        assert radius.upper >= exact - 1e-12


def test_misclassified_samples_have_radius_0() -> None:
    inputs = samples(0.9, 0.5)
    wrong, right = certified_radius(step(0.75), inputs, zeros(2), tolerance=0.01)
    assert (wrong.lower, wrong.upper, wrong.exact, wrong.verifier) == (0.0, 0.0, True, None)
    assert wrong.counterexample is not None
    assert wrong.counterexample.equal(inputs[0])
    assert right.lower > 0.2


def test_a_network_that_never_fails_has_the_reach_of_the_range() -> None:
    """The threshold lies beyond the range: the whole range is proven, and 1.0 is asked about itself."""
    (radius,) = certified_radius(step(2.0), samples(0.5), zeros(1), verifier="trains")
    assert radius == Radius(1.0, 1.0, True, None, "trains")
    (shifted,) = certified_radius(step(2.0), samples(0.5), zeros(1), verifier="trains", lower=-1.0, upper=1.0)
    assert (shifted.lower, shifted.upper) == (2.0, 2.0)
    net = mlp((9, 2, 2), num_steps=1).eval()
    for layer in (net.layers[0], net.layers[-1]):
        assert isinstance(layer, nn.Linear)
        layer.weight.data.zero_()
        layer.bias.data = torch.tensor([0.0, -1.0])
    (ball,) = certified_radius(net, torch.rand(1, 9), zeros(1), "l2", "trains")
    assert (ball.lower, ball.upper) == (3.0, 3.0)  # √9


def narrowed(verifier: Honest, inputs: Tensor, steps: int, unknown_is_high: bool = True) -> list[Bracket]:
    """Return the brackets after one pass of a verifier over [0, 1]."""
    net, labels = step(verifier.threshold), zeros(len(inputs))
    bisection = Bisection(
        Grid(1.0, steps),
        lambda index, epsilon, _: verify(net, inputs[index], labels[index], LInf(epsilon), verifier),
        lambda index, found: list(
            zip(found, LInf(0.0).distance(torch.stack(found), inputs[index]).tolist(), strict=True)
        ),
        None,
        unknown_is_high,
        lambda _: None,
    )
    return bisection.run([Bracket(0.0, 1.0)] * len(inputs))


@pytest.mark.parametrize("distance", [0.5, 0.5 + 2**-40, 0.5 - 2**-40, 2**-10, 2**-11, 1.0])
def test_radii_on_and_beside_grid_points(distance: float) -> None:
    """lower < radius ≤ upper, within one step, wherever the radius falls on the grid."""
    (bracket,) = narrowed(Honest(distance), samples(0.0), 2**10)
    assert bracket.lower < distance == bracket.upper
    assert bracket.upper - bracket.lower <= 2**-10
    (radius,) = certified_radius(step(distance), samples(0.0), zeros(1), verifier="complete", tolerance=2**-10)
    assert radius.lower < distance <= radius.upper
    assert radius.exact


def test_samples_that_are_alike_are_asked_together_and_each_radius_once() -> None:
    verifier = Honest(0.75)
    brackets = narrowed(verifier, samples(*[0.25] * 5), 64)
    assert {(bracket.lower, bracket.upper) for bracket in brackets} == {(0.5 - 2**-6, 0.5)}
    assert {count for _, count in verifier.asked} == {5}
    asked = [epsilon for epsilon, _ in verifier.asked]
    assert len(asked) == len(set(asked)) <= 9


@pytest.mark.parametrize("unknown_is_high", [True, False])
def test_what_is_undecided_sends_a_search_for_proofs_down(unknown_is_high: bool) -> None:
    """Undecided beyond 1/4: proofs are sought below that, counterexamples above, and nothing is made up."""
    verifier = Honest(2.0, most=0.25)
    (bracket,) = narrowed(verifier, samples(0.0), 64, unknown_is_high)
    assert (bracket.upper, bracket.counterexample) == (1.0, None)
    asked = [epsilon for epsilon, _ in verifier.asked]
    if unknown_is_high:
        assert bracket.lower == 0.25
        assert min(asked) <= 0.25 < max(asked)
    else:
        assert bracket.lower == 0.0
        assert max(asked) == 1.0


def test_no_time_leaves_valid_brackets() -> None:
    torch.manual_seed(0)
    net = mlp((6, 16, 16, 3), num_steps=6, neuron=LIF(decay=0.9, threshold=0.2)).eval()
    inputs = torch.rand(8, 6)
    with torch.no_grad():
        labels = net(inputs).argmax(1)
    for radius in certified_radius(net, inputs, labels, verifier="complete", timeout=1e-9):
        assert (radius.lower, radius.upper, radius.exact) == (0.0, 1.0, False)


def test_queries_share_the_time_that_is_left() -> None:
    """A query's seconds are those of each of its samples: all of them fit into what is left."""
    asked: list[tuple[int, float]] = []

    def ask(index: list[int], epsilon: float, timeout: float | None) -> list[Verdict]:
        assert timeout is not None
        asked.append((len(index), timeout))
        return [Verdict("verified", 1.0, None, "told", 0.0, "")] * len(index)

    deadline = time.perf_counter() + 1000
    Bisection(Grid(1.0, 15), ask, lambda *_: [], deadline, True, lambda _: None).run([Bracket(0.0, 1.0)] * 3)
    count, seconds = asked[0]
    assert count == 3
    assert seconds == pytest.approx(1000 / (3 * 4), rel=0.01)  # four rounds tell 16 gaps apart
    assert share(deadline, 4) == pytest.approx(250, rel=0.01)


def test_progress_ends_at_the_number_of_samples() -> None:
    told: list[tuple[str, int, int]] = []
    inputs = samples(0.0, 0.25, 0.9)
    certified_radius(step(0.75), inputs, zeros(3), verifier="linear", progress=lambda *what: told.append(what))
    last = {label: (done, total) for label, done, total in told}
    assert last == dict.fromkeys(("radius (trains)", "radius (attack)", "radius (linear)"), (3, 3))


def test_figures_say_what_is_asked_and_how_the_search_stands() -> None:
    told: list[tuple[str, dict[str, float]]] = []
    torch.manual_seed(1)
    network = mlp((8, 24, 24, 3), num_steps=6).eval()
    inputs = torch.rand(2, 8)
    labels = network(inputs).argmax(1)
    asked = {"verifier": "complete", "tolerance": 0.01, "timeout": 20.0}
    certified_radius(network, inputs, labels, **asked, figures=lambda *what: told.append(what))
    assert {label for label, _ in told} == {"radius (trains)", "radius (attack)", "radius (complete)"}
    assert all(0 < values["epsilon"] <= 1.0 and values["asked"] in (1.0, 2.0) for _, values in told)
    searched = [values for label, values in told if "nodes" in values]
    assert searched
    assert all("bound" in values and "open" in values for values in searched)


def test_figures_of_networks_say_the_size() -> None:
    told: list[tuple[str, dict[str, float]]] = []
    network, inputs = step(0.75), samples(0.0, 0.5)
    certified_radius(
        network, inputs, zeros(2), Tolerance(0.1), "trains", 0.25, figures=lambda *what: told.append(what)
    )
    assert told
    assert all(label == "radius (networks)" and values["epsilon"] > 0 for label, values in told)


def test_a_proof_beyond_a_counterexample_is_an_error() -> None:
    """A verifier that lies about a set is caught by the bracket."""
    bracket = Bracket(0.0, 0.5, torch.zeros(1))
    with pytest.raises(SoundnessError, match=r"liar verified ε = 0\.5 and a counterexample was found at 0\.5"):
        bracket.raised(0.5, "liar")
    with pytest.raises(SoundnessError, match=r"found at 0\.2"):
        Bracket(0.25, 1.0, verifier="liar").shrunk(0.2, torch.zeros(1))


def test_no_bracket_is_upside_down() -> None:
    with pytest.raises(ValueError, match=r"lower, upper: got 0\.5, 0\.25"):
        Radius(0.5, 0.25, True, None, None)


@given(st.integers(0, 2**20), st.integers(2, 2**20))
def test_between_is_in_the_middle_half(low: int, width: int) -> None:
    point = between(low, low + width)
    assert low < point < low + width
    assert width / 4 <= point - low <= 3 * width / 4


@given(st.floats(0, 3), st.floats(1e-6, 1.0))
def test_grid_points_enclose_a_radius(radius: float, tolerance: float) -> None:
    grid = Grid.of(3.0, tolerance)
    low, high = grid.below(radius), grid.above(radius)
    assert grid.radius(low) <= radius <= grid.radius(high)
    assert high - low <= 1
    assert grid.radius(1) <= tolerance
    assert Fraction(grid.radius(low)) == Fraction(3) * low / grid.size


def test_shares_of_the_time_are_of_what_is_left() -> None:
    assert share(None, 3) is None
    assert share(math.inf, 3) == math.inf
    assert passed(0.0)
    assert not passed(None)


@examples(60)
@given(st.integers(0, 2**31), st.sampled_from([torch.float32, torch.float64]), st.sampled_from([1e-3, 1.0, 1e3]))
def test_distances_are_the_least_that_contain(seed: int, dtype: torch.dtype, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    inputs = (scale * torch.rand(3, 5, generator=generator)).to(dtype)
    others = (scale * torch.rand(3, 5, generator=generator)).to(dtype)
    for kind in (LInf, L2):
        for index, distance in enumerate(kind(0.0, -1e4, 1e4).distance(others, inputs).tolist()):
            one = slice(index, index + 1)
            ball = kind(distance, -1e4, 1e4)
            assert bool(ball.contains(others[one], inputs[one]))
            nearer = replace(ball, epsilon=math.nextafter(distance, 0.0))
            assert not bool(nearer.contains(others[one], inputs[one]))


def test_the_distance_to_itself_is_0() -> None:
    inputs = torch.rand(2, 3)
    assert LInf(1.0).distance(inputs, inputs).tolist() == [0.0, 0.0]
    assert L2(1.0).distance(inputs, inputs).tolist() == [0.0, 0.0]


def test_counterexamples_are_pulled_to_the_edge() -> None:
    inputs, counterexamples = samples(0.0, 0.5), samples(1.0, 0.75)
    with torch.no_grad():
        pulled = pull(step(0.75), counterexamples, inputs, zeros(2), "strict")
    assert 0.75 <= float(pulled[0]) < 0.751
    assert float(pulled[1]) == 0.75


SEEDS = st.integers(0, 2**31)


def question(seed: int, events: bool):
    """Return a random network, a sample and a property, whose inputs are events or not."""
    draw = random.Random(seed)
    while True:
        network = grid_network(draw)
        x, threat = grid_set(network, draw)
        if isinstance(threat, LInf) != events and x.numel() <= 8:
            with torch.no_grad():
                own = network(x)[0]
            return network, x, own, random_property(own, x[0], draw), draw


@given(seed=SEEDS)
@examples(25)
def test_radii_of_flips_are_those_of_all_recordings(seed: int):
    network, x, own, prop, _ = question(seed, events=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (found,) = certified_radius(network, x, prop, "l0", "enumeration")
    size, least = x.numel(), None
    for count in range(size + 1):
        for places in combinations(range(size), count):
            other = x.clone()
            other.view(-1)[list(places)] = 1 - other.view(-1)[list(places)]
            with torch.no_grad():
                if not holds_at(prop, network(other)[0], own, other[0]):
                    least = count
        if least is not None:
            break
    if least is None:
        assert found.counterexample is None
        return
    assert found.lower < max(least, 1)
    assert found.upper >= least
    if found.exact:
        assert found.upper == least
    if found.counterexample is not None:
        with torch.no_grad():
            assert not holds_at(prop, network(found.counterexample[None])[0], own, found.counterexample)
        assert float((found.counterexample != x[0]).sum()) <= found.upper


@given(seed=SEEDS)
@examples(12)
def test_no_point_of_a_proven_box_breaks_the_property(seed: int):
    network, x, own, prop, draw = question(seed, events=False)
    (found,) = certified_radius(network, x, prop, "linf", draw.choice(("trains", "complete")), 0.05, timeout=10)
    if found.counterexample is not None:
        with torch.no_grad():
            assert not holds_at(prop, network(found.counterexample[None])[0], own, found.counterexample)
        assert float((found.counterexample - x[0]).abs().max()) <= found.upper
    if found.lower > 0:
        far = found.lower * (2 * torch.rand(200, *x.shape[1:]) - 1).sign()
        for point in (x + far).clamp(0, 1):
            near = x[0] + (point - x[0]).clamp(-found.lower * (1 - 1e-6), found.lower * (1 - 1e-6))
            with torch.no_grad():
                assert holds_at(prop, network(near[None])[0], own, near)


def test_what_fails_as_it_is_has_radius_0_and_what_never_fails_the_range():
    torch.manual_seed(0)
    network, x = mlp((3, 8, 2), 4).eval(), torch.rand(3, 3)
    for found in certified_radius(network, x, output[0] <= -100.0):
        assert (found.lower, found.upper, found.exact) == (0.0, 0.0, True)
    for found in certified_radius(network, x, abs(output[0]) <= 100.0):
        assert (found.lower, found.upper, found.counterexample) == (1.0, 1.0, None)
    with torch.no_grad():
        labels = network(x).argmax(1)
    asked = certified_radius(network, x, robust(), verifier="complete", tolerance=0.02)
    told = certified_radius(network, x, labels, verifier="complete", tolerance=0.02, ties="strict")
    assert [(one.lower, one.upper) for one in asked] == [(one.lower, one.upper) for one in told]


@dataclass(frozen=True)
class Mine(Property):
    def clauses(self, own):
        return moves_at_most(0.5).clauses(own)


PROPERTIES = (
    robust(),
    robust(1),
    targeted(0),
    top_k(1),
    top_k(1, 0),
    moves_at_most(0.1),
    moves_at_most(0.1, 1),
    abstains(0.25),
    (output[0] - 0.1 * inputs[2] <= sample[0] + 0.3) & ((output[1] > -2) | (output[0] < 3)),
)


@pytest.mark.parametrize("prop", PROPERTIES, ids=str)
def test_a_described_property_says_the_same(prop: Property):
    again = build_property(describe_property(prop))
    assert again.clauses((0.25, 0.5)) == prop.clauses((0.25, 0.5))
    assert type(again) is type(prop)


def test_a_set_is_decided_by_workers_as_by_verify_and_goes_on_from_its_folder(tmp_path: Path):
    torch.manual_seed(0)
    network, x, threat = mlp((3, 8, 2), 4).eval(), torch.rand(7, 3), LInf(0.2)
    prop = moves_at_most(0.15) & (output[0] - 0.1 * inputs[0] <= 5.0)
    wanted = verify(network, x, prop, threat, "complete")
    assert {verdict.status for verdict in wanted} == {"verified", "falsified"}
    for _ in range(2):  # decided, and read again
        found = verify(network, x, prop, threat, "complete", workers=2, batch=3, resume=tmp_path)
        assert [one.status for one in found] == [one.status for one in wanted]
        assert {one.ties for one in found} == {"argmax"}
    with pytest.raises(ValueError, match=r"^resume: "):
        verify(network, x, moves_at_most(0.16), threat, "complete", workers=1, batch=3, resume=tmp_path)
    same = verify(network, x, robust(), threat, "trains", workers=1, engine="local")
    assert [one.status for one in same] == [one.status for one in verify(network, x, robust(), threat, "trains")]


def test_what_can_not_be_asked_is_refused():
    network, x = mlp((3, 8, 2), 4).eval(), torch.rand(2, 3)
    with pytest.raises(TypeError, match=r"^property: got Mine, expected one that other processes know"):
        verify(network, x, Mine(), LInf(0.1), engine="local")
    for ask in (
        lambda **rest: verify(network, x, moves_at_most(0.1), LInf(0.1), **rest, engine="local"),
        lambda **rest: certified_radius(network, x, moves_at_most(0.1), **rest),
    ):
        with pytest.raises(ValueError, match=r"^verifier: got 'gain', expected one that takes properties"):
            ask(verifier="gain")
        with pytest.raises(ValueError, match=r"^ties: got 'strict' beside a property"):
            ask(ties="strict")
    with pytest.raises(ValueError, match=r"^property: got outputs\[5\]"):
        certified_radius(network, x, output[5] <= 1.0)


def test_a_property_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="kind: got 'some', expected one of all, any"):
        build_property({"kind": "some", "parts": []})


@pytest.mark.parametrize("verifier", ["milp", *by_night("auto")])
def test_nothing_may_move_where_no_spike_can_change(verifier: str):
    """All spikes are decided: the program has no rows."""
    made = mlp((4, 5, 3), num_steps=2).eval()
    made.layers[0].weight.data.zero_()  # pyright: ignore
    inputs = torch.rand(2, 4)
    for delta, status in ((0.0, "unknown"), (0.01, "verified")):  # what does not move rounds
        found = verify(made, inputs, moves_at_most(delta), LInf(0.1), verifier)
        assert [one.status for one in found] == [status] * 2
