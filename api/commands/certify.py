"""`spikecert certify`: proofs for each sample, and an exit status that a pipeline can act on."""

import shlex
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from ..output import say
from ..progress import Bars
from ..runs.sources import data_of, label_of, network_of
from .attack import told
from .options import certify_options as own
from .options import options
from .options.event_options import UNCHANGED, EventOptions, changing_events
from .options.options import (
    Data,
    Device,
    Epsilons,
    Json,
    Mean,
    Model,
    Norm,
    Out,
    Range,
    Root,
    Samples,
    Seed,
    Std,
    Ties,
    epsilons,
    fitting,
    scale,
)

if TYPE_CHECKING:
    from spikecert.reports import Plan, Record


@changing_events
def certify(
    model: Model,
    data: Data = "digits",
    root: Root = None,
    limits: Range = None,
    mean: Mean = None,
    std: Std = None,
    samples: Samples = None,
    epsilon: Epsilons = ["8/255"],  # noqa: B006 (typer copies it)
    norm: Norm = "linf",
    events: EventOptions = UNCHANGED,
    verifier: options.Verifiers = "auto",
    method: own.Attacks = None,
    radii: own.Radii = False,
    tolerance: own.Tolerance = "1e-3",
    gains: own.Gains = True,
    timeout: own.Timeout = None,
    memory: own.Memory = None,
    require_certified: own.RequireCertified = None,
    engine: own.Engine = None,
    workers: own.Workers = None,
    resume: own.Resume = None,
    ray_address: own.RayAddress = None,
    proof: own.ProofFolder = None,
    compiled: own.Compiled = False,
    ties: Ties = None,
    seed: Seed = 0,
    device: Device = "cpu",
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Certify a network: which samples provably keep their class.

    Status 1 if any sample is falsified; with --require-certified, instead, if the certified share is below it at
    any ε.
    """
    from spikecert.models.kernels import use_kernel
    from spikecert.models.validation import check_choice
    from spikecert.reports import Plan, RadiusPlan
    from spikecert.runs import building, examining, proofs

    bar = None if require_certified is None else options.share(require_certified, "require-certified")
    scaled = scale(limits, mean, std)
    rules = events.rules(norm)
    threat = building.threat(norm, epsilons(epsilon), scaled.limits, rules)
    width = options.number(tolerance, "tolerance")
    network = network_of(model)
    source = data_of(data, root, network.num_steps, scaled.limits)
    network = scaled.of(network, source)
    chosen = fitting(network, source, samples, device)
    kernel = use_kernel(network, "compiled" if compiled else "eager")
    if kernel.reason:
        say(f"kernel: {kernel}")
    prover = None if proof is None else proofs.prover(network, norm)
    fleet = building.fleet(engine, workers, resume, ray_address)
    verifiers, methods = options.names(verifier, "verifier"), tuple(dict.fromkeys(method or ()))
    for name in methods:
        check_choice("attack", name, options.ATTACKS)
    wanted = RadiusPlan(verifiers[-1], width, timeout) if radii else None
    most = None if memory is None else options.size(memory, "memory")
    plan = Plan(threat, methods, verifiers, timeout, seed, fleet, wanted, ties, most)
    common = options.repeated(epsilon, norm, data, samples, seed, ties) + scaled.repeated
    common += events.repeated
    command = f"spikecert certify {shlex.quote(model.name)} {common}{_repeated(plan)}"
    command += " --compiled" if compiled else ""
    subject = examining.Subject(label_of(model), network, source, chosen)
    with Bars() as bars, redirect_stdout(sys.stderr):  # where ray tells of lost machines: results stay alone
        examined = examining.examine(
            subject, plan, command=command, progress=bars, figures=bars.figures, out=out, gains=gains
        )
        if proof is not None and prover is not None and not examined.interrupted:
            proofs.write_proofs(proof, prover, examined.record, chosen, timeout, bars)
    return told(examined, out, as_json) or _status(examined.record, bar)


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
