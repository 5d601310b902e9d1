"""Whether two builds of one network give the same class: `equivalent`.

What is proven, and when, of builds a and b and a sample of class y (of a's run):

* **equivalent**: both are verified for y on the whole set, rounding paid: they give y at every input and in any
  order of summation. Of a set with few members each member is taken by itself, with the class that a gives there:
  the class may then change from member to member, as long as it does in both.
* **different**: an input of the set at which both runs, alone and in a batch, have a class, and not the same.
* **unknown**: neither.

Where a ball holds a boundary between classes, builds whose numbers differ disagree on a thin slab beside it, so no
bound can prove more than the first line. What holds nevertheless is conditional, and told as `gap`: **wherever
one build's margin of y exceeds `gap`, the other gives y, too.** For each class k the margins m_k = z_y − z_k of a
and b lie in [l_k, u_k] and [l'_k, u'_k] over the set, so |m_k − m'_k| ≤ d_k = max(u_k − l'_k, u'_k − l_k), and
min m_k > max d_k makes every m'_k positive.
"""

import time
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...models.constants import whole
from ...models.deadline import TimeIsUp
from ...models.networks import SpikingNetwork
from ...models.validation import check_plain
from ..alike import Alike
from ..attacks import PGD, check_posed
from ..attacks.ensemble import quick_ensemble
from ..detaching import detach
from ..perturbations import LInf, Perturbation, RangedSet, settled_set, takes_whole
from ..problem import Problem
from ..replay import TOGETHER, evaluating, margins
from ..ties import settled_ties
from ..verdicts import Verdict
from ..verification import checked_timeout, resolve, verify
from ..verifiers import TRAINS, Verifier

STATUSES = ("equivalent", "different", "unknown")
MOST_MEMBERS = 4096
"""Of a set that is listed."""
DRAWN = 1024
"""Members of a set of whole vectors that are tried."""
TOGETHER_AT = 256
"""Members that are verified at once."""


@dataclass(frozen=True, eq=False)
class Equivalence(Alike):
    """What is known of two builds around one sample.

    Attributes:
        status: "equivalent", "different" or "unknown".
        counterexample: an input of the set at which the builds differ, or None.
        gap: d: wherever in the set one build's margin exceeds it, the other gives the same class; None where
            nothing is known.
        seconds: this sample's share of the time.
        reason: one sentence.

    Raises:
        ValueError: for another status, or a difference without an input.
    """

    status: str
    counterexample: Tensor | None
    gap: float | None
    seconds: float = field(compare=False)
    reason: str

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status: got {self.status!r}, expected one of {', '.join(STATUSES)}")
        if (self.status == "different") != (self.counterexample is not None):
            raise ValueError(f"counterexample: expected an input for 'different' alone, status is {self.status!r}")
        detach(self, "counterexample")


class Builds(NamedTuple):
    """Both networks, in evaluation mode."""

    a: SpikingNetwork
    b: SpikingNetwork

    @property
    def ties(self) -> str:
        """Return what a tie is."""
        return settled_ties(self.a, None)


def equivalent(
    a: SpikingNetwork,
    b: SpikingNetwork,
    inputs: Tensor,
    perturbation: Perturbation | None = None,
    verifier: str | Verifier = "auto",
    timeout: float | None = None,
    *,
    seed: int = 0,
) -> list[Equivalence]:
    """Decide for each sample whether two builds give the same class wherever it may be moved to.

    Args:
        a, b: builds of one network: of one input shape, number of steps and classes, encoding and readout.
        inputs: (batch, ...); a build of another dtype is given them in its own.
        perturbation: the inputs around each sample, in a's dtype; None for the samples themselves.
        verifier: what proves, as in `verify`.
        timeout: seconds for a sample and build, on average.
        seed: for attacks.

    Raises:
        TypeError, ValueError: for builds that are not of one form, and as `verify`.
    """
    chosen, point = resolve(verifier), LInf(0.0, -torch.inf, torch.inf)
    check_plain(inputs=inputs)
    asked = point if perturbation is None else perturbation
    asked = settled_set(a, asked)
    builds = _checked(a, b, inputs, asked)
    chosen = TRAINS if perturbation is None and verifier == "auto" else chosen
    rest = {"verifier": chosen, "timeout": checked_timeout(timeout), "seed": whole("seed", seed)}
    with evaluating(a), evaluating(b):
        return _BuildsAsked(builds, inputs.detach(), asked, rest).answers()


def _checked(a: SpikingNetwork, b: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> Builds:
    """Return both builds if they are of one form."""
    for name, build in (("a", a), ("b", b)):
        if not isinstance(build, SpikingNetwork):
            raise TypeError(f"{name}: got {type(build).__name__}, expected a SpikingNetwork")
    if a.encoding in ("rate", "latency"):
        raise ValueError(f'a: got encoding {a.encoding!r}, expected "direct" or "none"')
    ends = [None if (first := takes_whole(build)) is None else (first.least, first.most) for build in (a, b)]
    if ends[0] != ends[1]:
        raise ValueError(f"b: takes {_taken(ends[1])}, expected a's {_taken(ends[0])}")
    for name in ("num_steps", "encoding", "readout"):
        one, other = getattr(a, name), getattr(b, name)
        if one != other:
            raise ValueError(f"b: got {name} {other!r}, expected a's {one!r}")
    classes = check_posed(a, inputs, perturbation)
    if not torch.equal(inputs.to(b.dtype).to(a.dtype), inputs):
        raise ValueError(f"inputs: got numbers that b's {b.dtype} does not hold, expected ones that it does")
    try:
        others = check_posed(b, inputs.to(b.dtype), perturbation)
    except ValueError as error:
        raise ValueError(f"b: takes other inputs than a: {error}") from error
    if classes != others or classes < 2:
        raise ValueError(f"b: got {others} classes, expected a's {classes}, at least 2")
    return Builds(a, b)


def _taken(ends: tuple[int, int] | None) -> str:
    return "real inputs" if ends is None else f"whole numbers from {ends[0]} to {ends[1]}"


@dataclass(frozen=True)
class _BuildsAsked:
    builds: Builds
    inputs: Tensor
    perturbation: Perturbation
    rest: dict[str, Any]

    def answers(self) -> list[Equivalence]:
        """Return what is known of each sample: all that are left to bounds are verified together."""
        found: dict[int, Equivalence] = {}
        for index, sample in enumerate(self.inputs):
            started = time.perf_counter()
            if _differ(self.builds, sample):
                reason = "the builds give the sample itself different classes"
                found[index] = _told("different", reason, started, sample.clone())
            elif (members := _members(self.perturbation, sample)) is not None:
                found[index] = self._listed(members, started)
        left = [index for index in range(len(self.inputs)) if index not in found]
        if left:
            found |= dict(zip(left, self._bounded(torch.tensor(left, device=self.inputs.device)), strict=True))
        return [found[index] for index in range(len(self.inputs))]

    def _bounded(self, left: Tensor) -> list[Equivalence]:
        started, inputs = time.perf_counter(), self.inputs[left]
        with torch.no_grad():
            labels = self.builds.a(inputs).argmax(1)
        pairs = [
            verify(build, inputs.to(build.dtype), labels, self.perturbation, **self.rest) for build in self.builds
        ]
        gaps = _gaps(self.builds, inputs, labels, self.perturbation)
        each = (time.perf_counter() - started) / len(left)
        return [
            self._one(sample[None], label[None], verdicts, gap, time.perf_counter() - each)
            for sample, label, gap, *verdicts in zip(inputs, labels, gaps, *pairs, strict=True)
        ]

    def _one(
        self, sample: Tensor, label: Tensor, verdicts: list[Verdict], gap: float | None, started: float
    ) -> Equivalence:
        """Decide one sample, (1, ...), of which both builds were asked."""
        if all(verdict.status == "verified" for verdict in verdicts):
            return _told("equivalent", "both builds are proven to give one class", started, gap=gap)
        points = [verdict.counterexample for verdict in verdicts if verdict.counterexample is not None]
        for point in (*points, *_searched(self.builds, sample, label, self.perturbation, self.rest["seed"])):
            candidate = point.to(sample.dtype)
            allowed = bool(self.perturbation.contains(candidate[None], sample))
            if allowed and _differ(self.builds, candidate):
                reason = "the builds give an input of the set different classes"
                return _told("different", reason, started, candidate, gap)
        named = zip("ab", verdicts, strict=True)
        states = " and ".join(f"{name} is {verdict.status}" for name, verdict in named)
        return _told("unknown", f"{states}, and no input was found at which they differ", started, gap=gap)

    def _listed(self, members: Tensor, started: float) -> Equivalence:
        """Decide a set by all its members, each of which is verified as it is."""
        point, undecided = LInf(0.0, -torch.inf, torch.inf), 0
        for part in members.split(TOGETHER_AT):
            with torch.no_grad():
                classes = [build(part.to(build.dtype)).argmax(1) for build in self.builds]
            for index in (classes[0] != classes[1]).nonzero().flatten().tolist():
                if _differ(self.builds, part[index]):
                    reason = "the builds give a member of the set different classes"
                    return _told("different", reason, started, part[index].clone())
            asked: dict[str, Any] = {**self.rest, "verifier": TRAINS}
            pairs = [verify(build, part.to(build.dtype), classes[0], point, **asked) for build in self.builds]
            undecided += sum(
                not (one.status == other.status == "verified") for one, other in zip(*pairs, strict=True)
            )
        if undecided:
            reason = f"{undecided} of {len(members)} members are decided only within the rounding error"
            return _told("unknown", reason, started)
        reason = f"both builds are proven to give one class at each of {len(members)} members"
        return _told("equivalent", reason, started)


def _told(
    status: str, reason: str, started: float, point: Tensor | None = None, gap: float | None = None
) -> Equivalence:
    return Equivalence(status, point, gap, time.perf_counter() - started, reason)


@torch.no_grad()
def _differ(builds: Builds, point: Tensor) -> bool:
    """Return whether both builds have a class at an input, alone and in a batch of copies, and not the same."""
    classes = set()
    for build in builds:
        own = point.to(build.dtype)
        if not torch.equal(own.to(point.dtype), point):
            return False
        logits = torch.cat([build(own[None]), build(own.expand(TOGETHER, *own.shape))])
        labels = logits.argmax(1)
        if len(labels.unique()) > 1 or not bool((margins(logits, labels, builds.ties) > 0).all()):
            return False
        classes.add(int(labels[0]))
    return len(classes) == 2


def _members(perturbation: Perturbation, sample: Tensor) -> Tensor | None:
    """Return all inputs of a set that has few, (n, ...); None where it has many."""
    members = perturbation.members(sample)
    if members is None or members.count > MOST_MEMBERS:
        return None
    return torch.cat(list(members.batches(MOST_MEMBERS))).to(sample.dtype)


def _gaps(builds: Builds, inputs: Tensor, labels: Tensor, perturbation: Perturbation) -> list[float | None]:
    """Return max over k of a bound of |m_k − m'_k| over each set, or None where there is none."""
    try:
        (low, high), (other_low, other_high) = (
            _margins(build, inputs.to(build.dtype), labels, perturbation) for build in builds
        )
    except (OverflowError, TimeIsUp):
        return [None] * len(inputs)
    gaps = (high - other_low).maximum(other_high - low)
    gaps = gaps.scatter(1, labels[:, None], -torch.inf).amax(1).tolist()
    return [gap if -torch.inf < gap < torch.inf else None for gap in gaps]


@torch.no_grad()
def _margins(
    build: SpikingNetwork, inputs: Tensor, labels: Tensor, perturbation: Perturbation
) -> tuple[Tensor, Tensor]:
    """Return the ends of z_y − z_k for each class k, (batch, classes) each; at k = y they mean nothing."""
    problem = Problem(build, inputs, labels, perturbation, ties=settled_ties(build, None))
    lower = TRAINS.lower(problem)
    upper = [
        -TRAINS.lower(replace(problem, labels=torch.full_like(labels, k))).gather(1, labels[:, None])
        for k in range(lower.shape[1])
    ]
    return lower, torch.cat(upper, 1)


class Joint(nn.Module):
    """Two outputs, (f, 0): f ≤ 0 only where one build leaves the class y and the other keeps it."""

    def __init__(self, leaves: SpikingNetwork, keeps: SpikingNetwork, label: int) -> None:
        super().__init__()
        self.leaves, self.keeps, self.label = leaves, keeps, label

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (max(m, −m'), 0) for the margins m of y in the one build and m' in the other."""
        labels = torch.full((len(inputs),), self.label, device=inputs.device)
        left, kept = (
            margins(build(inputs.to(build.dtype)), labels).to(inputs.dtype) for build in (self.leaves, self.keeps)
        )
        return torch.stack([left.maximum(-kept), torch.zeros_like(left)], 1)


def _searched(
    builds: Builds, sample: Tensor, label: Tensor, perturbation: Perturbation, seed: int
) -> list[Tensor]:
    """Return inputs at which the builds may differ."""
    generator, found = torch.Generator().manual_seed(seed), []
    if takes_whole(builds.a) is not None:  # integer neurons have no gradients to follow
        drawn = perturbation.sample(sample.expand(DRAWN, *sample.shape[1:]), generator)
        apart = builds.a(drawn).argmax(1) != builds.b(drawn).argmax(1)
        return list(drawn[apart])
    if isinstance(perturbation, RangedSet):
        for leaves, keeps in ((builds.a, builds.b), (builds.b, builds.a)):
            method, joint = PGD(restarts=4), Joint(leaves, keeps, int(label))
            result = method(joint, sample, torch.zeros_like(label), perturbation, generator)  # pyright: ignore[reportArgumentType]
            found.append(result.inputs[0])
    else:
        for build in builds:
            inputs = sample.to(build.dtype)
            result = quick_ensemble()(build, inputs, label, perturbation, generator, ties=builds.ties)
            found.append(result.inputs[0].to(sample.dtype))
    return found
