"""`spikecert replay`: the counterexamples of a record, run again."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...telling import say, show, show_json, table
from ..options.options import Json, Mean, Std, scale
from .explain import named_network

if TYPE_CHECKING:
    from spikecert.reports import ModelRecord, Record

SCHEMA = "spikecert.replay/1"


def replay(
    record: Annotated[Path, typer.Argument(help="record.json of a report.", metavar="RECORD")],
    model: Annotated[
        Path | None, typer.Option("--model", help="The network's file; default: that of the record's command.")
    ] = None,
    sample: Annotated[int | None, typer.Option("--sample", min=0, help="One sample alone; default: all.")] = None,
    mean: Mean = None,
    std: Std = None,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save", help="Folder for the networks of a tolerance that fail, each as a file of its own."
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """Run a record's counterexamples again: each must lie in its set and fail, or the status is 1.

    Of a set of networks the member that fails is the one that the record holds.
    """
    from spikecert.models import network_hash
    from spikecert.reports import load_record
    from spikecert.reports.making.replaying import replayed
    from spikecert.runs.normalizing import normalised
    from spikecert.runs.sources import network_of

    known, scaled = load_record(record), scale(None, mean, std)
    network = network_of(model or named_network(known, record)).eval()
    network = normalised(network, known.data.shape, scaled.mean, scaled.std) if scaled.mean else network
    digest = network_hash(network)
    measured = next((one for one in known.models if one.architecture.sha256 == digest), None)
    if measured is None:
        raise ValueError(f"model: got a network of SHA-256 {digest[:12]}…, which the record is not about")
    found = [
        replayed(known.threat, network, measured.ties, case)
        for case in measured.counterexamples
        if sample is None or case.index == sample
    ]
    if sample is not None and not found:
        raise ValueError(f"sample: got {sample}, of which the record keeps no counterexample")
    if save is not None:
        _saved(known, found, save)
    rows = [{name: getattr(one, name) for name in HEADS} for one in found]
    content = {"schema": SCHEMA, "network": digest, "norm": known.threat.norm, "replayed": rows}
    content |= {} if known.threat.asked is None else {"property": known.threat.asked}
    show_json(content) if as_json else show(_told(known, measured, rows))
    return int(not all(one.fails for one in found))


HEADS = {"index": "sample", "label": "label", "epsilon": "ε", "predicted": "answer", "fails": "fails", "told": ""}


def _told(known: "Record", measured: "ModelRecord", rows: list[dict[str, Any]]) -> str:
    from spikecert.reports.pages.norms import sign

    head = f"{measured.name}: {len(rows)} counterexamples, {sign(known.threat)}, ties {measured.ties}"
    if not rows:
        return head
    cells = [
        (
            str(row["index"]),
            known.data.label(row["label"]),
            known.threat.short(row["epsilon"]),
            known.data.label(row["predicted"]),
            "again" if row["fails"] else "NO",
            row["told"],
        )
        for row in rows
    ]
    return f"{head}\n\n{table(tuple(HEADS.values()), cells)}"


def _saved(known: "Record", found: list[Any], folder: Path) -> None:
    """Write members as network files.

    Raises:
        ValueError: for a record of other sets.
    """
    from spikecert.models import save

    if known.threat.norm != "tolerance":
        told = "of a tolerance alone members are networks of their own"
        raise ValueError(f"save: got a record in norm {known.threat.norm}, expected tolerance: {told}")
    for one in found:
        if one.member is not None:
            path = folder / f"sample-{one.index}.safetensors"
            save(one.member, path)
            say(f"wrote {shlex.quote(str(path))}")
