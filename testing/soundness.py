"""Does a verifier ever say something that is not so?"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..certify.answering import resolve
from ..certify.perturbations import Perturbation
from ..certify.replay import evaluating, margins, replays
from ..certify.ties import settled_ties
from ..certify.verdicts import Verdict
from ..certify.verification import bounds, verify
from ..certify.verifiers import MarginVerifier, Verifier
from ..models.networks import SpikingNetwork
from .cases import candidates, own_labels
from .claims.code import repeatable
from .refuted import Refuted


@dataclass(frozen=True)
class Soundness:
    """What held: how many samples had each verdict, and how many inputs were run for each of them."""

    verified: int
    falsified: int
    unknown: int
    tried: int


@dataclass(frozen=True)
class _LeastMargins:
    """The least margin that was seen of each sample, (batch,), and the input that has it, (batch, ...)."""

    margin: Tensor
    input: Tensor


@repeatable
def check_sound(
    network: SpikingNetwork,
    inputs: Tensor,
    perturbation: Perturbation,
    verifier: str | Verifier = "auto",
    *,
    labels: Tensor | None = None,
    count: int = 24,
    timeout: float | None = None,
    seed: int = 0,
    ties: str | None = None,
) -> Soundness:
    """Check a verifier's verdicts, margins and bounds against inputs that are run.

    No allowed input may be misclassified where the verdict is "verified", none may have a margin below the proven
    one, no logit may leave its bounds, and each counterexample must be allowed and misclassified when run alone.
    The inputs are each sample itself, `count` random ones, half as many extreme ones, and one that an attack
    finds. What is not found may still exist: a check that passes proves nothing.

    Args:
        network: any network; its own dtype and evaluation mode are used.
        inputs: (batch, ...), valid for the perturbation.
        perturbation: the threat model.
        verifier: a name, or a `Verifier` of your own.
        labels: (batch,); default: the network's own answers.
        count: random inputs for each sample.
        timeout: seconds for a sample, for the verifier.
        seed: of random inputs and attacks.
        ties: what a tie between logits is, as in `verify`.

    Raises:
        Refuted: with the sample, the verifier, and as `witness` the input.
        TypeError, ValueError: as `verify`.

    >>> from spikecert import LInf, mlp
    >>> check_sound(mlp((4, 8, 2)).eval(), torch.rand(3, 4), LInf(0.0), "trains").tried
    38
    """
    with evaluating(network):
        labels = own_labels(network, inputs, labels)
        ties = settled_ties(network, ties)
        verdicts = verify(network, inputs, labels, perturbation, verifier, timeout, seed=seed, ties=ties)
        tried = list(candidates(network, inputs, labels, perturbation, count, seed, ties))
        worst = _worst(network, tried, labels, ties)
        name = resolve(verifier).name
        for index, verdict in enumerate(verdicts):
            _check_margin(verdict, worst, index, f"{name!r}, sample {index}, {perturbation}")
            _check_counterexample(network, verdict, inputs, labels, perturbation, index)
        _check_logits(network, inputs, tried, perturbation, verifier)
    return _count(verdicts, len(tried))


@torch.no_grad()
def _worst(network: SpikingNetwork, tried: Sequence[Tensor], labels: Tensor, ties: str) -> _LeastMargins:
    found = torch.stack([margins(network(batch).double(), labels, ties) for batch in tried])
    least = found.min(0)
    inputs = [tried[which][index] for index, which in enumerate(least.indices.tolist())]
    return _LeastMargins(least.values, torch.stack(inputs))


def _check_margin(verdict: Verdict, worst: _LeastMargins, index: int, where: str) -> None:
    """A margin of at most 0 refutes "verified"; one below the proven margin refutes that."""
    margin = float(worst.margin[index])
    if verdict.status == "verified" and margin <= 0:
        raise Refuted(f"{where}: verified, but an allowed input has margin {margin:.6g}", worst.input[index])
    if verdict.margin is not None and margin < verdict.margin:
        claim = f"proved margin {verdict.margin:.6g}"
        raise Refuted(f"{where}: {claim}, but an allowed input has {margin:.6g}", worst.input[index])


def _check_counterexample(
    network: SpikingNetwork,
    verdict: Verdict,
    inputs: Tensor,
    labels: Tensor,
    perturbation: Perturbation,
    index: int,
) -> None:
    counterexample = verdict.counterexample
    if counterexample is None:
        return
    where = f"{verdict.verifier!r}, sample {index}, {perturbation}: its counterexample"
    if not bool(perturbation.contains(counterexample[None], inputs[index : index + 1])):
        raise Refuted(f"{where} is not allowed", counterexample)
    if not replays(network, counterexample, int(labels[index]), verdict.ties):
        raise Refuted(f"{where} is classified right when run alone", counterexample)


@torch.no_grad()
def _check_logits(
    network: SpikingNetwork,
    inputs: Tensor,
    tried: Sequence[Tensor],
    perturbation: Perturbation,
    verifier: str | Verifier,
) -> None:
    """Compare each logit with its bounds, for verifiers that have some."""
    if not isinstance(resolve(verifier), MarginVerifier):
        return
    proven = bounds(network, inputs, perturbation, verifier)
    for batch in tried:
        logits = network(batch).double()
        escaped = ((logits < proven.lower) | (logits > proven.upper)).any(1).nonzero().flatten().tolist()
        if escaped:
            where = f"{resolve(verifier).name!r}, sample {escaped[0]}, {perturbation}"
            raise Refuted(f"{where}: a logit of an allowed input leaves its bounds", batch[escaped[0]])


def _count(verdicts: Sequence[Verdict], tried: int) -> Soundness:
    statuses = [verdict.status for verdict in verdicts]
    return Soundness(statuses.count("verified"), statuses.count("falsified"), statuses.count("unknown"), tried)
