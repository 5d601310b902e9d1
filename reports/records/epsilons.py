"""ε for people: as it was written where that is known, else as a whole number of grey levels or a decimal."""

import math

from ...files.fractions import fraction


def epsilon_text(epsilon: float, written: str = "") -> str:
    """Return ε with its value: "8/255 = 0.03137" where it is a whole number of grey levels, else "0.03" or "2".

    >>> epsilon_text(8 / 255), epsilon_text(0.03), epsilon_text(0.5 / 255, ".5/255")
    ('8/255 = 0.03137', '0.03', '.5/255 = 0.001961')
    """
    short = epsilon_short(epsilon, written)
    return f"{short} = {epsilon:.4g}" if "/" in short else short


def epsilon_short(epsilon: float, written: str = "") -> str:
    """Return ε for an axis or a column: "8/255" or "0.03".

    >>> epsilon_short(8 / 255), epsilon_short(8 / 255, "0.5"), epsilon_short(0.5 / 255, ".5/255")
    ('8/255', '8/255', '.5/255')
    """
    if written and fraction(written) == epsilon:
        return written
    levels = epsilon * 255
    whole = math.isfinite(levels) and abs(levels - round(levels)) < 1e-9 and round(levels) > 0
    return f"{round(levels)}/255" if whole and not epsilon.is_integer() else f"{epsilon:.6g}"
