"""`spikecert gains`: the gains of a network's layers, its stability on data, and a check of certificates."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from spikecert.asking.options import Without, command
from spikecert.asking.question import ScaledSamples, Seed
from spikecert.asking.values import Naming, Numeral, many, real, text, whole

from ...runs.sources import data_of, network_of
from ...telling import show, show_json, table, write_files
from .theorems import show_theorems

if TYPE_CHECKING:
    from spikecert.analysis import CheckedClaim, GainReport, StabilityReport
    from spikecert.models import SpikingNetwork
    from spikecert.training import Dataset

VERDICTS = ("proven", "refused", "not checked")

ABOUT = (
    "Upper ends, proven, of ‖ε‖/‖Δs‖ for the simplified dynamics ε. They hold for the membrane of the\n"
    "spiking network only while its spike trains do not change; no product of them certifies the network."
)


@dataclass(frozen=True, kw_only=True)
class Gaining(ScaledSamples):
    """Which gains of which network, and on what stability is measured.

    Attributes:
        model: a network file as written by `train`.
        input_norm: l1, l2 or linf.
        output_norm: l1, l2 or linf.
        horizon: steps, or inf; default: the network's.
        method: closed_form, svd or lmi.
        input_shape: as in 3,32,32, for images.
        samples: also measure stability on the first test samples of --data.
        data: as in `certify`: says the inputs' shape, and what --samples measures on (default: digits).
        epsilon: of the measured perturbations.
        seed: of everything random.
        surrogate: also one LMI for the surrogate network; needs --samples.
        check: prove FILE's certificates again; with MODEL, its layers' numbers too.
        plot: folder for bode.svg, horizon.svg and decay.svg.
        theorem: show a theorem in place of gains, its derivation replayed step by step; all: list them.
        latex: with --theorem: print LaTeX.
        json: print JSON on standard output and nothing else.
    """

    model: Annotated[Path | None, Naming(argument=True)] = None
    input_norm: str = "l2"
    output_norm: str = "l2"
    horizon: str | None = None
    method: str = "closed_form"
    input_shape: Annotated[tuple[int, ...], many(whole(1), expected="sizes as in 3,32,32")] | None = None
    data: Annotated[str, text("a data set", longest=4096), Naming("name", "data")] = ""
    epsilon: Annotated[Numeral, real("a number above 0, such as 8/255", above=0.0)] = Numeral(8 / 255, "8/255")
    seed: Seed = 0
    surrogate: bool = False
    check: Path | None = None
    plot: Path | None = None
    theorem: Annotated[str, text("a theorem, or all")] | None = None
    latex: bool = False
    json: bool = False


@command
def gains(asked: Annotated[Gaining, Without("device")]) -> int:
    """Print the proven gain of each spiking layer's simplified dynamics; check certificates, or show theorems."""
    from spikecert.analysis import gain, report_data

    if asked.theorem is not None:
        return show_theorems(asked.theorem, asked.latex, asked.json)
    if asked.check is not None:
        return _check(asked.check, asked.model, asked.json)
    network, source = _network(asked)
    measured = None if source is None or asked.samples is None else _measure(network, source, asked)
    shape = asked.input_shape or (None if source is None else source.shape)
    report = gain(network, asked.input_norm, asked.output_norm, _steps(asked.horizon), asked.method, shape)
    if asked.plot is not None:
        _plot(report, network.num_steps, asked.plot)
    if asked.json:
        stability = None if measured is None else _stability_data(measured)
        show_json({**report_data(report), "stability": stability})
    else:
        told = "" if measured is None else _stability_text(measured, asked.epsilon.text, asked.surrogate)
        show(_gain_text(report) + told)
    return 0


def _network(asked: Gaining) -> "tuple[SpikingNetwork, Dataset | None]":
    """Return the network for inputs as the data have them, and the data where any are asked for."""
    from spikecert.runs.building import scaled

    if asked.model is None:
        raise ValueError("MODEL: got nothing, expected a network file, or --check FILE")
    if asked.surrogate and asked.samples is None:
        raise ValueError("samples: got none, expected --samples N beside --surrogate")
    network = network_of(asked.model)
    if asked.data or asked.samples is not None:
        source = data_of(replace(asked, data=asked.data or "digits"), network.num_steps, asked.limits)
        return scaled(network, source, asked), source
    if asked.mean is not None or asked.limits != (0.0, 1.0):
        raise ValueError("data: got none, expected --data beside --range, --mean and --std")
    return network, None


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

    write_files(
        folder, {f"{name}.svg": as_svg(one).decode() for name, one in gain_figures(report, num_steps).items()}
    )


def _measure(network: "SpikingNetwork", data: "Dataset", asked: Gaining) -> "StabilityReport":
    import torch

    from spikecert.analysis import stability
    from spikecert.certify import LInf, attack
    from spikecert.runs.building import fitting

    split, ball = fitting(network, data, asked.samples, "cpu"), LInf(float(asked.epsilon), *asked.limits)
    generator = torch.Generator().manual_seed(asked.seed)
    noise = torch.randn(split.inputs.shape, generator=generator).to(split.inputs.dtype)
    adversarial = attack(network, split.inputs, split.labels, ball, method="pgd").inputs
    moved = {"noise": split.inputs + ball.epsilon * noise, "pgd": adversarial}
    return stability(network, split.inputs, moved, asked.surrogate)


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
