"""Read JSON that a stranger may have written: what is odd in it is refused in one line, and nothing takes long."""

import json
import math
from typing import Any

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
