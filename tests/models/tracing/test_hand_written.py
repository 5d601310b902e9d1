"""Idioms of public repositories, and near-misses of each: in and the same function, or refused by the line.

`WRITE_HAND_WRITTEN=1 python -m pytest tests/models/tracing/test_hand_written.py` writes the table of the page.
"""

import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from spikecert import LIF, ConversionRefused, PerStep, convert
from support.hand_written import NEURONS, OTHERS, kinds_of, made, sample
from support.public_idioms import PUBLIC
from support.resting_idioms import BUSY, RESTING

PAGE = Path(__file__).parents[3] / "docs" / "conversion.md"
BEGIN, END = "<!-- idioms -->\n", "<!-- end of idioms -->"
HEAD = "| network | | near-misses |\n|---|---|---|\n"
REFUSED = {
    "snu": "relu: ",
    "early_exit": "is not the same function of each step",
    "softmax_sum": "a softmax of each step",
    "klif": "relu: ",
    "clif": "sigmoid: ",
    "attention": "bmm: ",
    "parallel": "is of samples and features in one axis",
    "whole_numbers": "clamp: ",
    "ternary": "fires at 5 of 7 steps",
    "izhikevich": "multiplies two signals",
    "exponential": "exp: ",
    "soft_gates": "sigmoid: ",
    "normalised": "F.layer_norm: ",
    "bounded": "clamp: ",
    "noisy": "draws random numbers",
    "gradual": "reads its potential of step",
    "integrates_at_rest": "reads its potential of step",
    "counts_again": "asks whether a graded signal has just one value",
    "heard_at_rest": "what it would have fired is read",
    "silenced_by_others": "takes something in behind a spike",
}
EQUAL = {("once", "decay")}
"""Near-misses that are networks, too: of a constant input v is a[t] times that, where nothing resets it."""
Idiom = Callable[..., Any]


def is_the_same(idiom: Idiom, kind: str, network: Any, ended: bool) -> bool:
    """Return whether a network gives on many inputs, far ones too, what its source gives, or at least its classes.

    Outputs are compared but for one factor and one constant, and but for a few spikes that rounding decides.
    """
    differ = 0.0
    for scale, seed in ((1.0, 1), (4.0, 2), (-3.0, 3), (50.0, 4)):
        inputs = sample(400, seed) * scale
        with torch.no_grad():
            theirs, ours = made(idiom, kind)(inputs).double(), network(inputs).double()
        if ended:
            differ = max(differ, float((theirs.argmax(1) != ours.argmax(1)).double().mean()))
            continue
        both = torch.stack([ours.flatten(), torch.ones(ours.numel(), dtype=torch.float64)], 1)
        fitted = both @ torch.linalg.lstsq(both, theirs.reshape(-1, 1)).solution
        off = (fitted.flatten() - theirs.flatten()).abs() > 1e-4 * (1.0 + float(theirs.abs().max()))
        differ = max(differ, float(off.double().mean()))
    return differ < 2e-3


@cache
def outcome(idiom: Idiom, kind: str) -> tuple[str, str]:
    """Return "in" and what the neurons are, "refused" and why, or "false"."""
    try:
        found = convert(made(idiom, kind), sample())
    except ConversionRefused as error:
        return "refused", str(error)
    ended = any("was left out" in note for note in found.notes)
    parts = [each for each in found.network.modules() if isinstance(each, LIF | PerStep)]
    neurons = " and ".join(dict.fromkeys(type(each).__name__ for each in parts))
    return ("in" if is_the_same(idiom, kind, found.network, ended) else "false"), neurons


def near(idiom: Idiom) -> list[Any]:
    """Return the near-misses of an idiom as parameters: one is tried always, all with `-m slow`."""
    kinds = kinds_of(idiom)
    daily = sum(map(ord, idiom.__name__)) % max(1, len(kinds))
    return [
        pytest.param(
            idiom, kind, id=f"{idiom.__name__}-{kind}", marks=[] if place == daily else [pytest.mark.slow]
        )
        for place, kind in enumerate(kinds)
    ]


@pytest.mark.parametrize("idiom", [*NEURONS, *PUBLIC, *RESTING, *OTHERS, *BUSY], ids=lambda idiom: idiom.__name__)
def test_an_idiom_comes_in_or_is_refused_by_name(idiom: Idiom):
    verdict, told = outcome(idiom, "")
    reason = REFUSED.get(idiom.__name__)
    assert verdict == ("in" if reason is None else "refused"), told
    assert reason is None or reason in told
    assert reason is None or re.match(
        r"(hand_written|public_idioms|resting_idioms)\.py:\d+: |module: |output: ", told
    )


@pytest.mark.parametrize(
    ("idiom", "kind"), [each for idiom in (*NEURONS, *PUBLIC, *RESTING) for each in near(idiom)]
)
def test_no_near_miss_comes_in_as_another_network(idiom: Idiom, kind: str):
    """A threshold that is another one at a step, where resets subtract, is a current that is: v + δ."""
    verdict, told = outcome(idiom, kind)
    if (idiom.__name__, kind) in EQUAL:
        assert verdict == "in", told
        return
    assert verdict == "refused" or (verdict, kind) == ("in", "threshold"), told
    assert verdict == "refused" or "PerStep" in told


def row(idiom: Idiom) -> str:
    """Return a line of the table."""
    verdict, told = outcome(idiom, "")
    if verdict == "refused":
        told = re.sub(r"^\w+\.py:\d+: ", "", told).partition("; expected")[0]
    kinds = kinds_of(idiom)
    said = (idiom.__doc__ or "").strip().rstrip(".")
    return f"| {said} | {verdict}: {told} | {', '.join(kinds) or '–'} |\n"


def test_the_table_of_the_page_is_what_comes_in():
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    table, _, after = rest.partition(END)
    found = HEAD + "".join(map(row, (*NEURONS, *PUBLIC, *RESTING, *OTHERS, *BUSY)))
    if "WRITE_HAND_WRITTEN" in os.environ:
        PAGE.write_text(before + BEGIN + found + END + after, encoding="utf-8")
    else:
        assert table == found, "WRITE_HAND_WRITTEN=1 writes it"
