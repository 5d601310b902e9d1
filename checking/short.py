"""Short proofs (proof/1): what a verifier writes, from which a certificate is made; nothing of them is trusted."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .refusal import Refused

FORMAT, ROWS_FORMAT = "spikecert.proof/1", "spikecert.proof/1.1"
"""Of a proof of a class, and of one of a property's rows."""
FORMATS = FORMAT, ROWS_FORMAT
SUFFIX = ".proof"
LEAF = -1
"""In the place of a neuron: a leaf. Less: a split of whole input number LEAF − 1 − it, of step after step."""
MOST_CELLS = 64
"""The most cells of a neuron, and the longest side of a pair's square, that a proof may ask for."""
STEEPEST = Fraction(1, 2**20)
"""The least λ^(T−1) by which prices are divided that a proof holds where currents vary."""


@dataclass(frozen=True)
class Narrowing:
    """Multipliers of one leaf.

    Attributes:
        neurons: whose currents are narrowed, (M,).
        slabs: whose rows narrow them, (K,).
        multipliers: of the bounds of I, of those of −I, and of 0, (2M + 1, K).
    """

    neurons: np.ndarray
    slabs: np.ndarray
    multipliers: np.ndarray


def read_narrowings(tensors: dict[str, np.ndarray], other: int, leaves: int) -> list[Narrowing | None]:
    """Return each leaf's multipliers for one class; None for all where the proof gives none.

    `narrow.sizes` has each leaf's M and K, (leaves, 2); the rest is one leaf after the other, flat.

    Raises:
        Refused: for sizes that do not fit.
    """
    names = [f"{other}.narrow.{part}" for part in ("sizes", "neurons", "slabs", "multipliers")]
    if names[0] not in tensors:
        return [None] * leaves
    sizes, *parts = (tensors[name] for name in names)
    if sizes.shape != (leaves, 2) or sizes.dtype.kind != "i" or (sizes < 0).any():
        raise Refused(f"class {other}: multipliers have sizes that do not fit")
    counts = [(int(m), int(k), (2 * int(m) + 1) * int(k)) for m, k in sizes]
    if [part.shape for part in parts] != [(sum(each),) for each in zip(*counts, strict=True)]:
        raise Refused(f"class {other}: multipliers have sizes that do not fit")
    starts = np.cumsum([(0, 0, 0), *counts], axis=0)
    found: list[Narrowing | None] = []
    for (first, second, third), (m, k, size) in zip(starts[:-1].tolist(), counts, strict=True):
        neurons, slabs = parts[0][first : first + m], parts[1][second : second + k]
        multipliers = parts[2][third : third + size].reshape(2 * m + 1, k)
        found.append(Narrowing(neurons, slabs, multipliers) if k else None)
    return found
