"""`spikecert radius`: for each sample a proven and an attacked radius."""

import json
import math
import shlex
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..output import say, show, show_json, table
from ..progress import Bars
from .options import Data, Device, Json, Model, Norm, Root, Samples, Seed, fitting, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from spikecert.certify import Radius

JSON, COUNTEREXAMPLES = "radii.json", "counterexamples.safetensors"


def radius(
    model: Model,
    data: Data = "digits",
    root: Root = None,
    samples: Samples = None,
    norm: Norm = "linf",
    verifier: Annotated[
        str, typer.Option(help="interval, trains, linear, gain, lirpa, milp, complete or auto.")
    ] = "auto",
    tolerance: Annotated[str, typer.Option(help="Width at which a bracket counts as exact.")] = "1e-3",
    timeout: Annotated[float | None, typer.Option(help="Seconds for a sample, on average, in all.")] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    out: Annotated[Path | None, typer.Option("--out", help=f"Folder for {JSON} and {COUNTEREXAMPLES}.")] = None,
    as_json: Json = False,
) -> int:
    """Bracket how far each sample can be perturbed: proven from below, attacked from above."""
    from spikecert.certify import certified_radius
    from spikecert.models import load, network_hash
    from spikecert.training import dataset

    network = load(model)
    chosen = fitting(network, dataset(data, root, num_steps=network.num_steps), samples, device)
    width = number(tolerance, "tolerance")
    with Bars() as bars:
        radii = certified_radius(
            network,
            chosen.inputs,
            chosen.labels,
            norm,
            verifier,
            width,
            timeout=timeout,
            seed=seed,
            progress=bars,
        )
    conditions = {
        "network": model.name,
        "sha256": network_hash(network),
        "data": data,
        "samples": len(radii),
        "num_steps": network.num_steps,
        "norm": norm,
        "verifier": verifier,
        "tolerance": width,
        "timeout": timeout,
        "seed": seed,
    }
    content = _content(conditions, radii, chosen.labels)
    if out is not None:
        _write(out, content, radii)
    show_json(content) if as_json else show(_told(content))
    return 0


def _content(conditions: dict[str, Any], radii: "Sequence[Radius]", labels: "Tensor") -> dict[str, Any]:
    """Return the radii as JSON-ready data."""
    rows = [
        {
            "index": index,
            "label": label,
            "lower": found.lower,
            "upper": found.upper,
            "exact": found.exact,
            "attacked": found.counterexample is not None,
            "verifier": found.verifier,
        }
        for index, (label, found) in enumerate(zip(labels.tolist(), radii, strict=True))
    ]
    medians = {
        "lower": median(found.lower for found in radii),
        "upper": median(found.upper for found in radii),
    }
    exact = sum(found.exact for found in radii)
    return {"schema": "spikecert.radii/1", **conditions, "exact": exact, "median": medians, "radii": rows}


def _told(content: dict[str, Any]) -> str:
    """Return the radii as a table, rounded so that the bracket holds, with the medians below it."""
    norm, steps, samples = content["norm"], content["num_steps"], content["samples"]
    head = f"{content['network']} on {content['data']}: {samples} samples, {norm}, T = {steps}, "
    head += f"verifier {content['verifier']}, tolerance {content['tolerance']:g}"
    rows = [
        (
            str(row["index"]),
            str(row["label"]),
            _down(row["lower"]),
            _up(row["upper"]),
            "exact" if row["exact"] else "open",
            row["verifier"] or "–",
        )
        for row in content["radii"]
    ]
    medians = content["median"]
    rows.append(("median", "", _down(medians["lower"]), _up(medians["upper"]), f"{content['exact']} exact", ""))
    heads = ("sample", "label", "certified ≥", "attacked ≤", "bracket", "proof by")
    return f"{head}\n\n{table(heads, rows)}"


def _down(value: float) -> str:
    return f"{math.floor(value * 1e5) / 1e5:.5f}"


def _up(value: float) -> str:
    return f"{math.ceil(value * 1e5) / 1e5:.5f}"


def _write(out: Path, content: dict[str, Any], radii: "Sequence[Radius]") -> None:
    from spikecert.models.storage import write_atomically, write_tensors

    text = json.dumps(content, indent=1, allow_nan=False)
    write_atomically(out / JSON, text.encode())
    tensors = {
        str(index): found.counterexample for index, found in enumerate(radii) if found.counterexample is not None
    }
    write_tensors(out / COUNTEREXAMPLES, "spikecert.counterexamples/1", text, tensors)
    for name in (JSON, COUNTEREXAMPLES):
        say(f"wrote {shlex.quote(str(out / name))}")
