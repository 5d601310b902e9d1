"""What an attack found."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..alike import Alike
from ..detaching import detach
from ..ties import STRICT


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
        vanished: how many samples had a gradient of exactly 0 where an ensemble began; None if none was asked.
    """

    inputs: Tensor
    success: Tensor
    logits: Tensor
    method: str
    ties: str = STRICT
    members: tuple[Tried, ...] = ()
    vanished: int | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return, in one line each, why the samples that are left may be no more robust than those that fell.

        Gradients that vanish lead nowhere; where an attack without gradients breaks what those with
        gradients before it left, these may be masked (athalye2018obfuscated).
        """
        blind = sum(member.broken for member in self.members if not member.gradient)
        found = []
        if self.vanished:
            told = f"the gradient is exactly 0 at {self.vanished} of {len(self.success)} samples"
            found.append(f"{told}: attacks by it say little there")
        if blind:
            told = f"{blind} samples fell to attacks without gradients, after those before had left them"
            found.append(f"{told}: gradients may be masked")
        return tuple(found)

    def __post_init__(self) -> None:
        detach(self, "inputs", "success", "logits")


def joined(results: list[AttackResult], name: str, ties: str) -> AttackResult:
    """Return the results of batches as one."""
    known = [result.vanished for result in results if result.vanished is not None]
    return AttackResult(
        torch.cat([result.inputs for result in results]),
        torch.cat([result.success for result in results]),
        torch.cat([result.logits for result in results]),
        name,
        ties,
        tuple(_added(result.members for result in results)),
        sum(known) if known else None,
    )


def _added(runs: Iterable[tuple[Tried, ...]]) -> Iterator[Tried]:
    """Yield each member once, with what it did in all runs."""
    found: dict[str, Tried] = {}
    for one in (one for run in runs for one in run):
        old = found.get(one.name, Tried(one.name, 0, 0, one.gradient))
        found[one.name] = replace(old, samples=old.samples + one.samples, broken=old.broken + one.broken)
    yield from found.values()
