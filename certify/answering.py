"""Verdicts of this process: samples that are posed, chunk by chunk, by the verifier that answers for them.

Which verifiers answer for networks of whole numbers, and what "auto" is of them.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ..files.plugged import is_plugged
from ..models.circuit import Circuit
from ..models.constants import at_least, unless_none, whole
from ..models.deadline import Figures, Progress, checked_timeout, no_figures, silent, until
from ..models.networks import SpikingNetwork
from ..models.validation import check_choice
from .arithmetic import check_arithmetic
from .attacks import ATTACKS
from .branching.workers import Helpers
from .network_sets.base import NetworkSet
from .network_sets.deciding import Asked, decide
from .perturbations import EventSet, Perturbation
from .posed import Posed, posed
from .problem import Problem
from .questions.forms import Property
from .replay import evaluating
from .verdicts import Verdict, allowance_of, asked_within, beyond, keeping
from .verifiers import VERIFIERS, Verifier
from .verifiers.base import clean_failures, decided, objection
from .verifiers.complete import Complete
from .verifiers.enumeration import Enumeration, InputSplitting
from .verifiers.events import EventSplitting
from .verifiers.plugged import plugged_verifier
from .verifiers.search import AttackSearch, Ladder
from .verifiers.trains import INTERVAL, TRAINS

LOG = logging.getLogger(__name__)
KNOWN = '"interval", "trains", "enumeration", "complete" or "auto"'
BOXES = 2**16
"""How many boxes of whole inputs are bounded at most."""


def on_integers(verifier: Verifier, perturbation: Perturbation) -> Verifier:
    """Return what decides whole sets around samples of a network of whole numbers.

    "auto" is bounds, an attack without gradients, and the list of small sets; "complete" splits boxes of whole
    inputs besides.

    Raises:
        ValueError: for a verifier that knows real inputs alone.
    """
    if verifier in (INTERVAL, TRAINS) or isinstance(verifier, Enumeration | EventSplitting | InputSplitting):
        return verifier
    search = AttackSearch(ATTACKS["random-events" if isinstance(perturbation, EventSet) else "square"]())
    if isinstance(verifier, AttackSearch):
        return search if verifier.attack.by_gradient else verifier
    if isinstance(verifier, Complete):
        listed = () if verifier.enumeration is None else (EventSplitting(enumeration=verifier.enumeration),)
        split = () if isinstance(perturbation, EventSet) else (InputSplitting(BOXES),)
        return Ladder((TRAINS, search, *listed, *split), verifier.name)
    if isinstance(verifier, Ladder):
        return Ladder((TRAINS, search, EventSplitting()), verifier.name)
    raise ValueError(f"verifier: got {verifier.name!r}, expected {KNOWN} for a network of whole numbers")


CHUNK = 128
"""Samples decided at once: few enough that a layer's boxes stay in cache, enough to fill the vector units."""


def answers(
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor | Property,
    perturbation: Perturbation | NetworkSet,
    verifier: str | Verifier,
    timeout: float | None,
    *,
    seed: int = 0,
    ties: str | None = None,
    memory: int | None = None,
    workers: int | Callable[[], int] | None = None,
    progress: Progress = silent,
    figures: Figures = no_figures,
) -> list[Verdict]:
    """Return the verdicts of `verify`, found by this process, which others may help with a hard sample.

    Args:
        network, inputs, labels, perturbation, verifier, timeout, seed, ties, memory, progress, figures: as there.
        workers: how many processes may share a hard sample, or what says how many may work now.

    Raises:
        Unfinished, TypeError, ValueError: as there.
    """
    chosen, seconds, seed = resolve(verifier), checked_timeout(timeout), whole("seed", seed)
    if isinstance(perturbation, NetworkSet):
        refuse_of_networks(memory=memory, workers=None if callable(workers) or workers == 1 else workers)
        return decide(Asked.of(network, inputs, labels, perturbation, ties, seed), chosen, seconds, progress)
    asked = posed(network, inputs, labels, perturbation, ties, progress)
    memory = unless_none(at_least(1))("memory", memory)
    verdicts: list[Verdict] = []
    with keeping(verdicts, len(inputs), chosen.name, asked[0].ties), crew_of(workers) as crew:
        for one in asked:
            how = _Asking(one, _answering(one, chosen), seconds, seed, memory, crew, figures)
            how.extend(verdicts)
    return verdicts


def crew_of(workers: int | Callable[[], int] | None) -> Helpers:
    """Return the processes that share a hard sample."""
    if callable(workers):
        return Helpers(workers)
    return Helpers(partial(int, unless_none(at_least(1))("workers", workers) or 1))


def refuse_of_networks(**given: int | None) -> None:
    """Raise ValueError for what searches of one network alone keep to, by name."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name}: got {value} beside a set of networks, expected none")


def _answering(one: Posed, verifier: Verifier) -> Verifier:
    """Return what decides such samples.

    Raises:
        ValueError: for a verifier that does not answer such questions, by name.
    """
    chosen = on_integers(verifier, one.perturbation) if one.made.whole else verifier
    if one.prop is not None:
        check_asks_rows(chosen)
    return chosen


@dataclass(frozen=True, eq=False)
class _Asking:
    """Samples, and how they are decided; as in `verify`."""

    one: Posed
    verifier: Verifier
    timeout: float | None
    seed: int
    memory: int | None
    crew: Helpers
    figures: Figures

    def extend(self, verdicts: list[Verdict]) -> None:
        """Decide the samples, chunk by chunk, and add what is found as soon as it is."""
        one, label, before = self.one, f"certify ({self.verifier.name})", len(verdicts)
        with evaluating(one.network), asked_within(one.network, one.inputs, one.perturbation):
            made = replace(one.made, allowance=allowance_of(one.network))
            for start in range(0, len(one.inputs), CHUNK):
                problem = self._problem(slice(start, start + CHUNK), made, label)
                clean = one.first if len(one.inputs) == 1 and one.prop is None else None
                found, interrupted = _decide(problem, self.verifier, clean)
                check_arithmetic(one.network)  # progress, figures or workers may have changed what runs
                verdicts += [
                    replace(verdict, counterexample=one.counterexample(verdict.counterexample, start + index))
                    for index, verdict in enumerate(found)
                ]
                for place, verdict in enumerate(verdicts[before + start :], start):
                    told = verdict.status, verdict.verifier, verdict.seconds, verdict.reason
                    LOG.info("sample %d: %s by %s in %.3g s: %s", place, *told)
                if interrupted:
                    raise KeyboardInterrupt
                one.progress(label, len(verdicts) - before, len(one.inputs))

    def _problem(self, part: slice, made: Circuit, label: str) -> Problem:
        """Return the problem of some samples."""
        one, rows = self.one, self.one.rows(part)
        labels, ties = one.labels[part], one.ties
        if rows is not None:
            labels, ties = torch.arange(len(labels), device=labels.device), rows.ties
        deadline = until(self.timeout, len(labels))
        asked = one.network, one.inputs[part], labels, one.perturbation, self.seed, deadline, made, ties
        return Problem(*asked, memory=self.memory, crew=self.crew, told=partial(self.figures, label), rows=rows)


def check_asks_rows(verifier: Verifier) -> None:
    """Raise ValueError for a verifier that does not answer for properties, by name."""
    if not verifier.asks_rows:
        known = ", ".join(name for name, make in VERIFIERS.items() if make().asks_rows)
        raise ValueError(f"verifier: got {verifier.name!r}, expected one that takes properties: {known}")


def _decide(problem: Problem, verifier: Verifier, clean: Tensor | None) -> tuple[list[Verdict], bool]:
    """Answer samples that fail unperturbed, hand the rest to the verifier; say whether Ctrl-C cut it short.

    Args:
        clean: their logits unperturbed, where these are known.
    """
    known = clean_failures(problem, verifier.name, clean)
    left = [index for index in range(len(problem.labels)) if index not in known]
    interrupted = False
    if left:
        part = problem.subset(torch.tensor(left, device=problem.labels.device))
        found, interrupted = decided(verifier, part)
        known.update(zip(left, found, strict=True))
    verdicts = [
        _beyond_source(replace(known[index], ties=problem.ties), problem, index)
        for index in range(len(problem.labels))
    ]
    network = problem.network  # an unconfirmed one says that it is, one of a rate code which draws it is about
    draws = f"; for the given draws ({network.draws.name})" if network.encoding == "rate" else ""
    return [replace(each, reason=network.called(f"{each.reason}{draws}")) for each in verdicts], interrupted


def _beyond_source(verdict: Verdict, problem: Problem, index: int) -> Verdict:
    """Return as unknown what the run of a network's source may decide otherwise."""
    if verdict.status == "falsified" and verdict.counterexample is not None:
        told = objection(problem, index, verdict.counterexample)
        return replace(verdict, status="unknown", counterexample=None, reason=told) if told else verdict
    return beyond(verdict, problem.circuit.allowance.least, leads=problem.rows is None)


def resolve(verifier: str | Verifier) -> Verifier:
    """Return the verifier of a name; a verifier is its own.

    Raises:
        ValueError: for a name that is not known.
    """
    if isinstance(verifier, Verifier):
        return verifier
    if is_plugged(verifier):
        return plugged_verifier(verifier)
    check_choice("verifier", verifier, VERIFIERS)
    return VERIFIERS[verifier]()
