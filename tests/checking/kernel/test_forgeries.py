"""Certificates that say less than they must, or something else, are refused in a line that names the record."""

import json
import re
from collections.abc import Iterator

import numpy as np
import pytest

from spikecert.checking.certificates import words
from spikecert.checking.claims import read_array, read_claim
from spikecert.checking.kernel.checking import Checker
from spikecert.checking.kernel.numbers import GRID
from spikecert.checking.kernel.potentials import Potential
from spikecert.checking.kernel.records import Fields, levels, potentials, rows
from support.examples import THOROUGH, by_night

SMALL = "timed", "deep"
NAMES = [
    *SMALL,
    *by_night("dense", "subtract", "box", "dense-float64", "groups", "images", "l2", "potential"),
    *by_night("residual", "spikes"),
]
STEP = 1 << GRID - 10
"""More than what intervals have to spare: the elaborator allows for larger potentials than come."""
RAISE = 1 << GRID - 30
"""More than what potentials have to spare: they are rounded to 2^−44."""

each = pytest.mark.parametrize("kept", NAMES, indirect=True)


def some(count: int) -> range:
    """Return numbers below `count`: a third of them by day."""
    return range(0, count, 1 if THOROUGH else 3)


def word(line: str) -> str:
    return line.split()[0]


def test_the_kept_certificates_have_every_record(request):
    from .conftest import made

    found = {word(line) for name in SMALL for line in made(name).lines[2:]}
    assert found == {
        "table",
        "graph",
        "narrow",
        "class",
        "rows",
        "spike",
        "leaf",
        "potential",
        "price",
        "close",
        "empty",
    }


# ---- the order of records ----------------------------------------------------------------------------------
@each
def test_a_missing_record_of_the_tree_is_refused(kept):
    assert not kept.refusal(kept.lines)
    for index, line in enumerate(kept.lines):
        if index < 2 or word(line) in ("table", "class", "rows", "spike", "leaf", "close", "empty"):
            assert kept.refusal(kept.replaced(index)), f"without {index}: {line[:60]}"


@each
def test_a_record_that_comes_twice_is_refused_unless_it_is_a_fact(kept):
    for index in some(len(kept.lines)):
        line = kept.lines[index]
        told = kept.refusal(kept.replaced(index, line, line))
        assert bool(told) == (word(line) not in ("graph", "narrow")), f"twice {index}: {line[:60]}"
        if index > 1 and told:
            assert re.match(r"record \d+ \(|the certificate is cut short", told)


@pytest.mark.parametrize("name", ["deep", "subtract"])
def test_a_leaf_without_its_prices_does_not_close(name):
    from .conftest import made

    kept = made(name)
    told = kept.refusal([line for line in kept.lines if word(line) not in ("price", "potential")])
    assert re.match(r"record \d+ \(close\): class \d: a leaf's margin is only proven to be at least -?\d", told)


@each
def test_whatever_is_cut_off_is_refused(kept):
    for length in some(len(kept.lines)):
        assert kept.refusal(kept.lines[:length])


@each
def test_records_behind_the_end_are_refused(kept):
    for line in {word(line): line for line in kept.lines}.values():
        told = kept.refusal([*kept.lines, line])
        assert told or word(line) in ("graph", "narrow"), line[:60]


@each
def test_no_order_of_records_is_anything_but_refused_or_a_proof(kept):
    """Wherever a record moves, the answer is one line; only facts may stand before their class."""
    generator = np.random.default_rng(0)
    for _ in some(90):
        one, two = sorted(generator.integers(2, len(kept.lines), 2).tolist())
        moved = [*kept.lines[:one], *kept.lines[one + 1 : two + 1], kept.lines[one], *kept.lines[two + 1 :]]
        told = kept.refusal(moved)
        if word(kept.lines[one]) == "class" and not {*map(word, kept.lines[one + 1 : two + 1])} <= {
            "graph",
            "narrow",
        }:
            assert told


@each
def test_a_class_is_there_once_and_is_another_one(kept):
    starts = [index for index, line in enumerate(kept.lines) if word(line) == "class"]
    first, second = kept.lines[starts[0] : starts[1]], kept.lines[starts[1] :]
    assert "a class, is missing" in kept.refusal([*kept.lines[: starts[0]], *second])
    assert "no class whose tree may begin" in kept.refusal([*kept.lines, *first])
    label = json.loads(kept.lines[1])["label"]
    for other in (label, 99):
        assert kept.refusal(kept.replaced(starts[0], f"class {other}"))


# ---- words -------------------------------------------------------------------------------------------------
@each
def test_each_record_has_just_its_words(kept):
    for index, line in {word(line): (i, line) for i, line in enumerate(kept.lines) if i > 1}.values():
        parts = line.split()
        for changed in ([*parts, "0"], parts[:-1], [parts[0], "0", *parts[1:]]):
            if parts[:-1] or changed != parts[:-1]:
                told = kept.refusal(kept.replaced(index, " ".join(changed)))
                assert told, line[:60]
        assert (
            kept.refusal(kept.replaced(index, f"x{line}"))
            == f"record {index - 1} ({' '.join(f'x{line}'.split()[:3])[:40]}): is no record that may stand here"
        )


BAD = "nan", "inf", "-", "p", "1p161", "1p", "0x1", "1_0", "٣", "+1", "1.5", "--1", "f" * 4097, "1p9999", "A"


@each
def test_a_word_that_is_no_number_is_refused(kept):
    generator = np.random.default_rng(0)
    for index, line in {word(line): (i, line) for i, line in enumerate(kept.lines) if i > 1}.values():
        parts = line.split()
        for place in {*generator.integers(1, len(parts), 2).tolist()} if parts[1:] else ():
            for bad in BAD:
                told = kept.refusal(kept.replaced(index, " ".join([*parts[:place], bad, *parts[place + 1 :]])))
                assert re.match(rf"record {index - 1} \({parts[0]}", told), (bad, line[:60])


# ---- the claim ---------------------------------------------------------------------------------------------
def _claims(text: dict) -> Iterator[tuple[str, str]]:
    """Yield other claims, and what is said of each."""
    arrays = text["arrays"]
    sample, radius = arrays["sample"], arrays["radius"]

    def put(**changed):
        return json.dumps({**text, **changed})

    def of_sample(**changed):
        return put(arrays={**arrays, "sample": {**sample, **changed}})

    def of_radius(*values):
        return put(arrays={**arrays, "radius": {**radius, "values": list(values)}})

    yield put(label=(text["label"] + 1) % 3), ""
    yield put(label=True), "expected a class below"
    yield put(label=99), "expected a class below"
    yield put(network="0" * 64), "is about another network"
    yield put(norm="l1"), "no proof form for norm"
    yield put(norm=["linf"]), "no proof form for norm"
    yield put(ties="never"), "ties: got"
    yield put(lower=None), "of another kind"
    yield put(upper=-1.0), "holds no input"
    yield put(upper="1e999"), "got NaN or inf"
    yield put(arrays=[]), "of another kind"
    yield put(arrays={"sample": sample}), "of another kind"
    yield put(arrays={**arrays, "sample": 5}), "of another kind"
    yield of_radius(*((float.fromhex(value) * 3).hex() for value in radius["values"])), ""
    yield of_radius(*["nan"] * len(radius["values"])), "number that is none"
    yield of_radius(*["inf"] * len(radius["values"])), "got NaN or inf"
    yield of_radius(*["0x1p+99999"] * len(radius["values"])), "of another kind"
    yield of_radius(*["-0x1p-5"] * len(radius["values"])), "got a negative number"
    yield of_radius(*[0.5] * len(radius["values"])), "of another kind"
    yield of_radius(), ""
    yield of_sample(type="float16"), "expected one of"
    yield of_sample(type="int32"), "got other numbers"
    yield of_sample(type="float32", values=["0x1.0000001p-1"] * len(sample["values"])), "number that is none"
    yield of_sample(type="float32", values=["0x1p+200"] * len(sample["values"])), "number that is none"
    yield of_sample(values=sample["values"][::-1]), ""
    yield of_sample(shape=[-1]), "got a shape"
    yield of_sample(shape=[True, *sample["shape"]]), "got a shape"
    yield of_sample(shape=[2**40, 2**40]), "of another kind"
    yield of_sample(shape=sample["shape"] * 2), "of another kind"
    yield json.dumps([text]), "of another kind"
    yield "null", "of another kind"
    yield "[" * 5000, "at most 64 deep"
    yield json.dumps(text)[:-9], "of another kind"
    yield json.dumps(text)[:-1] + ', "label": 0}', "names a key twice"
    yield put(lower=float("nan")), "expected finite numbers"


@each
def test_another_claim_is_refused(kept):
    for index, (claim, message) in enumerate(_claims(json.loads(kept.lines[1]))):
        told = kept.refusal(kept.replaced(1, claim))
        assert told, f"claim {index}: {claim[:80]}"
        assert message in told, f"claim {index}"


def test_another_format_is_refused():
    from .conftest import made

    kept = made("dense")
    for first in ("", "spikecert.proof/1", "spikecert.proof/20", "\x00"):
        assert kept.refusal(kept.replaced(0, first)) == "is no certificate of format spikecert.proof/2"
    assert kept.refusal([]) == "is no certificate of format spikecert.proof/2"


# ---- facts and potentials ----------------------------------------------------------------------------------
def _states(kept) -> Iterator[tuple[int, str, Checker]]:
    """Yield each record with the kernel's state before it."""
    text = json.loads(kept.lines[1])
    arrays = {name: read_array(given) for name, given in text.pop("arrays").items()}
    claim, network = read_claim(text, arrays, kept.network), kept.network
    checker = Checker.of(network, claim)
    for index, line in enumerate(kept.lines[2:], 2):
        yield index, line, checker
        checker._take(word(line), Fields(line.split()[1:]))


def _tables(kept) -> Iterator[tuple[str, int, str]]:
    for index, line, _ in _states(kept):
        if word(line) == "table":
            place, found = int(line.split()[1]), list(rows(Fields(line.split()[2:])))
            for r, (train, (low, high)) in enumerate(found):
                tiny = 1 << GRID - 70
                for what, new in {
                    "dropped": [],
                    "narrowed below": [(train, (low + tiny, high))],
                    "narrowed above": [(train, (low, high - tiny))],
                    "another train": [(tuple(1 - s for s in train), (low, high))],
                    "a longer train": [((*train, 0), (low, high))],
                }.items():
                    yield f"row {r} {what}", index, words.table(place, [*found[:r], *new, *found[r + 1 :]])


def _graphs(kept) -> Iterator[tuple[str, int, str]]:
    steps = kept.network.steps
    for index, line, checker in _states(kept):
        if word(line) != "graph":
            continue
        place, j = map(int, line.split()[1:3])
        found = levels(Fields(line.split()[3:]), steps)
        reached = _reached(checker, line)
        for t, n in [
            (level, n) for level in range(steps + 1) for n in range(len(found[level])) if reached[level].get(n)
        ]:
            node, moves = found[t][n], reached[t][n]
            new = {
                "narrowed below": node._replace(low=node.low + STEP),
                "narrowed above": node._replace(high=node.high - STEP),
                "moved": node._replace(low=node.high + STEP, high=node.high + 2 * STEP),
                "a cut to here": node._replace(cuts=(*node.cuts, 0)),
                "a cut too far": node._replace(cuts=(*node.cuts, t + 1)),
            }
            if t == steps:
                del new["a cut to here"], new["a cut too far"]
            else:
                new |= {
                    f"no way for {s}": node._replace(**{("silent", "spike")[s]: -1}) for s in moves if s in (0, 1)
                }
                new |= {
                    f"a way out for {s}": node._replace(**{("silent", "spike")[s]: 999})
                    for s in moves
                    if s in (0, 1)
                }
            if t:
                new["another parent"] = node._replace(parent=node.parent + 1 if node.parent >= 0 else 999)
            for what, changed in new.items():
                level = [*found[t][:n], changed, *found[t][n + 1 :]]
                yield f"node {t} {n} {what}", index, words.graph(place, j, [*found[:t], level, *found[t + 1 :]])


def _reached(checker: Checker, line: str) -> list[dict[int, list[int]]]:
    """Return which nodes runs reach, and their moves; −1: the run ends there."""
    from spikecert.checking.kernel.invariants import inductive

    place, j = map(int, line.split()[1:3])
    if checker.context.empty[0]:
        return [{}] * (checker.network.steps + 1)
    found = inductive(checker._driven(place, j), levels(Fields(line.split()[3:]), checker.network.steps))
    here = [{n: [m.spike for m in moves] for n, moves in enumerate(level) if moves} for level in found.moves]
    last = {m.target: [-1] for moves in found.moves[-1] for m in moves or ()}
    return [*here, last]


def _potentials(kept) -> Iterator[tuple[str, int, str]]:
    for index, line, checker in _states(kept):
        if word(line) != "potential":
            continue
        place, j = map(int, line.split()[1:3])
        invariant, fields = checker.context.invariants[place][j], Fields(line.split()[3:])
        assert invariant is not None
        prices = [fields.number() for _ in range(checker.network.steps)]
        found = potentials(fields, [len(level) for level in invariant.levels[:-1]])
        for t, n, own in [(t, n, own) for t, level in enumerate(found) for n, own in enumerate(level)]:
            moves = invariant.moves[t][n]
            if not moves:
                continue
            for what, changed in _changed(own, {i for i, _ in (*own.silent, *own.spike)}):
                level = [*found[t][:n], changed, *found[t][n + 1 :]]
                new = words.potential(place, j, prices, [*found[:t], level, *found[t + 1 :]])
                yield f"node {t} {n} {what}", index, new


def _changed(own: Potential, used: set[int]) -> Iterator[tuple[str, Potential]]:
    for i in used:
        (a, b), pieces = own.pieces[i], own.pieces
        yield f"piece {i} raised", own._replace(pieces=[*pieces[:i], (a + RAISE, b), *pieces[i + 1 :]])
    yield "a piece dropped", own._replace(pieces=own.pieces[:-1])
    yield "all pieces dropped", Potential([], [], [])
    for part in ("silent", "spike"):
        hints = getattr(own, part)
        if hints:
            yield f"a way of {part} dropped", own._replace(**{part: hints[:-1]})
            yield f"a way of {part} twice", own._replace(**{part: [*hints, hints[-1]]})
            yield f"a way of {part} to no piece", own._replace(**{part: [(len(own.pieces), 0), *hints[1:]]})


@each
@pytest.mark.parametrize("forged", [_tables, _graphs, _potentials])
def test_a_fact_or_a_potential_that_says_too_much_is_refused(kept, forged):
    found = list(forged(kept))
    for place in np.random.default_rng(1).permutation(len(found))[: None if THOROUGH else 50].tolist():
        what, index, line = found[place]
        assert kept.refusal(kept.replaced(index, line)).startswith(f"record {index - 1} ("), what
