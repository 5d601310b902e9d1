"""The verification competition's results: one word, and a counterexample that anybody can run again."""

import re
import reprlib
from collections.abc import Iterator
from math import prod

from torch import Tensor

from .deciding import PropertyVerdict
from .properties import VnnlibProperty
from .vnnlib import is_number, parse

WORDS = {"holds": "unsat", "violated": "sat", "timeout": "timeout", "unknown": "unknown", "error": "error"}
"""Results, and the older words for them."""
_HEADER = re.compile(r"[A-Za-z]\w* \w+ \[(\d{1,8}(?:, ?\d{1,8})*)\]\s*$", re.ASCII | re.MULTILINE)


def result_word(status: str, legacy: bool = False) -> str:
    """Return the result's first line: holds, violated, timeout, unknown or error; sat and unsat if `legacy`."""
    return WORDS[status] if legacy else status


def competition_result(verdict: PropertyVerdict, legacy: bool = False, prop: VnnlibProperty | None = None) -> str:
    """Return a result file: the word, then the counterexample if the property is violated.

    It is written ((X_0 …) … (Y_0 …)); of a property of VNN-LIB 2.0 as that has it: each tensor's name, type and
    shape, then its numbers, one a line. They read back to the same float64, which holds each float32 exactly.

    Args:
        verdict: of the property.
        legacy: whether the words are sat and unsat.
        prop: the property, for the form of its version; None for the older form.
    """
    word = result_word(verdict.status, legacy)
    if verdict.counterexample is None or verdict.outputs is None:
        return f"{word}\n"
    if prop is not None and prop.tensors is not None:
        return "\n".join((word, *_assignment(prop, verdict.counterexample, verdict.outputs), ""))
    parts = [*_assigned("X", verdict.counterexample), *_assigned("Y", verdict.outputs)]
    return f"{word}\n({chr(10).join(parts)})\n"


def _assigned(name: str, values: Tensor) -> list[str]:
    return [f"({name}_{place} {value!r})" for place, value in enumerate(values.flatten().tolist())]


def _assignment(prop: VnnlibProperty, inputs: Tensor, outputs: Tensor) -> Iterator[str]:
    """Yield the lines of VNN-LIB 2.0's form, section 5.3."""
    assert prop.tensors is not None
    shapes = (prop.input_shape, prop.output_shape)
    for (name, kind), shape, values in zip(prop.tensors, shapes, (inputs, outputs), strict=True):
        yield f"{name} {kind} [{','.join(map(str, shape))}]"
        yield from map(repr, values.flatten().tolist())


def read_counterexample(text: str) -> tuple[list[float], list[float]] | None:
    """Return X and Y of a result file of either form, or None if it names none.

    Raises:
        ValueError: for a text that is no such file.
    """
    word, _, rest = text.partition("\n")
    if word.strip() not in {*WORDS, *WORDS.values()}:
        raise ValueError(f"result: got {word[:40]!r}, expected one of {', '.join(WORDS)}, sat or unsat")
    if _HEADER.match(rest):
        return _assigned_values(rest.split("\n"))
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


def _assigned_values(lines: list[str]) -> tuple[list[float], list[float]]:
    """Return the numbers of two tensors in VNN-LIB 2.0's form."""
    heads = [place for place, line in enumerate(lines) if _HEADER.match(line)]
    parts = [lines[start + 1 : end] for start, end in zip(heads, [*heads[1:], None], strict=True)]
    values = [[line.strip() for line in part if line.strip()] for part in parts]
    sizes = [prod(map(int, match[1].split(","))) for place in heads if (match := _HEADER.match(lines[place]))]
    if list(map(len, values)) != sizes or len(sizes) != 2 or not all(map(is_number, [*values[0], *values[1]])):
        raise ValueError("result: expected two tensors, each with as many numbers as its shape says")
    return [float(value) for value in values[0]], [float(value) for value in values[1]]


def _listed(name: str, found: dict[str, float]) -> list[float]:
    values = []
    while f"{name}_{len(values)}" in found:
        values.append(found[f"{name}_{len(values)}"])
    return values
