"""Search a set of networks for a member that misclassifies: whatever is found is replayed as it is handed out."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...models.networks import SpikingNetwork
from ..attacks.base import Attack
from ..attacks.result import AttackResult
from ..replay import margins, replays
from .base import NetworkSet, Question, Trial

DRAWS = 2
"""Inputs drawn around each sample for a member that is not attacked."""


@dataclass
class _WorstMember:
    """The worst run of each sample so far."""

    inputs: Tensor
    logits: Tensor
    margins: Tensor
    networks: list[SpikingNetwork | None] = field(default_factory=list)

    @property
    def standing(self) -> Tensor:
        return ~(self.margins <= 0)


def attacked(
    networks: NetworkSet,
    question: Question,
    method: Attack,
    generator: torch.Generator,
) -> AttackResult:
    """Return the worst member and input that was found for each sample.

    Args:
        networks: the set.
        question: the samples.
        method: what attacks inputs around the samples, where the set has any.
        generator: for whatever is drawn.
    """
    with torch.no_grad():
        logits = question.network(question.inputs)
    found = margins(logits, question.labels, question.ties)
    open_margins = torch.where(found <= 0, torch.finfo(found.dtype).tiny, found)  # until what fails was replayed
    worst = _WorstMember(question.inputs.clone(), logits, open_margins, [None] * len(found))
    for index in (found <= 0).nonzero().flatten().tolist():
        one = torch.tensor([index], device=question.labels.device)
        _keep(worst, Trial(question.network, one), question.inputs[one], question)
    search = networks.propose(question, generator)
    trial = None if question.expired() else next(search, None)
    while trial is not None and bool(worst.standing.any()) and not question.expired():
        standing = trial.samples[worst.standing[trial.samples]]
        if len(standing):
            one = Trial(trial.member, standing, trial.close)
            for candidates in _candidates(networks, one, question, method, generator):
                _keep(worst, one, candidates, question)
        try:
            trial = search.send((worst.standing, worst.margins))
        except StopIteration:
            break
    return AttackResult(
        worst.inputs, ~worst.standing, worst.logits, method.name, question.ties, networks=tuple(worst.networks)
    )


def _candidates(
    networks: NetworkSet, trial: Trial, question: Question, method: Attack, generator: torch.Generator
) -> list[Tensor]:
    """Return inputs to run a member on: the samples, and some around them."""
    inputs, labels = question.inputs[trial.samples], question.labels[trial.samples]
    if networks.around is None:
        return [inputs]
    drawn = [networks.around.project(networks.around.sample(inputs, generator), inputs) for _ in range(DRAWS)]
    if not trial.close:
        return [inputs, *drawn]
    result = method(
        trial.member, inputs, labels, networks.around, generator, expired=question.expired, ties=question.ties
    )
    return [inputs, result.inputs, *drawn]


@torch.no_grad()
def _keep(worst: _WorstMember, trial: Trial, candidates: Tensor, question: Question) -> None:
    """Run a member, and keep what is worse; what fails counts once it has failed alone and in a batch."""
    labels = question.labels[trial.samples]
    logits = trial.member(candidates)
    found = margins(logits, labels, question.ties)
    for row in (found <= 0).nonzero().flatten().tolist():
        if not replays(trial.member, candidates[row], int(labels[row]), question.ties):
            found[row] = torch.finfo(found.dtype).tiny
    better = found < worst.margins[trial.samples]
    better |= (found <= 0) & worst.standing[trial.samples]
    for row in better.nonzero().flatten().tolist():
        index = int(trial.samples[row])
        worst.inputs[index], worst.logits[index] = candidates[row], logits[row]
        worst.margins[index], worst.networks[index] = found[row], trial.member
