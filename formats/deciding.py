"""Decide a property of a network: by the verifiers, case by case, and by an input that violates it when run."""

import time
from collections import deque
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor

from ..certify.attacks import check_posed
from ..certify.bounds.propagation import LogitBounds
from ..certify.questions.forms import Property
from ..certify.replay import evaluating
from ..certify.ties import STRICT
from ..certify.verification import bounds, resolve, verify
from ..certify.verifiers import VERIFIERS, Verifier
from ..models.circuit import Mapped, circuit
from ..models.constants import whole
from ..models.deadline import LATE, TimeIsUp, checked_timeout, ending, passed, share, until
from ..models.linear_maps import LinearMap
from ..models.networks import SpikingNetwork
from ..models.validation import check_choice
from .input_box import InputBox
from .properties import Constraint, PropertyCase, VnnlibProperty
from .question import QuestionError, asked_ties, combined, questioned, robust_label, safe_rows

STATUSES = ("holds", "violated", "timeout", "unknown")
MOST_PIECES = 64
"""Into how many boxes a case with conjunctions is cut, at most."""
SAMPLES = 64
"""Random inputs that each of these boxes is tried with."""


@dataclass(frozen=True)
class PropertyVerdict:
    """What is known of a property.

    Attributes:
        status: "holds" (no input violates it, proven), "violated" (`counterexample` does, when run alone),
            "timeout" or "unknown".
        counterexample, outputs: X with the shape of one sample, and the network's Y there, (classes,); or None.
        verifier: what decided.
        seconds: the time spent.
        reason: one sentence.

    Raises:
        ValueError: for another status, or "violated" without its counterexample.
    """

    status: str
    counterexample: Tensor | None
    outputs: Tensor | None
    verifier: str
    seconds: float
    reason: str

    def __post_init__(self) -> None:
        check_choice("status", self.status, STATUSES)
        if (self.status == "violated") != (self.counterexample is not None and self.outputs is not None):
            raise ValueError(f"counterexample: expected with its outputs if violated, got status {self.status!r}")


def verify_property(
    network: SpikingNetwork,
    prop: VnnlibProperty,
    verifier: str | Verifier = "auto",
    timeout: float | None = None,
    *,
    seed: int = 0,
) -> PropertyVerdict:
    """Decide whether any input in the property's boxes has unsafe outputs.

    "holds" is proven for every real input of the boxes and for the run in the network's own dtype; strict
    constraints are proven in their closed form, but where they say that argmax keeps a class (`robustness`).
    "violated" comes with an input of the network's dtype, inside of
    the box exactly (or, where no number of that dtype lies between two ends, the nearest), whose outputs, run
    alone, meet the constraints in exact arithmetic.

    Args:
        network: taken in evaluation mode.
        prop: with as many inputs and outputs as the network.
        verifier: as in `certify.verify`.
        timeout: seconds in all, or None.
        seed: for attacks and samples.

    Raises:
        TypeError, ValueError: for arguments that don't fit, one line each.
    """
    timeout, seed = checked_timeout(timeout), whole("seed", seed)
    if isinstance(verifier, str):
        check_choice("verifier", verifier, VERIFIERS)
    decider = _Decider(network, prop, verifier, input_shape(network, prop), seed, until(timeout))
    with evaluating(network):
        for case in prop.cases:
            decider.check(case)
        found = decider.verdict([reason for case in prop.cases if (reason := decider.decide(case)) is not None])
    return replace(found, reason=network.called(found.reason))


def input_shape(network: SpikingNetwork, prop: VnnlibProperty) -> tuple[int, ...]:
    """Return the shape of one sample with as many numbers as the property has inputs.

    The first layer decides: a convolution takes the last declared axes, or equal sides of flat inputs.

    Raises:
        TypeError, ValueError: for a network that has no circuit, or another number of inputs.
    """
    first = circuit(network).nodes[1]
    steps = network.num_steps if network.timed else 1
    features = _features(prop, prop.num_inputs // steps, first.map if isinstance(first, Mapped) else None)
    shape = (network.num_steps, *features) if network.timed else features
    size = torch.Size(shape).numel()
    if size != prop.num_inputs:
        raise ValueError(f"prop: got {prop.num_inputs} inputs, expected the network's {size}")
    return shape


def _features(prop: VnnlibProperty, each: int, first: LinearMap | None) -> tuple[int, ...]:
    """Return the shape of one step of `each` numbers as a first layer takes it; it may hold another number."""
    declared, unit = prop.input_shape, None if first is None else first.square(1)
    if first is None or unit is None:
        return declared[-3:] if len(declared) >= 3 else (each,)
    axes = len(unit)
    if axes == 1:
        return unit
    if len(declared) >= 3 or declared[:-1] == unit[:1]:
        return declared[-axes:]
    return first.square(round((each / unit[0]) ** (1 / (axes - 1)))) or unit


@dataclass
class _Decider:
    """One property under decision: `found` is an input that violates it, with its outputs, once there is one."""

    network: SpikingNetwork
    prop: VnnlibProperty
    verifier: str | Verifier
    shape: tuple[int, ...]
    seed: int
    deadline: float | None

    def __post_init__(self) -> None:
        self.started = time.perf_counter()
        self.found: tuple[Tensor, Tensor] | None = None
        self.deciding = self.verifier if isinstance(self.verifier, str) else self.verifier.name

    @property
    def late(self) -> bool:
        """Return whether the time is up."""
        return passed(self.deadline)

    def verdict(self, undecided: list[str]) -> PropertyVerdict:
        """Sum up."""
        seconds = time.perf_counter() - self.started
        if self.found is not None:
            reason = "an input of the box has unsafe outputs when run"
            return PropertyVerdict("violated", *self.found, self.deciding, seconds, reason)
        if undecided:
            status = "timeout" if self.late else "unknown"
            return PropertyVerdict(status, None, None, self.deciding, seconds, undecided[0])
        return PropertyVerdict("holds", None, None, self.deciding, seconds, "no input of the boxes is unsafe")

    def check(self, case: PropertyCase) -> None:
        """Raise unless the case fits the network."""
        box = self._box(case)
        sample = self._sample(box)
        classes = check_posed(self.network, sample, box)
        if classes != self.prop.num_outputs:
            raise ValueError(f"prop: got {self.prop.num_outputs} outputs, expected the network's {classes}")

    def decide(self, case: PropertyCase) -> str | None:
        """Refute every unsafe output on a case's box, cut where conjunctions need it; return why not, or None."""
        pieces, cuts, reason = deque([case]), 1, None
        while pieces and self.found is None:
            if self.late:
                return LATE
            piece = pieces.popleft()
            open_reason = self._piece(piece)
            if open_reason is None:
                continue
            halves = _halves(piece) if _joint(piece) and cuts < MOST_PIECES else None
            if halves is None:
                reason = reason or open_reason
            else:
                pieces.extend(halves)
                cuts += 1
        return reason

    def _piece(self, case: PropertyCase) -> str | None:
        """Ask the verifier about one constraint for each conjunction: if none is ever met, the box is safe."""
        box = self._box(case)
        sample = self._sample(box)
        if self._try(case, sample) or (_joint(case) and self._try_random(case, box, sample)):
            return None
        if not case.unsafe:
            return None
        if not all(case.unsafe):
            return "every input of the box is unsafe, and none was found that replays"
        try:
            with ending(self.deadline):
                question, label, ties = self._question(case, sample, box)
        except (QuestionError, OverflowError, TimeIsUp) as error:
            return str(error)
        asked = torch.tensor([label], device=sample.device) if isinstance(label, int) else label
        (verdict,) = verify(
            question, sample, asked, box, self.verifier, share(self.deadline), seed=self.seed, ties=ties
        )
        self.deciding = verdict.verifier
        if verdict.counterexample is not None and self._try(case, verdict.counterexample[None]):
            return None
        if verdict.status == "falsified":
            return "a constraint was met, but not together with the others of its conjunction, or by rounding only"
        return None if verdict.status == "verified" else verdict.reason

    def _question(
        self, case: PropertyCase, sample: Tensor, box: InputBox
    ) -> tuple[SpikingNetwork, int | Property, str | None]:
        """Return a network, a label that wins on the whole box only if the box is safe, and what a tie is.

        In place of the label there is a property where the verifier takes one and float64 its numbers.
        """
        if not _joint(case):
            parts = [part[0] for part in case.unsafe]
            label = robust_label(parts, self.prop.num_outputs)
            if label is not None:
                return self.network, label, asked_ties(parts, label)
        rows = safe_rows(case.unsafe) if resolve(self.verifier).asks_rows else None
        if rows is not None:
            return self.network, rows, None
        known = bounds(self.network, sample, box)
        chosen = [
            max((*part, combined(part)), key=lambda constraint: _least(constraint, known)) for part in case.unsafe
        ]
        return questioned(self.network, chosen, known), 0, STRICT

    def _try(self, case: PropertyCase, candidates: Tensor) -> bool:
        """Run inputs one by one; keep the first whose outputs are unsafe."""
        for candidate in candidates:
            if self.late:
                return False
            with torch.no_grad():
                outputs = self.network(candidate[None])[0]
            if not bool(outputs.isfinite().all()):
                continue  # an overflow meets no constraint
            if case.unsafe_at(*([Fraction(x) for x in part.flatten().tolist()] for part in (outputs, candidate))):
                self.found = (candidate.clone(), outputs)
                return True
        return False

    def _try_random(self, case: PropertyCase, box: InputBox, sample: Tensor) -> bool:
        generator = torch.Generator().manual_seed(self.seed)
        return self._try(case, box.sample(sample.expand(SAMPLES, *sample.shape[1:]), generator))

    def _box(self, case: PropertyCase) -> InputBox:
        return InputBox(case.lower, case.upper, self.shape)

    def _sample(self, box: InputBox) -> Tensor:
        return box.middle(self.network.dtype)[None].to(self.network.device)


def _joint(case: PropertyCase) -> bool:
    """Return whether some unsafe outputs need several constraints at once."""
    return any(len(part) > 1 for part in case.unsafe)


def _least(constraint: Constraint, known: LogitBounds) -> float:
    """Return about how far the constraint is from being met, by bounds of single logits."""
    lower, upper = known.lower[0].tolist(), known.upper[0].tolist()
    terms = [float(factor) * (lower if factor > 0 else upper)[j] for j, factor in constraint.coefficients]
    return sum(terms) - float(constraint.bound)


def _halves(case: PropertyCase) -> tuple[PropertyCase, PropertyCase] | None:
    """Cut a case's box across its greatest width; None if it has none."""
    widths = [high - low for low, high in zip(case.lower, case.upper, strict=True)]
    place = max(range(len(widths)), key=widths.__getitem__)
    if widths[place] <= Fraction(1, 10**9):
        return None
    middle = case.lower[place] + widths[place] / 2
    upper = (*case.upper[:place], middle, *case.upper[place + 1 :])
    lower = (*case.lower[:place], middle, *case.lower[place + 1 :])
    return replace(case, upper=upper), replace(case, lower=lower)
