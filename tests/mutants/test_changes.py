"""Rules of changes: what they make of small texts, and that all that they make is another program."""

import ast
import random

import pytest

from mutants.c_changes import c_mutants
from mutants.places import Change, Mutant, opposite
from mutants.python_changes import python_mutants
from mutants.targets import at_stake, drawn, is_another, mutants_of
from support.counting import COUNTERS
from support.layout import ROOT


def made(text: str, kind: str) -> set[str]:
    """Return what the rule of a kind makes of a Python text."""
    return {
        m.change.applied(text.encode()).decode()
        for m in python_mutants("", text.encode())
        if m.change.kind == kind
    }


def made_of_c(body: str, kind: str) -> set[str]:
    """Return what the rule of a kind makes of the body of a C function."""
    head, tail = "double run(double a, double b) { ", " }\n"
    text = (head + body + tail).encode()
    found = (m.change.applied(text).decode() for m in c_mutants("a.c", text) if m.change.kind == kind)
    return {each.removeprefix(head).removesuffix(tail) for each in found}


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("term dropped", "x = a + b - c", {"x = a - c", "x = b - c", "x = (a + b)"}),
        ("term dropped", "x = (a or 1) + b", {"x = (a or 1)", "x = b"}),
        ("other sign", "x = a + b\ny = p & q", {"x = a - b\ny = p & q", "x = a + b\ny = p | q"}),
        ("other sign", "x += a", {"x -= a"}),
        ("factor dropped", "x = a * b / c", {"x = a / c", "x = b / c", "x = (a * b)"}),
        ("comparison turned", "a < b <= c", {"a <= b <= c", "a < b < c"}),
        ("comparison turned", "a is  not b", {"a is b"}),
        ("comparison turned", "(a)  == (b)", {"(a)  != (b)"}),
        ("other end", "a = box.lower - box.upper", {"a = box.upper - box.upper", "a = box.lower - box.lower"}),
        ("other end", "row_low(row_high)", {"row_high(row_high)", "row_low(row_low)"}),
        ("other end", "x.amax(0) + unknown_low", {"x.amin(0) + unknown_low"}),
        ("other end", "clamp(x, min=0)", {"clamp(x, max=0)"}),
        ("other end", 'end(x, "amax")', {'end(x, "amin")'}),
        ("off by one", "x[1]", {"x[2]", "x[0]"}),
        ("off by one", "x[t:]", {"x[t + 1:]", "x[t - 1:]"}),
        ("off by one", "range(a, n)", {"range(a, n - 1)"}),
        ("other number", "x * 0.5", {"x * 0.25", "x * 1.0"}),
        ("other truth", "f(exact=True)", {"f(exact=False)"}),
        ("other truth", "zip(a, strict=True)", set()),
        ("other truth", "return_(True)", {"return_(False)"}),
        ("call dropped", "abs(x) - y.abs()", {"x - y.abs()", "abs(x) - y"}),
        ("call dropped", "max(a, b)", {"a", "b"}),
        ("call dropped", "torch.minimum(a, b)", {"a", "b"}),
        ("call dropped", "x.maximum(y)", {"x", "y"}),
        ("call dropped", "torch.where(c, a, b)", {"a", "b"}),
        ("call dropped", "round_up(a - b)", {"(a - b)"}),
        ("arguments swapped", "f(a, b)", {"f(b, a)"}),
        ("slack forgotten", "x + slack", {"x + (0 * slack)"}),
        ("slack forgotten", "f(self.tie)", {"f((0 * self.tie))"}),
        (
            "guard dropped",
            "if a < 0:\n    raise ValueError('a < 0')",
            {"if False:\n    raise ValueError('a < 0')"},
        ),
        ("never", "y = 1 if a else 2", {"y = 1 if False else 2"}),
        ("always", "y = [a for a in b if a > 1]", {"y = [a for a in b if True]"}),
        ("always", "def f():\n    return a.all()", {"def f():\n    return True"}),
        ("condition negated", "if f(a):\n    b()", {"if not f(a):\n    b()"}),
        ("condition dropped", "x = a and b", {"x = (b)", "x = (a)"}),
        ("and for or", "x = a or b", {"x = (a and b)"}),
        ("sign dropped", "x = not a\ny = -b", {"x = a\ny = -b", "x = not a\ny = b"}),
        ("statement dropped", "check(a)\nx += 1", {"pass\nx += 1", "check(a)\npass"}),
    ],
)
def test_python(kind: str, text: str, expected: set[str]):
    assert made(text, kind) == expected


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("term dropped", "return a + b * 2.0;", {"return a ;"}),
        ("other sign", "a += b;", {"a -= b;"}),
        ("other sign", "return a - b;", {"return a + b;"}),
        ("factor dropped", "return a * f(b) - 1;", {"return a  - 1;"}),
        ("comparison turned", "return a <= b;", {"return a < b;"}),
        ("other end", "return low - high;", {"return high - high;", "return low - low;"}),
        ("off by one", "return x[0];", {"return x[1];"}),
        ("call dropped", "return lesser(a, b + 1);", {"return (a);", "return ( b + 1);"}),
        ("slack forgotten", "return a + slack;", {"return a + (0 * slack);"}),
        ("never", "if (a) b = 1;", {"if (0) b = 1;"}),
        ("always", "return a ? 1 : 2;", {"return a || 1 ? 1 : 2;"}),
        ("condition dropped", "return a && f(b) && c;", {"return a  && c;", "return a && f(b) ;"}),
        ("and for or", "return a || b;", {"return a && b;"}),
        ("sign dropped", "return !a - -b;", {"return a - -b;", "return !a - b;"}),
        ("statement dropped", "a += b; f(a);", {"; f(a);", "a += b; ;"}),
    ],
)
def test_c(kind: str, body: str, expected: set[str]):
    assert made_of_c(body, kind) == expected


@pytest.mark.parametrize(
    "text",
    [
        '"""Less than a + b, or 1."""',
        "def f(a: Box[1]) -> Box[2]:\n    ...",
        "if a:\n    raise ValueError(f'{a + 1} < 2', b - c)",
        "from .a import lower, upper",
        "if TYPE_CHECKING:\n    x = a + b",
        "name = f'{a + b}'",
    ],
)
def test_what_decides_nothing_is_no_place(text: str):
    assert [
        m for m in python_mutants("", text.encode()) if m.change.kind not in ("guard dropped", "never", "always")
    ] == []


@pytest.mark.parametrize("text", ["/* a + b < 1 */", '#include "a-1.c"', "#pragma omp for schedule(1 + 2)"])
def test_what_no_compiler_computes_is_no_place(text: str):
    assert c_mutants("a.c", f"int f;\n{text}\nint g;\n".encode()) == []


def test_text_that_is_not_ascii_moves_no_place():
    assert made("θ = λ * u  # β ≥ 1\nx = a - b", "term dropped") == {"θ = λ * u  # β ≥ 1\nx = a"}


def test_a_mutant_is_found_again_when_lines_move():
    one, moved = (
        python_mutants("f.py", f"{head}def f():\n    return a < b\n".encode()) for head in ("", "# more\n\n")
    )
    assert [each.key for each in one] == [each.key for each in moved]
    assert [each.line + 2 for each in one] == [each.line for each in moved]
    assert {each.where for each in one} == {"f"}


def test_words_that_are_parts_of_words_are_no_ends():
    assert opposite("follow", frozenset({"fohigh"})) is None
    assert opposite("row_low", frozenset()) is None
    assert opposite("row_low", frozenset({"row_high"})) == "row_high"


def sampled() -> list[Mutant]:
    """Return one mutant of each tenth file at stake, of many kinds."""
    files = [file for file in at_stake()[::25] if mutants_of(file)]
    return [random.Random(file).choice(mutants_of(file)) for file in files]


def test_mutants_of_real_files_are_other_programs():
    for each in sampled():
        text = (ROOT / each.file).read_bytes()
        changed = each.change.applied(text)
        assert changed != text
        if each.file.endswith(".py"):
            ast.parse(changed)


def test_draws_repeat_and_differ():
    files = at_stake(("certify/rounding.py", "kernels/sources/members.c"))
    first, again, other = (drawn(files, 12, seed) for seed in (1, 1, 2))
    assert [str(each) for each in first] == [str(each) for each in again] != [str(each) for each in other]
    assert len({each.key for each in first}) == 12
    assert len({each.change.kind for each in first}) > 4


def test_a_draw_that_changes_nothing_is_no_mutant():
    text = (ROOT / "certify/ties.py").read_bytes()
    place = text.index(b"import")
    assert not is_another(Mutant("certify/ties.py", "", 1, "", "", Change("", place, place, " ")))
    assert not is_another(Mutant("certify/ties.py", "", 1, "", "", Change("", place, place, "(")))


def test_a_folder_that_is_not_there_is_said():
    with pytest.raises(ValueError, match="files: no file or folder certify/nothing"):
        at_stake(("certify/nothing",))


def test_all_that_is_at_stake_is_there():
    files = [ROOT / file for file in at_stake()]
    assert {file.suffix for file in files} == {".py", ".c"}
    assert sum(COUNTERS[file.suffix](file.read_text(encoding="utf-8")) for file in files) > 40_000
