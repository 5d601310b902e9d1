"""`spikecert gains`: the gains of a network's layers, its stability on data, and a check of certificates."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...runs.sources import data_of, network_of
from ...telling import say, show, show_json, table
from ..options.options import (
    DATA_SETS,
    InputScale,
    Json,
    Mean,
    Range,
    Root,
    Seed,
    Std,
    completed,
    fitting,
    number,
    scale,
)

if TYPE_CHECKING:
    from spikecert.analysis import CheckedClaim, GainReport, StabilityReport
    from spikecert.certify import LInf
    from spikecert.models import SpikingNetwork
    from spikecert.training import Dataset

ModelOrNone = Annotated[
    Path | None, typer.Argument(help="A network file as written by `train`.", metavar="MODEL", show_default=False)
]
Horizon = Annotated[str | None, typer.Option("--horizon", help="Steps, or inf; default: the network's.")]
Samples = Annotated[
    int | None,
    typer.Option("--samples", min=1, help="Also measure stability on the first test samples of --data."),
]

OwnData = Annotated[
    str | None,
    typer.Option(
        "--data",
        autocompletion=completed(DATA_SETS),
        help="As in `certify`: says the inputs' shape, and what --samples measures on (default: digits).",
    ),
]

VERDICTS = ("proven", "refused", "not checked")

ABOUT = (
    "Upper ends, proven, of ‖ε‖/‖Δs‖ for the simplified dynamics ε. They hold for the membrane of the\n"
    "spiking network only while its spike trains do not change; no product of them certifies the network."
)


def gains(
    model: ModelOrNone = None,
    input_norm: Annotated[str, typer.Option("--input-norm", help="l1, l2 or linf.")] = "l2",
    output_norm: Annotated[str, typer.Option("--output-norm", help="l1, l2 or linf.")] = "l2",
    horizon: Horizon = None,
    method: Annotated[str, typer.Option("--method", help="closed_form, svd or lmi.")] = "closed_form",
    input_shape: Annotated[str | None, typer.Option("--input-shape", help="As in 3,32,32, for images.")] = None,
    samples: Samples = None,
    data: OwnData = None,
    root: Root = None,
    limits: Range = None,
    mean: Mean = None,
    std: Std = None,
    epsilon: Annotated[str, typer.Option("--epsilon", help="Of the measured perturbations.")] = "8/255",
    seed: Seed = 0,
    surrogate: Annotated[
        bool, typer.Option("--surrogate", help="Also one LMI for the surrogate network; needs --samples.")
    ] = False,
    check: Annotated[
        Path | None,
        typer.Option("--check", help="Prove FILE's certificates again; with MODEL, its layers' numbers too."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", help="Folder for bode.svg, horizon.svg and decay.svg.", metavar="FOLDER"),
    ] = None,
    as_json: Json = False,
) -> int:
    """Print the proven gain of each spiking layer's simplified dynamics, or check saved certificates."""
    from spikecert.analysis import gain, report_data
    from spikecert.certify import LInf

    if check is not None:
        return _check(check, model, as_json)
    if model is None:
        raise ValueError("MODEL: got nothing, expected a network file, or --check FILE")
    if surrogate and samples is None:
        raise ValueError("samples: got none, expected --samples N beside --surrogate")
    network, scaled = network_of(model), scale(limits, mean, std)
    source = None
    if data is not None or samples is not None:
        source = data_of(data or "digits", root, network.num_steps, scaled.limits)
        network = scaled.of(network, source)
    elif scaled != InputScale():
        raise ValueError("data: got none, expected --data beside --range, --mean and --std")
    measured = None
    if source is not None and samples is not None:
        ball = LInf(number(epsilon, "epsilon"), *scaled.limits)
        measured = _measure(network, source, samples, ball, seed, surrogate)
    shape = _shape(input_shape) or (None if source is None else source.shape)
    report = gain(network, input_norm, output_norm, _steps(horizon), method, shape)
    if plot is not None:
        _plot(report, network.num_steps, plot)
    if as_json:
        stability = None if measured is None else _stability_data(measured)
        show_json({**report_data(report), "stability": stability})
    else:
        show(_gain_text(report) + ("" if measured is None else _stability_text(measured, epsilon, surrogate)))
    return 0


def _gain_text(report: "GainReport") -> str:
    heads = ("layer", f"‖W‖ ({report.input_norm}→{report.output_norm})", "neuron", "gain", "bias")
    rows = [
        (
            item.name,
            f"{item.operator_norm.upper:.6g}",
            *(f"{value:.6g}" for value in (item.neuron_gain, item.gain, item.bias)),
        )
        for item in report.layers
    ]
    return f"{table(heads, rows)}\n\nT = {report.horizon}, method {report.method}. {ABOUT}"


def _plot(report: "GainReport", num_steps: int, folder: Path) -> None:
    """Write the figures of a report as SVG, and say where."""
    from spikecert.analysis.gains.gain_plots import as_svg, gain_figures
    from spikecert.files import write_atomically

    for name, figure in gain_figures(report, num_steps).items():
        write_atomically(folder / f"{name}.svg", as_svg(figure))
        say(f"wrote {folder / name}.svg")


def _measure(
    network: "SpikingNetwork", data: "Dataset", samples: int, ball: "LInf", seed: int, surrogate: bool
) -> "StabilityReport":
    import torch

    from spikecert.analysis import stability
    from spikecert.certify import attack

    split = fitting(network, data, samples, "cpu")
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(split.inputs.shape, generator=generator).to(split.inputs.dtype)
    adversarial = attack(network, split.inputs, split.labels, ball, method="pgd").inputs
    moved = {"noise": split.inputs + ball.epsilon * noise, "pgd": adversarial}
    return stability(network, split.inputs, moved, surrogate)


def _stability_data(report: "StabilityReport") -> dict[str, Any]:
    radii = {"linf": report.radius_linf, "l2": report.radius_l2}
    return {
        "pattern_radius": {norm: None if value is None else value.tolist() for norm, value in radii.items()},
        "threshold_margins": [margin.tolist() for margin in report.margins],
        "surrogate_network_product": report.surrogate_product,
        "surrogate_network_lmi": None if report.surrogate is None else report.surrogate.gain,
        "surrogate_network_note": report.surrogate_note,
        "growth": [
            {
                "layer": item.layer,
                "perturbation": item.source,
                "simplified_max": float(item.simplified.max()),
                "trains_agree": int(item.agrees.sum()),
                "gain": item.gain,
                "tightness": item.tightness,
            }
            for item in report.growth
        ],
    }


def _stability_text(report: "StabilityReport", epsilon: str, surrogate: bool) -> str:
    heads = ("layer, perturbation", "largest ‖ε‖/‖Δs‖", "bound", "share", "same trains")
    rows = [
        (
            f"{item.layer}, {item.source}",
            f"{float(item.simplified.max()):.4g}",
            f"{item.gain:.4g}",
            f"{100 * item.tightness:.1f} %",
            f"{int(item.agrees.sum())} of {len(item.agrees)}",
        )
        for item in report.growth
    ]
    count = len(report.growth[0].agrees)
    text = f"\n\nMeasured on {count} samples, ε = {epsilon} (noise: σ = ε):\n{table(heads, rows)}"
    if report.radius_linf is not None:
        middle, least = float(report.radius_linf.median()), float(report.radius_linf.min())
        text += f"\n\nNo first-layer train changes within ℓ∞ {middle:.3g} (median sample), {least:.3g} (least)."
    if report.surrogate_product is not None:
        text += f"\nSurrogate network, end to end, ℓ2: {report.surrogate_product:.4g} (not the spiking network)."
    if report.surrogate is not None:
        factor = report.surrogate.product / report.surrogate.gain
        text += (
            f"\nSurrogate network by one LMI, checked: {report.surrogate.gain:.4g}, {factor:.2f} times below"
            " the product (not the spiking network)."
        )
    return f"{text}\n{report.surrogate_note}".rstrip() if surrogate else text


def _check(path: Path, model: Path | None, as_json: bool) -> int:
    from spikecert.analysis import check_file

    results = check_file(path, None if model is None else network_of(model))
    if as_json:
        show_json([{**asdict(item), "holds": item.holds} for item in results])
    else:
        rows = [(item.claim, item.verdict.replace("refused", "REFUSED"), item.basis) for item in results]
        show(f"{table(('claim', 'check', 'by'), rows)}\n\n{_summary(results)}")
    return 1 if any(item.verdict == "refused" for item in results) else 0


def _summary(results: "Sequence[CheckedClaim]") -> str:
    count = {verdict: sum(item.verdict == verdict for item in results) for verdict in VERDICTS}
    text = f"Without a solver: {count['proven']} proven, {count['refused']} refused."
    if count["not checked"]:
        text += (
            f" {count['not checked']} not checked: the file alone does not show that its numbers are a network's;"
            "\ngive MODEL to prove them from its weights."
        )
    return text


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
