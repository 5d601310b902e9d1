"""`spikecert gains`: the gains of a network's spiking layers, and a check of saved certificates."""

from pathlib import Path
from typing import Annotated

import typer

from ..output import show, show_json, table
from .options import Json


def gains(
    model: Annotated[
        Path | None, typer.Argument(help="A network file as written by `train`.", metavar="MODEL")
    ] = None,
    input_norm: Annotated[str, typer.Option("--input-norm", help="l1, l2 or linf.")] = "l2",
    output_norm: Annotated[str, typer.Option("--output-norm", help="l1, l2 or linf.")] = "l2",
    horizon: Annotated[
        str | None, typer.Option("--horizon", help="Steps, or inf; default: the network's.")
    ] = None,
    method: Annotated[str, typer.Option("--method", help="closed_form, svd or lmi.")] = "closed_form",
    input_shape: Annotated[str | None, typer.Option("--input-shape", help="As in 3,32,32, for images.")] = None,
    check: Annotated[Path | None, typer.Option("--check", help="Prove the certificates in FILE again.")] = None,
    as_json: Json = False,
) -> int:
    """Print the proven gain of each spiking layer's simplified dynamics, or check saved certificates."""
    from spikecert.analysis import gain
    from spikecert.analysis.storage import report_data
    from spikecert.models import load

    if check is not None:
        return _check(check, as_json)
    if model is None:
        raise ValueError("MODEL: got nothing, expected a network file, or --check FILE")
    report = gain(load(model), input_norm, output_norm, _steps(horizon), method, _shape(input_shape))
    if as_json:
        show_json(report_data(report))
        return 0
    heads = ("layer", f"‖W‖ ({input_norm}→{output_norm})", "neuron", "gain", "bias")
    rows = [
        (
            item.name,
            f"{item.operator_norm.upper:.6g}",
            f"{item.neuron_gain:.6g}",
            f"{item.gain:.6g}",
            f"{item.bias:g}",
        )
        for item in report.layers
    ]
    show(table(heads, rows))
    show(f"\nT = {report.horizon}, method {report.method}. {ABOUT}")
    return 0


ABOUT = (
    "Upper ends, proven, of ‖ε‖/‖Δs‖ for the simplified dynamics ε. They hold for the membrane of the\n"
    "spiking network only while its spike trains do not change; no product of them certifies the network."
)


def _check(path: Path, as_json: bool) -> int:
    from spikecert.analysis.storage import check_file

    results = check_file(path)
    if as_json:
        show_json([{"certificate": name, "holds": holds} for name, holds in results])
    else:
        show(
            table(("certificate", "check"), [(name, "proven" if holds else "REFUSED") for name, holds in results])
        )
    return 0 if all(holds for _, holds in results) else 1


def _steps(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"horizon: got {text!r}, expected a number of steps or inf") from None


def _shape(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(side) for side in text.split(","))
    except ValueError:
        raise ValueError(f"input-shape: got {text!r}, expected integers as in 3,32,32") from None
