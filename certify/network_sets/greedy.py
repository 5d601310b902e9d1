"""Stuck neurons that do most harm, one after another: each next one beside those that are stuck already."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..replay import margins
from .base import Question, Search, Trial
from .faults import Fault, features_of, masks_of, stuck, stuck_member

MOST_TRIED = 2048
"""Faults tried for one neuron of one sample; of more a random choice."""
TOGETHER = 256
"""Members run at once."""
SWAPS = 2
"""How often the neurons found are chosen again, one by one, beside the others."""


def search(count: int, takes: Callable[[int], bool], question: Question, generator: torch.Generator) -> Search:
    """Yield members for one sample at a time.

    Args:
        count: how many neurons may be stuck.
        takes: says of which layers.
        question: the samples.
        generator: chooses faults where there are too many.
    """
    features = features_of(question.network, question.inputs)
    single = [
        Fault(layer, neuron, fires)
        for layer, shape in enumerate(features)
        if takes(layer)
        for neuron in range(shape.numel())
        for fires in (False, True)
    ]
    everyone = torch.arange(len(question.labels), device=question.labels.device)
    for index in range(len(question.labels) if count else 0):
        one = everyone[index : index + 1]
        for faults in _chains(count, single, features, question, index, generator):
            standing, _ = yield Trial(stuck_member(question.network, faults, features), one, close=False)
            if not bool(standing[index]):
                break


def _chains(
    count: int,
    single: list[Fault],
    features: list[torch.Size],
    question: Question,
    index: int,
    generator: torch.Generator,
) -> Iterator[tuple[Fault, ...]]:
    """Yield the worst faults so far: one more each time, and then one of them chosen again."""
    chosen: tuple[Fault, ...] = ()
    for place in range(count * (1 + SWAPS)):
        kept = chosen[1:] if place >= count else chosen
        taken = {(fault.layer, fault.neuron) for fault in kept}
        left = [fault for fault in single if (fault.layer, fault.neuron) not in taken]
        if len(left) > MOST_TRIED:
            left = [left[at] for at in torch.randperm(len(left), generator=generator)[:MOST_TRIED].tolist()]
        if not left:
            return
        members = [(*kept, fault) for fault in left]
        chosen = members[int(_margins(question, index, members, features).argmin())]
        yield chosen


@torch.no_grad()
def _margins(
    question: Question, index: int, members: list[tuple[Fault, ...]], features: list[torch.Size]
) -> Tensor:
    """Return the margin of one sample in each member, (n,)."""
    found = []
    for start in range(0, len(members), TOGETHER):
        part = members[start : start + TOGETHER]
        inputs = question.inputs[index].expand(len(part), *question.inputs.shape[1:])
        labels = question.labels[index].expand(len(part))
        with stuck(question.network, masks_of(part, features, inputs)) as network:
            found.append(margins(network(inputs), labels, question.ties))
    return torch.cat(found).nan_to_num(torch.inf)
