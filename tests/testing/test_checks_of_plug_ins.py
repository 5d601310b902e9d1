"""The suite for verifiers, attacks and sets of others: what is sound passes, each kind of wrong one is refuted."""

import time
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from spikecert.certify import L2, PGD, LInf, PixelBox, SpikeFlip, Verdict
from spikecert.certify.attacks.base import Attack
from spikecert.certify.problem import Problem
from spikecert.certify.verifiers import INTERVAL, TRAINS, Enumeration, Linear, Verifier
from spikecert.testing import Refuted, checks


@pytest.mark.parametrize("made", [INTERVAL, TRAINS, Linear(), Enumeration()], ids=lambda made: made.name)
def test_what_is_sound_passes(made: Verifier) -> None:
    assert checks.verifier(made, 8) > 25


class Wrong(Verifier):
    """Sound but for one thing."""

    name = "wrong"

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def decide(self, problem: Problem) -> list[Verdict]:
        if self.fault == "slow" and len(problem.labels) > 1:
            time.sleep(1)
        asked = problem
        if self.fault == "smaller" and isinstance(problem.perturbation, LInf):
            asked = replace(problem, perturbation=LInf(0.9 * problem.perturbation.epsilon))
        if self.fault == "fewer" and isinstance(problem.perturbation, SpikeFlip):
            asked = replace(problem, perturbation=SpikeFlip(0))
        found = Linear().decide(asked)
        if self.fault == "none":
            return []
        if self.fault == "far":
            return [Verdict("falsified", None, x + 9, self.name, 0.0, "") for x in problem.inputs]
        if self.fault == "pessimist":
            return [Verdict("falsified", None, x, self.name, 0.0, "") for x in problem.inputs]
        return found


@pytest.mark.parametrize("fault", ["smaller", "fewer", "none", "far", "pessimist", "slow"])
def test_each_fault_is_refuted(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LATE", 0.9)
    with pytest.raises(Refuted, match="wrong"):
        checks.verifier(Wrong(fault), 8)


def test_attacks_find_planted_flips_or_say_why_not() -> None:
    assert checks.attack(PGD(steps=20, restarts=2)) > 5

    class Own(PGD):
        def __call__(self, *given: Any, **rest: Any) -> Any:
            return None

    with pytest.raises(Refuted, match="has a __call__ of its own"):
        checks.attack(Own())

    class Nothing(Attack):
        name, accepts = "nothing", (PixelBox,)

        def propose(self, target: Any, generator: torch.Generator) -> Any:
            yield target.inputs

    with pytest.raises(Refuted, match="nothing accepts neither"):
        checks.attack(Nothing())


@dataclass(frozen=True)
class Off(LInf):
    """A ball that breaks its promise in one way."""

    fault: str = ""

    def sample(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        return inputs + 0.5 if self.fault == "sample" else super().sample(inputs, generator)

    def project(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        return candidates if self.fault == "project" else super().project(candidates, inputs)

    def contains(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        found = super().contains(candidates, inputs)
        return found & (candidates != inputs).flatten(1).any(1) if self.fault == "contains" else found

    def enclosure(self, inputs: Tensor) -> Any:
        return LInf(self.epsilon / 2).enclosure(inputs) if self.fault == "enclosure" else super().enclosure(inputs)


def test_sets_are_held_against_their_promise() -> None:
    inputs = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    for made in (LInf(0.1), L2(0.3), Off(0.1)):
        checks.perturbation(made, inputs)
    for fault in ("sample", "project", "contains", "enclosure"):
        with pytest.raises(Refuted, match="Off, whose"):
            checks.perturbation(Off(0.1, fault=fault), inputs)
