"""`spikecert equivalent`: whether two builds of one network give the same class."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

from spikecert.asking.options import Without, command, typed
from spikecert.asking.question import BaseQuestion, Chip, Proving, Share
from spikecert.asking.threats import ZERO, Sizes, Threat
from spikecert.asking.values import Naming, number

from ...progress import Bars
from ...telling import plain, say, show, show_json_text, table, write_files

if TYPE_CHECKING:
    from torch import Tensor

    from spikecert.models import SpikingNetwork
    from spikecert.reports.comparing.difference_record import EquivalenceRecord, PairPoint

JSON = "equivalence.json"
LEFT = ("property", "ties", "features", "threat.epsilon")
"""Options of a question that are not asked here."""
SHOWN = 20
"""Samples at which builds differ that are told by name; the record has all."""


@dataclass(frozen=True, kw_only=True)
class TwoBuilds(BaseQuestion):
    """What is asked of two builds.

    Attributes:
        a: a network file, or zoo:NAME (see `zoo`).
        b: the other build; or see --target.
        epsilon: how far samples are moved, such as 2/255; default: not at all.
        chip: in the place of B: A's build for a chip, at whole inputs, whose units ε counts.
    """

    a: Annotated[Path, Naming(argument=True)]
    b: Annotated[Path | None, Naming(argument=True)] = None
    epsilon: Sizes | None = None
    chip: Chip = Chip()


@dataclass(frozen=True, kw_only=True)
class Comparing(Proving):
    """How it is answered.

    Attributes:
        proof: folder for proofs of both builds of each equivalent sample: check-proof --twin.
        require_equivalent: status 1 below this share at any ε, such as 0.9.
        out: folder for equivalence.json.
        json: print JSON on standard output and nothing else.
    """

    proof: Path | None = None
    require_equivalent: Share | None = None
    out: Path | None = None
    json: bool = False


class BuildPair(NamedTuple):
    """Two builds, the other one's name, the samples, the sets around them, if any, and the ends of their range."""

    a: "SpikingNetwork"
    b: "SpikingNetwork"
    name: str
    inputs: "Tensor"
    threat: Threat | None
    limits: tuple[float, float]


@command
def equivalent(asked: Annotated[TwoBuilds, Without(*LEFT)], how: Comparing) -> int:
    """Prove that two builds give the same class, or find an input at which they do not.

    At the samples as they are, in any order of arithmetic; with --epsilon wherever they may be moved to. d is a
    bound of the gap of margins: wherever one build's margin exceeds it, the other gives the same class. Status 1
    if any sample is different; with --require-equivalent if, instead, the equivalent share is below it at any ε.
    """
    if asked.chip.target is not None and how.proof is not None:
        raise ValueError("proof: got a folder beside --target, expected none: proofs are of real networks")
    pair = _pair(asked)
    sizes: list[float | None] = [None] if pair.threat is None else list(map(float, pair.threat.epsilons))
    points: list[PairPoint] = []
    with Bars() as bars:
        for place, size in enumerate(sizes):
            points.append(_point(pair, size, asked, how, bars))
            bars("equivalent", place + 1, len(sizes))
    record = _record(pair, points, asked, how)
    write_files(how.out, {JSON: record.to_json()})
    show_json_text(record.to_json()) if how.json else show(_told(record))
    return _status(record, how.require_equivalent)


def _point(pair: BuildPair, size: float | None, asked: TwoBuilds, how: Comparing, bars: Bars) -> "PairPoint":
    """Return what is known of the samples at one ε, or as they are; write proofs."""
    from spikecert import equivalent as compared
    from spikecert.certify.perturbations import LInf
    from spikecert.reports.comparing.difference_record import pair_point
    from spikecert.runs.proofs import write_twins

    around = None if size is None or pair.threat is None else pair.threat.scale.around(size)
    rest = {"seed": asked.seed, "memory": how.memory, "workers": how.workers}
    found = compared(pair.a, pair.b, pair.inputs, around, how.verifier, how.timeout, **rest)
    if how.proof is not None:
        ball = around or LInf(0.0, asked.threat.lower, asked.threat.upper)
        write_twins(how.proof, (pair.a, pair.b), pair.inputs, found, ball, size or 0.0, how.timeout, bars)
    return pair_point(size, found)


def _record(pair: BuildPair, points: "list[PairPoint]", asked: TwoBuilds, how: Comparing) -> "EquivalenceRecord":
    from spikecert.models import network_hash
    from spikecert.reports.comparing.difference_record import BuildSide, EquivalenceRecord

    told = replace(how, require_equivalent=None, out=None, json=False)
    return EquivalenceRecord(
        schema="spikecert.equivalence/2",
        a=BuildSide(name=pair.a.called(str(asked.a)), sha256=network_hash(pair.a)),
        b=BuildSide(name=pair.b.called(pair.name), sha256=network_hash(pair.b)),
        data=asked.samples.data,
        samples=len(pair.inputs),
        num_steps=pair.a.num_steps,
        threat=pair.threat,
        lower=pair.limits[0],
        upper=pair.limits[1],
        verifier=how.verifier,
        timeout=how.timeout,
        seed=asked.seed,
        command=typed("equivalent", asked, told, without=LEFT),
        points=tuple(points),
    )


def _pair(asked: TwoBuilds) -> BuildPair:
    """Return both builds of two files, or a network and its own for a chip, and the samples."""
    from spikecert.runs.examining import subject_at

    threat, one = asked.threat, subject_at(asked.a, asked)
    if threat.of_networks:
        raise ValueError(f"norm: got {threat.norm}, a set of networks, expected a set of inputs, such as linf")
    if asked.chip.target is not None and asked.b is not None:
        raise ValueError(f"target: got {asked.chip.target!r} beside B, expected one of them")
    if asked.chip.target is None:
        if asked.b is None:
            raise ValueError("b: got none, expected another build, or --target for A's own on a chip")
        other, sets = subject_at(asked.b, asked), None if asked.epsilon is None else threat.sized(*asked.epsilon)
        return BuildPair(
            one.network, other.network, str(asked.b), one.samples.inputs, sets, (threat.lower, threat.upper)
        )
    network, build, inputs, most = _chip_pair(one.network, one.samples.inputs, asked.chip)
    name = f"{asked.a} on {asked.chip.target}, {asked.chip.bits} bits"
    units = None if asked.epsilon is None else replace(threat.sized(*asked.epsilon), range=(ZERO, number(most)))
    return BuildPair(network, build, name, inputs, units, (0.0, float(most)))


def _chip_pair(
    network: "SpikingNetwork", inputs: "Tensor", chip: Chip
) -> "tuple[SpikingNetwork, SpikingNetwork, Tensor, int]":
    """Return a network that reads the chip's units, its build, whole samples, and the greatest unit."""
    from spikecert.certify.perturbations import takes_whole
    from spikecert.models.chips import quantize, whole_inputs
    from spikecert.runs.building import normalised

    assert chip.target is not None
    build = quantize(network, chip.target, bits=chip.bits)
    taken, inputs = takes_whole(build), whole_inputs(build, inputs)
    assert taken is not None
    if not network.timed:
        network = normalised(network, tuple(inputs.shape[1:]), (0.0,), (float(taken.most),))
    return network, build, inputs.to(network.dtype), taken.most


def _told(record: "EquivalenceRecord") -> str:
    """Return the counts as a table, and what tells builds apart."""
    from spikecert.certify.pairs.equivalence import STATUSES
    from spikecert.reports.records.radii import rounded_up

    head = f"{record.a.name} and {record.b.name} on {record.data}: {record.samples} samples, "
    threat = record.threat
    where = "as they are" if threat is None else threat.words

    def at(epsilon: float | None) -> str:
        return "" if epsilon is None or threat is None else threat.short(epsilon)

    head += f"{where}, T = {record.num_steps}, verifier {record.verifier}"
    rows = []
    for point in record.points:
        gaps = sorted(row.gap for row in point.rows if row.gap is not None)
        gap = rounded_up(gaps[len(gaps) // 2]) if gaps else "–"
        rows.append((at(point.epsilon) or "–", *(str(getattr(point, status)) for status in STATUSES), gap))
    notes = [
        f"sample {row.index}{f' at ε = {at(point.epsilon)}' if point.epsilon else ''}: {row.reason}"
        for point in record.points
        for row in point.rows
        if row.status == "different"
    ][:SHOWN]
    heads = "ε", *STATUSES, "d (median)"
    return "\n".join([plain(head), "", table(heads, rows), *map(plain, notes)])


def _status(record: "EquivalenceRecord", bar: float | None) -> int:
    """Return 1 if a sample is different, or with a bar if the equivalent share is below it at any ε."""
    if bar is None:
        return int(any(point.different for point in record.points))
    worst = min(record.points, key=lambda point: point.equivalent)
    reached = worst.equivalent / record.samples
    if reached >= bar:
        return 0
    at = "" if worst.epsilon is None else f" at ε = {worst.epsilon:g}"
    say(f"equivalent share {reached:.4f}{at} is below the required {bar:g}")
    return 1
