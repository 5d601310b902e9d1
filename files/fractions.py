"""Numbers as people write them: decimals and fractions."""

import math
import re

NUMBER = "[0-9.eE+-]{1,40}"
FRACTION = re.compile(rf"\s*({NUMBER})\s*(?:/\s*({NUMBER})\s*)?", re.ASCII)


def fraction(text: str) -> float:
    """Return the value of "0.03" or "8/255", NaN for what is neither.

    >>> fraction("8 / 255") == 8 / 255, fraction("8/0")
    (True, nan)
    """
    found = FRACTION.fullmatch(text)
    if found is None:
        return math.nan
    try:
        return float(found[1]) / float(found[2] or 1)
    except (ValueError, ZeroDivisionError):
        return math.nan
