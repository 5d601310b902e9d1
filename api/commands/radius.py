"""`spikecert radius`: for each sample a proven and an attacked radius."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..progress import Bars
from ..telling import INTERRUPTED, PARTS, UNFINISHED, forget_unfinished, say, show, show_json, table
from .options.options import Json, Model, Verifier, number, with_groups
from .options.question_options import QUESTION, QuestionOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from spikecert.reports import Counterexample, RadiusTable

JSON, COUNTEREXAMPLES = "radii.json", "counterexamples.safetensors"


@with_groups
def radius(
    model: Model,
    asked: QuestionOptions = QUESTION,
    verifier: Verifier = "auto",
    tolerance: Annotated[str, typer.Option(help="Width at which a bracket counts as exact.")] = "1e-3",
    timeout: Annotated[float | None, typer.Option(help="Seconds for a sample, on average, in all.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help=f"Folder for {JSON} and {COUNTEREXAMPLES}.")] = None,
    as_json: Json = False,
) -> int:
    """Bracket how far each sample can be perturbed: proven from below, attacked from above.

    With --out, finished samples are kept: after Ctrl-C the same command goes on, and `spikecert report --radii`
    puts the radii into a report.
    """
    from spikecert.models import network_hash
    from spikecert.reports import Plan, RadiusPlan
    from spikecert.reports.making.parts import Interrupted, PartStore, radii_in_parts

    subject = asked.subject(model)
    network, chosen = subject.network, subject.samples
    wanted = RadiusPlan(verifier, number(tolerance, "tolerance"), timeout)
    size = 0.5 if asked.norm == "tolerance" else 1.0  # any that is one: radii are of all sizes
    plan = Plan(asked.threat((size,)), (), (), seed=asked.seed, radii=wanted, ties=asked.ties)
    problem = network, chosen.inputs, chosen.labels, plan
    store = PartStore.of(None if out is None else out / PARTS, "radii", *problem)
    interrupted = False
    with Bars() as bars:
        try:
            radii = radii_in_parts(*problem, store=store, progress=bars, figures=bars.figures)
        except Interrupted as error:
            if error.finished is None:
                raise
            radii, interrupted = error.finished, True
    conditions = {
        "network": network.called(model.name),
        "sha256": network_hash(network),
        "data": asked.data,
        "samples": len(radii.table.samples),
        "num_steps": network.num_steps,
        "norm": plan.threat.norm if plan.threat.features else asked.norm,
        "verifier": verifier,
        "tolerance": plan.tolerance,
        "timeout": timeout,
        "seed": asked.seed,
        "limits": list(asked.ends),
        "ties": radii.table.ties,
    }
    if plan.threat.events is not None:
        conditions["events"] = plan.threat.events.model_dump()
    if plan.threat.networks is not None:
        conditions["networks"] = plan.threat.networks.model_dump()
    if plan.threat.features:
        conditions["features"] = [feature.model_dump() for feature in plan.threat.features]
    if interrupted:
        conditions |= {"interrupted": True, "samples_planned": len(chosen)}
    content = _content(conditions, radii.table)
    if out is not None:
        _write(out / UNFINISHED if interrupted else out, content, radii.counterexamples, network.dtype)
        if not interrupted:
            forget_unfinished(out)
            store.clear()
    show_json(content) if as_json else show(_told(content))
    return INTERRUPTED if interrupted else 0


def _content(conditions: dict[str, Any], table: "RadiusTable") -> dict[str, Any]:
    """Return the radii as JSON-ready data."""
    keys = ("index", "label", "lower", "upper", "exact", "attacked")
    rows = [
        {**{key: getattr(radius, key) for key in keys}, "verifier": radius.verifier or None}
        for radius in table.samples
    ]
    lower, upper = table.medians
    medians = {"lower": lower, "upper": upper}
    return {"schema": "spikecert.radii/1", **conditions, "exact": table.exact, "median": medians, "radii": rows}


def _told(content: dict[str, Any]) -> str:
    """Return the radii as a table, rounded so that the bracket holds, with the medians below it."""
    from spikecert.reports.records.radii import rounded_down, rounded_up

    norm, steps, samples = content["norm"], content["num_steps"], content["samples"]
    head = f"{content['network']} on {content['data']}: {samples} samples, {norm}, T = {steps}, "
    head += f"verifier {content['verifier']}, tolerance {content['tolerance']:g}, ties {content['ties']}"
    rows = [
        (
            str(row["index"]),
            str(row["label"]),
            rounded_down(row["lower"]),
            rounded_up(row["upper"]),
            "exact" if row["exact"] else "open",
            row["verifier"] or "–",
        )
        for row in content["radii"]
    ]
    medians = content["median"]
    rows.append(
        (
            "median",
            "",
            rounded_down(medians["lower"]),
            rounded_up(medians["upper"]),
            f"{content['exact']} exact",
            "",
        )
    )
    heads = ("sample", "label", "certified ≥", "attacked ≤", "bracket", "proof by")
    return f"{head}\n\n{table(heads, rows)}"


def _write(
    out: Path, content: dict[str, Any], counterexamples: "Sequence[Counterexample]", dtype: "torch.dtype"
) -> None:
    import torch

    from spikecert.files import write_atomically
    from spikecert.models.files.storage import write_tensors
    from spikecert.reports.records.evidence import unpacked_member

    text = json.dumps(content, indent=1, allow_nan=False)
    write_atomically(out / JSON, text.encode())
    tensors = {
        str(counterexample.index): torch.tensor(counterexample.perturbed, dtype=dtype).reshape(
            counterexample.shape
        )
        for counterexample in counterexamples
    }
    for counterexample in counterexamples:
        if counterexample.member is not None:
            kept = unpacked_member(counterexample.member)
            tensors |= {f"{counterexample.index}.{name}": tensor for name, tensor in kept.items()}
    write_tensors(out / COUNTEREXAMPLES, "spikecert.counterexamples/1", text, tensors)
    for name in (JSON, COUNTEREXAMPLES):
        say(f"wrote {shlex.quote(str(out / name))}")
