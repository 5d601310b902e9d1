"""The entry points `verify` and `bounds`.

Which verifiers answer for networks of whole numbers, and what "auto" is of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ..models.constants import at_least, unless_none, whole
from ..models.deadline import Figures, Progress, checked_timeout, no_figures, silent, until
from ..models.networks import SpikingNetwork, check_network
from ..models.validation import check_choice, check_inputs, check_weights, plain
from .arithmetic import check_arithmetic
from .attacks import ATTACKS, check_attacked, check_posed
from .bounds.propagation import LogitBounds
from .branching.workers import Helpers
from .network_sets.base import NetworkSet
from .network_sets.deciding import Asked, decide
from .own_draws import CodedImages, coded, own_draws, sample_by_sample
from .perturbations import EventSet, Perturbation, settled_set
from .perturbations.base import check_perturbation
from .problem import Problem
from .questions.classes import as_labels, check_coded, check_property_ties, labels_at, property_goal
from .questions.forms import Property
from .replay import evaluating
from .ties import STRICT, settled_ties
from .verdicts import Unfinished, Verdict, allowance_of, asked_within, beyond, keeping
from .verifiers import VERIFIERS, MarginVerifier, Verifier
from .verifiers.base import clean_failures, decided, objection
from .verifiers.complete import Complete
from .verifiers.enumeration import Enumeration, InputSplitting
from .verifiers.events import EventSplitting
from .verifiers.search import AttackSearch, Ladder
from .verifiers.trains import INTERVAL, TRAINS

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


def verify(
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor | Property,
    perturbation: Perturbation | NetworkSet,
    verifier: str | Verifier = "auto",
    timeout: float | None = None,
    *,
    seed: int = 0,
    ties: str | None = None,
    memory: int | None = None,
    workers: int | Callable[[], int] | None = None,
    progress: Progress = silent,
    figures: Figures = no_figures,
) -> list[Verdict]:
    """Decide whether any allowed perturbation changes a sample's class, or whether a property holds for all.

    "verified" holds for every real input in the set and for the run in the network's own dtype, whatever the
    order of summation; see docs/certification.md. The network is taken in evaluation mode. With encoding "rate" a
    verdict holds for the network's own draws, and its reason says which; where each sample has draws of its own,
    each is decided by itself. With encoding "latency" a `SpikeShift` moves the events of the code, and a
    counterexample is an image whose events come at those steps.

    Args:
        network: any spiking network.
        inputs: (batch, ...), within the perturbation's [lower, upper].
        labels: (batch,) of integers; or a `Property` that is to hold at every allowed input, such as
            `abs(output[0] - sample[0]) <= 0.05`. It says itself what a tie is, `ties` is then None; a verdict's
            margin is a bound of the least, over clauses, of their best inequality.
        perturbation: the threat model, such as `LInf(8 / 255)`; or a set of networks, such as
            `Tolerance(weights=0.05)`: "verified" then holds for all of them, and a falsified verdict has the
            `member` that fails.
        verifier: a name of `VERIFIERS`, such as "trains", "complete" or "auto", or a `Verifier`.
        timeout: seconds for a sample, on average; None for no limit.
        seed: for attacks.
        ties: which function verdicts are about: "argmax" (the lowest index that attains the maximum, as
            torch.argmax takes it: logit_y > logit_k for k < y, and ≥ for k > y), or "strict" (logit_y > logit_k
            for all k ≠ y). None: "argmax" for readout "spikes", whose counts tie often, "strict" for the others.
        memory: bytes that the open nodes and the batches of a search ("complete", "auto") may take; a search that
            needs more leaves its samples unknown. None: about 2 GiB.
        workers: processes that share the search for a hard sample, once it has taken two seconds, or what says how
            many may work now; None: this one alone. They bound nodes as this one would, in another order: a sample
            that is left open may have another margin.
        progress: called after each chunk of samples.
        figures: told how a search stands: "nodes", "open", "memory" in bytes, where it has them "bound" and
            "depth", and with a time limit the seconds "left".

    Returns:
        One `Verdict` per sample. A sample that is misclassified as it is is falsified by itself.

    Raises:
        Unfinished: on Ctrl-C, a KeyboardInterrupt whose `verdicts` say what is proven of each sample by then.
        TypeError, ValueError: for arguments that don't fit, one line each.
    """
    chosen = resolve(verifier)
    check_network(network)
    inputs, labels = plain(inputs=inputs, labels=labels)
    if isinstance(perturbation, NetworkSet):
        question = Asked.of(network, inputs, labels, perturbation, ties, seed)
        return decide(question, chosen, checked_timeout(timeout), progress)
    rest = {"timeout": timeout, "seed": seed, "ties": ties, "memory": memory}
    rest |= {"workers": workers, "figures": figures}
    if own_draws(network, inputs, labels):
        with keeping(verdicts := list[Verdict](), len(inputs), chosen.name, settled_ties(network, ties)):
            for one, at, told in sample_by_sample(network, inputs, progress):
                verdicts += verify(
                    one, inputs[at], labels_at(labels, at), perturbation, chosen, **rest, progress=told
                )
        return verdicts
    if (codes := coded(network, inputs, perturbation)) is not None:
        check_coded(codes.network, codes.events, labels)
        asked = codes.network, codes.events, labels, perturbation, chosen
        try:
            return _pictured(codes, verify(*asked, **rest, progress=progress))
        except Unfinished as stopped:
            raise Unfinished(_pictured(codes, stopped.verdicts)) from None
    made = check_arithmetic(network)
    perturbation = settled_set(network, perturbation)
    if made.whole:
        chosen = on_integers(chosen, perturbation)
    prop = clean = None
    if isinstance(labels, Property):
        check_property_ties(ties)
        check_posed(network, inputs, perturbation)
        asked_labels = as_labels(network, inputs, labels)
        if asked_labels is None:
            prop, labels = answered(labels, chosen), torch.arange(len(inputs), device=inputs.device)
        else:
            labels, ties = asked_labels, STRICT
    if prop is None:
        first = check_attacked(network, inputs, labels, perturbation)
        clean = first if len(inputs) == 1 else None
    inputs = inputs.detach()
    timeout, seed, ties = checked_timeout(timeout), whole("seed", seed), settled_ties(network, ties)
    memory, label = unless_none(at_least(1))("memory", memory), f"certify ({chosen.name})"
    count = workers if callable(workers) else partial(int, unless_none(at_least(1))("workers", workers) or 1)
    verdicts: list[Verdict] = []
    kept = keeping(verdicts, len(inputs), chosen.name, ties)
    with kept, evaluating(network), asked_within(network, inputs, perturbation), Helpers(count) as crew:
        made = replace(made, allowance=allowance_of(network))
        for start in range(0, len(inputs), CHUNK):
            part = slice(start, start + CHUNK)
            deadline = until(timeout, len(inputs[part]))
            told = partial(figures, label)
            asked, rows = labels[part], None
            if prop is not None:
                rows = property_goal(network, inputs[part], prop)
                asked, ties = torch.arange(len(asked), device=asked.device), rows.ties
            asked = network, inputs[part], asked, perturbation, seed, deadline, made, ties
            problem = Problem(*asked, memory=memory, crew=crew, told=told, rows=rows)
            found, interrupted = _decide(problem, chosen, clean)
            check_arithmetic(network)  # progress, figures or workers may have changed what runs
            verdicts += found
            if interrupted:
                raise KeyboardInterrupt
            progress(label, len(verdicts), len(inputs))
    return verdicts


def bounds(
    network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation, verifier: str | Verifier = "trains"
) -> LogitBounds:
    """Return proven ends of each logit over the set around each sample.

    Args:
        network, inputs, perturbation: as in `verify`.
        verifier: one that bounds logits, such as "interval" or "trains".

    Raises:
        TypeError, ValueError: for arguments that don't fit.
        OverflowError: where the run may overflow its dtype.
    """
    chosen = resolve(verifier)
    if not isinstance(chosen, MarginVerifier):
        known = ", ".join(name for name, make in VERIFIERS.items() if isinstance(make(), MarginVerifier))
        raise ValueError(f"verifier: got {chosen.name!r}, expected one that bounds logits: {known}")
    check_perturbation(perturbation)
    check_network(network)
    (inputs,) = plain(inputs=inputs)
    if own_draws(network, inputs):
        each = sample_by_sample(network, inputs, silent)
        return _joined([bounds(one, inputs[at], perturbation, chosen) for one, at, _ in each])
    if (codes := coded(network, inputs, perturbation)) is not None:
        return bounds(codes.network, codes.events, perturbation, chosen)
    check_arithmetic(network)
    perturbation = settled_set(network, perturbation)
    check_inputs(network, inputs)
    check_weights(network)
    perturbation.suits(network)
    perturbation.check(inputs)
    inputs = inputs.detach()
    with evaluating(network), asked_within(network, inputs, perturbation):
        parts = [chosen.logits(network, part, perturbation) for part in inputs.split(CHUNK)]
    return _joined(parts)


def answered(prop: Property, verifier: Verifier) -> Property:
    """Return a property if a verifier answers such questions.

    Raises:
        ValueError: for one that does not, by name.
    """
    if not verifier.asks_rows:
        known = ", ".join(name for name, make in VERIFIERS.items() if make().asks_rows)
        raise ValueError(f"verifier: got {verifier.name!r}, expected one that takes properties: {known}")
    return prop


def _pictured(codes: CodedImages, verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return verdicts about recordings, with images as counterexamples."""
    return [
        replace(verdict, counterexample=codes.image(verdict.counterexample, index))
        for index, verdict in enumerate(verdicts)
    ]


def _joined(parts: list[LogitBounds]) -> LogitBounds:
    return LogitBounds(torch.cat([p.lower for p in parts]), torch.cat([p.upper for p in parts]))


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
    check_choice("verifier", verifier, VERIFIERS)
    return VERIFIERS[verifier]()
