"""Decide a property of a network: by the verifiers, case by case, and by an input that violates it when run.

Unsafe outputs as a class that wins: linear constraints behind a network, so that every verifier can be asked.

With constraints c_i·Y ≤ b_i, put a linear layer behind the logits whose outputs are 0, b_1 − c_1·Y, b_2 − c_2·Y, …
Output 0 is greater than all others iff no constraint is met: a tie meets one. So 'label 0 is verified' says that
none of them is ever met. The layer's numbers must be of the network's dtype: where one is rounded, its bound is
raised by what that can change, Σ|c − ĉ|·max|Y| over the box, and never lowered.

A property's box as a threat model.
"""

import math
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import torch
from torch import Tensor, nn

from ..certify.answering import resolve
from ..certify.bounds.propagation import LogitBounds
from ..certify.perturbations.balls import BoxSet
from ..certify.perturbations.base import round_down, round_up
from ..certify.posed import check_posed
from ..certify.questions.forms import MOST_ROWS, Form, Inequalities, Inequality, Property
from ..certify.replay import evaluating
from ..certify.ties import ARGMAX, STRICT
from ..certify.verification import bounds, verify
from ..certify.verifiers import Verifier
from ..files.errors import SpikecertError
from ..models.circuit import Mapped, circuit
from ..models.constants import whole
from ..models.deadline import LATE, TimeIsUp, checked_timeout, ending, passed, share, until
from ..models.linear_maps import LinearMap
from ..models.networks import SpikingNetwork
from ..models.running.encoding import MEANS
from ..models.source import carry
from ..models.validation import check_choice
from .properties import Conjunction, Constraint, PropertyCase, VnnlibProperty


class QuestionError(SpikecertError, ValueError):
    """Constraints can't be put behind a network, for a reason of one line."""


def questioned(network: SpikingNetwork, constraints: Sequence[Constraint], known: LogitBounds) -> SpikingNetwork:
    """Return `network` with the constraints as its outputs, behind output 0 which is 0.

    Args:
        network: with readout "mean" or "spikes".
        constraints: at least one.
        known: bounds of the network's logits over the inputs in question, of a batch of one.

    Raises:
        QuestionError: for readout "potential", or numbers beyond the dtype.
    """
    if any(constraint.inputs for constraint in constraints):
        raise QuestionError("property: got constraints of inputs and outputs, expected a verifier of properties")
    if network.readout not in MEANS:
        raise QuestionError(
            f'readout: got "{network.readout}", expected "mean" or "spikes" for constraints of this form'
        )
    sizes = known.lower.abs().maximum(known.upper.abs())[0]
    if not bool(sizes.isfinite().all()):
        raise QuestionError("network: its logits have no finite bounds over the box")
    last = _layer(network, constraints, list(map(Fraction, sizes.tolist())))
    draws = network.draws if network.encoding == "rate" else None
    layers = (*network.layers, last)
    made = SpikingNetwork(*layers, num_steps=network.num_steps, encoding=network.encoding, draws=draws).eval()
    carry(network, made, outputs=max(1.0, float(last.weight.detach().abs().sum(1).max())))
    return made


def _layer(network: SpikingNetwork, constraints: Sequence[Constraint], sizes: list[Fraction]) -> nn.Linear:
    weight = torch.zeros(len(constraints) + 1, len(sizes), dtype=torch.float64)
    bias = torch.zeros(len(constraints) + 1, dtype=network.dtype)
    for row, constraint in enumerate(constraints, start=1):
        raised = constraint.bound
        for output, factor in constraint.coefficients:
            weight[row, output] = torch.tensor(float(-factor), dtype=network.dtype)  # inf beyond the dtype
            if not bool(weight[row, output].isfinite()):
                raise QuestionError(f"property: got a number beyond {network.dtype}")
            raised += abs(Fraction(float(weight[row, output])) + factor) * sizes[output]
        bias[row] = _raised(raised, network.dtype)
    if not bool(bias.isfinite().all()):
        raise QuestionError(f"property: got a number beyond {network.dtype}")
    layer = nn.Linear(len(sizes), len(constraints) + 1, dtype=network.dtype, device=network.device)
    layer.weight.data.copy_(weight)
    layer.bias.data.copy_(bias)
    return layer


def _raised(value: Fraction, dtype: torch.dtype) -> Tensor:
    """Return a number of the dtype that is at least `value`."""
    near = torch.tensor(float(value), dtype=dtype)
    if bool(near.isfinite()) and Fraction(float(near)) < value:
        near = torch.nextafter(near, near.new_tensor(math.inf))
    return near


def combined(part: Sequence[Constraint]) -> Constraint:
    """Return the sum of a conjunction's constraints, which holds wherever they all do."""
    bound, strict = sum((constraint.bound for constraint in part), Fraction(0)), any(c.strict for c in part)
    outputs, inputs = _total(c.coefficients for c in part), _total(c.inputs for c in part)
    return Constraint(outputs, bound, strict, inputs)


def _total(parts: Iterable[Sequence[tuple[int, Fraction]]]) -> tuple[tuple[int, Fraction], ...]:
    total: dict[int, Fraction] = {}
    for place, factor in (pair for part in parts for pair in part):
        total[place] = total.get(place, Fraction(0)) + factor
    return tuple(sorted((place, factor) for place, factor in total.items() if factor))


def safe_rows(unsafe: Sequence[Conjunction]) -> Property | None:
    """Return that no conjunction holds, one clause each, exactly; None where float64 can't hold its numbers.

    Each constraint is multiplied by what makes its numbers whole.
    """
    if sum(map(len, unsafe)) > MOST_ROWS:
        return None
    clauses = []
    for part in unsafe:
        found = [_whole(constraint) for constraint in part]
        if any(form is None for form in found):
            return None
        pairs = zip(found, part, strict=True)
        clauses.append(tuple(Inequality(-form, not one.strict) for form, one in pairs if form is not None))
    return Inequalities(tuple(clauses))


def _whole(constraint: Constraint) -> Form | None:
    """Return Σ c·Y + Σ d·X − b in whole numbers that float64 holds; None where there are none."""
    numbers = (*(factor for _, factor in (*constraint.coefficients, *constraint.inputs)), constraint.bound)
    times = math.lcm(*(number.denominator for number in numbers))
    if any(abs(number * times) >= 2**53 for number in numbers):
        return None
    outputs, inputs = (
        tuple((place, float(factor * times)) for place, factor in part)
        for part in (constraint.coefficients, constraint.inputs)
    )
    return Form(outputs, inputs, (), -float(constraint.bound * times))


def asked_ties(constraints: Sequence[Constraint], label: int) -> str:
    """Return what a tie is for constraints between `label` and each other class, as `robust_label` finds them.

    "argmax" where each constraint about a class above the label is strict, Y_y < Y_k: a tie with it meets none.
    """
    pairs = [(_pair(constraint), constraint.strict) for constraint in constraints]
    above = [strict for pair, strict in pairs if pair is not None and pair[1] > label]
    return ARGMAX if above and all(above) else STRICT


def robust_label(constraints: Sequence[Constraint], classes: int) -> int | None:
    """Return the label y if the constraints are exactly Y_y ≤ Y_k for every k ≠ y, up to scale; None otherwise."""
    pairs = {_pair(constraint) for constraint in constraints}
    labels = {pair[0] for pair in pairs if pair is not None}
    if None in pairs or len(labels) != 1:
        return None
    (label,) = labels
    others = {pair[1] for pair in pairs if pair is not None}
    return label if others == set(range(classes)) - {label} else None


def _pair(constraint: Constraint) -> tuple[int, int] | None:
    """Return (y, k) for a constraint that says Y_y ≤ Y_k."""
    if constraint.bound != 0 or len(constraint.coefficients) != 2 or constraint.inputs:
        return None
    (lesser, one), (greater, other) = sorted(constraint.coefficients, key=lambda pair: -pair[1])
    return (lesser, greater) if one + other == 0 else None


@dataclass(frozen=True)
class InputBox(BoxSet):
    """{x : low_i ≤ x_i ≤ high_i}, wherever the sample is, with ends that are exact fractions.

    Candidates lie in the box exactly: `limits` are rounded inward. Where no number of the network's dtype lies
    between two ends, the nearest one to their middle stands for them; the enclosure holds it too.

    Args:
        lows, highs: one each per input, in row-major order.
        shape: of one sample.

    Raises:
        ValueError: for ends that do not fit the shape, or beyond float64.
    """

    lows: tuple[Fraction, ...]
    highs: tuple[Fraction, ...]
    shape: tuple[int, ...]
    lower: float = -math.inf
    upper: float = math.inf

    def __post_init__(self) -> None:
        if not len(self.lows) == len(self.highs) == math.prod(self.shape):
            raise ValueError(f"shape: got {self.shape}, expected {len(self.lows)} inputs")
        if any(abs(end) > Fraction(2) ** 1000 for end in (*self.lows, *self.highs)):
            raise ValueError("lows, highs: got an end beyond float64")

    @property
    def norm(self) -> str:
        """Return the name that verdicts and messages have for such a set, "box"."""
        return "box"

    @property
    def extent(self) -> Tensor:
        """Return half of each width, float64."""
        low, high = self._sides
        return (high - low) / 2

    def middle(self, dtype: torch.dtype) -> Tensor:
        """Return the middle of the box, moved into it, as one sample."""
        low, high = self._inner(dtype)
        return ((low.double() + high.double()) / 2).to(dtype).clamp(low, high)

    def limits(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ends, rounded inward to inputs' dtype."""
        low, high = self._inner(inputs.dtype)
        return low.to(inputs.device).expand_as(inputs), high.to(inputs.device).expand_as(inputs)

    def check(self, inputs: Tensor) -> None:
        """Raise ValueError unless the samples have this shape and lie in the box."""
        if tuple(inputs.shape[1:]) != self.shape:
            raise ValueError(f"inputs: got shape {tuple(inputs.shape[1:])}, expected {self.shape}")
        if not bool(self.contains(inputs, inputs).all()):
            raise ValueError("inputs: got a sample outside of the box")

    def _outward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return float64 ends that hold both the box and what stands for it in inputs' dtype."""
        low, high = (end.expand_as(inputs).to(inputs.device) for end in self._sides)
        inner = self.limits(inputs)
        return low.minimum(inner[0].double()), high.maximum(inner[1].double())

    def _inner(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return what stands for the ends in a dtype: attacks ask for it at every step."""
        if dtype not in self._known:
            self._known[dtype] = self._rounded_inward(dtype)
        low, high = self._known[dtype]
        return low.clone(), high.clone()

    @cached_property
    def _known(self) -> dict[torch.dtype, tuple[Tensor, Tensor]]:
        return {}

    def _rounded_inward(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        ends = (_float(self.lows, math.inf), _float(self.highs, -math.inf))
        low, high = round_up(ends[0], dtype), round_down(ends[1], dtype)
        pairs = zip(self.lows, self.highs, strict=True)
        middle = torch.tensor([float((one + other) / 2) for one, other in pairs], dtype=torch.float64).to(dtype)
        between = low <= high
        found = torch.where(between, low, middle), torch.where(between, high, middle)
        return found[0].reshape(self.shape), found[1].reshape(self.shape)

    @cached_property
    def _sides(self) -> tuple[Tensor, Tensor]:
        low, high = _float(self.lows, -math.inf), _float(self.highs, math.inf)
        return low.reshape(self.shape), high.reshape(self.shape)


def _float(values: tuple[Fraction, ...], towards: float) -> Tensor:
    """Return float64 numbers, each rounded towards −inf or inf."""
    return torch.tensor([_rounded(value, towards) for value in values], dtype=torch.float64)


def _rounded(value: Fraction, towards: float) -> float:
    near = float(value)
    beyond = Fraction(near) >= value if towards > 0 else Fraction(near) <= value
    return near if beyond else math.nextafter(near, towards)


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
    decider = _Decider(network, prop, resolve(verifier), input_shape(network, prop), seed, until(timeout))
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
