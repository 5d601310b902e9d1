"""Attacks, by name, and the entry point `attack`."""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ...files.plugged import failure, is_plugged, plugged
from ...models.constants import at_least, whole
from ...models.deadline import Progress, checked_timeout, ending, passed, silent, until
from ...models.networks import SpikingNetwork
from ...models.validation import check_choice
from ..alike import Named
from ..network_sets.base import NetworkSet
from ..network_sets.deciding import Asked, search_all
from ..perturbations import Perturbation, takes_whole
from ..posed import Posed, posed
from ..questions.classes import own_outputs
from ..questions.forms import Property
from ..questions.rows import RowGoal
from ..replay import evaluating, left_alone
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


def attack_of(method: str | Attack) -> Attack:
    """Return the attack of a name, also "package:name" of another package; an attack is its own.

    Raises:
        ValueError: for a name that is not known.
        TypeError: for what a package adds that is no attack, or one that replays by itself.
    """
    if isinstance(method, Attack):
        return method
    if not is_plugged(method):
        check_choice("method", method, ATTACKS)
        return ATTACKS[method]()
    made = plugged("attacks", method).made()
    if not isinstance(made, Attack) or type(made).__call__ is not Attack.__call__:
        told = f"{method} is {type(made).__name__}, expected a spikecert.certify Attack that proposes, and no more"
        raise TypeError(f"method: {told}")
    return made


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
            `SpikeShift`), "random-events" (for both, as the ensembles are), one of another package as
            "package:name", or an `Attack` such as `PGD(steps=40)`.
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
    if is_plugged(method):
        own = {"seed": seed, "batch_size": batch_size, "ties": ties, "timeout": timeout, "progress": progress}
        try:
            with left_alone(str(method), network, inputs, labels):
                return attack(network, inputs, labels, perturbation, attack_of(method), **own)
        except (LookupError, ArithmeticError, AttributeError, NotImplementedError, SystemExit) as error:
            raise ValueError(f"{method}: its code failed: {failure(error)}") from error
    method = attack_of(method)
    seconds, seed = checked_timeout(timeout), whole("seed", seed)
    batch_size = at_least(1)("batch_size", batch_size)
    if isinstance(perturbation, NetworkSet):
        question = Asked.of(network, inputs, labels, perturbation, ties, seed)
        return search_all(question, method, batch_size, seconds, progress)
    results = [
        _attacked(one, method, seed, batch_size, seconds)
        for one in posed(network, inputs, labels, perturbation, ties, progress, exactly=False)
    ]
    return results[0] if len(results) == 1 else joined(results, method.name, results[0].ties)


def _attacked(one: Posed, method: Attack, seed: int, batch_size: int, seconds: float | None) -> AttackResult:
    if takes_whole(one.network) is not None and method.by_gradient:
        told = "expected one without gradients, which integer neurons have not: square, gaussian or random-events"
        raise ValueError(f"method: got {method.name!r}, {told}")
    if (goal := one.rows()) is not None:
        found = _broken(one, goal, method, seed, seconds)
    else:
        asked = one.network, one.inputs, one.labels, one.perturbation
        found = watched(method, asked, one.ties, seed, batch_size, seconds, one.progress)
    return found if one.codes is None else replace(found, inputs=one.codes.decoded(found.inputs, one.codes.images))


def _broken(one: Posed, goal: RowGoal, method: Attack, seed: int, seconds: float | None) -> AttackResult:
    """Return inputs at which a property fails, with the network's outputs there, run alone."""
    generator, deadline = torch.Generator().manual_seed(seed), until(seconds, len(one.inputs))
    asked = one.inputs, one.labels, one.perturbation, generator, goal
    with evaluating(one.network), ending(deadline):
        found = attacked_rows(method, one.network, *asked, partial(passed, deadline)).by(deadline)
    return replace(found, logits=own_outputs(one.network, found.inputs), ties=goal.ties)


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
