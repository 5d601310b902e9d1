"""Numbers as people write them: decimals, fractions and percentages."""

import math
import re

NUMBER = "[0-9.eE+-]{1,40}"
FRACTION = re.compile(rf"\s*({NUMBER})\s*(?:/\s*({NUMBER})\s*|(%)\s*)?", re.ASCII)


def fraction(text: str) -> float:
    """Return the value of "0.03", "8/255" or "3%", NaN for what is none of these.

    >>> fraction("8 / 255") == 8 / 255, fraction("8/0"), fraction("5 %")
    (True, nan, 0.05)
    """
    found = FRACTION.fullmatch(text)
    if found is None:
        return math.nan
    try:
        return float(found[1]) / float(found[2] or (100 if found[3] else 1))
    except (ValueError, ZeroDivisionError):
        return math.nan
