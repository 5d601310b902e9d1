"""Properties that say which class a tie belongs to."""

from fractions import Fraction

import pytest
import torch

from spikecert import SpikingNetwork
from spikecert.formats import Constraint, read_vnnlib, robustness, verify_property, write_vnnlib
from spikecert.formats.question import asked_ties
from support.ties import tied_network

LOW, HIGH = torch.full((2,), 0.45), torch.full((2,), 0.55)


@pytest.fixture
def tied() -> SpikingNetwork:
    return tied_network()


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_what_is_written_says_which_ties_are_unsafe_and_reads_the_same(version: str) -> None:
    prop = robustness(LOW, HIGH, 1, 3, ties="argmax")
    unsafe = prop.cases[0].unsafe
    assert [part[0].strict for part in unsafe] == [False, True]
    outputs = [Fraction(1), Fraction(1), Fraction(0)]
    assert prop.cases[0].unsafe_at(outputs)
    assert not prop.cases[0].unsafe_at([outputs[2], outputs[0], outputs[1]])
    assert robustness(LOW, HIGH, 1, 3).cases[0].unsafe_at([outputs[2], outputs[0], outputs[1]])
    assert read_vnnlib(write_vnnlib(prop, version)).cases[0].unsafe == unsafe


@pytest.mark.parametrize("verifier", ["interval", "trains", "complete", "auto"])
def test_a_tie_that_argmax_gives_to_the_label_is_safe(tied: SpikingNetwork, verifier: str) -> None:
    found = {
        (label, ties): verify_property(tied, robustness(LOW, HIGH, label, 3, ties=ties), verifier).status
        for label in (0, 1)
        for ties in ("argmax", "strict")
    }
    assert found == {
        (0, "argmax"): "holds",
        (0, "strict"): "violated",
        (1, "argmax"): "violated",
        (1, "strict"): "violated",
    }


def test_one_class_that_may_not_tie_makes_the_question_strict() -> None:
    """Y_0 ≤ Y_1 beside Y_0 < Y_1 and Y_0 < Y_2: the tie is unsafe, whichever of the two comes first."""
    constraints = [part[0] for part in robustness(LOW, HIGH, 0, 3, ties="argmax").cases[0].unsafe]
    equal = Constraint(((0, Fraction(1)), (1, Fraction(-1))), Fraction(0))
    assert asked_ties(constraints, 0) == "argmax"
    assert asked_ties([equal, *constraints], 0) == asked_ties([*constraints, equal], 0) == "strict"
    last = [part[0] for part in robustness(LOW, HIGH, 2, 3, ties="argmax").cases[0].unsafe]
    assert asked_ties(last, 2) == "strict"  # no tie falls to the last class


def test_other_ties_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^ties: got 'lowest', expected one of argmax, strict$"):
        robustness(LOW, HIGH, 0, 3, ties="lowest")
