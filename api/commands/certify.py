"""`spikecert certify`: proofs for each sample, and an exit status that a pipeline can act on.

A question about a network, asked of its build for a chip.
"""

import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikecert.asking.options import command, typed
from spikecert.asking.question import BaseQuestion, Certifying, Chip, Fan, Output, Question
from spikecert.asking.threats import ZERO, LInfThreat, Threat
from spikecert.asking.values import Mistake, Saying, number

from ..progress import Bars
from ..telling import say
from .attack import told

if TYPE_CHECKING:
    from spikecert.reports import Record
    from spikecert.runs.examining import Subject


def on_chip(subject: "Subject", chip: Chip) -> "Subject":
    """Return the build, and the samples as the chip takes them."""
    from spikecert.models.chips import quantize, whole_inputs
    from spikecert.training import Split

    assert chip.target is not None
    network = quantize(subject.network, chip.target, bits=chip.bits)
    inputs = whole_inputs(network, subject.samples.inputs)
    samples, name = Split(inputs, subject.samples.labels), f"{subject.name} on {chip.target}, {chip.bits} bits"
    return replace(subject, name=name, network=network, samples=samples)


def in_units(threat: Threat, subject: "Subject") -> Threat:
    """Return a threat of real balls as one of whole vectors of the range that the chip takes.

    Raises:
        ValueError: for ε that are no whole numbers, or another norm of real inputs.
    """
    from spikecert.certify.perturbations import takes_whole

    if not isinstance(threat, LInfThreat):
        return threat
    taken = takes_whole(subject.network)
    assert taken is not None
    if threat.norm == "l2" or not all(epsilon.is_integer() for epsilon in threat.epsilons):
        expected = f"whole numbers, units of the chip's inputs, 0 to {taken.most}, within ℓ∞"
        raise Mistake(("epsilon",), Saying(threat.text(threat.epsilons[0])), expected)
    return replace(threat, range=(ZERO, number(taken.most)))


Models = Annotated[
    list[str],
    typer.Argument(
        help="A network file (`train` writes one), or zoo:NAME; several, or MODEL@EPSILON, are ranked.",
        metavar="MODEL",
    ),
]


@command
def certify(models: Models, asked: BaseQuestion, how: Certifying, fan: Fan, output: Output) -> int:
    """Certify a network: which samples provably keep their class, or a property.

    Status 1 if any sample is falsified, or, of several networks and with --require-certified, below that share at
    any ε. Several are put between the attack (standard) and proof.
    """
    from .ranking import is_ranked, rank

    if is_ranked(models):
        records = rank(models, asked, how, fan, output)
        return max((below(record, how.require_certified) for record in records), default=0)
    return _one(Question(model=Path(models[0]), **vars(asked)), how, fan, output)


def _one(asked: Question, how: Certifying, fan: Fan, output: Output) -> int:
    from spikecert.certify.perturbations import takes_whole
    from spikecert.reports import Plan, RadiusPlan
    from spikecert.runs import building, examining, proofs

    threat, subject = asked.threat, examining.subject_of(asked)
    if how.proof is not None and threat.norm == "box":
        raise ValueError("proof: got a folder beside --features, expected none: proofs hold one range for all")
    if how.chip.target is not None and threat.asked is not None:
        raise ValueError(f"target: got {how.chip.target!r} beside --property, expected none: builds have classes")
    if how.chip.target is not None:
        subject = on_chip(subject, how.chip)
    whole = takes_whole(subject.network) is not None
    threat = in_units(threat, subject) if whole else threat
    gains = how.gains and not whole and threat.asked is None and not threat.of_networks
    prover = None if how.proof is None else proofs.prover(subject.network, threat.norm)
    radii = RadiusPlan(how.verifier[-1], how.tolerance, how.timeout) if how.radii else None
    rest = building.fleet(fan), radii, asked.ties, how.memory
    plan = Plan(threat, how.attack, how.verifier, how.timeout, asked.seed, *rest)
    named = typed("certify", replace(asked, model=Path(asked.model.name)), replace(how, require_certified=None))
    with Bars() as bars, redirect_stdout(sys.stderr):  # where ray tells of lost machines: results stay alone
        told_of = {"command": named, "progress": bars, "figures": bars.figures, "out": output.out}
        examined = examining.examine(subject, plan, **told_of, gains=gains)
        if how.proof is not None and prover is not None and not examined.interrupted:
            proofs.write_proofs(how.proof, prover, examined.record, subject.samples, how.timeout, bars)
    return told(examined, output) or _status(examined.record, how.require_certified)


def _status(record: "Record", bar: float | None) -> int:
    """Return 1 if the record does not meet the bar, or without one if a sample is falsified."""
    if bar is None:
        return int(any(point.falsified for point in record.models[0].points))
    return below(record, bar)


def below(record: "Record", bar: float | None) -> int:
    """Return 1 if the certified share is below the bar at any ε, and say at which; 0 without a bar."""
    if bar is None:
        return 0
    worst = min(record.models[0].points, key=lambda point: point.certified_by_any)
    reached = worst.certified_by_any / worst.samples
    if reached >= bar:
        return 0
    say(f"certified share {reached:.4f} at ε = {worst.epsilon:g} is below the required {bar:g}")
    return 1
