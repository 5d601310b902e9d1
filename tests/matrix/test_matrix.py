"""The matrix of networks × sets × questions: each property is one test of all its elements, by public names alone.

By day a few cells of each element are asked, the same ones each time; at night (`make nightly`) thousands of new
ones. A cell that fails is named by its element and seed: `cell("LIF zero", 7)` draws it again.
"""

import copy
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from spikecert import (
    LInf,
    Property,
    SpikeFlip,
    SpikingNetwork,
    Tolerance,
    Verdict,
    abstains,
    bounds,
    certified_radius,
    equivalent,
    load,
    moves_at_most,
    output,
    output_range,
    save,
    targeted,
    top_k,
    verify,
)
from spikecert.certify import Perturbation
from spikecert.certify.proofs import Proof, Prover, Unproven
from spikecert.checking import Refused, check
from spikecert.models import network_hash
from support.examples import THOROUGH, by_night
from support.matrix import (
    DTYPES,
    ELEMENTS,
    QUICK,
    READOUTS,
    SLOW,
    SPICES,
    TIES,
    VERIFIERS,
    Cell,
    cell,
    first_maximum,
    flips,
    runs,
    wrong,
)
from support.planted import (
    RATIOS,
    Turn,
    around,
    distance,
    holds,
    least_margin,
    listed,
    members,
    mistuned,
    own_class,
    plain,
    sets,
    stuck,
    turn,
)

NIGHTLY = 24
"""Cells of each element that a property is asked of at night."""
SALT = random.SystemRandom().randrange(2**32) if THOROUGH else 0
SECONDS = 2.0 if THOROUGH else 0.5
"""That a verifier has for a question."""
BOUNDING = ("interval", "trains", "linear")
Tally = Callable[[str, int], None]


def elements(share: int, first: int = 0) -> pytest.MarkDecorator:
    """Return all elements as parameters; by day each `share`-th of them, from `first` on."""
    names = list(ELEMENTS)
    left = [name for place, name in enumerate(names) if place % share != first]
    return pytest.mark.parametrize("element", [*(name for name in names if name not in left), *by_night(*left)])


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Iterator[Counter[str]]:
    """Return what is counted, and told at the end of all tests."""
    counts = Counter[str]()
    yield counts
    for name, count in counts.items():
        record_property(f"matrix: {name}", count)


def cells(element: str, test: str, by_day: int = 1) -> Iterator[Cell]:
    """Yield the cells of an element that a property is asked of; what fails is told by its seed."""
    first = sum(map(ord, test)) * 1000 + SALT
    for seed in range(first, first + (NIGHTLY if THOROUGH else by_day)):
        yield cell(element, seed)


def slow(one: Cell) -> str:
    """Return a slow verifier, in turn; "auto", which attacks for seconds, once in twenty."""
    place = one.seed * len(ELEMENTS) + list(ELEMENTS).index(one.element)
    return SLOW[place % (len(SLOW) - 1)] if place % 20 else "auto"


def answered(call: Callable[..., Any], *given: object, **rest: object) -> Any:
    """Return what is answered; None where a question is refused, in one line that begins with what is refused."""
    try:
        return call(*given, **rest)
    except (ValueError, TypeError, Unproven, OverflowError) as refusal:
        _check_line(str(refusal))
        return None


def _check_line(told: str) -> None:
    assert told
    assert "\n" not in told


def asked(one: Cell, threat: object, verifier: str, prop: Property | None = None) -> Verdict | None:
    """Return a verdict on a cell's class, or a property; None where that is refused."""
    rest = {"timeout": SECONDS} | ({"ties": one.ties} if prop is None else {})
    goal = one.labels if prop is None else prop
    verdicts = answered(verify, one.network, one.inputs, goal, threat, verifier, **rest)
    return None if verdicts is None else verdicts[0]


def change(one: Cell) -> Turn | None:
    """Return a change of class of a cell of real inputs, or None."""
    return turn(one) if one.kind in ("real", "rate") else None


def test_all_verifiers_are_in_the_matrix() -> None:
    one = cell("LIF zero", 0)
    with pytest.raises(ValueError, match=r"^verifier: ") as refusal:
        verify(one.network, one.inputs, one.labels, LInf(0.0), "none of them")
    told = str(refusal.value).partition("expected")[2]
    assert set(VERIFIERS) == {word.strip("'\" ,") for word in told.replace("one of", "").split()} - {"or"}


def test_plain_networks_are_refused_by_none() -> None:
    """What is refused is not asked: so that not all is, these are answered."""
    plain_cells = [one for seed in range(12) if (one := cell("LIF zero", seed)).kind == "real"]
    assert len(plain_cells) > 2
    for one in plain_cells:
        for name in (*QUICK, "complete", "milp") if one is plain_cells[0] else QUICK:
            assert asked(one, LInf(0.01, *one.ends), name) is not None, (one, name)


def test_each_value_of_each_axis_is_drawn() -> None:
    drawn_cells = [cell(element, seed) for element in ELEMENTS for seed in range(3)]
    seen = (
        {(one.network.dtype, one.ties) for one in drawn_cells},
        {one.network.readout for one in drawn_cells},
        {one.spice for one in drawn_cells},
    )
    assert seen[0] == set(itertools.product(DTYPES, TIES))
    assert seen[1] >= set(READOUTS)
    assert seen[2] == set(SPICES)
    assert {one.kind for one in drawn_cells} == {"real", "rate", "whole", "events"}
    assert {one.network.num_steps for one in drawn_cells} >= {1, 2, 3, 4}


@elements(4)
def test_bounds_hold(element: str, tally: Counter[str]) -> None:
    """No run of a member leaves the bounds of logits, or the range of a form."""
    for one in cells(element, "bounds"):
        found = change(one)
        threat = one.random.choice(sets(one, found))
        points, _ = members(one, threat, found)
        logits = runs(one.network, points).double()
        tally["questions"] += 1
        for verifier in BOUNDING if THOROUGH else BOUNDING[:2]:
            proven = answered(bounds, one.network, one.inputs, threat, verifier)
            assert proven is None or bool((logits >= proven.lower).all()), (one, threat, verifier)
            assert proven is None or bool((logits <= proven.upper).all()), (one, threat, verifier)
        _check_range(one, threat, logits)


def _check_range(one: Cell, threat: Perturbation, logits: Tensor) -> None:
    form, values = output[0], logits[:, 0]
    if one.random.random() < 0.5:
        form, values = output[1] - output[0], logits[:, 1] - logits[:, 0]
    rest = {"verifier": "complete" if THOROUGH else "trains"}
    told = answered(output_range, one.network, one.inputs, threat, form, 0.05, SECONDS, **rest)
    if told is None:
        return
    assert told[0].lower <= float(values.min()), (one, threat)
    assert float(values.max()) <= told[0].upper, (one, threat)
    for point in (told[0].at_least, told[0].at_greatest):
        assert holds(one, threat, point), (one, threat)


@elements(2)
def test_verifiers_agree(element: str, tally: Counter[str]) -> None:
    """All verdicts and margins are of one truth, and of a list of all members the whole truth."""
    for one in cells(element, "agree"):
        found = change(one)
        for threat in sets(one, found)[: None if THOROUGH else 1]:
            verifiers = (*QUICK, slow(one))
            points, whole = members(one, threat, found)
            logits = runs(one.network, points)
            failing = bool(wrong(logits, one.label, one.ties).any())
            tally["questions"] += 1
            tally["non-trivial"] += _near(one, threat, points, failing)
            verdicts = {name: asked(one, threat, name) for name in verifiers}
            for name, verdict in verdicts.items():
                if verdict is not None:
                    tally[verdict.status] += 1
                    _check_verdict(one, threat, name, verdict, failing, logits)
                    assert not (whole and verdict.status == "falsified" and not failing), (one, threat, name)
            listing, complete = verdicts.get("enumeration"), verdicts.get("complete")
            if listing is not None and complete is not None and listing.status != "unknown":
                late = "time was up" in complete.reason
                assert late or complete.status == listing.status, (one, threat)
            statuses = {verdict.status for verdict in verdicts.values() if verdict is not None}
            assert statuses < {"verified", "falsified", "unknown"} or not {"verified", "falsified"} <= statuses


def _near(one: Cell, threat: Perturbation, points: Tensor, failing: bool) -> bool:
    """Return whether the class changes in twice the set: of events in one that holds a flip more."""
    if failing:
        return True
    twice = one.inputs + 2 * (points - one.inputs)
    if one.kind == "events":
        extra = listed(one, SpikeFlip(2))
        twice = points if extra is None else extra
    elif one.kind in ("whole", "rate"):
        twice = twice.clamp(*one.ends)
    return bool(wrong(runs(one.network, twice), one.label, one.ties).any())


def _check_verdict(
    one: Cell, threat: Perturbation, name: str, verdict: Verdict, failing: bool, logits: Tensor
) -> None:
    assert not (verdict.status == "verified" and failing), (one, threat, name)
    if verdict.margin is not None:
        assert verdict.margin <= least_margin(logits, one.label), (one, threat, name)
    if verdict.counterexample is not None:
        assert holds(one, threat, verdict.counterexample), (one, threat, name)
        assert flips(one.network, verdict.counterexample, one.label, one.ties), (one, threat, name)


Holds = Callable[[Tensor], Tensor]


def properties(one: Cell) -> list[tuple[Property, Holds]]:
    """Return some properties, and whether they hold of runs, (n,): never False where that is only rounding."""
    own, draw = runs(one.network, one.inputs)[0].double(), one.random
    classes, unit = len(own), float(own.abs().max()) or 1.0
    delta, gap = draw.choice((0.0, 0.25, 1.0)) * unit, float(own[0] - own[1])
    least = gap - draw.choice((0.0, 0.25, 1.0)) * unit
    target = draw.choice([k for k in range(classes) if k != one.label])
    threshold = draw.choice((0.25, 1.0)) * unit
    found: list[tuple[Property, Holds]] = [
        (moves_at_most(delta), lambda y: ((y - own).abs() <= delta).all(1)),
        (output[0] - output[1] >= least, lambda y: y[:, 0] - y[:, 1] >= least),
        (targeted(target), lambda y: first_maximum(y) != target),
        (abstains(threshold, one.label), lambda y: ~_led(y, one.label, threshold)),
    ]
    if classes > 2:
        found.append((top_k(2, one.label), lambda y: (y >= y[:, [one.label]]).sum(1) - 1 < 2))
    return found


def _led(logits: Tensor, label: int, threshold: float) -> Tensor:
    """Return whether another class leads all others by more than a threshold."""
    best = logits.topk(2, 1)
    return (best.indices[:, 0] != label) & (best.values[:, 0] - best.values[:, 1] > threshold)


@elements(2, 1)
def test_no_verdict_about_a_property_is_wrong(element: str, tally: Counter[str]) -> None:
    for one in cells(element, "property"):
        found = change(one)
        threat = one.random.choice(sets(one, found))
        points, whole = members(one, threat, found)
        logits = runs(one.network, points).double()
        for prop, holding in properties(one) if THOROUGH else one.random.sample(properties(one), 1):
            kept = bool(holding(logits).all())
            tally["questions"] += 1
            tally["non-trivial"] += not kept
            statuses = set()
            for name in ("trains", "enumeration", slow(one)):
                verdict = asked(one, threat, name, prop)
                if verdict is None:
                    continue
                statuses.add(verdict.status)
                tally[verdict.status] += 1
                assert kept or verdict.status != "verified", (one, threat, prop, name)
                if verdict.counterexample is not None:
                    assert holds(one, threat, verdict.counterexample), (one, threat, prop, name)
                    assert not whole or not kept or _at_an_end(prop), (one, threat, prop, name)
            assert not {"verified", "falsified"} <= statuses, (one, threat, prop)


def _at_an_end(prop: Property) -> bool:
    """Return whether rounding may tell a run that fails from one that holds otherwise than it is told here."""
    return not isinstance(prop, type(targeted(0)) | type(top_k(2)))


def proven(one: Cell, threat: Perturbation) -> Proof:
    """Return a proof of a cell's class."""
    return Prover.of(one.network).prove(one.inputs[0], one.label, threat, SECONDS, ties=one.ties)


@elements(3, 1)
def test_proofs_check(element: str, tally: Counter[str], tmp_path: Path) -> None:
    """What is proven is accepted of its own network alone, and not false; else a line says why there is none."""
    for one in cells(element, "proofs"):
        found = change(one)
        threat = sets(one, found)[0]
        save(one.network, tmp_path / "network.safetensors")
        tally["questions"] += 1
        proof = answered(proven, one, threat)
        if proof is None:
            tally["without a proof"] += 1
            continue
        proof.save(tmp_path / "0.proof")
        stated = check(tmp_path / "0.proof", tmp_path / "network.safetensors")
        other = copy.deepcopy(one.network)
        next(iter(other.parameters())).data += 1.0
        save(other, tmp_path / "other.safetensors")
        with pytest.raises(Refused, match="network"):
            check(tmp_path / "0.proof", tmp_path / "other.safetensors")
        assert (stated.label, stated.ties) == (one.label, one.ties), one
        points, _ = members(one, threat, found)
        assert not bool(wrong(runs(one.network, points), one.label, one.ties).any()), (one, threat)
        tally["proofs"] += 1


@elements(2, 1)
def test_saving_changes_nothing(element: str, tally: Counter[str], tmp_path: Path) -> None:
    for one in cells(element, "saving"):
        save(one.network, tmp_path / "network.safetensors")
        again = load(tmp_path / "network.safetensors")
        assert network_hash(again) == network_hash(one.network), one
        found = change(one)
        threat = sets(one, found)[0]
        points, _ = members(one, threat, found)
        assert torch.equal(runs(again, points), runs(one.network, points)), one
        with torch.no_grad():
            traces = one.network.trace(points), again.trace(points)
        assert all(map(torch.equal, traces[0].spikes, traces[1].spikes)), one
        assert all(map(torch.equal, traces[0].potentials, traces[1].potentials)), one
        for name in QUICK if THOROUGH else QUICK[:2]:
            given = one.inputs, one.labels, threat, name
            verdicts = [answered(verify, network, *given) for network in (one.network, again)]
            assert verdicts[0] == verdicts[1], (one, threat, name)
            tally["questions"] += 1


@elements(1)
def test_a_planted_flip_is_never_verified(element: str, tally: Counter[str]) -> None:
    """A change of class, halved down to neighbouring floats, lies just inside the set that is asked for."""
    for one in cells(element, "planted", 2):
        verifiers = (*QUICK, slow(one))
        for place, (threat, point) in enumerate(_plants(one)):
            assert holds(one, threat, point), (one, threat)
            assert flips(one.network, point, one.label, one.ties), one
            tally["planted"] += 1
            for name in verifiers[: None if THOROUGH or (place == 0 and one.seed % 2) else -1]:
                verdict = asked(one, threat, name)
                assert verdict is None or verdict.status != "verified", (one, threat, name, point.tolist())
                _tell(tally, verdict)


def _plants(one: Cell) -> Iterator[tuple[Perturbation, Tensor]]:
    """Yield sets with a flip that each of them holds."""
    if one.kind in ("real", "rate"):
        found = turn(one)
        if found is None:
            return
        norms = ("linf",) if one.kind == "rate" else ("linf", "l2", "box")
        pairs = list(itertools.product(norms, RATIOS))
        for norm, ratio in pairs if THOROUGH else one.random.sample(pairs, 2):
            yield around(one, found.flipped, norm, ratio), found.flipped
        return
    for threat in sets(one, None):
        points = listed(one, threat)
        if points is not None:
            failing = points[wrong(runs(one.network, points), one.label, one.ties)]
            real = [point for point in failing[:8] if flips(one.network, point, one.label, one.ties)]
            yield from ((threat, point) for point in real[:1])


def _tell(tally: Counter[str], verdict: Verdict | None) -> None:
    tally["questions"] += 1
    tally["refused" if verdict is None else verdict.status] += 1


@elements(4, 1)
def test_no_radius_reaches_a_planted_flip(element: str, tally: Counter[str]) -> None:
    for one in cells(element, "radius"):
        found = change(one)
        if found is None:
            continue
        norm = "linf" if one.kind == "rate" else one.random.choice(("linf", "l2"))
        verifier = one.random.choice(("trains", "trains", "interval", "complete"))
        ends = dict(zip(("lower", "upper"), one.ends, strict=True))
        given = one.network, one.inputs, one.labels, norm, verifier, 0.02
        radii = answered(certified_radius, *given, **ends, timeout=SECONDS, ties=one.ties)
        if radii is None:
            continue
        tally["questions"] += 1
        tally["planted"] += 1
        far = distance(found.flipped, one.inputs[0], norm)
        lower = Fraction(radii[0].lower) if norm == "linf" else Fraction(radii[0].lower) ** 2
        assert lower < far, (one, norm, verifier)


@elements(4, 2)
def test_no_set_of_networks_with_a_planted_member_is_verified(element: str, tally: Counter[str]) -> None:
    for one in cells(element, "networks", 2):
        if not plain(one):
            continue
        found = mistuned(one)
        if found is not None:
            member, share = found
            for ratio in RATIOS if THOROUGH else one.random.sample(RATIOS, 1):
                threat = Tolerance(weights=math.nextafter(share / ratio, 1.0))
                _check_planted_member(one, threat, member, tally)
        for threat in itertools.islice(stuck(one), 4 if THOROUGH else 1):
            _check_planted_member(one, threat, None, tally)


def _check_planted_member(one: Cell, threat: object, member: SpikingNetwork | None, tally: Counter[str]) -> None:
    if member is not None:
        assert isinstance(threat, Tolerance)
        held = answered(threat.contains, one.network, member)
        assert held in (True, None), (one, threat)
        tally["refused"] += held is None
        if held is None:
            return
    tally["planted"] += 1
    for name in ("interval", "trains", "complete", "auto")[: None if THOROUGH else 2]:
        verdict = asked(one, threat, name)
        assert verdict is None or verdict.status != "verified", (one, threat, name)
        _tell(tally, verdict)


@elements(4, 3)
def test_builds_that_differ_in_a_set_are_not_equivalent(element: str, tally: Counter[str]) -> None:
    """Weights a little larger move the boundary: an input between both boundaries lies just inside the set."""
    for one in cells(element, "equivalent"):
        other = copy.deepcopy(one.network)
        for part in other.parameters():
            part.data *= 1.0 if one.kind == "whole" else 1.0 + 2.0 ** -one.random.choice((3, 10, 20))
        found = change(one)
        threats = sets(one, found)[:1]
        points = torch.cat([members(one, threat, found)[0] for threat in threats])
        differing = first_maximum(runs(one.network, points)) != first_maximum(runs(other, points))
        apart = [
            point for point in points[differing][:4] if own_class(one.network, point) != own_class(other, point)
        ]
        if apart and one.kind == "real":
            threats = [around(one, apart[0], "linf", ratio) for ratio in RATIOS[1:3]]
        for threat in threats:
            told = answered(equivalent, one.network, other, one.inputs, threat, "trains", SECONDS)
            if told is None:
                continue
            tally["questions"] += 1
            tally["planted"] += len(apart) > 0
            assert not apart or told[0].status != "equivalent", (one, threat)
            if told[0].counterexample is not None:
                assert holds(one, threat, told[0].counterexample), (one, threat)
