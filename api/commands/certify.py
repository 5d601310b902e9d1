"""`spikecert certify`: proofs for each sample, and an exit status that a pipeline can act on."""

import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..output import say
from ..progress import Bars
from . import options
from .attack import told
from .options import Data, Device, Epsilons, Json, Model, Norm, Out, Root, Samples, Seed, epsilons, fitting

if TYPE_CHECKING:
    from spikecert.reports import Record


def certify(
    model: Model,
    data: Data = "digits",
    root: Root = None,
    samples: Samples = None,
    epsilon: Epsilons = ["8/255"],  # noqa: B006 (typer copies it)
    norm: Norm = "linf",
    verifier: options.Verifiers = "auto",
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--attack",
            autocompletion=options.completed(options.ATTACKS),
            help="Also attack: see `attack --method`; repeatable.",
        ),
    ] = None,
    radii: Annotated[
        bool, typer.Option("--radii", help="Also bracket each sample's radius, by the last verifier.")
    ] = False,
    tolerance: Annotated[str, typer.Option(help="Width at which a radius counts as exact.")] = "1e-3",
    gains: Annotated[bool, typer.Option(help="Also report gains, and the growth measured beside them.")] = True,
    timeout: Annotated[float | None, typer.Option(help="Seconds for a sample, on average.")] = None,
    require_certified: Annotated[
        str | None, typer.Option("--require-certified", help="Status 1 below this share, such as 0.9.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="Fan out: local (processes) or ray (machines); default: this process.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Batches decided at once.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Folder that keeps finished batches; a killed run goes on from it.")
    ] = None,
    ray_address: Annotated[
        str | None, typer.Option("--ray-address", help="Of the cluster: auto, HOST:6379, ray://HOST:10001.")
    ] = None,
    proof: Annotated[
        Path | None, typer.Option(help="Folder for a proof of each verified sample, for check-proof.")
    ] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Certify a network: which samples provably keep their class.

    Status 1 if any sample is falsified; with --require-certified, instead, if the certified share is below it at
    any ε.
    """
    from spikecert import building, examining, proofs
    from spikecert.models import load
    from spikecert.reports import Plan, RadiusPlan
    from spikecert.training import dataset

    bar = None if require_certified is None else options.share(require_certified, "require-certified")
    threat = building.threat(norm, epsilons(epsilon))
    width = options.number(tolerance, "tolerance")
    network = load(model)
    source = dataset(data, root, num_steps=network.num_steps)
    chosen = fitting(network, source, samples, device)
    prover = None if proof is None else proofs.prover(network, norm)
    fleet = building.fleet(engine, workers, resume, ray_address)
    verifiers, methods = options.names(verifier, "verifier"), tuple(dict.fromkeys(method or ()))
    wanted = RadiusPlan(verifiers[-1], width, timeout) if radii else None
    plan = Plan(threat, methods, verifiers, timeout, seed, fleet, wanted)
    command = f"spikecert certify {shlex.quote(model.name)} " + options.repeated(
        epsilon, norm, data, samples, seed
    )
    command += f" --verifier {shlex.quote(','.join(verifiers))}"
    command += "".join(f" --attack {shlex.quote(name)}" for name in methods)
    command += "" if timeout is None else f" --timeout {timeout:g}"
    command += f" --radii --tolerance {width:g}" if radii else ""
    subject = examining.Subject(model.stem, network, source, chosen)
    with Bars() as bars, redirect_stdout(sys.stderr):  # where ray tells of lost machines: results stay alone
        found = examining.examine(subject, plan, command=command, progress=bars, out=out, gains=gains)
        if proof is not None and prover is not None and not found.interrupted:
            proofs.write_proofs(proof, prover, found.record, chosen, timeout, bars)
    return told(found, out, as_json) or _status(found.record, bar)


def _status(found: "Record", bar: float | None) -> int:
    """Return 1 if the record does not meet the bar, or without one if a sample is falsified."""
    if bar is None:
        return int(any(point.falsified for point in found.models[0].points))
    return below(found, bar)


def below(found: "Record", bar: float | None) -> int:
    """Return 1 if the certified share is below the bar at any ε, and say at which; 0 without a bar."""
    if bar is None:
        return 0
    worst = min(found.models[0].points, key=lambda point: point.certified_by_any)
    reached = worst.certified_by_any / worst.samples
    if reached >= bar:
        return 0
    say(f"certified share {reached:.4f} at ε = {worst.epsilon:g} is below the required {bar:g}")
    return 1
