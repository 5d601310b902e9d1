"""What an attack found."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ...models.deadline import passed
from ...models.networks import SpikingNetwork
from ..alike import Alike
from ..detaching import detach
from ..ties import STRICT
from .signs import Signs, summed


@dataclass(frozen=True)
class Tried:
    """What one member of an ensemble did.

    Attributes:
        name: of the member: its method, loss and gradient.
        samples: that stood before it; broken: those of them that it broke.
        gradient: whether it goes by gradients of the network itself.
    """

    name: str
    samples: int
    broken: int
    gradient: bool = True


@dataclass(frozen=True, eq=False)
class AttackResult(Alike):
    """Attacked inputs; none of the tensors requires a gradient.

    Attributes:
        inputs: the worst allowed input found for each sample, (batch, ...); the sample itself if none is worse.
        success: whether it is misclassified, (batch,) of bool.
        logits: the network's logits there, (batch, classes).
        method: the attack's name.
        ties: what a tie between logits is, "argmax" or "strict".
        members: of an ensemble, in the order in which they ran.
        signs: what says that the samples that are left may be no more robust than those that fell.
        unanswered: the places of samples that had an output of NaN at an input that was tried.
        networks: of a set of networks, the member that was worst for each sample, None for the nominal one.
    """

    inputs: Tensor
    success: Tensor
    logits: Tensor
    method: str
    ties: str = STRICT
    members: tuple[Tried, ...] = ()
    signs: Signs = field(default_factory=Signs)
    unanswered: frozenset[int] = frozenset()
    networks: tuple[SpikingNetwork | None, ...] = field(default=(), compare=False, repr=False)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return the signs in words, one line each, with what helps."""
        return self.signs.told

    def __post_init__(self) -> None:
        detach(self, "inputs", "success", "logits")

    def by(self, deadline: float | None) -> "AttackResult":
        """Return the same, which says of samples that are left whether the time was up."""
        late = int((~self.success).sum()) if passed(deadline) else 0
        return replace(self, signs=replace(self.signs, samples=len(self.success), late=late))


def joined(results: Sequence[AttackResult], name: str, ties: str) -> AttackResult:
    """Return the results of batches as one, with what their members and their samples say together."""
    members = tuple(_added(result.members for result in results))
    blind = sum(member.broken for member in members if not member.gradient)
    starts = [sum(len(result.success) for result in results[:place]) for place in range(len(results))]
    unanswered = {start + at for start, result in zip(starts, results, strict=True) for at in result.unanswered}
    signs = summed(result.signs for result in results)
    return AttackResult(
        torch.cat([result.inputs for result in results]),
        torch.cat([result.success for result in results]),
        torch.cat([result.logits for result in results]),
        name,
        ties,
        members,
        replace(signs, blind=blind, unanswered=len(unanswered)),
        frozenset(unanswered),
    )


def _added(runs: Iterable[tuple[Tried, ...]]) -> Iterator[Tried]:
    """Yield each member once, with what it did in all runs."""
    found: dict[str, Tried] = {}
    for one in (one for run in runs for one in run):
        old = found.get(one.name, Tried(one.name, 0, 0, one.gradient))
        found[one.name] = replace(old, samples=old.samples + one.samples, broken=old.broken + one.broken)
    yield from found.values()
