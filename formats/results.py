"""The verification competition's results: one word, and a counterexample that anybody can run again."""

import reprlib

from torch import Tensor

from .deciding import PropertyVerdict
from .expressions import is_number, parse

WORDS = {"holds": "unsat", "violated": "sat", "timeout": "timeout", "unknown": "unknown", "error": "error"}
"""Results, and the older words for them."""


def result_word(status: str, legacy: bool = False) -> str:
    """Return the result's first line: holds, violated, timeout, unknown or error; sat and unsat if `legacy`."""
    return WORDS[status] if legacy else status


def competition_result(verdict: PropertyVerdict, legacy: bool = False) -> str:
    """Return a result file: the word, then ((X_0 …) … (Y_0 …)) if the property is violated.

    Numbers are written so that they read back to the same float64, which holds each float32 exactly.
    """
    word = result_word(verdict.status, legacy)
    if verdict.counterexample is None or verdict.outputs is None:
        return f"{word}\n"
    parts = [*_assigned("X", verdict.counterexample), *_assigned("Y", verdict.outputs)]
    return f"{word}\n({chr(10).join(parts)})\n"


def _assigned(name: str, values: Tensor) -> list[str]:
    return [f"({name}_{place} {value!r})" for place, value in enumerate(values.flatten().tolist())]


def read_counterexample(text: str) -> tuple[list[float], list[float]] | None:
    """Return X and Y of a result file, or None if it names none.

    Raises:
        ValueError: for a text that is no such file.
    """
    word, _, rest = text.partition("\n")
    if word.strip() not in {*WORDS, *WORDS.values()}:
        raise ValueError(f"result: got {word[:40]!r}, expected one of {', '.join(WORDS)}, sat or unsat")
    lists = parse(rest)
    if not lists:
        return None
    if len(lists) != 1 or not isinstance(lists[0], tuple):
        raise ValueError("result: expected one list of values ((X_0 …) … (Y_0 …))")
    found: dict[str, float] = {}
    for pair in lists[0]:
        if not isinstance(pair, tuple) or len(pair) != 2 or not is_number(pair[1]) or not isinstance(pair[0], str):
            raise ValueError(f"result: got {reprlib.repr(pair)}, expected a name and a number")
        found[pair[0]] = float(pair[1])
    values = tuple(_listed(name, found) for name in "XY")
    if sum(map(len, values)) != len(found):
        raise ValueError("result: expected X_0, X_1, … and Y_0, Y_1, … without a gap")
    return values[0], values[1]


def _listed(name: str, found: dict[str, float]) -> list[float]:
    values = []
    while f"{name}_{len(values)}" in found:
        values.append(found[f"{name}_{len(values)}"])
    return values
