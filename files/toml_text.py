"""Read TOML that a stranger may have written, within limits that no configuration of sense reaches."""

import re
import tomllib
from typing import Any

from .json_text import check_depth

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
