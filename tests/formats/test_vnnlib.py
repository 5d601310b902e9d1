"""Properties in and out: what is written reads back, what is malformed is one line, and nothing else happens."""

import gzip
import re
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from spikecert.formats import (
    Constraint,
    PropertyCase,
    VnnlibProperty,
    read_vnnlib,
    robustness,
    vnnlib,
    write_vnnlib,
)
from spikecert.formats import vnnlib as expressions
from spikecert.formats import vnnlib as formulas
from spikecert.formats.vnnlib import number
from spikecert.formats.writing import decimal
from support.examples import examples

DECLARED = "".join(f"(declare-const {name} Real)\n" for name in ("X_0", "X_1", "Y_0", "Y_1"))
BOX = "(assert (>= X_0 0.0)) (assert (<= X_0 1.0)) (assert (>= X_1 -0.5)) (assert (<= X_1 0.25))\n"
NEWER = """(vnnlib-version <2.0>) ; a comment
(declare-network net
  (declare-input X float32 [1, 2])
  (declare-output Y Real [2] "logits"))
(assert (and (>= X[0,0] 0.0) (<= X [0,0] 1.0) (<= -0.5 X[0,1]) (<= X[0,1] 0.25)))
"""
HALF = Fraction(1, 2)

decimals = st.integers(-(10**6), 10**6).map(lambda n: Fraction(n, 1000)) | st.floats(-8, 8, width=32).map(Fraction)


@st.composite
def properties(draw: st.DrawFn) -> VnnlibProperty:
    inputs, outputs = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    ends = [sorted(draw(st.tuples(decimals, decimals))) for _ in range(inputs)]
    unsafe = draw(
        st.lists(st.lists(constraints(outputs), min_size=1, max_size=3).map(tuple), min_size=1, max_size=3)
    )
    case = PropertyCase(tuple(low for low, _ in ends), tuple(high for _, high in ends), tuple(unsafe))
    return VnnlibProperty((inputs,), (outputs,), (case,))


@st.composite
def constraints(draw: st.DrawFn, outputs: int) -> Constraint:
    places = sorted(draw(st.sets(st.integers(0, outputs - 1), min_size=1)))
    factors = draw(st.lists(decimals.filter(bool), min_size=len(places), max_size=len(places)))
    return Constraint(tuple(zip(places, factors, strict=True)), draw(decimals), draw(st.booleans()))


@examples(200)
@given(prop=properties(), version=st.sampled_from(["1.0", "2.0"]))
def test_what_is_written_reads_back(prop: VnnlibProperty, version: str):
    assert read_vnnlib(write_vnnlib(prop, version)) == prop


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_robustness_reads_back_and_has_float_ends_exactly(version: str):
    low, high = torch.rand(2, 3), torch.rand(2, 3) + 1
    prop = robustness(low, high, 1, 4)
    back = read_vnnlib(write_vnnlib(prop, version))
    assert back.cases == prop.cases
    assert back.input_shape == ((2, 3) if version == "2.0" else (6,))
    assert [float(end) for end in back.cases[0].lower] == low.flatten().tolist()


def test_version_1_by_hand():
    prop = read_vnnlib(
        DECLARED + BOX + "(assert (or (and (>= Y_1 Y_0)) (and (<= (+ Y_0 (* 2 Y_1)) -1e-1) (> Y_0 3))))"
    )
    assert prop.cases == (
        PropertyCase(
            (Fraction(0), -HALF),
            (Fraction(1), HALF / 2),
            (
                (Constraint(((0, Fraction(1)), (1, Fraction(-1))), Fraction(0)),),
                (
                    Constraint(((0, Fraction(1)), (1, Fraction(2))), Fraction(-1, 10)),
                    Constraint(((0, Fraction(-1)),), Fraction(-3), strict=True),
                ),
            ),
        ),
    )


def test_one_unsafe_part_is_written_without_a_choice():
    parts = tuple((Constraint(((0, Fraction(1)),), Fraction(bound)),) for bound in (2, 3))
    texts = [
        write_vnnlib(VnnlibProperty((1,), (1,), (PropertyCase((HALF,), (HALF,), parts[:count]),)))
        for count in (1, 2)
    ]
    assert [text.count("(or ") for text in texts] == [0, 1]
    assert [text.count("(assert (and ") for text in texts] == [1, 0]


def test_version_2_by_hand():
    prop = read_vnnlib(NEWER + "(assert (<= (- Y[0] Y [1] 0.5) (- 1)))")
    (case,) = prop.cases
    assert (prop.input_shape, prop.output_shape) == ((1, 2), (2,))
    assert (case.lower, case.upper) == ((Fraction(0), -HALF), (Fraction(1), HALF / 2))
    assert case.unsafe == ((Constraint(((0, Fraction(1)), (1, Fraction(-1))), -HALF),),)


def test_boxes_in_a_disjunction_become_cases():
    text = DECLARED + "(assert (or (and (>= X_0 0) (<= X_0 1) (<= Y_0 0)) (and (>= X_0 2) (<= X_0 3) (>= Y_0 0))))"
    prop = read_vnnlib(text + "(assert (and (<= X_1 1) (>= X_1 1)))")
    assert [case.lower for case in prop.cases] == [(0, 1), (2, 1)]
    assert [case.upper for case in prop.cases] == [(1, 1), (3, 1)]
    assert [len(case.unsafe) for case in prop.cases] == [1, 1]


def test_an_empty_box_and_a_false_constant_leave_no_case():
    assert read_vnnlib(DECLARED + BOX + "(assert (<= X_0 -1)) (assert (<= Y_0 0))").cases == ()
    assert read_vnnlib(DECLARED + BOX + "(assert (<= 1 0))").cases == ()
    assert read_vnnlib(DECLARED + BOX + "(assert (<= 0 1))").cases[0].unsafe == ((),)


def test_equalities_and_their_negations():
    both = read_vnnlib(DECLARED + BOX + "(assert (== Y_0 1))").cases[0].unsafe
    either = read_vnnlib(DECLARED + BOX + "(assert (!= Y_0 1))").cases[0].unsafe
    for value, equal in ((1, True), (2, False)):
        outputs = [Fraction(value), Fraction(0)]
        assert any(all(c.holds(outputs) for c in part) for part in both) == equal
        assert any(all(c.holds(outputs) for c in part) for part in either) != equal


def test_files_plain_and_gzipped(tmp_path: Path):
    text = DECLARED + BOX + "(assert (<= Y_0 Y_1))"
    plain, packed = tmp_path / "p.vnnlib", tmp_path / "p.vnnlib.gz"
    plain.write_text(text, encoding="utf-8")
    packed.write_bytes(gzip.compress(text.encode()))
    assert read_vnnlib(plain) == read_vnnlib(packed) == read_vnnlib(text)


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(vnnlib, "LONGEST_TEXT", 1000)
    bomb = tmp_path / "p.vnnlib.gz"
    bomb.write_bytes(gzip.compress(b" " * 10**7))
    with pytest.raises(ValueError, match="has more than 1000 bytes unpacked, expected at most 1000"):
        read_vnnlib(bomb)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x1f\x8b broken", "is not a complete gzip file"),
        (gzip.compress(b"\xff\xfe", mtime=0), "is no text file"),
        (b"plain text", "got a word outside of any list"),
    ],
)
def test_a_broken_gzip_file_is_one_line(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "p.vnnlib.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_vnnlib(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "without a gap, at least one"),
        ("(declare-const X_0 Real)", "Y_0, Y_1"),
        ("(declare-const X_1 Real) (declare-const Y_0 Real)", "X_0, X_1"),
        (DECLARED + "(declare-const X_0 Real)", "twice"),
        ("(declare-const Z Real)", "expected X_i or Y_j"),
        ("(declare-const X_0 Int)", "expected a name and Real"),
        ("(declare-const (X_0) Real)", "expected a name and Real"),
        (DECLARED + "(assert (<= X_0 1)", "never closed"),
        (DECLARED + ")", r"line 5: got '\)'"),
        ("\n" + DECLARED + ")", r"line 6: got '\)'"),
        (DECLARED + "word", "outside of any list"),
        (DECLARED + "(check-sat)", "got 'check-sat'"),
        (DECLARED + "(assert (<= X_0 1))", "input 0 has no closed end"),
        (DECLARED + BOX + "(assert)", "got 0 formulas"),
        (DECLARED + BOX + "(assert (<= Y_0))", "got 1 sides"),
        (DECLARED + BOX + "(assert (<= Y_0 Y_7))", "'Y_7', which is not declared"),
        (DECLARED + BOX + "(assert (<= (* Y_0 Y_1) 0))", "product of variables"),
        (DECLARED + BOX + "(assert (<= (/ Y_0 2) 0))", r"expected \+, - or \*"),
        (DECLARED + BOX + "(assert (<= (+) 0))", "without arguments"),
        (DECLARED + BOX + "(assert (<= (+ X_0 X_1) 0))", "each by itself"),
        (DECLARED + BOX + "(assert (< X_0 1))", "closed ends"),
        (DECLARED + BOX + "(assert (<= Y_0 1e99999))", "exponent within"),
        (DECLARED + BOX + f"(assert (<= Y_0 {'9' * 500}))", "at most 400 characters"),
        (DECLARED + BOX + "(assert (<= Y_0 nan))", "expected X_i or Y_j"),
        (DECLARED + BOX + "(assert true)", "got 'true'"),
        (DECLARED + BOX + "(assert (not (<= Y_0 1)))", "got 'not'"),
        (DECLARED + BOX + "(assert (<= Y_0[0] 1))", "not declared"),
        ("(" * 100 + ")" * 100, "nested deeper"),
        ('"', "starts nothing known"),
        ("(vnnlib-version <3.0>)", "got <3.0>"),
        (NEWER + "(assert (<= Y[2] 0))", "expected an element of shape"),
        (NEWER + "(assert (<= Y 0))", "expected an element of shape"),
        (NEWER + "(assert (<= Z[0] 0))", "expected X or Y"),
        (NEWER.replace("[1, 2]", "[1,, 2]"), "expected integers"),
        (NEWER.replace("[1, 2]", "[0]"), "elements"),
        (NEWER.replace("[1, 2]", "[999999999]"), "elements"),
        (NEWER.replace("float32", "string"), "a real type"),
        (NEWER.replace("Y Real", "X Real"), "twice"),
        (NEWER + "(declare-network b (declare-input A Real [1]) (declare-output B Real [1]))", "one network"),
        (NEWER.replace("(declare-output", "(declare-hidden H Real [1])(declare-output"), "one declare-input"),
    ],
)
def test_malformed_texts_are_one_line(text: str, message: str):
    with pytest.raises(ValueError, match=message) as caught:
        read_vnnlib(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(("length", "shown"), [(38, "'1e" + "9" * 38 + "'"), (39, "'1e" + "9" * 35 + "...'")])
def test_a_long_word_is_cut(length: int, shown: str):
    word = "1e" + "9" * length
    with pytest.raises(ValueError, match=f"^number: got {re.escape(shown)}, expected an exponent"):
        number(word)


def test_normal_forms_do_not_explode():
    pair = "(or (<= Y_0 0) (<= Y_1 0))"
    with pytest.raises(ValueError, match="normal form"):
        read_vnnlib(DECLARED + BOX + f"(assert (and {pair * 40}))")
    with pytest.raises(ValueError, match="normal form"):
        read_vnnlib(DECLARED + BOX + f"(assert {pair})" * 40)


def test_words_are_limited(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(expressions, "MOST_TOKENS", 10)
    with pytest.raises(ValueError, match="more than 10 words"):
        read_vnnlib(DECLARED)


PIECES = st.sampled_from(
    [
        *(
            "(",
            ")",
            "assert",
            "and",
            "or",
            "<=",
            ">=",
            "X_0",
            "Y_0",
            "X[0]",
            "Y[0,1]",
            "[",
            "]",
            "[1]",
            "1.5",
            "-",
        ),
        *("-", "+", "*", ";", "\n", '"', "declare-const", "Real", "vnnlib-version", "<2.0>", "declare-network"),
    ]
)


@examples(400)
@example(DECLARED)
@given(text=st.text(max_size=80) | st.lists(PIECES, max_size=40).map(" ".join))
def test_random_texts_give_value_errors_only(text: str):
    for prefix in ("", DECLARED + BOX, NEWER):
        reads_or_complains_in_one_line(prefix + text)


def reads_or_complains_in_one_line(text: str) -> None:
    try:
        found = read_vnnlib(text)
    except ValueError as error:
        complaint = str(error)
    else:
        complaint = ""
        assert isinstance(found, VnnlibProperty)
    assert "\n" not in complaint


@examples(200)
@given(prop=properties(), data=st.data())
def test_broken_properties_give_value_errors_only(prop: VnnlibProperty, data: st.DataObject):
    text = write_vnnlib(prop, data.draw(st.sampled_from(["1.0", "2.0"])))
    start = data.draw(st.integers(0, len(text) - 1))
    broken = text[:start] + data.draw(st.text(max_size=3)) + text[start + data.draw(st.integers(0, 5)) :]
    reads_or_complains_in_one_line(broken)


@pytest.mark.parametrize(("value", "text"), [(HALF, "0.5"), (Fraction(-3), "-3.0"), (Fraction(1, 80), "0.0125")])
def test_decimals_are_exact(value: Fraction, text: str):
    assert decimal(value) == text


def test_what_can_not_be_written_is_refused():
    case = PropertyCase((Fraction(0),), (Fraction(1, 3),), ((),))
    with pytest.raises(ValueError, match="no finite decimal"):
        write_vnnlib(VnnlibProperty((1,), (1,), (case,)))
    with pytest.raises(ValueError, match="version: got '3'"):
        write_vnnlib(VnnlibProperty((1,), (1,), (case,)), "3")
    with pytest.raises(ValueError, match="expected 1 to write"):
        write_vnnlib(VnnlibProperty((1,), (1,), ()))
    with pytest.raises(ValueError, match="label"):
        robustness(torch.zeros(2), torch.ones(2), 3, 3)


def test_properties_that_do_not_fit_their_shapes_are_refused():
    case = PropertyCase((Fraction(0),), (Fraction(1),), ((Constraint(((2, Fraction(1)),), Fraction(0)),),))
    with pytest.raises(ValueError, match="beyond the declared 2"):
        VnnlibProperty((1,), (2,), (case,))
    with pytest.raises(ValueError, match="expected 2"):
        VnnlibProperty((2,), (3,), (case,))


def test_functions_of_nothing_are_constants():
    functions = DECLARED.replace("declare-const", "declare-fun").replace(" Real", " () Real")
    assert read_vnnlib(functions + BOX + "(assert (<= Y_0 Y_1))") == read_vnnlib(
        DECLARED + BOX + "(assert (<= Y_0 Y_1))"
    )


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("bound", [-1, 0, 1])
def test_a_difference_keeps_its_bound(bound: int, version: str):
    part = (Constraint(((0, Fraction(1)), (1, Fraction(-1))), Fraction(bound)),)
    prop = VnnlibProperty((1,), (2,), (PropertyCase((HALF,), (HALF,), (part,)),))
    assert read_vnnlib(write_vnnlib(prop, version)) == prop


def test_points_of_another_size_are_no_points():
    case = PropertyCase((HALF, HALF), (HALF, HALF), ((Constraint(((0, Fraction(1)),), Fraction(2)),),))
    assert case.violated((HALF, HALF), (Fraction(2),))
    for count in (1, 3):
        with pytest.raises(ValueError, match="zip"):
            case.violated((HALF,) * count, (Fraction(2),))


def test_normal_forms_mean_what_formulas_mean():
    """Every truth value of three comparisons, against Python's own and / or."""
    names = {"Y_0": ("Y", 0), "Y_1": ("Y", 1), "Y_2": ("Y", 2)}
    (formula,) = expressions.parse("(or (and (<= Y_0 0) (or (<= Y_1 0) (<= Y_2 0))) (and (<= Y_1 0) (<= Y_2 0)))")
    normal = formulas.normal_form(formula, lambda name, _: names[name])
    for bits in range(8):
        a, b, c = (bool(bits >> place & 1) for place in range(3))
        values = {("Y", 0): int(not a), ("Y", 1): int(not b), ("Y", 2): int(not c)}
        met = any(all(sum(f * values[v] for v, f in atom.terms) <= atom.bound for atom in part) for part in normal)
        assert met == ((a and (b or c)) or (b and c))
