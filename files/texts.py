"""Texts that a stranger may have written: shown on one line, and read as JSON, TOML or a number.

Read JSON that a stranger may have written: what is odd in it is refused in one line, and nothing takes long.

Read TOML that a stranger may have written, within limits that no configuration of sense reaches.

Numbers as people write them: decimals, fractions and percentages.
"""

import json
import math
import re
import tomllib
import unicodedata
from typing import Any

TURNING = {"R", "AL", "AN"}
"""Bidirectional classes of characters that are set from right to left, and turn what stands beside them."""


def printable(text: str) -> str:
    r"""Return `text` with an escape for each character that a terminal does not just print.

    Escaped are control characters, line ends, formats (such as U+202E), unpaired surrogates, and letters that are
    written from right to left: any of them could show a line in another order than it was written.

    >>> printable("0.1\x1b[2K\rε = 0.3")
    '0.1\\x1b[2K\\rε = 0.3'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _plain(char) else _escaped(char) for char in text)


def _plain(char: str) -> bool:
    return char.isprintable() and unicodedata.bidirectional(char) not in TURNING


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


DEEPEST = 64
"""Lists and objects within each other."""
LONGEST_INTEGER = 4000
"""Characters; Python itself refuses to write integers of more than 4,300 digits."""


def read_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: for a text that is no JSON, nests deeper than `DEEPEST`, names a key twice in one object, or
            holds NaN, an infinity (also as a number beyond float64) or a longer integer; in one line.

    >>> read_json('{"decay": 0.5}')
    {'decay': 0.5}
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_finite,
            parse_constant=_finite,
        )
    except RecursionError as error:
        raise _too_deep() from error
    check_depth(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("got an object that names a key twice, expected each once")
    return found


def _integer(digits: str) -> int:
    if len(digits) > LONGEST_INTEGER:
        raise ValueError(f"got an integer of {len(digits)} characters, expected at most {LONGEST_INTEGER}")
    return int(digits)


def _finite(digits: str) -> float:
    """Return a number; JSON has no other name for one that is not finite."""
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"got {digits[:20]}, expected finite numbers")
    return value


def check_depth(value: Any) -> None:
    """Raise ValueError for a value that nests deeper than `DEEPEST`.

    All containers of one depth are looked at at once: a recursion might end too early.
    """
    level: list[Any] = [[value]]
    for _ in range(DEEPEST + 1):
        inside = (holder.values() if isinstance(holder, dict) else holder for holder in level)
        level = [item for items in inside for item in items if isinstance(item, dict | list)]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> ValueError:
    return ValueError(f"got lists and objects within each other, expected at most {DEEPEST} deep")


LONGEST_TEXT = 2**18
"""Characters."""
MOST_DOTS = 64
"""In one line: a key of many parts takes the parser a time of their number squared."""
LONGEST_NUMBER = 400
_LONG_NUMBER = re.compile(rf"[0-9A-Fa-f_]{{{LONGEST_NUMBER + 1}}}")


def read_toml(text: str) -> dict[str, Any]:
    """Return the tables of a TOML text.

    Raises:
        ValueError: for a text that is no TOML, or passes a limit; in one line.

    >>> read_toml('seed = 3')
    {'seed': 3}
    """
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"got {len(text)} characters, expected at most {LONGEST_TEXT}")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > MOST_DOTS:
            raise ValueError(f"got {line.count('.')} dots in line {number}, expected at most {MOST_DOTS}")
    if _LONG_NUMBER.search(text):
        raise ValueError(f"got more than {LONGEST_NUMBER} digits in a row, expected shorter numbers")
    try:
        content = tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("got tables and arrays within each other too deeply") from error
    check_depth(content)
    return content


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
