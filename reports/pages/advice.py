"""What a reader may do next, from what a record found: commands in backticks, no name that the record brings."""

from collections.abc import Iterator

from ...certify.problem import BALLS
from ..records.records import ModelRecord, Record
from ..records.rows import Finding, Tally

DEEP = ("complete", "auto", "milp")
"""Verifiers that go on until a sample is decided, or their time is over."""
SECONDS = 10
"""A first time limit."""
MOSTLY, SOME, MANY = 0.9, 0.1, 300


def advice(record: Record) -> tuple[str, ...]:
    """Return what to do next, most useful first; each line says what it costs or what it can't do."""
    points = [model.at(record.focus) for model in record.models]
    found = (*_time(record, points), *_training(record, points), *_sizes(record), *_others(record, points))
    return found or ("Everything is decided at every ε tried: larger ε would say where it ends.",)


def _time(record: Record, points: list[Tally]) -> Iterator[str]:
    undecided = sum(point.undecided for point in points)
    limit = record.settings.get("timeout")
    if undecided == 0:
        return
    if not any(name in DEEP for model in record.models for name in model.verifiers):
        yield (
            f"Decide more: {_counted(undecided)} undecided by bounds alone. `--verifier auto --timeout "
            f"{SECONDS}` goes on with attacks and a complete search, for at most {_spent(undecided * SECONDS)} "
            "of one core here."
        )
    elif isinstance(limit, int | float) and limit > 0:
        yield (
            f"More time: {_counted(undecided)} undecided after {limit:g} s each. {_bought(record, float(limit))}"
            f"`--timeout {10 * limit:g}` costs at most {_spent(undecided * 10 * limit)} of one core, and a wait "
            "that long may decide none."
        )
    else:
        yield (
            f"{_counted(undecided).capitalize()} undecided without a time limit: the reasons stand in "
            "samples.csv; more time would not help."
        )


def _bought(record: Record, limit: float) -> str:
    """Say how much of what took long was decided: what the last nine tenths of the time bought."""
    late = [
        finding
        for model in record.models
        for row in model.rows
        for name, finding in row.verdicts.items()
        if name in DEEP and finding.seconds > limit / 10
    ]
    if not late:
        return ""
    return f"Of {len(late)} that took over a tenth of that, {sum(map(_decided, late))} were decided. "


def _decided(finding: Finding) -> bool:
    return finding.status != "unknown"


def _training(record: Record, points: list[Tally]) -> Iterator[str]:
    size = record.threat.short(record.focus)
    certified = any("certified" in str(model.training).lower() for model in record.models)
    few = min(point.certified_by_any / point.samples for point in points) < MOSTLY
    if record.threat.asked is not None:
        return
    if few and not certified and not _special(record):
        yield (
            f"Train for it: `spikecert train --objective certified --size {size}` puts the bounds into the "
            "loss. It raises what is proved most, and costs some clean accuracy."
        )
    worst = max(points, key=lambda point: point.misclassified / point.samples)
    if worst.misclassified > SOME * worst.samples:
        yield (
            f"{_counted(worst.misclassified).capitalize()} misclassified as they are. No verifier helps there: "
            "look at training, the data's scale, and the order of the classes first."
        )
    if any(point.lost for point in points):
        yield (
            "Some labels tie with another class, and lose by the rule of this report. More steps, or a readout of "
            "potentials instead of spike counts, make ties rare; `--ties` says who wins one."
        )


def _sizes(record: Record) -> Iterator[str]:
    for model in record.models[:1]:
        good = [point for point in model.points if point.certified_by_any >= MOSTLY * point.clean]
        first, last = model.points[0], model.points[-1]
        if len(good) == len(model.points) and model.verifiers:
            size = f"{2 * last.epsilon:.3g}"
            if record.threat.norm == "tolerance" and 2 * last.epsilon >= 1:
                return
            yield f"Try larger ε: nine tenths of what is right is proved here. `--epsilon {size}` is next."
        elif not good and model.verifiers:
            yield from _smaller(record, first.epsilon)
    if record.threat.bracketed and not any(model.radii for model in record.models):
        yield "One number a sample: `--radii --samples 20` brackets how far each can be moved, for any ε at once."


def _smaller(record: Record, epsilon: float) -> Iterator[str]:
    """Say where proofs begin: at smaller ε, of events in whole numbers, or in smaller sets."""
    if record.threat.norm == "tolerance" or not _special(record):
        yield f"Try smaller ε: `--epsilon {epsilon / 4:.3g},{epsilon / 2:.3g}` shows where proofs begin."
    elif epsilon > 1:
        yield "Try smaller ε: `--epsilon 1` is the least, and shows whether any proof begins."
    elif record.threat.of_networks:
        yield "Try fewer neurons: `--stuck-layers` leaves some out."
    elif record.threat.norm == "flips":
        yield "Ask about fewer changes: `--kind insert`, `--kind delete` and `--where` leave some out."
    else:
        yield "Ask about fewer moves: `--jitter 1` and `--where` leave some out."


def _special(record: Record) -> bool:
    """Return whether the sets are no balls of inputs."""
    return record.threat.norm not in BALLS


def _others(record: Record, points: list[Tally]) -> Iterator[str]:
    if not all(map(_attacked, record.models)):
        yield "Attack it: `--attack ensemble` says what breaks; without one, nothing bounds the truth from above."
    if not any(model.verifiers for model in record.models):
        yield "Prove it: `spikecert certify` with `--verifier trains` takes about as long as an attack."
    if points[0].samples < MANY:
        yield (
            f"More samples: {points[0].samples} pin the share of all inputs down to about ± "
            f"{100 * points[0].samples ** -0.5:.0f} points; leave out `--samples` for all of the split."
        )
    if any(point.certified_by_any for point in points) and not _special(record):
        yield "Hand it on: `--verifier complete --proof FOLDER` writes proofs for `spikecert check-proof`."


def _attacked(model: ModelRecord) -> bool:
    return bool(model.attacks) or any(name in DEEP for name in model.verifiers)


def _counted(count: int) -> str:
    return f"{count} sample is" if count == 1 else f"{count} samples are"


def _spent(seconds: float) -> str:
    """Return a time for people.

    >>> _spent(30), _spent(1190), _spent(7200)
    ('30 s', '20 min', '2.0 h')
    """
    return (
        f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} min"
        if seconds < 6000
        else f"{seconds / 3600:.1f} h"
    )
