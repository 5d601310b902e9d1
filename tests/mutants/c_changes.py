"""Changes of C, token by token: what a tree tells of Python, brackets and neighbours tell here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from .places import SLACKS, TIES, Change, Mutant, identifiers, mutant, opposite, words

TOKEN = re.compile(
    r"(?P<gap>\s+|/\*.*?\*/|//[^\n]*|\#\s*(?:include|pragma|if|ifdef|ifndef|else|endif|undef)[^\n]*|\#\s*define\s+\w+)"
    r"|(?P<text>\"(?:\\.|[^\"])*\"|'(?:\\.|[^'])*')"
    r"|(?P<number>(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[uUlLfF]*)"
    r"|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign><<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.)",
    re.DOTALL,
)
OPEN, CLOSE = "([{", ")]}"
SIGNS = {"+": "-", "-": "+", "+=": "-=", "-=": "+=", "&&": "||", "||": "&&", "|=": "&=", "&=": "|="}
ENDS = {"lesser": "greater", "greater": "lesser"}
TYPES = words("int long double float char void unsigned const return sizeof case static else struct REAL")


@dataclass(frozen=True)
class Token:
    """A token that is no gap: its sort, its text, and where it is."""

    sort: str
    text: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """Return the tokens of a text but for comments, directives and gaps."""
    found = (Token(str(each.lastgroup), each[0], each.start(), each.end()) for each in TOKEN.finditer(text))
    return [token for token in found if token.sort != "gap"]


def c_mutants(file: str, text: bytes) -> list[Mutant]:
    """Return all mutants of a C file that is ASCII but for its comments; no two of them are the same text."""
    decoded = text.decode("latin-1")  # one place a byte
    row, names = tokens(decoded), identifiers(text)
    found: dict[tuple[int, int, str], Mutant] = {}
    for i, where in enumerate(functions(row)):
        for change in _changes(row, i, decoded, names) if 0 < i < len(row) - 2 else ():
            found[change.start, change.end, change.new] = mutant(file, where, text, change)
    return list(found.values())


def functions(row: list[Token]) -> list[str]:
    """Return the name of the function that holds each token, or ""."""
    found, depth, name, current = [], 0, "", ""
    for i, token in enumerate(row):
        if depth == 0 and token.text == "(" and row[i - 1].sort == "name":
            name = row[i - 1].text
        depth += (token.text == "{") - (token.text == "}")
        current = name if depth else ""
        found.append(current)
    return found


def _changes(row: list[Token], i: int, text: str, names: frozenset[str]) -> Iterator[Change]:
    """Yield the changes that begin at a token."""
    token, before = row[i], row[i - 1]
    binary = (before.sort in ("name", "number") or before.text in ")]") and before.text not in TYPES
    if token.sort == "number":
        yield from _numbers(token)
    elif token.sort == "name":
        yield from _names(row, i, text, names)
    elif token.text in TIES and binary:
        yield _instead("comparison turned", token, TIES[token.text])
    elif token.text in SIGNS and binary:
        yield _instead("and for or" if token.text in ("&&", "||") else "other sign", token, SIGNS[token.text])
        yield from _without(row, i)
    elif token.text in "&|" and binary:
        yield _instead("and for or", token, "|" if token.text == "&" else "&")
    elif token.text in "*/" and binary and row[i + 1].text not in ")*" and not before.text[0].isupper():
        yield Change("factor dropped", token.start, row[_operand(row, i + 1) - 1].end, "")
    elif token.text in "!~" or (token.text == "-" and not binary):
        yield _instead("sign dropped", token, "")
    elif token.text == "?":
        yield from _condition(row, i)


def _instead(kind: str, token: Token, new: str) -> Change:
    """Return a change of one token."""
    return Change(kind, token.start, token.end, new)


def _numbers(token: Token) -> Iterator[Change]:
    """Yield whole numbers off by one, and other numbers off by a factor of 2."""
    if token.text.isdigit():
        yield _instead("off by one", token, str(int(token.text) + 1))
        if int(token.text):
            yield _instead("off by one", token, str(int(token.text) - 1))
    elif re.fullmatch(r"[\d.]+(e-?\d+)?", token.text):
        yield _instead("other number", token, repr(float(token.text) / 2 or 1.0))


def _names(row: list[Token], i: int, text: str, names: frozenset[str]) -> Iterator[Change]:
    """Yield the other end, no slack, one of two ends, a branch that is never or always taken, no statement."""
    token = row[i]
    if (other := opposite(token.text, names)) is not None:
        yield _instead("other end", token, other)
    if SLACKS & set(token.text.split("_")) and row[i - 1].text in "+-*(" and row[i + 1].text not in "(=[":
        yield _instead("slack forgotten", token, f"(0 * {token.text})")
    if token.text in (*ENDS, "fmin", "fmax", "floor", "ceil", "fabs", "rint") and row[i + 1].text == "(":
        close = _closing(row, i + 1)
        commas = [j for j in range(i + 2, close) if row[j].text == "," and _depth(row, i + 2, j) == 0]
        edges = [i + 1, *commas, close]
        for begin, end in pairwise(edges):
            yield Change("call dropped", token.start, row[close].end, f"({text[row[begin].end : row[end].start]})")
    if token.text == "if" and row[i + 1].text == "(":
        start, end = row[i + 1].end, row[_closing(row, i + 1)].start
        yield Change("never", start, end, "0")
        yield Change("always", start, end, "1")
    if token.text in ("continue", "break") and row[i + 1].text == ";":
        yield _instead("statement dropped", token, "")
    if row[i - 1].text in "{};" and (stop := _update(row, i)) is not None:
        yield Change("statement dropped", token.start, row[stop].start, "")


def _without(row: list[Token], i: int) -> Iterator[Change]:
    """Yield a sum or a condition without what stands behind its sign."""
    if row[i].text in ("+", "-"):
        yield Change("term dropped", row[i].start, row[_product(row, i + 1) - 1].end, "")
    elif row[i].text in ("&&", "||"):
        stop = i + 1
        while row[stop].text not in (*CLOSE, ";", "&&", "||", "?", ":", ","):
            stop = _closing(row, stop) + 1 if row[stop].text in OPEN else stop + 1
        yield Change("condition dropped", row[i].start, row[stop - 1].end, "")


def _condition(row: list[Token], i: int) -> Iterator[Change]:
    """Yield the branches of `a ? b : c` the other way round, as `!1 ? b : c` for a condition in front of it."""
    yield _instead("never", row[i], "&& 0 ?")
    yield _instead("always", row[i], "|| 1 ?")


def _closing(row: list[Token], i: int) -> int:
    """Return the place of the bracket that closes the one at i."""
    depth = 0
    for j in range(i, len(row)):
        depth += (row[j].text in OPEN) - (row[j].text in CLOSE)
        if depth == 0:
            return j
    return len(row) - 1


def _depth(row: list[Token], begin: int, end: int) -> int:
    """Return how many brackets are open between two places."""
    return sum((token.text in OPEN) - (token.text in CLOSE) for token in row[begin:end])


def _operand(row: list[Token], i: int) -> int:
    """Return the place behind an operand: a name, a number or brackets, with calls, indices and members."""
    while row[i].text in ("-", "!", "~", "&", "*") or (row[i].text == "(" and row[i + 1].text in TYPES):
        i = _closing(row, i) + 1 if row[i].text == "(" else i + 1
    i = _closing(row, i) + 1 if row[i].text == "(" else i + 1
    while row[i].text in "([" or row[i].text in (".", "->"):
        i = _closing(row, i) + 1 if row[i].text in "([" else i + 2
    return i


def _product(row: list[Token], i: int) -> int:
    """Return the place behind a product."""
    i = _operand(row, i)
    while row[i].text in ("*", "/", "%"):
        i = _operand(row, i + 1)
    return i


def _update(row: list[Token], i: int) -> int | None:
    """Return the place of the semicolon behind a call or an update that begins here; None for anything else."""
    stop = _operand(row, i)
    if row[stop].text in ("+=", "-=", "|=", "&=", "*="):
        while row[stop].text not in (";", *CLOSE):
            stop = _closing(row, stop) + 1 if row[stop].text in OPEN else stop + 1
        return stop if row[stop].text == ";" else None
    called = row[stop - 1].text == ")" and row[i + 1].text == "(" and row[i].text not in ("if", "for", "while")
    return stop if called and row[stop].text == ";" and row[i].text not in TYPES else None
