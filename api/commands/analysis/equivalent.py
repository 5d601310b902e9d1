"""`spikecert equivalent`: whether two builds of one network give the same class."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from ...progress import Bars
from ...telling import plain, say, show, show_json_text, table
from ..options import certify_options as own
from ..options.options import Json, Verifier, epsilons, share, with_groups
from ..options.question_options import QUESTION, QuestionOptions

if TYPE_CHECKING:
    from torch import Tensor

    from spikecert.models import SpikingNetwork
    from spikecert.reports import Threat
    from spikecert.reports.comparing.difference_record import EquivalenceRecord, PairPoint

JSON = "equivalence.json"
SHOWN = 20
"""Samples at which builds differ that are told by name; the record has all."""
BUILD = "A network file, or zoo:NAME (see `zoo`)."


class BuildPair(NamedTuple):
    """Two builds, the other one's name, and the samples with the ends of their range."""

    a: "SpikingNetwork"
    b: "SpikingNetwork"
    name: str
    inputs: "Tensor"
    limits: tuple[float, float]


@with_groups
def equivalent(
    a: Annotated[Path, typer.Argument(help=BUILD, metavar="A")],
    b: Annotated[Path | None, typer.Argument(help="The other build; or see --target.", metavar="[B]")] = None,
    epsilon: Annotated[
        list[str], typer.Option("--epsilon", help="How far samples are moved, such as 2/255; default: not at all.")
    ] = [],  # noqa: B006 (typer copies it)
    asked: QuestionOptions = QUESTION,
    verifier: Verifier = "auto",
    timeout: own.Timeout = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            help="In the place of B: A's build for a chip, loihi, xylo, spinnaker or q8.8, at whole inputs, whose "
            "units ε counts.",
        ),
    ] = None,
    bits: own.Bits = 8,
    require: Annotated[
        str | None, typer.Option("--require-equivalent", help="Status 1 below this share at any ε, such as 0.9.")
    ] = None,
    proof: Annotated[
        Path | None,
        typer.Option(
            "--proof", help="Folder for proofs of both builds of each equivalent sample: check-proof --twin."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help=f"Folder for {JSON}.")] = None,
    as_json: Json = False,
) -> int:
    """Prove that two builds give the same class, or find an input at which they do not.

    At the samples as they are, in any order of arithmetic; with --epsilon wherever they may be moved to. d is a
    bound of the gap of margins: wherever one build's margin exceeds it, the other gives the same class. Status 1
    if any sample is different; with --require-equivalent if, instead, the equivalent share is below it at any ε.
    """
    from spikecert import equivalent as compared
    from spikecert.certify.perturbations import LInf, Perturbation
    from spikecert.files import write_atomically
    from spikecert.models import network_hash
    from spikecert.reports.comparing.difference_record import BuildSide, EquivalenceRecord, pair_point
    from spikecert.runs.proofs import write_twins

    bar = None if require is None else share(require, "require-equivalent")
    if asked.ties is not None:
        raise ValueError(f"ties: got {asked.ties!r}, expected none: each build's readout says what a tie is")
    sizes = epsilons(epsilon) if epsilon else {}
    threat = asked.threat(sizes or (1.0,))
    if threat.of_networks:
        raise ValueError(f"norm: got {asked.norm}, a set of networks, expected a set of inputs, such as linf")
    if target is not None and proof is not None:
        raise ValueError("proof: got a folder beside --target, expected none: proofs are of real networks")
    if target is not None and b is not None:
        raise ValueError(f"target: got {target!r} beside B, expected one of them")
    pair = _pair(a, b, asked) if target is None else _chip_pair(a, target, bits, asked)
    lower, upper = pair.limits
    sets: list[tuple[float | None, str | None, Perturbation | None]] = [(None, None, None)]
    if sizes:
        ranged = threat.model_copy(update={"lower": lower, "upper": upper})
        sets = [(size, text, ranged.scale.around(size)) for size, text in sizes.items()]
    command, points = _command(locals()), list["PairPoint"]()
    with Bars() as bars:
        for place, (size, text, around) in enumerate(sets):
            found = compared(pair.a, pair.b, pair.inputs, around, verifier, timeout, seed=asked.seed)
            points.append(pair_point(size, text, found))
            if proof is not None:
                ball = around or LInf(0.0, lower, upper)
                write_twins(proof, (pair.a, pair.b), pair.inputs, found, ball, size or 0.0, timeout, bars)
            bars("equivalent", place + 1, len(sets))
    record = EquivalenceRecord(
        schema="spikecert.equivalence/1",
        a=BuildSide(name=pair.a.called(str(a)), sha256=network_hash(pair.a)),
        b=BuildSide(name=pair.b.called(pair.name), sha256=network_hash(pair.b)),
        data=asked.data,
        samples=len(pair.inputs),
        num_steps=pair.a.num_steps,
        norm=threat.norm if sizes else None,  # type: ignore[arg-type]
        lower=lower,
        upper=upper,
        events=threat.events if sizes else None,
        verifier=verifier,
        timeout=timeout,
        seed=asked.seed,
        command=command,
        points=tuple(points),
    )
    if out is not None:
        write_atomically(out / JSON, record.to_json().encode())
        say(f"wrote {shlex.quote(str(out / JSON))}")
    show_json_text(record.to_json()) if as_json else show(_told(record, threat))
    return _status(record, bar)


def _pair(a: Path, b: Path | None, asked: QuestionOptions) -> "BuildPair":
    """Return both builds of two files, and the samples."""
    if b is None:
        raise ValueError("b: got none, expected another build, or --target for A's own on a chip")
    one, other = asked.subject(a), asked.subject(b)
    return BuildPair(one.network, other.network, str(b), one.samples.inputs, asked.scaled.limits)


def _chip_pair(a: Path, target: str, bits: int, asked: QuestionOptions) -> "BuildPair":
    """Return a network that reads the chip's units, its build for the chip, and whole samples."""
    from spikecert.certify.perturbations import takes_whole
    from spikecert.models.chips import quantize, whole_inputs
    from spikecert.runs.building import normalised

    subject = asked.subject(a)
    build = quantize(subject.network, target, bits=bits)
    taken = takes_whole(build)
    assert taken is not None
    units, inputs = float(taken.most), whole_inputs(build, subject.samples.inputs)
    network = subject.network
    if not network.timed:
        network = normalised(network, tuple(inputs.shape[1:]), (0.0,), (units,))
    inputs = inputs.to(network.dtype)
    return BuildPair(network, build, f"{a} on {target}, {bits} bits", inputs, (0.0, units))


def _told(record: "EquivalenceRecord", threat: "Threat") -> str:
    """Return the counts as a table, and what tells builds apart."""
    from spikecert.certify.pairs.equivalence import STATUSES
    from spikecert.reports.pages.norms import sign
    from spikecert.reports.records.radii import rounded_up

    head = f"{record.a.name} and {record.b.name} on {record.data}: {record.samples} samples, "
    where = sign(threat) if record.norm else "as they are"
    head += f"{where}, T = {record.num_steps}, verifier {record.verifier}"
    rows = []
    for point in record.points:
        gaps = sorted(row.gap for row in point.rows if row.gap is not None)
        gap = rounded_up(gaps[len(gaps) // 2]) if gaps else "–"
        rows.append((point.written or "–", *(str(getattr(point, status)) for status in STATUSES), gap))
    notes = [
        f"sample {row.index}{f' at ε = {point.written}' if point.written else ''}: {row.reason}"
        for point in record.points
        for row in point.rows
        if row.status == "different"
    ][:SHOWN]
    heads = "ε", *STATUSES, "d (median)"
    return "\n".join([plain(head), "", table(heads, rows), *map(plain, notes)])


def _command(given: dict[str, Any]) -> str:
    """Return what to type to get the record again."""
    asked, names = given["asked"], [given["a"]] + ([] if given["b"] is None else [given["b"]])
    told = " ".join(("spikecert equivalent", *(shlex.quote(str(name)) for name in names)))
    told += f" {asked.repeated(given['epsilon'] or ['0'])}"
    if not given["epsilon"]:
        told = told.replace(f" --epsilon 0 --norm {asked.norm}", "", 1)
    told += f" --verifier {given['verifier']}"
    told += "" if given["timeout"] is None else f" --timeout {given['timeout']:g}"
    return told + ("" if given["target"] is None else f" --target {given['target']} --bits {given['bits']}")


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
