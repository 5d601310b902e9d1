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
min m_k > max d_k makes every m'_k positive. Pairs of trains may bring d_k down (see joint.py): where then all m_k
of one build are proven to exceed d_k, the other needs no proof of its own: the sample is **equivalent**, too.

A real build and one of whole numbers are compared at whole inputs: the set of the latter is all whole vectors of a
ball, and the former is asked about the ball of reals that holds them.

How far two builds' margins may lie apart: by bounds of each alone, and of both on the same input.
"""

import time
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...models.circuit import circuit
from ...models.constants import whole
from ...models.deadline import LATE, Expired, TimeIsUp, checked_timeout, ending, passed, share, until
from ...models.networks import SpikingNetwork, check_network
from ...models.validation import plain
from ..alike import Alike, detach
from ..answering import resolve
from ..attacks import PGD
from ..attacks.standard import quick_ensemble
from ..bounds.propagation import known_margins, signals_of
from ..perturbations import LInf, Perturbation, RangedSet, WholeLInf, settled_set, takes_whole
from ..posed import check_posed
from ..replay import TOGETHER, evaluating, margins
from ..ties import settled_ties
from ..verdicts import Verdict, allowance_of
from ..verification import verify
from ..verifiers import TRAINS, Verifier
from .joint import joint_gaps


@dataclass(frozen=True)
class Gaps:
    """Bounds over the sets around some samples of one class y each, (batch, classes).

    Attributes:
        lower: of the margins m_k = z_y − z_k of both builds, (2, batch, classes).
        naive: of |m_k − m'_k|, by bounds of each build; 0 at k = y.
        joint: the same, by pairs of trains, nowhere greater; `naive` where there are none.
    """

    lower: Tensor
    naive: Tensor
    joint: Tensor

    @staticmethod
    def of(
        a: SpikingNetwork, b: SpikingNetwork, inputs: Tensor, labels: Tensor, perturbation: Perturbation
    ) -> "Gaps | None":
        """Return what is known of two builds; None where nothing is.

        Args:
            a, b: in evaluation mode, of one form.
            inputs: (batch, ...).
            labels: y, (batch,).
            perturbation: the sets.
        """
        try:
            (low, high), (other_low, other_high) = (
                _margins(build, inputs, labels, perturbation) for build in (a, b)
            )
            naive = (high - other_low).maximum(other_high - low).scatter(1, labels[:, None], 0.0)
            joint = joint_gaps(a, b, inputs, labels, perturbation)
        except (OverflowError, TimeIsUp):
            return None
        joint = naive if joint is None else naive.minimum(joint)
        return Gaps(torch.stack((low, other_low)), naive, joint)

    def widest(self, labels: Tensor) -> list[float | None]:
        """Return max over k of `joint` for each sample, None where it is not finite."""
        found = self.joint.scatter(1, labels[:, None], -torch.inf).amax(1).tolist()
        return [gap if -torch.inf < gap < torch.inf else None for gap in found]

    def proven(self, labels: Tensor) -> Tensor:
        """Return where one build's margins are above the gap for each k: both then give y, (batch,)."""
        others = torch.ones_like(self.naive, dtype=torch.bool).scatter(1, labels[:, None], False)
        return ((self.lower > self.joint) | ~others).all(2).any(0)


@torch.no_grad()
def _margins(
    build: SpikingNetwork, inputs: Tensor, labels: Tensor, perturbation: Perturbation
) -> tuple[Tensor, Tensor]:
    """Return the ends of z_y − z_k for each class k, (batch, classes) each; at k = y they mean nothing."""
    box, made = perturbation.enclosure(inputs.to(build.dtype)), circuit(build)
    known = signals_of(made, box, TRAINS.stages_for(made)[-1])  # the tightest
    lower = known_margins(made, known, labels, box.lower)
    upper = [
        -known_margins(made, known, torch.full_like(labels, k), box.lower).gather(1, labels[:, None])
        for k in range(lower.shape[1])
    ]
    return lower, torch.cat(upper, 1)


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
            nothing is known, and of a real build and one of whole numbers, whose margins have units of their own.
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
    memory: int | None = None,
    workers: int | None = None,
) -> list[Equivalence]:
    """Decide for each sample whether two builds give the same class wherever it may be moved to.

    Args:
        a, b: builds of one network: of one input shape, number of steps and classes, encoding and readout.
        inputs: (batch, ...); a build of another dtype is given them in its own. If one build alone takes whole
            numbers they are whole: the other then reads them so, behind a layer that scales them, say.
        perturbation: the inputs around each sample, in a's dtype; None for the samples themselves.
        verifier: what proves, as in `verify`.
        timeout: seconds for a sample and build, on average.
        seed: for attacks.
        memory, workers: of each search, and how many processes share a hard sample, as in `verify`.

    Raises:
        TypeError, ValueError: for builds that are not of one form, and as `verify`.
    """
    chosen, point = resolve(verifier), LInf(0.0, -torch.inf, torch.inf)
    (inputs,) = plain(inputs=inputs)
    asked = point if perturbation is None else perturbation
    for name, build in (("a", a), ("b", b)):
        check_network(build, name)
        asked = settled_set(build, asked)
    builds = _checked(a, b, inputs, asked)
    chosen = TRAINS if perturbation is None and verifier == "auto" else chosen
    seconds = checked_timeout(timeout)
    rest = {"verifier": chosen, "seed": whole("seed", seed), "memory": memory, "workers": workers}
    deadline = until(seconds, 2 * len(inputs))
    with evaluating(a), evaluating(b):
        found = _BuildsAsked(builds, inputs.detach(), asked, rest, deadline).answers()
    return [replace(each, reason=b.called(a.called(each.reason))) for each in found]


def _checked(a: SpikingNetwork, b: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> Builds:
    """Return both builds if they are of one form."""
    if a.encoding in ("rate", "latency"):
        raise ValueError(f'a: got encoding {a.encoding!r}, expected "direct" or "none"')
    ends = [None if (first := takes_whole(build)) is None else (first.least, first.most) for build in (a, b)]
    if None not in ends and ends[0] != ends[1]:
        raise ValueError(f"b: takes {_taken(ends[1])}, expected a's {_taken(ends[0])}")
    mixed = (ends[0] is None) != (ends[1] is None)  # a chip reads sums as potentials, some a step later each layer
    for name in ("encoding",) if mixed else ("num_steps", "encoding", "readout"):
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
    deadline: float | None

    def expired(self) -> bool:
        """Return whether the time is up."""
        return passed(self.deadline)

    def verified(self, points: Tensor, labels: Tensor, asked: list[Perturbation], parts: int, **rest: Any) -> Any:
        """Return each build's verdicts, in shares of what is left of the time, of which `parts` are for others."""
        found = []
        for turn, (build, around) in enumerate(zip(self.builds, asked, strict=True)):
            each = share(self.deadline, (parts + 2 - turn) * len(points))
            found.append(
                verify(build, points.to(build.dtype), labels, around, timeout=each, **{**self.rest, **rest})
            )
        return found

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
        sets = [self._asked(build) for build in self.builds]
        pairs = self.verified(inputs, labels, sets, 1)
        mixed = sets[0] != sets[1]  # margins in units of their own
        with ending(self.deadline):
            gaps = None if mixed else Gaps.of(*self.builds, inputs, labels, self.perturbation)
        widest = [None] * len(left) if gaps is None else gaps.widest(labels)
        open_ = any(allowance_of(build).least for build in self.builds)  # gaps pay for no ending
        close = [False] * len(left) if gaps is None or open_ else gaps.proven(labels).tolist()
        each = (time.perf_counter() - started) / len(left)
        return [
            self._one(sample[None], label[None], verdicts, gap, time.perf_counter() - each, enough)
            for sample, label, gap, enough, *verdicts in zip(inputs, labels, widest, close, *pairs, strict=True)
        ]

    def _asked(self, build: SpikingNetwork) -> Perturbation:
        """Return what a build is asked about: of a real one the ball of reals that holds the whole vectors."""
        asked = self.perturbation
        if isinstance(asked, WholeLInf) and takes_whole(build) is None:
            return LInf(asked.epsilon, asked.lower, asked.upper)
        return asked

    def _one(
        self,
        sample: Tensor,
        label: Tensor,
        verdicts: list[Verdict],
        gap: float | None,
        started: float,
        close: bool,
    ) -> Equivalence:
        """Decide one sample, (1, ...), of which both builds were asked."""
        if all(verdict.status == "verified" for verdict in verdicts):
            return _told("equivalent", "both builds are proven to give one class", started, gap=gap)
        if close:
            reason = "one build's margin is proven to exceed the gap between both"
            return _told("equivalent", reason, started, gap=gap)
        points = [verdict.counterexample for verdict in verdicts if verdict.counterexample is not None]
        seed = self.rest["seed"]
        for point in (*points, *_searched(self.builds, sample, label, self.perturbation, seed, self.expired)):
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
            if self.expired():
                return _told("unknown", LATE, started)
            with torch.no_grad():
                classes = [build(part.to(build.dtype)).argmax(1) for build in self.builds]
            for index in (classes[0] != classes[1]).nonzero().flatten().tolist():
                if _differ(self.builds, part[index]):
                    reason = "the builds give a member of the set different classes"
                    return _told("different", reason, started, part[index].clone())
            pairs = self.verified(part, classes[0], [point] * 2, 0, verifier=TRAINS)
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
    members = perturbation.few_members(sample)
    if members is None or members.count > MOST_MEMBERS:
        return None
    return torch.cat(list(members.batches(MOST_MEMBERS))).to(sample.dtype)


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
    builds: Builds, sample: Tensor, label: Tensor, perturbation: Perturbation, seed: int, expired: Expired
) -> list[Tensor]:
    """Return inputs at which the builds may differ."""
    generator, found = torch.Generator().manual_seed(seed), []
    if any(takes_whole(build) is not None for build in builds):  # integer neurons have no gradients to follow
        drawn = perturbation.sample(sample.expand(DRAWN, *sample.shape[1:]), generator)
        answers = [build(drawn.to(build.dtype)).argmax(1) for build in builds]
        apart = answers[0] != answers[1]
        return list(drawn[apart])
    if isinstance(perturbation, RangedSet):
        for leaves, keeps in (builds, builds[::-1]):
            if expired():
                break
            method, joint = PGD(restarts=4), Joint(leaves, keeps, int(label))
            result = method(joint, sample, torch.zeros_like(label), perturbation, generator, expired=expired)  # pyright: ignore[reportArgumentType]
            found.append(result.inputs[0])
    else:
        for build in () if expired() else builds:
            inputs = sample.to(build.dtype)
            result = quick_ensemble()(
                build, inputs, label, perturbation, generator, expired=expired, ties=builds.ties
            )
            found.append(result.inputs[0].to(sample.dtype))
    return found
