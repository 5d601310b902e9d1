"""Verifiers of other packages: their verdicts under their names, and none before planted flips were found.

A false "verified" is the one thing that no check of a single answer shows. So a plug-in is asked about sets in
which an attack found a flip before its first answer counts, and refused where it calls one of them verified. That
refutes bad ones; it proves none. Their verdicts therefore carry the package's name wherever they go.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from typing import Any

import torch

from ...files.plugged import Plugged, failure, plugged
from ...models.architectures.architectures import mlp
from ...models.deadline import TimeIsUp
from ...models.elements.neurons import LIF
from ...models.networks import SpikingNetwork
from ..attacks import ATTACKS
from ..perturbations import L2, EventSet, LInf, Perturbation, SpikeFlip
from ..problem import Problem
from ..questions.classes import property_goal, robust
from ..replay import left_alone, pull
from ..ties import ARGMAX, STRICT
from ..verdicts import SoundnessError, Unfinished, Verdict
from .base import Verifier, falsified
from .search import AttackSearch

PLANTED = 16
"""Networks, of each of which up to four flips are asked about."""
PATIENCE = 10.0
"""Seconds for each question."""


class PluggedVerifier(Verifier):
    """A verifier of another package.

    Args:
        found: an entry point that names a verifier, or what makes one.

    Raises:
        TypeError: for what is none.
    """

    def __init__(self, found: Plugged) -> None:
        made = found.made()
        if not isinstance(made, Verifier):
            raise TypeError(
                f"verifier: {found.name} is {type(made).__name__}, expected a spikecert.certify Verifier"
            )
        self.inner, self.found, self.name = made, found, found.name
        self.asks_rows = made.asks_rows  # type: ignore[misc] (it is the inner one's)

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return its verdicts, each under its name; counterexamples are run here before they count.

        Raises:
            ValueError: for one that says "verified" of a planted flip, or changes what it is asked about.
            SoundnessError: for one that an attack refutes.
            Unfinished: on Ctrl-C, with those that it has by then and that need no attack.
        """
        confirm(self.name)
        with left_alone(self.name, problem.network, problem.inputs, problem.labels):
            return self._doubted(problem, self._asked(problem))

    def _doubted(self, problem: Problem, found: list[Verdict]) -> list[Verdict]:
        """Return the verdicts; what is said to be verified is attacked here: planted flips are of few kinds.

        Raises:
            SoundnessError: where a run refutes one.
        """
        places = [place for place, one in enumerate(found) if one.status == "verified"]
        part = problem.subset(torch.tensor(places, dtype=torch.long, device=problem.labels.device))
        events = isinstance(problem.perturbation, EventSet)
        name = "ensemble-fast" if not problem.circuit.whole else "random-events" if events else "square"
        for one in AttackSearch(ATTACKS[name]()).decide(part) if places else ():
            if one.status == "falsified":
                raise SoundnessError(f"{self.name} says 'verified' of a set in which {one.reason}")
        return found

    def _asked(self, problem: Problem) -> list[Verdict]:
        started = time.perf_counter()
        try:
            found = self.inner.decide(problem)
        except Unfinished as error:
            left = self._told(problem, list(error.verdicts), started)
            raise Unfinished([_undoubted(one) for one in left]) from None
        except (TimeIsUp, MemoryError):
            raise
        except (Exception, SystemExit) as error:
            told = f"it failed: {failure(error)}"
            found = [Verdict("unknown", None, None, self.name, 0.0, told)] * len(problem.labels)
        return self._told(problem, found, started)

    def _told(self, problem: Problem, found: list[Verdict], started: float) -> list[Verdict]:
        fits = isinstance(found, list) and all(isinstance(one, Verdict) for one in found)
        if not fits or len(found) != len(problem.labels):
            raise TypeError(f"verifier: {self.name} gave no list of {len(problem.labels)} verdicts, one a sample")
        return [self._marked(problem, place, verdict, started) for place, verdict in enumerate(found)]

    def _marked(self, problem: Problem, place: int, verdict: Verdict, started: float) -> Verdict:
        if verdict.status == "falsified":
            if verdict.counterexample is None:
                return replace(verdict, status="unknown", verifier=self.name, reason="it gave no counterexample")
            return falsified(problem, place, verdict.counterexample, self.name, started, verdict.reason)
        said = f"{verdict.reason}; {self.found.does}" if verdict.status == "verified" else verdict.reason
        return replace(verdict, verifier=self.name, counterexample=None, reason=said)


def _undoubted(one: Verdict) -> Verdict:
    """Return a verdict of a run that Ctrl-C ended: there was no time to attack what is said to be verified."""
    told = "it was stopped before an attack could doubt what it says"
    return replace(one, status="unknown", margin=None, reason=told) if one.status == "verified" else one


@cache
def plugged_verifier(name: str) -> PluggedVerifier:
    """Return the verifier of another package under a name `package:name`."""
    return PluggedVerifier(plugged("verifiers", name))


@cache
def confirm(name: str) -> None:
    """Ask a plug-in about sets that hold a counterexample.

    Raises:
        ValueError: where it says that one of them is verified, or changes what it is asked about.
    """
    verifier = plugged_verifier(name)
    for problem in planted_questions(_flips(), verifier.asks_rows):
        with left_alone(name, problem.network, problem.inputs, problem.labels):
            found = verifier._asked(problem)
        if any(verdict.status == "verified" for verdict in found):
            told = f"got 'verified' by {name} of {problem.perturbation!r}, which holds a counterexample"
            raise ValueError(f"verifier: {told}, expected 'falsified' or 'unknown': nothing that it says is used")


@dataclass(frozen=True)
class PlantedFlip:
    """A set that holds an input of another class than the sample's.

    Attributes:
        network, sample, label: whose.
        perturbation: the set.
        counterexample: the input.
        ties: what a tie is.
    """

    network: SpikingNetwork
    sample: torch.Tensor
    label: torch.Tensor
    perturbation: Perturbation
    counterexample: torch.Tensor
    ties: str

    def problem(self) -> Problem:
        """Return the question."""
        asked = self.network, self.sample[None], self.label[None], self.perturbation
        return Problem(*asked, deadline=time.perf_counter() + PATIENCE, ties=self.ties)


@cache
def _flips() -> tuple[PlantedFlip, ...]:
    return tuple(planted())


def planted_questions(flips: Sequence[PlantedFlip], rows: bool) -> Iterator[Problem]:
    """Yield what is asked about flips: of each, and of all samples of a network in the greatest of its sets.

    Args:
        flips: as `planted` yields them.
        rows: whether the property is asked that each class stays, too.
    """
    for flip in flips:
        yield flip.problem()
    for (_, kind), group in groupby(flips, lambda flip: (id(flip.network), type(flip.perturbation))):
        every = list(group)
        samples, labels = (torch.stack([getattr(flip, name) for flip in every]) for name in ("sample", "label"))
        budget = "count" if kind is SpikeFlip else "epsilon"
        make: Any = kind
        around = make(max(getattr(flip.perturbation, budget) for flip in every))
        network, until = every[0].network, time.perf_counter() + PATIENCE
        yield Problem(network, samples, labels, around, deadline=until, ties=every[0].ties)
        if rows:
            goal = property_goal(network, samples, robust())
            places = torch.arange(len(every))
            yield Problem(network, samples, places, around, deadline=until, ties=goal.ties, rows=goal)


def planted(count: int = PLANTED, seed: int = 0) -> Iterator[PlantedFlip]:
    """Yield flips: of balls the least of which an attack's input lies in, and of events.

    Args:
        count: networks: of all resets, of λ = 0 and 1 among others, with images and with events.
        seed: of weights and samples.
    """
    drawn = torch.Generator().manual_seed(seed)
    for place in range(count):
        network = _network(place, drawn)
        samples = (
            torch.rand(4, network.num_steps, 3, generator=drawn).round()
            if network.timed
            else torch.rand(4, 3, generator=drawn)
        ).to(network.dtype)
        with torch.no_grad():
            labels = network(samples).argmax(1)
        sets: tuple[Perturbation, ...] = (SpikeFlip(2),) if network.timed else (LInf(0.3), L2(0.5))
        ties = (STRICT, ARGMAX)[place % 2]
        for around in sets:
            found = ATTACKS["ensemble-fast"]()(network, samples, labels, around, drawn, ties=ties)
            near = found.inputs if network.timed else pull(network, found.inputs, samples, labels, ties)
            for index in found.success.nonzero().flatten().tolist():
                sample, broken = samples[index], near[index]
                least = _least(around, broken, sample)
                if bool(least.contains(broken[None], sample[None])):
                    yield PlantedFlip(network, sample, labels[index], least, broken, ties)


def _network(place: int, drawn: torch.Generator) -> SpikingNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=drawn)))
        neuron = LIF((0.9, 1.0, 0.0, 0.5)[place % 4], 0.5, reset=("zero", "subtract", "none")[place % 3])
        made = mlp((3, 6, 6, 3) if place % 2 else (3, 6, 3), num_steps=2 + place % 3, neuron=neuron)
    encoding, readout = "none" if place % 4 == 3 else "direct", ("mean", "largest")[place % 5 == 4]
    found = SpikingNetwork(*made.layers, num_steps=made.num_steps, encoding=encoding, readout=readout).eval()
    return found.double() if place % 3 == 1 else found


def _least(around: Perturbation, broken: torch.Tensor, sample: torch.Tensor) -> Perturbation:
    """Return a set that is hardly greater than what reaches the input."""
    if isinstance(around, SpikeFlip):
        return SpikeFlip(int((broken != sample).sum()))
    assert isinstance(around, LInf | L2)
    distance = float(around.distance(broken[None].double(), sample[None].double()))
    return type(around)(distance * (1 + 1e-6))
