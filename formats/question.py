"""Unsafe outputs as a class that wins: linear constraints behind a network, so that every verifier can be asked.

With constraints c_i·Y ≤ b_i, put a linear layer behind the logits whose outputs are 0, b_1 − c_1·Y, b_2 − c_2·Y, …
Output 0 is greater than all others iff no constraint is met: a tie meets one. So 'label 0 is verified' says that
none of them is ever met. The layer's numbers must be of the network's dtype: where one is rounded, its bound is
raised by what that can change, Σ|c − ĉ|·max|Y| over the box, and never lowered.
"""

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

import torch
from torch import Tensor, nn

from ..certify.bounds.propagation import LogitBounds
from ..certify.questions.forms import MOST_ROWS, Form, Inequalities, Inequality, Property
from ..certify.ties import ARGMAX, STRICT
from ..models.networks import SpikingNetwork
from ..models.running.readouts import MEANS
from ..models.source import carry
from .properties import Conjunction, Constraint


class QuestionError(ValueError):
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
