"""Verdicts by every member of a set of stuck neurons: each is run, and each is bounded as it is."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from ...models.circuit import Circuit, Fired, circuit, fold
from ...models.networks import SpikingNetwork
from ..bounds.propagation import Propagation, input_signal, known_margins
from ..bounds.signals.box import Box
from ..bounds.signals.signals import Signal
from ..bounds.trains.trains import step_spikes, window_spikes
from ..replay import margins, replays
from ..rounding import Rounding
from ..ties import Goal
from ..verdicts import Verdict
from .base import Question
from .faults import Fault, MaskedSpikes, Masks, masks_of, stuck, stuck_member

TOGETHER = 512
"""Members bounded at once."""


@dataclass(frozen=True)
class MaskedPropagation(Propagation):
    """What is known of each signal of members, a row each.

    Attributes:
        masks: of each spiking layer, by the name of its node.
    """

    masks: dict[str, Masks] | None = None

    def fired(self, node: Fired, x: Signal) -> Signal:
        """Return the spikes with the stuck ones in their place."""
        assert self.masks is not None
        return MaskedSpikes(super().fired(node, x), self.masks[node.name])


def member_margins(made: Circuit, box: Box, labels: Tensor, masks: Sequence[Masks], exact: bool) -> Tensor:
    """Return lower bounds of logit_y − logit_c of members, (n, classes); rows of `box` and masks go together.

    Args:
        made: the circuit of the nominal member.
        box: inputs, (n, ...).
        labels: (n,).
        masks: of each spiking layer.
        exact: whether each row of `box` is one input.
    """
    named = {node.name: mask for node, mask in zip(made.fired, masks, strict=True)}
    source = input_signal(made, box)
    spikes = step_spikes if exact else window_spikes
    known = fold(made, MaskedPropagation(source, spikes, Rounding.of(made), masks=named))
    return known_margins(made, known, labels, box.lower)


@torch.no_grad()
def listed(
    question: Question,
    index: int,
    box: Box,
    members: Iterator[tuple[Fault, ...]],
    features: list[torch.Size],
    exact: bool,
) -> Verdict:
    """Return the verdict of one sample by all members of a set.

    Args:
        question: the samples.
        index: of the sample.
        box: holds the inputs around it, (1, ...).
        members: all of them.
        features: of each spiking layer.
        exact: whether `box` is the sample alone.
    """
    started, made = time.perf_counter(), circuit(question.network)
    goal, least, undecided, done = Goal.of(made, question.ties), torch.inf, 0, 0
    sample, label = question.inputs[index], int(question.labels[index])

    def verdict(status: str, margin: float | None, reason: str, member: SpikingNetwork | None = None) -> Verdict:
        seconds, found = time.perf_counter() - started, None if member is None else sample.clone()
        return Verdict(status, margin, found, "enumeration", seconds, reason, question.ties, member)

    while part := list(islice(members, TOGETHER)):
        if question.expired():
            return verdict("unknown", None, f"the time was up after {done} members")
        labels = question.labels[index].expand(len(part))
        low, high = (end.expand(len(part), *end.shape[1:]) for end in (box.lower, box.upper))
        masks, rows = masks_of(part, features, sample), Box(low, high)
        with stuck(question.network, masks) as network:
            failing = margins(network(sample.expand(len(part), *sample.shape)), labels, question.ties) <= 0
        for at in failing.nonzero().flatten().tolist():
            member = stuck_member(question.network, part[at], features)
            if replays(member, sample, label, question.ties):
                return verdict("falsified", None, "one of the set's members fails", member=member)
        lower = goal.tightened(member_margins(made, rows, labels, masks, exact))
        undecided += int((~goal.proven(lower, labels).all(1)).sum())
        least, done = min(least, float(lower.amin())), done + len(part)
    if undecided:
        return verdict("unknown", least, f"the bounds of {undecided} of {done} members do not suffice")
    return verdict("verified", least, f"each of the set's {done} members is proven")
