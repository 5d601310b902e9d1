"""`spikecert range`: what an output, or a linear form, can be over the set around each sample."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..progress import Bars
from ..telling import show, show_json, table
from .options.options import Json, Model, Verifier, number, with_groups
from .options.question_options import QUESTION, QuestionOptions

if TYPE_CHECKING:
    from spikecert.certify import OutputRange


@with_groups
def output_ranges(
    model: Model,
    epsilon: Annotated[str, typer.Option(help="ε, such as 8/255.")] = "8/255",
    asked: QuestionOptions = QUESTION,
    form: Annotated[
        str | None,
        typer.Option(
            "--form", help='What is asked about: "Y0", "Y1 - Y0", "Y0 - S0", "Y0 - 0.3*X1"; default: Y0.'
        ),
    ] = None,
    tolerance: Annotated[str, typer.Option(help="By how much proven and attained ends may differ.")] = "1e-3",
    verifier: Verifier = "complete",
    timeout: Annotated[float | None, typer.Option(help="Seconds for a sample, on average.")] = None,
    proof: Annotated[
        Path | None, typer.Option(help="Folder for a proof of each range, for check-proof --property.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Prove between which ends outputs lie, and attain them: Y outputs, X inputs, S the sample's own outputs."""
    from spikecert.certify import output_range
    from spikecert.certify.questions.classes import check_property_ties
    from spikecert.certify.questions.described import form_of
    from spikecert.certify.ranges import proved_range
    from spikecert.models import network_hash
    from spikecert.reports import Plan
    from spikecert.runs import proofs

    check_property_ties(asked.ties)
    size, subject = number(epsilon, "epsilon"), asked.subject(model)
    network, chosen, text = subject.network, subject.samples, "Y0" if form is None else form
    plan = Plan(asked.threat({size: epsilon}), (), (verifier,), seed=asked.seed)
    prover, width = None if proof is None else proofs.prover(network, asked.norm), number(tolerance, "tolerance")
    with Bars() as bars:
        found = output_range(
            network,
            chosen.inputs,
            plan.threat.scale.around(size),
            form_of(text),
            width,
            timeout,
            verifier=verifier,
            seed=asked.seed,
            progress=bars,
        )
        if proof is not None and prover is not None:
            around = plan.threat.scale.around(size)
            ranges = [proved_range(form_of(text), one, width) for one in found]
            proofs.write_range_proofs(proof, prover, ranges, chosen.inputs, around, size, timeout, bars)
    conditions: dict[str, Any] = {
        "schema": "spikecert.ranges/1",
        "network": network.called(model.name),
        "sha256": network_hash(network),
        "data": asked.data,
        "samples": len(found),
        "norm": asked.norm,
        "epsilon": size,
        "form": text,
        "verifier": verifier,
        "tolerance": width,
        "seed": asked.seed,
    }
    if as_json:
        show_json(conditions | {"ranges": [_row(index, one) for index, one in enumerate(found)]})
    else:
        show(_told(conditions, found))
    return 0


def _row(index: int, one: "OutputRange") -> dict[str, Any]:
    keys = ("lower", "least", "greatest", "upper", "closed", "verifier")
    return {"index": index, **{key: getattr(one, key) for key in keys}}


def _told(conditions: dict[str, Any], found: "list[OutputRange]") -> str:
    """Return the ranges as a table, proven ends rounded outward."""
    from spikecert.reports.records.radii import rounded_down, rounded_up

    head = (
        f"{conditions['form']} of {conditions['network']} on {conditions['data']}: {conditions['samples']} samples"
    )
    head += f", {conditions['norm']} {conditions['epsilon']:.6g}, tolerance {conditions['tolerance']:g}"
    rows = [
        (
            str(index),
            rounded_down(one.lower),
            f"{one.least:.6g}",
            f"{one.greatest:.6g}",
            rounded_up(one.upper),
            "closed" if one.closed else "open",
            one.verifier,
        )
        for index, one in enumerate(found)
    ]
    heads = ("sample", "proven ≥", "least seen", "greatest seen", "proven ≤", "ends", "proof by")
    return f"{head}\n\n{table(heads, rows)}"
