"""Attacks, by name, and the entry point `attack`."""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ...models.constants import at_least, whole
from ...models.deadline import Progress, checked_timeout, ending, passed, silent, until
from ...models.networks import SpikingNetwork, check_network
from ...models.validation import (
    check_choice,
    check_inputs,
    check_labels,
    check_logits,
    check_rivals,
    check_weights,
    plain,
)
from ..alike import Named
from ..network_sets.base import NetworkSet
from ..network_sets.deciding import Asked, search_all
from ..own_draws import coded, own_draws, sample_by_sample
from ..perturbations import Perturbation, settled_set, takes_whole
from ..perturbations.base import check_perturbation
from ..questions.classes import as_labels, check_coded, check_property_ties, labels_at, own_outputs, property_goal
from ..questions.forms import Property
from ..replay import evaluating
from ..ties import STRICT, settled_ties
from .backward import AdaptiveArctan, AdaptiveSharpness, PotentialDependent, RateGradient
from .base import Attack, AttackResult, joined
from .blind import Boundary, Gaussian, Square
from .events.event_changes import EventChanges, ListedEvents, RandomEvents
from .events.greedy import SpikeFlips, SpikeShifts
from .events.published import ProjectedLogits, SparseFlips
from .modules import attack_module, attacked_rows, watched
from .pgd import APGD, FGSM, PGD, SAPGD
from .standard import Ensemble, Guided, quick_ensemble, standard
from .transfer import Expected, Momentum

ATTACKS: dict[str, Named[Attack]] = {
    "fgsm": Named(FGSM, "one step along the sign of the surrogate gradient"),
    "pgd": Named(PGD, "projected gradient steps with random restarts"),
    "pgd-paper": Named(PGD.published, "projected gradient steps from a random start, the last one alone counted"),
    "apgd-ce": Named(
        lambda: APGD(loss="cross-entropy", name="apgd-ce"), "automatic step sizes on the cross-entropy"
    ),
    "apgd-dlr": Named(
        lambda: APGD(loss="dlr", name="apgd-dlr"), "automatic step sizes on the difference of logits"
    ),
    "square": Named(Square, "random squares: no gradient"),
    "gaussian": Named(Gaussian, "random Gaussian noise projected to the ball: no gradient, a weak attack"),
    "sparse-flip": Named(SparseFlips, "few flips that help, those that were needless taken back"),
    "spike-flip": Named(SpikeFlips, "greedy flips of single input spikes, with swaps"),
    "spike-shift": Named(SpikeShifts, "projected gradients over retimed events, then greedy moves, with swaps"),
    "pil": Named(ProjectedLogits, "logits over the moves of events, projected in each step"),
    "event-change": Named(EventChanges, "retimed events, and then flips of the worst that these found"),
    "random-events": Named(RandomEvents, "random changes of events, mixed with the worst so far"),
    "listed-events": Named(ListedEvents, "all members of a small set of events: what is left there has none"),
    "boundary": Named(Boundary, "a walk along the boundary of the decision: no gradient, and no logits"),
    "momentum": Named(Momentum, "momentum over gradients of length 1"),
    "mi-ti-di": Named(
        lambda: Momentum(smoothing=5, diversity=0.5, name="mi-ti-di"),
        "momentum over smoothed gradients at diverse inputs: for what transfers",
    ),
    "eot": Named(Expected, "the mean gradient of a rate code over its draws"),
    "sapgd": Named(SAPGD, "adaptive momentum and a surrogate that follows each neuron"),
    "standard": Named(standard, "the standard attack: all of these and more, in a fixed order; version 4"),
    "guided": Named(Guided, "the inputs to which a proof by branch and bound leads"),
    "ensemble": Named(
        Ensemble, "the worst of many attacks over losses, surrogate gradients and restarts, one without gradients"
    ),
    "ensemble-fast": Named(
        quick_ensemble, "the worst of FGSM, noise, and projected gradients over five surrogates and two losses"
    ),
}


def attack(
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor | Property,
    perturbation: Perturbation | NetworkSet,
    method: str | Attack = "pgd",
    *,
    seed: int = 0,
    batch_size: int = 256,
    ties: str | None = None,
    timeout: float | None = None,
    progress: Progress = silent,
) -> AttackResult:
    """Search the set around each sample for a misclassified input, or for one at which a property fails.

    Args:
        network: any spiking network; it is taken in evaluation mode.
        inputs: (batch, ...), within the perturbation's [lower, upper].
        labels: (batch,) of integers; or a `Property`, as in `verify`.
        perturbation: the threat model; or a set of networks, as in `verify`: members are then sought by the signs
            of their weights' gradients and at corners, whatever the method, which attacks inputs around samples.
        method: "fgsm", "pgd", "pgd-paper" (a random start, 7 steps of .32·ε, the last iterate), "apgd-ce",
            "apgd-dlr", "square", "gaussian", "ensemble" (the worst of all of them over several surrogates),
            "ensemble-fast" (its cheap members), "spike-flip" (for `SpikeFlip`), "spike-shift" (for
            `SpikeShift`), "random-events" (for both, as the ensembles are), or an `Attack` such as
            `PGD(steps=40)`.
        seed: for random starts.
        batch_size: samples attacked at once.
        ties: what a tie between logits is, as in `verify`.
        timeout: seconds for a sample, on average over its batch; None for no limit. What is found by then is kept,
            and `signs.late` counts the samples that were left: `warnings` say so.
        progress: called after each batch.

    Returns:
        For each sample the first misclassified input found, which fails when run alone too, or else the input of
        least margin; all inside their sets, with the network's logits there. Of a set of networks, `networks` are
        the members that these runs are of.

    Raises:
        TypeError, ValueError: for arguments that don't fit, one line each.
    """
    check_network(network)
    inputs, labels = plain(inputs=inputs, labels=labels)
    if not isinstance(method, Attack):
        check_choice("method", method, ATTACKS)
        method = ATTACKS[method]()
    seconds = checked_timeout(timeout)
    if isinstance(perturbation, NetworkSet):
        question = Asked.of(network, inputs, labels, perturbation, ties, seed)
        return search_all(question, method, at_least(1)("batch_size", batch_size), seconds, progress)
    perturbation = settled_set(network, perturbation)
    if takes_whole(network) is not None and method.by_gradient:
        told = "expected one without gradients, which integer neurons have not: square, gaussian or random-events"
        raise ValueError(f"method: got {method.name!r}, {told}")
    given, ties = ties, settled_ties(network, ties)
    if own_draws(network, inputs, labels):
        asked = {"seed": seed, "ties": given, "timeout": seconds}
        results = [
            attack(one, inputs[at], labels_at(labels, at), perturbation, method, **asked, progress=told)
            for one, at, told in sample_by_sample(network, inputs, progress)
        ]
        return joined(results, method.name, results[0].ties)
    if (codes := coded(network, inputs, perturbation)) is not None:
        check_coded(codes.network, codes.events, labels)
        rest = {"seed": seed, "batch_size": batch_size, "ties": given, "timeout": seconds, "progress": progress}
        found = attack(codes.network, codes.events, labels, perturbation, method, **rest)
        return replace(found, inputs=codes.decoded(found.inputs, codes.images))
    if isinstance(labels, Property):
        check_property_ties(given)
        check_posed(network, inputs, perturbation)
        if (classes := as_labels(network, inputs, labels)) is None:
            return _broken(network, inputs, labels, perturbation, method, seed, seconds)
        labels, ties = classes, STRICT
    check_attacked(network, inputs, labels, perturbation)
    asked = network, inputs, labels, perturbation
    return watched(method, asked, ties, seed, batch_size, seconds, progress)


def _broken(
    network: SpikingNetwork, inputs: Tensor, prop: Property, perturbation: Perturbation, method: Attack, seed: int,
    seconds: float | None,
) -> AttackResult:  # fmt: skip
    """Return inputs at which a property fails, with the network's outputs there, run alone."""
    goal, inputs = property_goal(network, inputs.detach(), prop), inputs.detach()
    labels = torch.arange(len(inputs), device=inputs.device)
    generator = torch.Generator().manual_seed(whole("seed", seed))
    asked, deadline = (inputs, labels, perturbation, generator, goal), until(seconds, len(inputs))
    with evaluating(network), ending(deadline):
        found = attacked_rows(method, network, *asked, partial(passed, deadline)).by(deadline)
    return replace(found, logits=own_outputs(network, found.inputs), ties=goal.ties)


def check_attacked(network: SpikingNetwork, inputs: Tensor, labels: Tensor, perturbation: Perturbation) -> Tensor:
    """Return the first sample's logits; raise TypeError or ValueError unless the four ask about a class."""
    logits = first_logits(network, inputs, perturbation)
    check_rivals(logits.shape[1])
    check_labels(labels, len(inputs), logits.shape[1])
    return logits


def check_posed(network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> int:
    """Return a network's number of outputs; raise TypeError or ValueError unless the three belong together."""
    return first_logits(network, inputs, perturbation).shape[1]


def first_logits(network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> Tensor:
    """Return the first sample's logits, (1, classes); raise as `check_posed`."""
    check_perturbation(perturbation)
    if (codes := coded(network, inputs, perturbation)) is not None:
        network, inputs = codes.network, codes.events
    check_inputs(network, inputs)
    check_weights(network)
    perturbation.suits(network)
    perturbation.check(inputs)
    with evaluating(network), torch.no_grad():
        logits = network(inputs[:1])
    check_logits(logits, 1)
    return logits


__all__ = [
    "APGD",
    "ATTACKS",
    "FGSM",
    "PGD",
    "SAPGD",
    "AdaptiveArctan",
    "AdaptiveSharpness",
    "Attack",
    "AttackResult",
    "Boundary",
    "Ensemble",
    "EventChanges",
    "Expected",
    "Gaussian",
    "Guided",
    "Momentum",
    "PotentialDependent",
    "ProjectedLogits",
    "RandomEvents",
    "RateGradient",
    "SparseFlips",
    "SpikeFlips",
    "SpikeShifts",
    "Square",
    "attack",
    "attack_module",
]
