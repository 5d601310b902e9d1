"""The ladder of "auto": its order, each rung's share of the time, and what its last rungs are for."""

import time
from dataclasses import dataclass, field

import torch

from spikecert import LIF, LInf, SpikeFlip, SpikingNetwork, Verdict, mlp, verify
from spikecert.certify.attacks.base import Attack, Search, Target
from spikecert.certify.perturbations import RangedSet
from spikecert.certify.problem import Problem
from spikecert.certify.verifiers import VERIFIERS, AttackSearch, Complete, Enumeration, Ladder, Milp, Verifier
from spikecert.models import Residual


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
    assert names[:3] == ["one-move", "listed-loops", "trains"]
    assert "attack" in names
    assert names[-2:] == ["complete", "milp"]
    assert names.index("moves") < names.index("complete")


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
