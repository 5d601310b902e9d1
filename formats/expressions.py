"""S-expressions: text in, nested tuples out, within limits that no file of sense reaches. Nothing is evaluated."""

import re
from collections.abc import Iterator
from fractions import Fraction

LONGEST_TEXT = 64 * 2**20
MOST_TOKENS = 8_000_000
DEEPEST = 64
LONGEST_NUMBER = 400
LARGEST_EXPONENT = 400

Expression = "str | Shape | tuple[Expression, ...]"

_TOKEN = re.compile(r'\s+|;[^\n]*|[()]|\[[0-9,\s]*\]|"[^"\n]*"|[^\s()\[\]";]+')
_NUMBER = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d+))?", re.ASCII)


class Shape(tuple[int, ...]):
    """Integers in brackets: a tensor's shape, or the indices of an element."""


def parse(text: str) -> tuple:
    """Return the expressions of `text`: atoms as strings, brackets as `Shape`, lists as tuples.

    Raises:
        ValueError: for a text that is no sequence of closed lists, or passes a limit; one line with its line.

    >>> parse("(assert (<= X[0] 1.0)) ; an upper end")
    (('assert', ('<=', 'X', (0,), '1.0')),)
    """
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"text: got {len(text)} characters, expected at most {LONGEST_TEXT}")
    open_lists: list[list] = [[]]
    for token, position in _tokens(text):
        if token == "(":
            open_lists.append([])
            if len(open_lists) > DEEPEST:
                raise ValueError(f"line {_line(text, position)}: got lists nested deeper than {DEEPEST - 1}")
        elif token == ")":
            if len(open_lists) == 1:
                raise ValueError(f"line {_line(text, position)}: got ')' without its '('")
            done = tuple(open_lists.pop())
            open_lists[-1].append(done)
        else:
            open_lists[-1].append(_shape(token) if token.startswith("[") else token)
    if len(open_lists) > 1:
        raise ValueError(f"text: got {len(open_lists) - 1} lists that are never closed")
    return tuple(open_lists[0])


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    position = count = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"line {_line(text, position)}: got {text[position]!r}, which starts nothing known")
        token = match.group()
        if not (token.isspace() or token.startswith(";")):
            count += 1
            if count > MOST_TOKENS:
                raise ValueError(f"text: got more than {MOST_TOKENS} words")
            yield token, position
        position = match.end()


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _shape(token: str) -> Shape:
    """Return the integers of "[2, 3]"; "[]" is the shape of a scalar."""
    inside = token[1:-1].strip()
    parts = [part.strip() for part in inside.split(",")] if inside else []
    if not all(re.fullmatch(r"[0-9]{1,9}", part) for part in parts):
        raise ValueError(f"shape: got {_short(token)}, expected integers with commas between")
    return Shape(int(part) for part in parts)


def is_number(word: object) -> bool:
    """Return whether a word is written as a number."""
    return isinstance(word, str) and _NUMBER.fullmatch(word) is not None


def number(word: str) -> Fraction:
    """Return the exact value of a decimal number.

    Raises:
        ValueError: for another word, or one of too many digits.

    >>> number("-2.50e1")
    Fraction(-25, 1)
    """
    match = _NUMBER.fullmatch(word) if len(word) <= LONGEST_NUMBER else None
    if match is None:
        raise ValueError(f"number: got {_short(word)}, expected a decimal of at most {LONGEST_NUMBER} characters")
    exponent = match.group(3) or "0"
    if len(exponent) > 5 or abs(int(exponent)) > LARGEST_EXPONENT:
        raise ValueError(f"number: got {_short(word)}, expected an exponent within ±{LARGEST_EXPONENT}")
    return Fraction(word)


def _short(word: str) -> str:
    return repr(word if len(word) <= 40 else f"{word[:37]}...")
