"""Two statements make one about both builds only where they ask the same: each part of a question tells."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikecert.checking import Refused, Statement
from spikecert.checking.conclusions import StatedProperty
from spikecert.checking.events.recordings import Rules
from spikecert.checking.short import TwinStatement, twin_files

ONE = Statement(
    network="a" * 64,
    label=2,
    sample=np.array([0.25, 0.5], dtype=np.float32),
    radius=np.array([0.125]),
    norm="linf",
    lower=0.0,
    upper=1.0,
    margin=0.5,
    leaves=3,
    ties="strict",
    note="",
)


@pytest.mark.parametrize(
    "change",
    [
        {"network": "b" * 64},
        {"margin": 0.1, "leaves": 9, "note": "another"},
        {"ties": "argmax"},
        {"sample": np.array([0.25, 0.5])},
        {"radius": np.array([0.125, 0.125])},
    ],
)
def test_what_is_of_a_build_alone_does_not_tell(change: dict[str, Any]):
    found = TwinStatement(ONE, replace(ONE, **change))
    assert found.a.question == found.b.question


def test_two_builds_of_one_property_may_have_other_classes():
    """Both may have the greatest two outputs in common, say, and the outputs of the sample."""
    row = {"outputs": [[0, 1.0]], "inputs": [], "own": [], "constant": -9.0, "strict": False}
    prop = StatedProperty.read({"property": [[row]], "own": [1.0, 2.0, 3.0]})
    asked = replace(ONE, label=None, prop=prop)
    for pair in ((asked, replace(asked, network="b" * 64)), (asked, ONE), (ONE, asked)):
        with pytest.raises(Refused, match="says nothing of their classes"):
            TwinStatement(*pair)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 1}, "classes 2 and 1, not about one"),
        ({"sample": np.array([0.25, 0.5000001])}, "different samples"),
        ({"sample": np.array([[0.25, 0.5]])}, "different samples"),
        ({"radius": np.array([0.1250001])}, "different sets of inputs"),
        ({"radius": np.array([0.125, 0.1250001])}, "different sets of inputs"),
        ({"lower": 0.1}, "different sets of inputs"),
        ({"upper": 0.9}, "different sets of inputs"),
        ({"norm": "l2"}, "sets in linf and l2"),
        (
            {"rules": Rules.read("l0", {"flips": {"count": 1, "kind": "flip"}}, lambda name: None)},
            "different sets",
        ),
    ],
)
def test_another_question_is_refused(change: dict[str, Any], message: str):
    with pytest.raises(Refused, match=message):
        TwinStatement(ONE, replace(ONE, **change))
    with pytest.raises(Refused):
        TwinStatement(replace(ONE, **change), ONE)


def test_rules_of_events_tell():
    def ruled(count: int, mask: np.ndarray | None = None) -> Statement:
        rules = Rules.read("l0", {"flips": {"count": count, "kind": "flip"}}, lambda name: mask)
        return replace(ONE, norm="l0", rules=rules, radius=np.zeros(0))

    assert TwinStatement(ruled(1), replace(ruled(1), network="b" * 64)).a.label == 2
    for other in (ruled(2), ruled(1, np.array([True, False]))):
        with pytest.raises(Refused, match="different sets of inputs"):
            TwinStatement(ruled(1), other)


def test_files_go_together_by_name():
    folder = Path("x")
    proofs = [folder / side / name for side, name in (("a", "1.proof"), ("a", "2.proof"), ("b", "1.proof"))]
    found = twin_files(folder, proofs)
    assert found == [("1.proof", proofs[0], proofs[2]), ("2.proof", proofs[1], None)]
