"""`spikecert radius`: for each sample a proven and an attacked radius."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from spikecert.asking.options import Without, command
from spikecert.asking.question import Proving, Question, Width
from spikecert.asking.values import Numeral

from ..progress import Bars
from ..telling import (
    INTERRUPTED,
    PARTS,
    UNFINISHED,
    forget_unfinished,
    json_text,
    show,
    show_json,
    table,
    write_files,
    wrote,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from spikecert.models import SpikingNetwork
    from spikecert.reports import Counterexample, Plan, RadiusTable
    from spikecert.reports.making.parts import PartStore, Radii

SCHEMA = "spikecert.radii/2"
JSON, COUNTEREXAMPLES = "radii.json", "counterexamples.safetensors"


@dataclass(frozen=True, kw_only=True)
class Bracketing(Proving):
    """How radii are bracketed.

    Attributes:
        timeout: seconds for a sample, on average, in all.
        tolerance: width at which a bracket counts as exact.
        out: folder for radii.json and counterexamples.safetensors.
        json: print JSON on standard output and nothing else.
    """

    tolerance: Width = Numeral(1e-3, "1e-3")
    out: Path | None = None
    json: bool = False


@command
def radius(asked: Annotated[Question, Without("epsilon")], how: Bracketing) -> int:
    """Bracket how far each sample can be perturbed: proven from below, attacked from above.

    With --out, finished samples are kept: after Ctrl-C the same command goes on, and `spikecert report --radii`
    puts the radii into a report.
    """
    from spikecert.reports import Plan, RadiusPlan
    from spikecert.reports.making.parts import PartStore
    from spikecert.runs.examining import subject_of

    subject = subject_of(asked)
    network, chosen = subject.network, subject.samples
    wanted = RadiusPlan(how.verifier, how.tolerance, how.timeout, workers=how.workers)
    plan = Plan(asked.threat, (), (), seed=asked.seed, radii=wanted, ties=asked.ties, memory=how.memory)
    problem = network, chosen.inputs, chosen.labels, plan
    store = PartStore.of(None if how.out is None else how.out / PARTS, "radii", *problem)
    radii, interrupted = _bracketed(problem, store)
    content = _content(_conditions(asked, how, network, radii.table) | _cut(interrupted, len(chosen)), radii.table)
    if how.out is not None:
        folder = how.out / UNFINISHED if interrupted else how.out
        _write(folder, content, radii.counterexamples, network.dtype)
        if not interrupted:
            forget_unfinished(how.out)
            store.clear()
    show_json(content) if how.json else show(_told(content))
    return INTERRUPTED if interrupted else 0


def _bracketed(
    problem: "tuple[SpikingNetwork, torch.Tensor, torch.Tensor, Plan]", store: "PartStore"
) -> "tuple[Radii, bool]":
    """Return the radii, and whether Ctrl-C left them to the finished samples."""
    from spikecert.reports.making.parts import Interrupted, radii_in_parts

    with Bars() as bars:
        try:
            return radii_in_parts(*problem, store=store, progress=bars, figures=bars.figures), False
        except Interrupted as error:
            if error.finished is None:
                raise
            return error.finished, True


def _cut(interrupted: bool, planned: int) -> dict[str, Any]:
    return {"interrupted": True, "samples_planned": planned} if interrupted else {}


def _conditions(
    asked: Question, how: Bracketing, network: "SpikingNetwork", table: "RadiusTable"
) -> dict[str, Any]:
    from spikecert.runs.examining import conditions_of

    return {
        **conditions_of(asked, how, network, len(table.samples)),
        "num_steps": network.num_steps,
        "tolerance": table.tolerance,
        "ties": table.ties,
    }


def _content(conditions: dict[str, Any], table: "RadiusTable") -> dict[str, Any]:
    """Return the radii as JSON-ready data."""
    keys = ("index", "label", "lower", "upper", "exact", "attacked")
    rows = [
        {**{key: getattr(radius, key) for key in keys}, "verifier": radius.verifier or None}
        for radius in table.samples
    ]
    lower, upper = table.medians
    medians = {"lower": lower, "upper": upper}
    return {"schema": SCHEMA, **conditions, "exact": table.exact, "median": medians, "radii": rows}


def _told(content: dict[str, Any]) -> str:
    """Return the radii as a table, rounded so that the bracket holds, with the medians below it."""
    from spikecert.reports.records.radii import rounded_down, rounded_up

    norm, steps, samples = content["threat"]["norm"], content["num_steps"], content["samples"]
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

    from spikecert.models.files.storage import write_tensors
    from spikecert.reports.records.evidence import unpacked_member

    text = json_text(content)
    write_files(out, {JSON: text})
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
    wrote(out / COUNTEREXAMPLES)
