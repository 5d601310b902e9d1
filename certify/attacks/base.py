"""What every attack shares: it proposes, and the base class projects, re-evaluates and keeps the worst.

What an attack found.

Checks of attacks' settings: one line that names the setting, what came and what was expected.

The worst points that a search has seen, by its own account.

What of an attack says that the samples it left may be less robust than they seem, in words with a cure.
"""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import ClassVar

import torch
from torch import Tensor

from ...models.constants import real
from ...models.deadline import LATE, Expired, TimeIsUp, never, passed
from ...models.dynamics import Surrogate
from ...models.networks import SpikingNetwork
from ...models.validation import check_choice
from ..alike import Alike, detach
from ..perturbations import EventSet, Perturbation, RangedSet, SpikeFlip, SpikeShift
from ..perturbations.others import projected
from ..replay import evaluating, margins
from ..ties import STRICT
from .backward import Backward
from .gradients import LOSSES

READ = 'read a proof beside it, and ask method "standard", which has wider surrogates, where another was asked'


@dataclass(frozen=True)
class Signs:
    """Counts of samples, but `alike` of inputs.

    Attributes:
        samples: attacked in all.
        wrong: of them fail as they are: nothing is tried on them, and they count as broken.
        still: have no other input in their sets, as far as was looked: the budget is 0, or below the resolution of
            numbers.
        vanished: have a gradient of exactly 0; None where no gradient was asked for.
        odd: have a gradient that holds NaN or inf.
        unanswered: had an output of NaN at an input that was tried.
        blind: fell to attacks without gradients, after those with gradients before had left them.
        alike: inputs over the whole range at which the output was the same; 0 where it differed.
        late: are left by a search that a time limit ended.
    """

    samples: int = 0
    wrong: int = 0
    still: int = 0
    vanished: int | None = None
    odd: int = 0
    unanswered: int = 0
    blind: int = 0
    alike: int = 0
    late: int = 0

    @property
    def told(self) -> tuple[str, ...]:
        """Return one line for each sign: what is so, and what helps.

        Gradients that vanish lead nowhere; where an attack without gradients breaks what those with gradients
        before it left, these may be masked (athalye2018obfuscated).
        """
        left = f"of {self.samples - self.wrong} samples"
        cure = "" if self.samples > self.wrong else "; look at labels, scales and the order of classes"
        lines = (
            (
                self.wrong,
                f"{self.wrong} of {self.samples} samples fail as they are: they count as broken, and nothing is "
                f"tried on them{cure}",
            ),
            (
                self.alike,
                f"the output is the same at all {self.alike} inputs looked at, over the whole range: what is left "
                "is no robustness; look at the weights, and whether the module reads its input",
            ),
            (
                self.still,
                f"no other input lies in the sets of {self.still} {left}, as far as their dtype tells numbers "
                "apart: that they are left says nothing; choose a greater budget",
            ),
            (
                self.vanished,
                f"the gradient is exactly 0 at {self.vanished} {left}: attacks by it say little there; {READ}",
            ),
            (
                self.odd,
                f"the gradient is NaN or infinite at {self.odd} {left}: attacks by it go at random there; look "
                "for huge weights or a surrogate that divides by 0, and attack without gradients too",
            ),
            (
                self.unanswered,
                f"the output is NaN at inputs tried on {self.unanswered} {left}: these inputs count neither way; "
                "look for weights whose sums overflow",
            ),
            (
                self.blind,
                f"{self.blind} samples fell to attacks without gradients, after those before had left them: "
                f"gradients may be masked; {READ}",
            ),
            (self.late, f"{LATE} with {self.late} of {self.samples} samples left: more time may break them"),
        )
        return tuple(line for count, line in lines if count)


def summed(signs: Iterable[Signs]) -> Signs:
    """Return the counts of several batches; the output is alike only where it is in all of them."""
    known = list(signs)
    gradients = [one.vanished for one in known if one.vanished is not None]
    counted = (field.name for field in fields(Signs) if field.name not in ("vanished", "alike"))
    return Signs(
        **{name: sum(getattr(one, name) for one in known) for name in counted},
        vanished=sum(gradients) if gradients else None,
        alike=sum(one.alike for one in known) if all(one.alike for one in known) else 0,
    )


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


Search = Generator[Tensor, Tensor, None]
"""Yields candidates, one per sample; is sent which samples still stand, (batch,) of bool."""


EXPECTED: dict[type[Perturbation], str] = {
    RangedSet: "LInf, L2 or PixelBox",
    EventSet: "SpikeFlip or SpikeShift",
}
"""How errors name sets that are not to be made themselves."""


@dataclass
class SearchNotes:
    """What a search tells of itself: see `AttackResult`."""

    members: list[Tried] = field(default_factory=list)
    unanswered: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Target:
    """What is attacked: the network in evaluation mode, the samples, the set around each.

    `ties` says whether a tie that falls to the label is a failure. `starts` holds the worst allowed inputs that
    earlier attacks found, or None: a local search begins there. `expired` says whether the time is up: the search
    ends with the next candidates that it yields. `notes` takes what is to be told of the search.
    """

    network: SpikingNetwork
    inputs: Tensor
    labels: Tensor
    perturbation: Perturbation
    ties: str
    starts: Tensor | None = None
    expired: Expired = never
    notes: SearchNotes = field(default_factory=SearchNotes)

    @property
    def everyone(self) -> Tensor:
        """Return a mask of all samples."""
        return torch.ones(len(self.labels), dtype=torch.bool, device=self.labels.device)

    @property
    def real_set(self) -> RangedSet:
        """Return the perturbation of an attack that accepts real-valued sets only."""
        assert isinstance(self.perturbation, RangedSet)
        return self.perturbation

    @property
    def flips(self) -> SpikeFlip:
        """Return the perturbation of an attack that accepts flips only."""
        assert isinstance(self.perturbation, SpikeFlip)
        return self.perturbation

    @property
    def shifts(self) -> SpikeShift:
        """Return the perturbation of an attack that accepts shifts only."""
        assert isinstance(self.perturbation, SpikeShift)
        return self.perturbation


class Attack(ABC):
    """Searches for misclassified inputs. A concrete attack writes only `propose`, and need not be careful:
    what it yields is projected into the set and run through the real network before it counts."""

    name: str
    accepts: ClassVar[tuple[type[Perturbation], ...]] = (RangedSet,)
    by_gradient: ClassVar[bool] = True
    """Whether it goes by gradients of the network itself."""
    foreign: ClassVar[bool] = True
    """Whether it needs no more of a network than to run it and to go back through it."""

    @property
    def told(self) -> str:
        """Return the name, and what else tells it from others of its kind: loss, rank, gradient."""
        loss, surrogate = getattr(self, "loss", None), getattr(self, "surrogate", None)
        aimed = f"rank {rank}" if (rank := getattr(self, "rank", None)) is not None else loss
        parts = [self.name, *([aimed] if aimed else []), *([repr(surrogate)] if surrogate is not None else [])]
        return ", ".join(parts)

    @abstractmethod
    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield candidates, one per sample each, with the shape of target.inputs.

        Each `yield` returns the mask of the samples that still stand; the others need no more attention.
        """

    def __call__(
        self,
        network: SpikingNetwork,
        inputs: Tensor,
        labels: Tensor,
        perturbation: Perturbation,
        generator: torch.Generator,
        starts: Tensor | None = None,
        expired: Expired = never,
        ties: str = STRICT,
    ) -> AttackResult:
        """Return the candidate of least margin for each sample, or the first that failed.

        Args:
            network, inputs, labels, perturbation: as in `attack`.
            generator: for whatever is drawn.
            starts: allowed inputs to begin at, for those attacks that search locally, or None.
            expired: says whether the time is up.
            ties: what a tie between logits is, "argmax" or "strict".

        Raises:
            TypeError: for a threat model that this attack is not about.
        """
        if not isinstance(perturbation, self.accepts):
            told = " or ".join(EXPECTED.get(kind, kind.__name__) for kind in self.accepts)
            got = type(perturbation).__name__
            raise TypeError(f"perturbation: got {got}, expected {told} for the attack {self.name!r}")
        with evaluating(network):
            target = Target(network, inputs, labels, perturbation, ties, starts, expired)
            worst = _Worst.start(target)
            if bool(worst.standing.any()):
                _drive(self.propose(target, generator), target, worst)
        notes = target.notes
        told = tuple(notes.members), Signs(len(labels), worst.wrong), frozenset(notes.unanswered)
        return AttackResult(worst.inputs, ~worst.standing, worst.logits, self.name, ties, *told)


def _drive(search: Search, target: Target, worst: "_Worst") -> None:
    """Run a search until it ends, no sample stands or the time is up."""
    with suppress(StopIteration, TimeIsUp):
        worst.consider(target, next(search))
        while bool(worst.standing.any()) and not target.expired():
            worst.consider(target, search.send(worst.standing))


@dataclass
class _Worst:
    """The worst allowed input found so far."""

    inputs: Tensor
    logits: Tensor
    margins: Tensor
    wrong: int = 0

    @property
    def standing(self) -> Tensor:
        return self.margins > 0

    @staticmethod
    @torch.no_grad()
    def start(target: Target) -> "_Worst":
        """Start from the samples as they are."""
        logits, found = _replayed(target, target.inputs, target.labels)
        return _Worst(target.inputs.clone(), logits, found, int((~(found > 0)).sum()))

    @torch.no_grad()
    def consider(self, target: Target, candidates: Tensor) -> None:
        """Move candidates into the set, run them, and keep those that are worse than what is known."""
        index = self.standing.nonzero().flatten()
        chosen, samples = candidates.detach()[index], target.inputs[index]
        allowed = projected(target.perturbation, torch.where(chosen.isnan(), samples, chosen), samples)
        logits, found = _replayed(target, allowed, target.labels[index])
        target.notes.unanswered.update(index[found.isnan()].tolist())
        better = found < self.margins[index]
        changed = index[better]
        self.inputs[changed], self.logits[changed] = allowed[better], logits[better]
        self.margins[changed] = found[better]


def _replayed(target: Target, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits and margins; whoever fails in the batch is run again alone, and that run counts.

    A batch may sum in another order than a single sample; what is handed to a user must fail when run alone.
    """
    logits = target.network(inputs)
    found = margins(logits, labels, target.ties)
    for index in (found <= 0).nonzero().flatten().tolist():
        one = slice(index, index + 1)
        logits[one] = target.network(inputs[one])
        found[one] = margins(logits[one], labels[one], target.ties)
    return logits, found


def some_share(name: str, value: object) -> float:
    """Return a number in (0, 1] as a Python float."""
    found = real(name, value, finite=False)
    if not 0.0 < found <= 1.0:
        raise ValueError(f"{name}: got {found!r}, expected a number in (0, 1]")
    return found


def check_climb(loss: str, surrogate: Surrogate | Backward | None) -> None:
    """Raise TypeError or ValueError unless a gradient attack can climb this loss by this surrogate."""
    check_choice("loss", loss, LOSSES)
    if surrogate is not None and not isinstance(surrogate, Surrogate | Backward):
        raise TypeError(f"surrogate: got {type(surrogate).__name__}, expected a Surrogate, a Backward or None")


@dataclass
class Lead:
    """Per sample, the point of least margin so far.

    A search notes each point whose margin it learns on the way, and yields `points` when `note` says that a
    sample fell: so that the base class re-evaluates a few batches, not one a step.
    """

    points: Tensor
    margins: Tensor
    notes: SearchNotes

    @staticmethod
    def start(target: Target) -> "Lead":
        """Return the samples themselves, with margins that any point beats."""
        margins = torch.full_like(target.inputs.flatten(1)[:, 0], torch.inf)
        return Lead(target.inputs.clone(), margins, target.notes)

    def note(self, index: Tensor, points: Tensor, margins: Tensor) -> bool:
        """Keep those of `points`, of samples `index`, with a lower margin; return whether one is misclassified.

        A margin of NaN is none: that the network said nothing there is noted.
        """
        self.notes.unanswered.update(index[margins.isnan()].tolist())
        lower = margins < self.margins[index]
        self.points[index[lower]], self.margins[index[lower]] = points[lower], margins[lower]
        return bool((margins <= 0).any())
