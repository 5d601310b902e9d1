"""`spikecert certify`: proofs for each sample, and an exit status that a pipeline can act on.

A question about a network, asked of its build for a chip.
"""

import shlex
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING

from ..progress import Bars
from ..telling import say
from .attack import told
from .options import certify_options as own
from .options import options
from .options.options import Epsilons, Json, Model, Out, with_groups
from .options.question_options import QUESTION, QuestionOptions

if TYPE_CHECKING:
    from spikecert.reports import Plan, Record
    from spikecert.reports.records.schema import Threat
    from spikecert.runs.examining import Subject


def on_chip(subject: "Subject", target: str, bits: int) -> "Subject":
    """Return the build, and the samples as the chip takes them."""
    from spikecert.models.chips import quantize, whole_inputs
    from spikecert.training import Split

    network = quantize(subject.network, target, bits=bits)
    inputs = whole_inputs(network, subject.samples.inputs)
    samples = Split(inputs, subject.samples.labels)
    return replace(subject, name=f"{subject.name} on {target}, {bits} bits", network=network, samples=samples)


def in_units(threat: "Threat", subject: "Subject") -> "Threat":
    """Return a threat of real balls as one of whole vectors of the range that the chip takes.

    Raises:
        ValueError: for ε that are no whole numbers, or another norm of real inputs.
    """
    from spikecert.certify.perturbations import takes_whole

    if threat.norm not in ("linf", "l2"):
        return threat
    taken = takes_whole(subject.network)
    assert taken is not None
    if threat.norm == "l2" or not all(epsilon.is_integer() for epsilon in threat.epsilons):
        told = f"units of the chip's inputs, 0 to {taken.most}, within ℓ∞"
        raise ValueError(f"epsilon: got {threat.text(threat.epsilons[0])}, expected whole numbers, {told}")
    return threat.model_copy(update={"lower": 0.0, "upper": float(taken.most)})


@with_groups
def certify(
    model: Model,
    epsilon: Epsilons = ["8/255"],  # noqa: B006 (typer copies it)
    asked: QuestionOptions = QUESTION,
    verifier: options.Verifiers = "auto",
    prop: own.AskedProperty = None,
    moves_at_most: own.MovesAtMost = None,
    target: own.Target = None,
    bits: own.Bits = 8,
    method: own.Attacks = None,
    radii: own.Radii = False,
    tolerance: own.Tolerance = "1e-3",
    gains: own.Gains = True,
    timeout: own.Timeout = None,
    memory: own.Memory = None,
    require_certified: own.RequireCertified = None,
    fan: own.FleetOptions = own.NO_FLEET,
    proof: own.ProofFolder = None,
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Certify a network: which samples provably keep their class, or a property.

    Status 1 if any sample is falsified; with --require-certified, instead, if the certified share is below it at
    any ε.
    """
    from spikecert.certify.questions.classes import check_property_ties
    from spikecert.models.validation import check_choice
    from spikecert.reports import Plan, RadiusPlan
    from spikecert.runs import building, examining, proofs

    bar = None if require_certified is None else options.share(require_certified, "require-certified")
    width = _width(tolerance)
    prop = _property(prop, moves_at_most, (("target", target),))
    check_property_ties(None if prop is None else asked.ties)
    threat = asked.written_threat(epsilon, prop)
    subject = asked.subject(model)
    if proof is not None and threat.features:
        raise ValueError(
            "proof: got a folder beside --features, expected none: proofs hold one range for all features"
        )
    if target is not None:
        subject = on_chip(subject, target, bits)
        threat, gains = in_units(threat, subject), False
    gains = gains and not threat.of_networks and prop is None
    network = subject.network
    prover = None if proof is None else proofs.prover(network, asked.norm)
    fleet = building.fleet(fan.engine, fan.workers, fan.resume, fan.ray_address)
    verifiers, methods = options.names(verifier, "verifier"), tuple(dict.fromkeys(method or ()))
    for name in methods:
        check_choice("attack", name, options.ATTACKS)
    wanted = RadiusPlan(verifiers[-1], width, timeout) if radii else None
    most = None if memory is None else options.size(memory, "memory")
    plan = Plan(threat, methods, verifiers, timeout, asked.seed, fleet, wanted, asked.ties, most)
    command = f"spikecert certify {shlex.quote(model.name)} {asked.repeated(epsilon)}{_repeated(plan)}"
    command += "" if proof is None else f" --proof {shlex.quote(str(proof))}"
    command += "" if prop is None else f" --property {shlex.quote(prop)}"
    command += "" if target is None else f" --target {shlex.quote(target)} --bits {bits}"
    with Bars() as bars, redirect_stdout(sys.stderr):  # where ray tells of lost machines: results stay alone
        examined = examining.examine(
            subject, plan, command=command, progress=bars, figures=bars.figures, out=out, gains=gains
        )
        if proof is not None and prover is not None and not examined.interrupted:
            proofs.write_proofs(proof, prover, examined.record, subject.samples, timeout, bars)
    return told(examined, out, as_json) or _status(examined.record, bar)


def _width(text: str) -> float:
    """Return the width at which a radius counts as exact."""
    if text.strip().endswith("%"):
        told = f"expected a width of radii; networks within it are --norm tolerance --epsilon {text.strip()}"
        raise ValueError(f"tolerance: got {text!r}, {told}")
    return options.number(text, "tolerance")


def _property(prop: str | None, moves_at_most: str | None, of_class: Iterable[tuple[str, object]]) -> str | None:
    """Return the property that is asked about as text, or None for the class."""
    if moves_at_most is not None:
        if prop is not None:
            raise ValueError(f"moves-at-most: got {moves_at_most!r} beside --property, expected one of them")
        prop = f"moves={moves_at_most}"
    for name, value in of_class if prop is not None else ():
        if value is not None:
            raise ValueError(f"{name}: got one beside --property, expected none: it is about the class")
    return prop


def _repeated(plan: "Plan") -> str:
    """Return the options of this command alone as text, for the command that a report tells to repeat."""
    verifiers = f" --verifier {shlex.quote(','.join(plan.verifiers))}"
    attacks = "".join(f" --attack {shlex.quote(str(name))}" for name in plan.attacks)
    limit = "" if plan.timeout is None else f" --timeout {plan.timeout:g}"
    limit += "" if plan.memory is None else f" --memory {plan.memory}"
    radii = "" if plan.radii is None else f" --radii --tolerance {plan.radii.tolerance:g}"
    return verifiers + attacks + limit + radii


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
