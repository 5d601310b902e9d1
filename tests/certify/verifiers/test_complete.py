"""Every kind of neuron and readout is decided: against lists of members, dense samples and other searches.

Ceilings of priced bounds: no prices exceed them, and searches that end by them lose no proof.

The ladder of "auto": its order, each rung's share of the time, and what its last rungs are for.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import LIF, OneSpikeLIF, SpikingNetwork, Verdict
from spikecert.certify import L2, LInf, SpikeFlip, verify
from spikecert.certify.attacks.base import Attack, Search, Target
from spikecert.certify.bounds.prices import price_search
from spikecert.certify.bounds.prices import price_search as mixtures
from spikecert.certify.bounds.prices.price_search import PriceSearch, ceilings
from spikecert.certify.bounds.prices.priced_layer import PricedGraph
from spikecert.certify.bounds.prices.prices import PricedProblem, Specifications
from spikecert.certify.bounds.prices.stages import staged
from spikecert.certify.milp.encoding import encode
from spikecert.certify.milp.program import Closing
from spikecert.certify.milp.search import ProgramSearch
from spikecert.certify.milp.solver import ProgramTree
from spikecert.certify.perturbations import Perturbation, RangedSet
from spikecert.certify.problem import Problem
from spikecert.certify.replay import fails, margins
from spikecert.certify.ties import Goal
from spikecert.certify.verdicts import Unfinished
from spikecert.certify.verifiers import (
    VERIFIERS,
    AttackSearch,
    Complete,
    Enumeration,
    Ladder,
    Linear,
    Milp,
    Verifier,
)
from spikecert.certify.verifiers.enumeration import InputSplitting
from spikecert.models import Residual, mlp
from spikecert.models.circuit import circuit
from spikecert.testing import Case, cases
from support.element_kinds import KINDS, RADIUS, Kind, samples
from support.examples import examples
from support.milp import reaches
from support.oracles import every_flip

SEARCHED = Complete(enumeration=None)
REACHED = (
    *("LIF", "LIF, subtracting", "DLIF", "Synapse", "Residual", "MaxPool1d of spikes", 'encoding "rate"'),
    *('readout "spikes"', 'readout "potential"', 'readout "summed"'),
)
"""What branching reaches."""
BEYOND = [kind for kind in KINDS if kind.decides == "complete" and kind.name not in REACHED]
"""What it decides all the same. Of whole numbers it splits boxes: tests/certify/integers."""
EACH = pytest.mark.parametrize("kind", BEYOND, ids=lambda kind: kind.name)


def is_sound(found: Verdict, runs: torch.Tensor, label: int, ties: str) -> None:
    """Hold a verdict against runs of members of its set, (N, classes)."""
    labels = torch.full((len(runs),), label)
    if found.status == "verified":
        assert not bool(fails(runs, labels, ties).any())
    if found.margin is not None:
        assert found.margin <= float(margins(runs, labels).min()) + 1e-12


def test_what_is_left_of_a_box_stays_open():
    """Two neurons cross their thresholds at one point: bounds take them as two, in each box that holds it."""
    dense, last = nn.Linear(1, 2), nn.Linear(2, 2)
    with torch.no_grad():
        dense.weight.fill_(1.0)
        dense.bias.fill_(0.37)
        last.weight.copy_(torch.eye(2))
        last.bias.copy_(torch.tensor([0.5, 0.0]))
    network = SpikingNetwork(dense, LIF(0.5), last, num_steps=1).double()
    inputs, label = torch.full((1, 1), 0.6, dtype=torch.float64), torch.tensor([0])
    (near,) = verify(network, inputs, label, LInf(0.2), Complete(split="inputs"))
    assert near.status == "unknown"
    assert "boxes leave parts of the set open" in near.reason
    (far,) = verify(network, inputs + 0.3, label, LInf(0.2), Complete(split="inputs"))
    assert far.status == "verified"


def test_boxes_that_were_not_bounded_stay_open():
    """Of two inputs, with few boxes allowed, or time for few: the whole set is decided, or nothing is verified."""
    torch.manual_seed(0)
    network = mlp((2, 12, 8, 3), num_steps=4, neuron=LIF(0.9)).double().eval()
    for layer in network.layers[::2]:
        layer.weight.data *= 3.0  # pyright: ignore[reportOperatorIssue]
    inputs = torch.rand(8, 2, dtype=torch.float64)
    around = (inputs + 0.1 * (2 * torch.rand(400, 8, 2, dtype=torch.float64) - 1)).clamp(0, 1)
    with torch.no_grad():
        runs, labels = network(around.flatten(0, 1)).view(400, 8, 3), network(inputs).argmax(1)
    decided = []
    for splitting in (InputSplitting(1), InputSplitting(40), InputSplitting(2**17)):
        found = verify(network, inputs, labels, LInf(0.1), splitting)
        decided.append(sum(verdict.status != "unknown" for verdict in found))
        for index, verdict in enumerate(found):
            is_sound(verdict, runs[:, index], int(labels[index]), verdict.ties)
            assert verdict.status != "unknown" or "boxes leave parts of the set open" in verdict.reason
    assert decided[0] < decided[2]
    late = verify(network, inputs, labels, LInf(0.1), InputSplitting(), timeout=1e-9)
    assert {verdict.status for verdict in late} <= {"unknown"}


@EACH
def test_what_trains_leaves_open_is_decided_and_no_sampled_run_escapes(kind: Kind):
    network = kind.network()
    inputs, labels = samples(network)
    before, found = (verify(network, inputs, labels, LInf(RADIUS), name) for name in ("trains", SEARCHED))
    assert {"unknown", "verified"} == {verdict.status for verdict in before}
    assert {verdict.status for verdict in found} <= {"verified", "falsified"}
    assert {verdict.verifier for verdict in found} == {"complete"}
    generator = torch.Generator().manual_seed(3)
    for verdict, sample, label in zip(found, inputs, labels.tolist(), strict=True):
        around = sample + RADIUS * (2 * torch.rand(400, 3, generator=generator) - 1).double()
        with torch.no_grad():
            is_sound(verdict, network(around.clamp(0, 1)), label, verdict.ties)


def test_flipped_events_are_decided_as_their_list_says():
    """Weights on a grid of halves, where potentials lie on thresholds and logits tie, and others."""
    told = []
    for kind, grid in product(BEYOND, (False, True)):
        network = kind.network(encoding="none")
        if grid:
            for parameter in network.parameters():
                parameter.data = (parameter * 2).round() / 2
        inputs, labels = samples(network, 1, events=True)
        verdicts = verify(network, inputs, labels, SpikeFlip(1), SEARCHED)
        for sample, label, found in zip(inputs, labels.tolist(), verdicts, strict=True):
            with torch.no_grad():
                runs = network(every_flip(sample, 1))
            exact = bool(fails(runs, torch.full((len(runs),), label), found.ties).any())
            is_sound(found, runs, label, found.ties)
            assert found.status != "falsified" or exact
            assert grid or found.status == ("falsified" if exact else "verified"), kind.name
            told.append(found.status)
    assert min(map(told.count, ("verified", "falsified"))) >= 6
    assert told.count("unknown") <= 5, "a tie that is a matter of rounding may stay open"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "kind", [k for k in KINDS if "first" in k.name or "largest" in k.name], ids=lambda k: k.name
)
def test_every_run_is_a_point_of_the_program(kind: Kind, dtype: torch.dtype):
    for seed, events in product(range(2), (False, True)):
        network = kind.network(seed, encoding="none" if events else "direct").to(dtype)
        inputs, _ = samples(network, 1, events)
        threat = SpikeFlip(1) if events else LInf(0.25)
        closed = encode(circuit(network), threat.enclosure(inputs), Closing(closed=True))
        drawn = threat.sample(inputs, torch.Generator().manual_seed(seed))
        for candidate in every_flip(inputs[0], 1)[::5] if events else drawn:
            with torch.no_grad():
                wanted = network(candidate[None])[0].double().numpy()
            assert reaches(closed, candidate[None], wanted)


def test_rounding_of_potentials_that_are_read_is_paid():
    """Spikes themselves are summed: no affine layer pays. 0.1 added up 40 times is off by more than a unit."""
    layers = nn.Linear(1, 2), LIF(0.5), LIF(0.9, reset="none")
    layers[0].weight.data.fill_(5.0)  # neurons that surely are silent pay for nothing
    made = circuit(SpikingNetwork(*layers, num_steps=40, readout="potential").eval())
    box = LInf(0.1).enclosure(torch.full((1, 1), 0.5))
    assert float(encode(made, box, Closing(closed=True)).slack.min()) > 40 * 2.0**-24


def test_ties_of_first_spikes_fall_to_the_label():
    """Class 1 fires at the step of class 2 or before: it is the argmax, and no strict one."""
    first = nn.Linear(1, 3, bias=False)
    first.weight.data = torch.tensor([[0.1], [2.25], [2.0]])
    network = SpikingNetwork(first, OneSpikeLIF(0.5), num_steps=3, readout="first").eval()
    inputs, labels = torch.full((1, 1), 0.6), torch.ones(1, dtype=torch.long)
    (kept,) = verify(network, inputs, labels, LInf(0.25), Milp())
    assert (kept.status, kept.margin) == ("verified", 0.0)
    assert verify(network, inputs, labels, LInf(0.25), Milp(), ties="strict")[0].status == "falsified"
    goal = Goal.of(circuit(network), "argmax")
    assert goal.tightened(torch.tensor([-0.9, -1.0, 0.1, 1.0])).tolist()[0:2] == [0.0, -1.0]


class Interrupted:
    """A search of one sample that Ctrl-C ends at the second one."""

    def __init__(self) -> None:
        self.turns, self.margin = 0, ProgramSearch.margin

    def __call__(self, search: ProgramSearch, others: list[int]) -> float:
        self.turns += search.counterexample is None and len(search.seen) == 1
        if self.turns > 1:
            raise KeyboardInterrupt
        return self.margin(search, others)


def test_ctrl_c_keeps_what_the_programs_decided(monkeypatch: pytest.MonkeyPatch):
    network = next(kind for kind in KINDS if kind.name == "Recurrent").network()
    inputs, labels = samples(network)
    whole = verify(network, inputs, labels, LInf(RADIUS), "complete")
    stop = Interrupted()
    monkeypatch.setattr(ProgramSearch, "margin", lambda search, others: stop(search, others))
    with pytest.raises(Unfinished) as told:
        verify(network, inputs, labels, LInf(RADIUS), "complete")
    found = told.value.verdicts
    assert [verdict.verifier for verdict in found] == ["complete"] * 4
    assert [verdict.status for verdict in found] == ["verified", "unknown", "verified", "verified"]
    assert found[0] == whole[0]
    assert found[1].reason == "it was interrupted"
    assert found[1].margin is not None


def test_trees_are_small_tell_how_they_stand_and_end_where_their_room_does():
    """Ten neurons a layer that fire once: to split the integer that is the least whole took 361 programs."""
    generator, figures = torch.Generator().manual_seed(20), list[Mapping[str, float]]()
    layers = nn.Linear(5, 10), OneSpikeLIF(0.9), nn.Linear(10, 10), OneSpikeLIF(0.9), nn.Linear(10, 3)
    network = SpikingNetwork(*layers, num_steps=4).double().eval()
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, generator=generator)
            nn.init.normal_(layer.bias, std=0.3, generator=generator)
    inputs = torch.rand(1, 5, generator=generator).double()
    closed = encode(circuit(network), LInf(0.08).enclosure(inputs), Closing(closed=True))
    label = int(network(inputs).argmax())
    margin = closed.logits.taken(np.array([label])) - closed.logits.taken(np.array([0]))
    tree = ProgramTree(closed.model, margin, 1e-4, None, told=figures.append)
    assert tree.proven() > 1e-4
    assert 40 < tree.solved <= 180
    assert {"bound", "nodes", "open", "memory"} == set(figures[-1])
    assert max(told["open"] for told in figures) > 3
    room = int(max(told["memory"] for told in figures))
    assert ProgramTree(closed.model, margin, 1e-4, None, room=room).proven() > 1e-4
    assert ProgramTree(closed.model, margin, 1e-4, None, room=room // 2).proven() == -np.inf


CLIMB = PriceSearch(25)


def problem_of(net: SpikingNetwork, inputs: Tensor, labels: Tensor, threat: Perturbation) -> PricedProblem | None:
    """Return the margins to every class, priced; None where prices reach nothing."""
    stages = staged(circuit(net), threat.enclosure(inputs), sums=True)
    if stages is None or not all(stage.priceable for stage in stages.stages):
        return None
    classes = net(inputs).shape[1]
    rows = torch.arange(len(labels)).repeat_interleave(classes)
    coefficients = -torch.eye(classes, dtype=torch.float64).repeat(len(labels), 1)
    ones = torch.ones(len(rows), 1).double()
    return PricedProblem.of(stages, Specifications(rows, coefficients.scatter_add_(1, labels[rows, None], ones)))


def check_no_prices_exceed(problem: PricedProblem, seed: int) -> Tensor:
    """Ask at prices of 0, drawn ones of three sizes, and those that a search finds; return the ceilings."""
    found, generator = ceilings(problem), torch.Generator().manual_seed(seed)
    for size in (0.0, 0.01, 0.1, 1.0):
        prices = [torch.randn(layer.start().shape, generator=generator).double() for layer in problem.layers]
        assert bool((problem.evaluate([size * price for price in prices]).bound <= found).all())
    climbed = CLIMB.run(problem.network, problem.specifications, target=torch.inf)
    assert bool((climbed.bound <= found).all())
    return found


@examples(80)
@given(case=cases(most_layers=4, most_steps=5), seed=st.integers(0, 2**31))
def test_no_prices_exceed_a_ceiling(case: Case, seed: int):
    problem = problem_of(case.network, case.inputs, case.labels, LInf(case.epsilon))
    if problem is not None:
        check_no_prices_exceed(problem, seed)


def tight(seed: int, reset: str = "zero", decay: float = 0.9, steps: int = 6) -> SpikingNetwork:
    """Return a network whose neurons fire about every third step."""
    torch.manual_seed(seed)
    return mlp((5, 10, 8, 8, 3), num_steps=steps, neuron=LIF(decay, 0.25, reset)).eval()


@pytest.mark.parametrize("decay", [0.5, 0.9, 1.0])
@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("epsilon", [0.0, 0.02, 0.3])
def test_no_climb_exceeds_a_ceiling(decay: float, steps: int, epsilon: float):
    below = 0
    for seed in range(2):
        net = tight(seed, decay=decay, steps=steps)
        inputs = torch.rand(4, 5, generator=torch.Generator().manual_seed(seed))
        problem = problem_of(net, inputs, net(inputs).argmax(1), LInf(epsilon))
        assert problem is not None
        found = check_no_prices_exceed(problem, seed)
        assert bool(found.isfinite().all())
        below += int((found < 0).sum())
    assert below > 0 or epsilon < 0.1


@pytest.mark.parametrize("threat", [L2(0.3), LInf(0.1)])
def test_sets_that_are_more_than_boxes_have_ceilings_too(threat: Perturbation):
    net, inputs = tight(0), torch.rand(4, 5, generator=torch.Generator().manual_seed(0))
    problem = problem_of(net, inputs, net(inputs).argmax(1), threat)
    assert problem is not None
    check_no_prices_exceed(problem, 0)


def test_the_point_of_a_budget_of_flips_is_the_sample():
    """The middle of the box of all flips lies far outside of a budget of one flip: what it says is no ceiling."""
    for seed in range(3):
        torch.manual_seed(seed)
        net = SpikingNetwork(*mlp((5, 10, 8, 3), neuron=LIF(0.9, 0.3)).layers, num_steps=4, encoding="none").eval()
        events = (torch.rand(4, 3, 5) < 0.4).float().transpose(0, 1).contiguous()
        problem = problem_of(net, events, net(events).argmax(1), SpikeFlip(1))
        assert problem is not None
        found = check_no_prices_exceed(problem, seed)
        assert bool(found.isfinite().all())


def test_layers_without_a_graph_have_none():
    for net in (tight(0, "subtract"), mlp((5, 8, 3), num_steps=4).eval()):
        inputs = torch.rand(2, 5)
        problem = problem_of(net, inputs, net(inputs).argmax(1), LInf(0.1))
        assert problem is not None
        assert bool(ceilings(problem).isinf().all())


def test_no_proof_is_lost_and_much_of_the_search_is_spared(monkeypatch: pytest.MonkeyPatch):
    """The same verdicts as without ceilings, from narrowing too; margins of open samples may be lower."""
    evaluated = [0]
    evaluate = PricedProblem.evaluate

    def counted(problem: PricedProblem, prices: list[Tensor]):
        evaluated[0] += len(problem.specifications.samples)
        return evaluate(problem, prices)

    monkeypatch.setattr(PricedProblem, "evaluate", counted)
    spared = asked = 0
    for seed in range(2):
        torch.manual_seed(seed)
        net = mlp((6, 16, 16, 16, 16, 16, 3), num_steps=4, neuron=LIF(0.9, 0.2)).eval()
        inputs = torch.rand(8, 6, generator=torch.Generator().manual_seed(seed))
        labels = net(inputs).argmax(1)
        for epsilon in (0.005, 0.05, 0.2):
            evaluated[0] = 0
            found = verify(net, inputs, labels, LInf(epsilon), "linear")
            spared -= evaluated[0]
            with monkeypatch.context() as patch:
                patch.setattr(
                    price_search,
                    "ceilings",
                    lambda asked: torch.full((len(asked.specifications.samples),), torch.inf),
                )
                evaluated[0] = 0
                whole = verify(net, inputs, labels, LInf(epsilon), "linear")
            spared, asked = spared + evaluated[0], asked + evaluated[0]
            assert [one.status for one in found] == [one.status for one in whole]
            for one, other in zip(found, whole, strict=True):
                assert one.margin is not None
                assert other.margin is not None
                assert one.margin <= other.margin + 1e-9 or one.status == "verified"
    assert spared > asked / 4


def test_what_is_useful_follows_narrowing():
    known = torch.tensor([-8.0, -1.0, 0.0], dtype=torch.float64)
    for verifier in (Linear(), Linear(narrowing=None)):
        assert verifier._useful(known).tolist() == pytest.approx([-3.0, -0.375, 0.0])


def test_a_current_that_the_graph_does_not_admit_is_no_point():
    """A run that leaves its window since the last spike, or fires where no edge is, is told."""
    net, inputs = tight(0), torch.rand(2, 5, generator=torch.Generator().manual_seed(0))
    problem = problem_of(net, inputs, net(inputs).argmax(1), LInf(0.05))
    assert problem is not None
    layer = problem.layers[0]
    graph, rule = layer.priced.trains, layer.stage.rule
    assert isinstance(graph, PricedGraph)
    middle = (graph.lower + graph.upper) / 2
    trains, found = mixtures._runs(graph, rule, torch.stack((middle, graph.upper + 1.0, graph.lower - 1.0)))
    assert bool(found[0].any())
    assert not bool(found[1:].any())
    assert trains.shape == (3, *middle.shape)


@dataclass(frozen=True)
class Slow(Verifier):
    """Takes all the time that it is given, and notes it."""

    name: str = "slow"
    given: list[float] = field(default_factory=list)

    def decide(self, problem: Problem) -> list[Verdict]:
        """Wait until the time is up."""
        assert problem.deadline is not None
        self.given.append(problem.deadline - time.perf_counter())
        while not problem.expired():
            time.sleep(0.01)
        return [Verdict("unknown", None, None, self.name, 0.0, "slow") for _ in problem.labels]


@dataclass(frozen=True)
class Quick(Slow):
    """Gives up at once."""

    def decide(self, problem: Problem) -> list[Verdict]:
        """Note the time that is given, and return."""
        assert problem.deadline is not None
        self.given.append(problem.deadline - time.perf_counter())
        return [Verdict("unknown", None, None, self.name, 0.0, "quick") for _ in problem.labels]


@dataclass(frozen=True)
class Endless(Attack):
    """Proposes the samples themselves for ever."""

    name: str = "endless"
    accepts = (RangedSet,)

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield what never fails."""
        while True:
            yield target.inputs


def lively(network: SpikingNetwork) -> SpikingNetwork:
    """Return the network with three times its weights, whose bounds leave much open."""
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            parameter.data *= 3.0
    return network.eval()


def network() -> SpikingNetwork:
    torch.manual_seed(0)
    return lively(mlp((3, 5, 2), num_steps=3, neuron=LIF(decay=0.9)))


def asked(rungs: tuple[Verifier, ...], timeout: float) -> float:
    """Return the seconds that a ladder took for one sample."""
    inputs, made = torch.rand(1, 3), network()
    started = time.perf_counter()
    verify(made, inputs, made(inputs).argmax(1), LInf(0.1), Ladder(rungs), timeout)
    return time.perf_counter() - started


def test_no_rung_takes_the_time_of_another():
    rungs = (Slow(given=[]), Slow(given=[]), Slow(given=[]))
    seconds = asked(rungs, 0.9)
    shares = [rung.given[0] for rung in rungs]
    assert all(abs(share - 0.3) < 0.15 for share in shares), shares
    assert seconds < 1.5


def test_what_a_rung_leaves_goes_to_those_behind():
    quick, slow = Quick(given=[]), Slow(given=[])
    asked((quick, slow), 0.6)
    assert quick.given[0] < 0.35
    assert slow.given[0] > 0.5


def test_an_attack_ends_with_its_share():
    slow = Slow(given=[])
    seconds = asked((AttackSearch(Endless()), slow), 0.6)
    assert slow.given[0] > 0.1
    assert seconds < 1.5


def rungs() -> tuple[Verifier, ...]:
    ladder = VERIFIERS["auto"]()
    assert isinstance(ladder, Ladder)
    return ladder.rungs


def without_attacks() -> Ladder:
    """Return the ladder of "auto" but for its attacks, which take longest here."""
    return Ladder(tuple(rung for rung in rungs() if not isinstance(rung, AttackSearch)))


def test_a_bound_comes_before_each_attack_and_what_is_trusted_most_before_highs():
    names = [rung.name for rung in rungs()]
    assert names[:4] == ["one-change", "listed-loops", "trains", "listed"]
    assert "attack" in names
    assert names[-2:] == ["complete", "milp"]
    assert names.index("events") < names.index("complete")


def test_auto_reaches_milp_where_branching_does_not_apply():
    """The sum carries the input past the first spikes, so that deciding these decides nothing."""
    torch.manual_seed(1)
    block = Residual([torch.nn.Linear(4, 4), LIF(decay=0.9)])
    made = lively(SpikingNetwork(block, LIF(decay=0.9, threshold=0.7), torch.nn.Linear(4, 3), num_steps=3))
    inputs = torch.rand(8, 4)[3:6]
    with torch.no_grad():
        labels = made(inputs).argmax(1)
    complete = verify(made, inputs, labels, LInf(0.1), Complete(programs=None))
    assert any("does not reach" in verdict.reason for verdict in complete)
    found = verify(made, inputs, labels, LInf(0.1), without_attacks())
    assert "unknown" not in {verdict.status for verdict in found}
    assert "milp" in {verdict.verifier for verdict in found}


def test_auto_enumerates_before_it_searches():
    torch.manual_seed(0)
    made = lively(mlp((4, 5, 3), num_steps=12, neuron=LIF(decay=0.9), encoding="none"))
    events = (torch.rand(6, 12, 4) < 0.3).float()
    with torch.no_grad():
        labels = made(events).argmax(1)
    found = verify(made, events, labels, SpikeFlip(2), without_attacks(), timeout=20.0)
    assert {verdict.verifier for verdict in found} <= {"trains", "linear", "enumeration"}
    assert "enumeration" in {verdict.verifier for verdict in found}


def test_without_a_deadline_patience_bounds_the_programs():
    made, inputs = network(), torch.rand(8, 3)
    labels = made(inputs).argmax(1)
    found = verify(made, inputs, labels, LInf(0.2), Milp(patience=10))
    left = [verdict.reason for verdict in found if verdict.status == "unknown"]
    assert left
    assert all("above the 10 that are solved without a time limit" in reason for reason in left)
    assert all(
        "without a time limit" not in verdict.reason
        for verdict in verify(made, inputs, labels, LInf(0.2), Milp(patience=10), timeout=20.0)
    )
    assert Enumeration(patience=0).decide(Problem(made, inputs, labels, LInf(0.5)))[0].status == "unknown"
