"""What a verifier, an attack or a set of your own must do before others may use it: run these in your own tests.

::

    from spikecert.testing import checks

    def test_mine():
        checks.verifier(Mine())

Each refutes; none proves. A verifier that passes has called no set "verified" that holds a counterexample which an
attack or the list of all members knows, half of them asked with ties as failures, and has ended with its time.
"""

import time

import torch
from torch import Tensor

from ..certify.attacks.base import Attack
from ..certify.perturbations import Perturbation, SpikeFlip
from ..certify.perturbations.others import confirm_set
from ..certify.problem import Problem
from ..certify.ties import ARGMAX
from ..certify.verdicts import Verdict
from ..certify.verifiers import Enumeration, Verifier
from ..certify.verifiers.plugged import PlantedFlip, planted, planted_questions
from .refuted import Refuted

LIMIT, LATE = 0.2, 5.0
"""Seconds that a question may take, and seconds behind which an answer is late."""


def verifier(made: Verifier, count: int = 24, seed: int = 0) -> int:
    """Ask a verifier about planted flips, listed sets and deadlines; return how many questions there were.

    Args:
        made: the verifier.
        count: networks.
        seed: of all that is drawn.

    Raises:
        Refuted: an AssertionError with the question, for the first wrong answer.
    """
    flips = list(planted(count, seed))
    asked = 0
    for problem in planted_questions(flips, made.asks_rows):
        asked += len(problem.labels)
        if any(one.status == "verified" for one in _answers(made, problem)):
            raise Refuted(f"{made.name} says 'verified' of {problem.perturbation!r}, which holds a counterexample")
    events = {id(flip.network): flip for flip in flips if flip.network.timed}
    for flip in events.values():
        for budget in (0, 1):
            _check_listed(made, flip, SpikeFlip(budget))
            asked += 1
    _check_time(made, flips[0])
    return asked + 1


def _answers(made: Verifier, problem: Problem) -> list[Verdict]:
    found = made.decide(problem)
    if len(found) != len(problem.labels):
        raise Refuted(f"{made.name} gave {len(found)} verdicts, expected {len(problem.labels)}, one a sample")
    for verdict, sample, label in zip(found, problem.inputs, problem.labels, strict=True):
        if verdict.counterexample is not None:
            point = verdict.counterexample[None]
            inside = bool(problem.perturbation.contains(point, sample[None]))
            if not (inside and problem.goal.replays(problem.network, point[0], int(label))):
                raise Refuted(
                    f"{made.name} gave {point}, which is no counterexample within {problem.perturbation!r}"
                )
    return found


def _check_listed(made: Verifier, flip: PlantedFlip, around: SpikeFlip) -> None:
    """Compare with the list of all members, run one by one."""
    with torch.no_grad():
        label = flip.network(flip.sample[None]).argmax(1)
    problem = Problem(flip.network, flip.sample[None], label, around, ties=ARGMAX)
    known, told = Enumeration().decide(problem)[0], _answers(made, problem)[0]
    if {known.status, told.status} == {"verified", "falsified"}:
        raise Refuted(
            f"{made.name} says {told.status!r} of {around!r}, and the list of all members {known.status!r}"
        )


def _check_time(made: Verifier, flip: PlantedFlip) -> None:
    started = time.perf_counter()
    asked = flip.network, flip.sample.expand(64, *flip.sample.shape), flip.label.expand(64), flip.perturbation
    made.decide(Problem(*asked, deadline=started + LIMIT))
    if (took := time.perf_counter() - started) > LATE:
        raise Refuted(f"{made.name} took {took:.1f} s where {LIMIT} were given")


def attack(made: Attack, count: int = 12, seed: int = 0) -> int:
    """Let an attack look for planted flips in the sets that it accepts; return how many it found.

    What it yields is projected and run before it counts, so that it can't be wrong; here it must not fail.

    Raises:
        Refuted: for one that replays by itself, or accepts no set that is known here.
    """
    if type(made).__call__ is not Attack.__call__:
        raise Refuted(f"{made.name} has a __call__ of its own, expected one that proposes, and no more")
    flips = [flip for flip in planted(count, seed) if isinstance(flip.perturbation, made.accepts)]
    if not flips:
        raise Refuted(f"{made.name} accepts neither LInf, L2 nor SpikeFlip")
    generator, found = torch.Generator().manual_seed(seed), 0
    for flip in flips:
        asked = flip.network, flip.sample[None], flip.label[None], flip.perturbation
        found += int(made(*asked, generator, ties=flip.ties).success)
    return found


def perturbation(made: Perturbation, inputs: Tensor) -> None:
    """Draw from a set around samples, and hold it against the promise of `Perturbation`.

    Raises:
        Refuted: where it gives an input that it does not contain or enclose, or not the sample itself.
    """
    made.check(inputs)
    try:
        confirm_set(made, inputs, always=True)
    except ValueError as error:
        raise Refuted(str(error)) from error
