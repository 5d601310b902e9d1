"""Properties that strangers make large: limits that are stated, in one line, in little time and memory.

Properties that say which class a tie belongs to.
"""

import time
import tracemalloc
from fractions import Fraction

import pytest
import torch

from spikecert import SpikingNetwork
from spikecert.formats import Constraint, read_vnnlib, robustness, verify_property, write_vnnlib
from spikecert.formats import vnnlib as formulas
from spikecert.formats.deciding import asked_ties
from support.ties import tied_network

BOX = "(assert (>= X_0 0.0)) (assert (<= X_0 1.0)) (assert (>= X_1 -0.5)) (assert (<= X_1 0.25))\n"
OLDER = "".join(f"(declare-const {name} Real)\n" for name in ("X_0", "X_1", "Y_0", "Y_1")) + BOX
MOST_SECONDS = 5.0
MOST_MEMORY = 24 * 2**20


def newer(outputs: int) -> str:
    """Return a version 2.0 head with two inputs and many outputs."""
    declared = f"(declare-input X Real [2]) (declare-output Y Real [{outputs}])"
    ends = "(assert (and (>= X[0] 0) (<= X[0] 1) (>= X[1] 0) (<= X[1] 1)))"
    return f"(vnnlib-version <2.0>) (declare-network n {declared}) {ends}"


def outputs(count: int) -> str:
    """Return Y[0] Y[1] …."""
    return " ".join(f"Y[{place}]" for place in range(count))


def either(count: int, times: int) -> str:
    """Return conjunctions of disjunctions, which stand for 2^count ways each."""
    return f"(and {'(or (<= Y_0 1) (<= Y_1 1))' * count})" * times


AXES = ",".join(["1"] * 12_000)
PLACE = ",".join(["0"] * 12_000)
LONG = {
    "a sum of outputs": newer(20_000) + f"(assert (<= (+ {outputs(20_000)}) 0))",
    "a sum times numbers": newer(6000) + f"(assert (<= (* (+ {outputs(6000)}) {'1.5 ' * 300}) 0))",
    "a sum of large and small numbers": OLDER + f"(assert (<= Y_0 (+ {'1e400 1e-400 3.7e-399 ' * 4000})))",
    "boxes with many ends in common": OLDER
    + BOX * 300
    + f"(assert (or {''.join(f'(and (<= X_0 0.{k}1) (<= Y_0 0))' for k in range(1500))}))",
    "a shape of many axes": "(vnnlib-version <2.0>)"
    + f"(declare-network n (declare-input X Real [{AXES}]) (declare-output Y Real [1]))"
    + f"(assert (and (>= X[{PLACE}] 0) (<= X[{PLACE}] 1)))(assert (or {'(<= Y[0] 1)' * 3000}))",
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG.keys())
def test_long_properties_are_read_in_linear_time(text: str) -> None:
    started = time.process_time()
    assert read_vnnlib(text).cases
    assert time.process_time() - started < MOST_SECONDS


REFUSED = {
    "a product of many digits": (
        OLDER + f"(assert (<= Y_0 (* {'1.2345678901234567890e399 ' * 2000})))",
        "number: got a product or a sum of more than 4096 bits, expected a shorter one",
    ),
    "a small product": (
        OLDER + f"(assert (<= Y_0 (* {'1e-400 ' * 2000})))",
        "number: got a product or a sum of more than 4096 bits",
    ),
    "a huge exponent": (OLDER + "(assert (<= Y_0 1e30000000))", "expected an exponent within ±400"),
    "a long exponent": (OLDER + f"(assert (<= Y_0 1e{'0' * 300}1))", "expected an exponent within ±400"),
    "digits": (OLDER + f"(assert (<= Y_0 {'9' * 200_000}))", "expected a decimal of at most 400 characters"),
    "constraints in common": (
        OLDER + "(assert (<= Y_0 1))" * 2500 + f"(assert (or {'(<= Y_1 1)' * 2500}))",
        "assert: got 2500 unsafe cases with 2500 constraints in common, which pass 4000000 in all",
    ),
    "inputs without ends": (
        newer(1).replace("[2]", "[10000000]"),
        "assert: input 2 has no closed end on one side",
    ),
    "a long version": (f"(vnnlib-version {'a' * 10**6})", "version: got a{40}, expected <1.0>"),
    "a long name": (newer(1) + f"(assert (<= {'Z' * 10**6}[0] 1))", "variable: got 'Z{40}', expected X or Y"),
}


@pytest.mark.parametrize(("text", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_properties_beyond_the_limits_are_refused_quickly(text: str, told: str) -> None:
    started = time.process_time()
    with pytest.raises(ValueError, match=told) as refused:
        read_vnnlib(text)
    assert time.process_time() - started < MOST_SECONDS
    assert len(str(refused.value)) < 200
    assert "\n" not in str(refused.value)


LARGE = {
    "many large assertions": (OLDER + f"(assert {either(11, 1)})" * 400, "its normal form may pass 50000 atoms"),
    "a disjunction of them": (OLDER + f"(assert (or {either(11, 400)}))", "its normal form passes 50000 atoms"),
    "a conjunction of them": (OLDER + f"(assert (and {either(11, 400)}))", "its normal form may pass 50000 atoms"),
    "inputs without ends": (newer(1).replace("[2]", "[10000000]"), "input 2 has no closed end on one side"),
}


@pytest.mark.parametrize(("text", "told"), LARGE.values(), ids=LARGE.keys())
def test_what_is_refused_takes_little_memory(text: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formulas, "MOST_ATOMS", 50_000)
    tracemalloc.start()
    with pytest.raises(ValueError, match=told):
        read_vnnlib(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MOST_MEMORY


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
