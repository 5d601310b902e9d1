"""Boxes of states step by step, for any number of states: a linear loop, and what its error gains add.

u_k = Kx_k + e_k, so x_k = M^k·x_0 + Σ_{j<k} M^{k−1−j}·(B·e_j + w_j), M = A + BK, and with |e_j| ≤ ē_j on the box
that holds x_j, |w_j| ≤ what disturbs there, |x_k| ≤ |M^k|·r_0 + Σ_{j<k} |M^{k−1−j}·B|·ē_j + |M^{k−1−j}|·w̄_j.
By induction each box holds its state. M need not be stable. Powers are exact, all else is rounded up.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction

from ...analysis.loops.practical import closed, felt
from ...analysis.loops.series import Matrix, exact, float_above, product
from ...models.constants import at_least
from .error_gain import ErrorGain
from .uncertain import Pair

MOST_STEPS = 200
NEARLY = 0.9
"""An error gain is taken from a box that is at most so much greater."""


def reach_boxes(
    plant: Pair,
    off: Pair | None,
    disturbance: tuple[float, ...],
    error: Callable[[tuple[float, ...]], ErrorGain],
    starts: tuple[float, ...],
    steps: int,
) -> tuple[tuple[float, ...], ...]:
    """Return the boxes; see `ClosedLoop.reach`.

    Raises:
        ValueError: for more than `MOST_STEPS`.
    """
    if at_least(1)("steps", steps) > MOST_STEPS:
        raise ValueError(f"steps: got {steps}, expected at most {MOST_STEPS}")
    boxes, gain = [starts], error(starts)
    K, B, first = gain.K, exact(plant[1]), tuple(map(Fraction, starts))
    size = range(len(starts))
    powers: list[Matrix] = [exact(tuple(tuple(float(i == k) for k in size) for i in size))]
    pushed = list[tuple[list[Fraction], tuple[Fraction, ...]]]()
    for _ in range(steps):
        pairs = list(zip(gain.box, boxes[-1], strict=True))
        if not all(a >= b for a, b in pairs) or not any(b >= NEARLY * a for a, b in pairs):
            gain = error(boxes[-1])
        bounds = felt(disturbance, off, K, gain.box, gain.error)
        pushed.append(([Fraction(e) for e in gain.error], bounds))
        powers.append(product(closed(*plant, K), powers[-1]))
        total = _moduli_times(powers[-1], first)
        for power, (errors, bound) in zip(reversed(powers[:-1]), pushed, strict=True):
            one, other = _moduli_times(product(power, B), errors), _moduli_times(power, bound)
            total = [a + b + c for a, b, c in zip(total, one, other, strict=True)]
        boxes.append(tuple(max(float_above(value), 1e-300) for value in total))
    return tuple(boxes)


def _moduli_times(rows: Matrix, weights: Sequence[Fraction]) -> list[Fraction]:
    return [sum((abs(a) * b for a, b in zip(row, weights, strict=True)), Fraction(0)) for row in rows]
