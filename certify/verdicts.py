"""What a verifier says of a sample, and what it must never say.

Ctrl-C while samples are decided: what is proven by then is not lost.

Questions about networks that carry their source's arithmetic: what holds for the inputs that are asked.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..files.errors import SpikecertError
from ..models.conversion.checking import are_alike
from ..models.deadline import TimeIsUp
from ..models.networks import SpikingNetwork
from ..models.source import OWN, SourceArithmetic, SourceBox, weights_of
from ..models.validation import check_choice, one_line
from .alike import Alike, detach
from .perturbations import Perturbation
from .replay import Runs
from .ties import ARGMAX, STRICT, TIES

if TYPE_CHECKING:
    from .attacks.base import AttackResult

STATUSES = ("verified", "falsified", "unknown")


class SoundnessError(SpikecertError, RuntimeError):
    """A sample is 'verified' and has a replayed counterexample: a bug in a verifier, never a result."""


@dataclass(frozen=True, eq=False)
class Verdict(Alike):
    """One sample's verdict. Two are equal whatever time they took.

    Attributes:
        status: "verified" (no allowed input changes the class, proven, for the run in the network's dtype),
            "falsified" (`counterexample` was replayed through the network) or "unknown".
        margin: proven lower bound of min over k ≠ y of logit_y − logit_k over the set, or None. "verified" has one
            above 0; with ties "argmax" it may be 0, where only ties that fall to the label are left.
        counterexample: an allowed input that is misclassified, or None. It never requires a gradient.
        verifier: what decided.
        seconds: this sample's share of the time spent.
        reason: one sentence.
        ties: what a tie is: "argmax" (the lowest index wins, as torch.argmax takes it) or "strict" (a failure).
        member: of a set of networks, the one that misclassifies `counterexample`; None elsewhere.
        took: of verifiers asked in turn, what each took for this sample, in seconds; empty where one was asked.

    Raises:
        SoundnessError: for "verified" with a counterexample.
        ValueError: for a status without what it needs.
    """

    status: str
    margin: float | None
    counterexample: Tensor | None
    verifier: str
    seconds: float = field(compare=False)
    reason: str
    ties: str = STRICT
    member: SpikingNetwork | None = field(default=None, compare=False, repr=False)
    took: tuple[tuple[str, float], ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status: got {self.status!r}, expected one of {', '.join(STATUSES)}")
        check_choice("ties", self.ties, TIES)
        if self.status == "verified" and self.counterexample is not None:
            raise SoundnessError(f"{self.verifier} verified a sample that has a replayed counterexample")
        if self.status == "verified" and not self._margin_suffices:
            expected = "a positive number" if self.ties == STRICT else "a number of at least 0"
            raise ValueError(f"margin: got {self.margin!r}, expected {expected} for 'verified'")
        if self.status == "falsified" and self.counterexample is None:
            raise ValueError("counterexample: got None, expected an input for 'falsified'")
        detach(self, "counterexample")

    @property
    def _margin_suffices(self) -> bool:
        return self.margin is not None and (self.margin > 0 or (self.ties == ARGMAX and self.margin >= 0))


def reconcile(verdicts: Sequence[Verdict], result: "AttackResult") -> None:
    """Check verdicts against an attack on the same samples and the same set.

    Raises:
        SoundnessError: if the attack succeeded on a sample that a verifier verified; the message names both.
        ValueError: if the two are about different numbers of samples, or take ties otherwise.
    """
    if len(verdicts) != len(result.success):
        raise ValueError(f"verdicts: got {len(verdicts)}, expected {len(result.success)}, one per attacked sample")
    if others := {verdict.ties for verdict in verdicts} - {result.ties}:
        raise ValueError(f"verdicts: got ties {others.pop()!r}, expected the attack's {result.ties!r}")
    for index, (verdict, broken) in enumerate(zip(verdicts, result.success.tolist(), strict=True)):
        if broken and verdict.status == "verified":
            raise SoundnessError(
                f"sample {index}: {verdict.verifier} verified it, {result.method} found a counterexample"
            )


INTERRUPTED = "it was interrupted"


class Unfinished(KeyboardInterrupt):
    """Ctrl-C came while samples were decided.

    Attributes:
        verdicts: one per sample, in order; an open one is "unknown", with the best margin that was proven, if any.
    """

    def __init__(self, verdicts: Sequence[Verdict]) -> None:
        decided = sum(verdict.status != "unknown" for verdict in verdicts)
        super().__init__(f"interrupted with {decided} of {len(verdicts)} samples decided{_least(verdicts)}")
        self.verdicts: tuple[Verdict, ...] = tuple(verdicts)


def left_open(verifier: str, ties: str) -> Verdict:
    """Return the verdict of a sample that had no turn."""
    return Verdict("unknown", None, None, verifier, 0.0, f"{INTERRUPTED} before the first bound", ties)


@contextmanager
def keeping(
    verdicts: Sequence[Verdict], count: int, verifier: str, ties: str, told: Callable[[Verdict], Verdict] = replace
) -> Iterator[None]:
    """Raise Unfinished where Ctrl-C comes within: `verdicts`, what it cut short has, open ones up to `count`.

    `told` says what each of them is about.
    """
    try:
        yield
    except KeyboardInterrupt as stopped:
        known = [*map(told, (*verdicts, *getattr(stopped, "verdicts", ())))]
        none = left_open(verifier, known[0].ties if known else ties)
        raise Unfinished([*known, *[none] * (count - len(known))]) from None


def _least(verdicts: Sequence[Verdict]) -> str:
    """Return the least margin that is proven of an open sample, as text; empty where none is."""
    known = [
        (verdict.margin, index)
        for index, verdict in enumerate(verdicts)
        if verdict.status == "unknown" and verdict.margin is not None
    ]
    if not known:
        return ""
    margin, index = min(known)
    return f"; of the others the least proven margin is {margin:.4g}, of sample {index}"


def allowance_of(network: SpikingNetwork) -> SourceBox:
    """Return what a network's source may stray by, for the largest inputs that it is known for."""
    return OWN if network.source is None else network.source.boxes[-1]


@torch.no_grad()
def source_keeps(
    network: SpikingNetwork, candidate: Tensor, fails: Callable[[Runs], bool], rows: bool
) -> str | None:
    """Return why the source's own run of a network's counterexample is none; nothing where it is one, too.

    Args:
        network: as it was converted.
        candidate: the counterexample.
        fails: whether it is one of what runs.
        rows: whether that is about numbers, which must then be in the network's units.

    Returns:
        None where nothing is known: no source is at hand, or it gives other numbers.
    """
    if network.at_hand is None or not network.at_hand.holds(network):
        return None
    run = partial(network.at_hand.run, network)
    try:
        if rows and not are_alike(run(candidate[None]), network(candidate[None])):
            return None
        if fails(run):
            return ""
    except TimeIsUp:
        raise
    except Exception as error:  # whatever a stranger's module raises
        return f"its source could not be run on a counterexample: {type(error).__name__}: {one_line(error)}"
    return f"the source keeps {'the property' if rows else 'its class'}, run on a counterexample of the network"


def beyond(verdict: Verdict, least: float, leads: bool = True) -> Verdict:
    """Return as unknown what leads by no more than the source's last operations may take back, or is no lead."""
    margin = -math.inf if verdict.margin is None or not leads else verdict.margin
    if verdict.status != "verified" or least == 0.0 or margin > least:
        return verdict
    why = f"the margin's lower bound {margin:.3g} is within the source's rounding, {least:.3g}"
    return replace(verdict, status="unknown", reason=why)


@contextmanager
def asked_within(network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> Iterator[None]:
    """Let a network carry for a while what its source strays by on the inputs that are asked about.

    One whose weights are others by now is no longer that of its source, and carries nothing.

    Raises:
        ValueError: for inputs beyond those that the source is known for.
    """
    source = network.source
    try:
        if source is not None and source.weights == weights_of(network):
            box = perturbation.enclosure(inputs)
            reach = max(float(box.upper.max()), -float(box.lower.min()))
            network.source = SourceArithmetic((source.within(reach),), source.weights)
        else:
            network.source = None
        yield
    finally:
        network.source = source
