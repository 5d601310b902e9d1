"""Find the quadratic norm in which a loop contracts, in floats; `analysis.loops.ellipsoid` checks it exactly."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np

from ...analysis.loops.ellipsoid import EllipsoidRound, EllipsoidStability, contracts, pushes, within
from ...analysis.loops.kept import Rows
from ...analysis.loops.series import float_above
from ...models.deadline import LATE, passed
from .grid import ErrorGain
from .uncertain import Pair

SHARES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
"""Of what is between the spectral radius and 1: rates that are tried."""
SLACK = 1e-9
"""What is left to rounding, relative, where exact checks are to hold."""
GROWN = 1.0 + 2.0**-20
WORTH = 0.98


def ellipsoid_certificate(
    plants: Sequence[Pair],
    bounds: tuple[float, ...],
    error: Callable[[tuple[float, ...]], ErrorGain],
    radii: tuple[float, ...],
    rounds: int,
    deadline: float | None,
) -> EllipsoidStability:
    """Return the proof, see `ClosedLoop.ellipsoid`.

    Args:
        plants: vertices.
        bounds: of the disturbance.
        error: gives the error gain over a box, by the deadline.
        radii: of the first box.
        rounds: as there.
        deadline: behind which no round begins.
    """
    done, why = list[EllipsoidRound](), LATE
    for _ in range(rounds):
        if passed(deadline):
            break
        gain = error(radii)
        found = _round(plants, gain, radii, bounds)
        if isinstance(found, str):
            why = found
            break
        level = Fraction(found.level)
        if not done and Fraction(found.rate) * level + Fraction(found.push) > level:
            room = found.level * (1 - found.rate)
            why = f"errors of up to {max(gain.error):.4g} push by {found.push:.3g} where {room:.3g} is left"
            break
        if done and any(new > old for new, old in zip(found.limit, done[-1].limit, strict=True)):
            break
        done.append(found)
        further = tuple(min(s * GROWN, r) for s, r in zip(found.limit, radii, strict=True))
        if not any(new < WORTH * old for new, old in zip(further, radii, strict=True)):
            break
        radii = further
    if done:
        why = f"{len(done)} ellipsoids: runs stay in the first one, and end in the last one's limit"
    return EllipsoidStability(tuple(plants), bounds, tuple(done), why)


def _round(
    plants: Sequence[Pair], gain: ErrorGain, radii: tuple[float, ...], bounds: tuple[float, ...]
) -> EllipsoidRound | str:
    """Return the round whose limit is the least share of its level, checked exactly; or why there is none."""
    best, least, seen = None, math.inf, [np.asarray(A) + np.asarray(B) @ np.asarray(gain.K) for A, B in plants]
    pole = max(float(np.abs(np.linalg.eigvals(one)).max()) for one in seen)
    if pole >= 1:
        return f"A + B·K has spectral radius {pole:.6g} at a vertex, expected below 1"
    for share in SHARES:
        P = _norm(seen, pole + (1 - pole) * share, radii)
        rate = _rate(seen, P)
        if rate >= 1:
            continue
        level = min(r / math.sqrt(x) for r, x in zip(radii, np.diag(np.linalg.inv(P)), strict=True))
        push = _pushed(plants, P, gain.error, bounds)
        if push / (1 - rate) / level < least:
            best, least = (P, rate, level), push / (1 - rate) / level
    if best is None:
        return "no quadratic norm was found in which all vertices contract"
    return _checked(plants, gain, radii, bounds, *best)


def _norm(closed: Sequence[np.ndarray], rate: float, radii: tuple[float, ...]) -> np.ndarray:
    """Return P for the middle of all vertices, of states in units of the box."""
    from scipy.linalg import solve_discrete_lyapunov  # imported here: scipy takes half a second

    unit = np.diag(radii)
    middle = np.linalg.inv(unit) @ np.mean(closed, axis=0) @ unit / rate
    found = solve_discrete_lyapunov(middle.T, np.eye(len(radii)))
    found = np.linalg.inv(unit) @ (found + found.T) / 2 @ np.linalg.inv(unit)
    return (found + found.T) / 2


def _rate(closed: Sequence[np.ndarray], P: np.ndarray) -> float:
    """Return about the least rate at which all vertices contract."""
    root = np.linalg.cholesky(P).T
    return max(float(np.linalg.norm(root @ one @ np.linalg.inv(root), 2)) for one in closed) * (1 + SLACK)


def _pushed(plants: Sequence[Pair], P: np.ndarray, error: Sequence[float], bounds: Sequence[float]) -> float:
    rows: Rows = tuple(tuple(map(float, row)) for row in P)
    return float_above(pushes(plants, rows, error, bounds))


def _checked(
    plants: Sequence[Pair],
    gain: ErrorGain,
    radii: tuple[float, ...],
    bounds: tuple[float, ...],
    P: np.ndarray,
    rate: float,
    level: float,
) -> EllipsoidRound | str:
    """Return the round with its numbers moved until each exact check holds."""
    rows: Rows = tuple(tuple(map(float, row)) for row in P)
    for wider in (1.0, 1 + 1e3 * SLACK, 1 + 1e6 * SLACK):
        if rate * wider < 1 and contracts(plants, gain.K, rows, rate * wider):
            break
    else:
        return "the norm that floats found does not contract in exact arithmetic"
    rate, push = rate * wider, _pushed(plants, P, gain.error, bounds)
    level *= 1 - 1e3 * SLACK
    reach = push / (1 - rate) * (1 + 1e3 * SLACK)
    limit = tuple(reach * math.sqrt(x) * (1 + 1e3 * SLACK) for x in np.diag(np.linalg.inv(P)))
    exact_limit = Fraction(push) / (1 - Fraction(rate))
    if not within(rows, level, radii) or not within(rows, exact_limit, limit):
        return "the ellipsoids that floats found do not lie in their boxes in exact arithmetic"
    return EllipsoidRound(radii, gain.K, gain.error, gain.attained, rows, rate, push, level, limit)
