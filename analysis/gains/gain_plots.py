"""What a report of gains looks like over frequency, over the horizon and over the decay: one figure each.

Figures of the analysis. Each function returns a matplotlib Figure and touches no global state.
"""

import math
from collections.abc import Sequence
from io import BytesIO

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from ...models.constants import at_least, share
from ...models.rules import plain
from ..arithmetic import multiply_up
from ..norms import operator_norm
from ..operators import LayerOperator
from ..stability import StabilityReport
from .gain_methods import filtered_gain
from .gains import GainReport, LayerGain
from .neuron_gains import constant_gain, neuron_gain


def bode_figure(decays: Sequence[float] = (0.0, 0.5, 0.9, 0.99), points: int = 400) -> Figure:
    """Return |G(e^{iω})| = 1/√(1 + λ² − 2λcos ω) in dB over the frequency, for each λ < 1."""
    omega = np.geomspace(1e-3, math.pi, at_least(1)("points", points))
    figure, axes = _axes("frequency ω (radians a step)", "|G| (dB)")
    for decay in decays:
        axes.plot(omega, 20.0 * np.log10(frequency_response(decay, omega)), label=f"λ = {decay:g}")
    axes.set_xscale("log")
    axes.legend()
    return figure


def frequency_response(decay: float, omega: np.ndarray) -> np.ndarray:
    """Return |G(e^{iω})| of the simplified dynamics.

    References: theorem "transfer-function"
    """
    decay = share("decay", decay)
    if decay == 1.0 and bool((np.mod(omega, 2 * math.pi) == 0).any()):
        raise ValueError("decay: got 1, which has a pole at ω = 0; expected λ < 1 there")
    return 1.0 / np.sqrt((1.0 - decay) ** 2 + 4.0 * decay * np.sin(omega / 2.0) ** 2)


def layer_figure(operator: LayerOperator, points: int = 400) -> Figure:
    """Return the largest singular value of a layer's transfer matrix G(e^{iω})·W over the frequency, in dB.

    G is a number, so σ_max(G·W) = |G|·‖W‖₂, with the proven upper end of ‖W‖₂ for any W: dense, convolutional
    (as an operator, not as a flattened kernel), pooled, or a residual sum.

    Raises:
        ValueError: for an operator in front of no neuron, or of one whose input scale varies over time: it has
            no transfer matrix.
    """
    if operator.rule is None:
        raise ValueError(f"operator: got {operator.name}, expected a layer in front of a neuron")
    if operator.peaks:
        raise ValueError(f"operator: {operator.name} stands behind a max pool, which has no frequency response")
    if not plain(operator.rule):
        raise ValueError(f"operator: {operator.name} has neurons that differ, expected one λ for a response")
    scale = operator.rule.scale
    if scale is not None and set(scale) != {1.0}:
        raise ValueError(f"operator: got {operator.name} with an input scale over time, expected LIF or a = 1")
    omega = np.geomspace(1e-3, math.pi, at_least(1)("points", points))
    values = operator_norm(operator).upper * frequency_response(operator.decay, omega)
    figure, axes = _axes("frequency ω (radians a step)", "σ_max(G·W) (dB)")
    axes.plot(omega, 20.0 * np.log10(np.maximum(values, 1e-300)), label=operator.name)
    axes.set_xscale("log")
    axes.legend()
    return figure


def growth_figure(report: StabilityReport) -> Figure:
    """Return measured perturbation growth beside the proven bound, per layer and perturbation.

    Raises:
        ValueError: for a report without measured growth.
    """
    if not report.growth:
        raise ValueError("report: got no measured growth, expected stability(network, inputs, perturbed)")
    figure, axes = _axes("", "‖ε‖₂ / ‖Δs‖₂")
    names = [f"{item.layer}\n{item.source}" for item in report.growth]
    axes.boxplot([item.simplified.numpy() for item in report.growth], showfliers=True)
    for place, item in enumerate(report.growth, 1):
        axes.hlines(item.gain, place - 0.4, place + 0.4, color="tab:red", label="bound" if place == 1 else "")
    axes.set_xticks(range(1, len(names) + 1), names, fontsize=8)
    top = max(max(item.gain, float(item.simplified.max())) for item in report.growth)
    axes.set_ylim(-0.03 * top, 1.2 * top)  # room for the legend above the bounds
    axes.legend(loc="upper right")
    return figure


def horizon_figure(decays: Sequence[float] = (0.5, 0.9, 0.99, 1.0), longest: int = 64) -> Figure:
    """Return the ℓ2 gain over T for each λ, the gain of a constant input, and the quoted √(1/(1−λ))."""
    steps = range(1, longest + 1)
    figure, axes = _axes("horizon T", "ℓ2 gain")
    for decay in decays:
        (line,) = axes.plot(steps, [neuron_gain(decay, t) for t in steps], label=f"σ_max, λ = {decay:g}")
        axes.plot(steps, [constant_gain(decay, t) for t in steps], "--", color=line.get_color())
        if decay < 1.0:
            axes.axhline(math.sqrt(1 / (1 - decay)), linestyle=":", color=line.get_color())
    axes.set_title("solid: exact; dashed: constant input; dotted: as quoted", fontsize=9)
    axes.legend()
    return figure


def norm_figure(norms: Sequence[float] = (0.5, 1.0, 2.0), steps: int = 8, points: int = 60) -> Figure:
    """Return a layer's gain ‖W‖₂·σ_max(H) over λ for several ‖W‖₂."""
    decays = np.linspace(0.0, 1.0, points)
    figure, axes = _axes("decay λ", f"layer gain, T = {steps}")
    for norm in norms:
        axes.plot(decays, [norm * neuron_gain(float(decay), steps) for decay in decays], label=f"‖W‖ = {norm:g}")
    axes.legend()
    return figure


def _axes(across: str, up: str):
    figure = Figure(figsize=(6.0, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(alpha=0.3)
    return figure, axes


POINTS = 400
LONGEST = 64
"""Steps of the horizon that are shown, if the network has fewer."""
SWEEP = np.linspace(0.0, 1.0, 41)


def gain_figures(report: GainReport, num_steps: int) -> dict[str, Figure]:
    """Return the figures "bode", "horizon" and "decay" of all layers of a report.

    Args:
        report: of `gain`.
        num_steps: T of the network, which the figures of gains are about or mark.
    """
    return {
        "bode": response_figure(report),
        "horizon": over_horizon_figure(report, num_steps),
        "decay": over_decay_figure(report, num_steps),
    }


def as_svg(figure: Figure) -> bytes:
    """Return a figure as SVG, the same each time."""
    drawn = BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "spikecert"}):
        FigureCanvasSVG(figure).print_svg(drawn, metadata={"Date": None})
    return drawn.getvalue()


def response_figure(report: GainReport) -> Figure:
    """Return σ_max(G(e^{iω})·W) of each layer in dB, and the phase of G, of neuron and synapses.

    ‖W‖₂ is its upper end. An input scale counts by its greatest modulus, and the label says so; neurons that
    differ count by their greatest λ: upper ends, too. What varies over time has no phase.
    """
    omega = np.geomspace(1e-3, math.pi, POINTS)
    figure = Figure(figsize=(6.0, 5.0), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for layer in report.layers:
        values = layer.operator_norm.upper * response(layer, omega)
        label = _label(layer)
        if layer.input_scale is not None:
            label += f", max |a| = {max(map(abs, layer.input_scale)):g} at all steps"
        (line,) = axes.plot(omega, 20.0 * np.log10(np.maximum(values, 1e-300)), label=label)
        if layer.input_scale is None:
            below.plot(omega, np.degrees(phase(layer, omega)), color=line.get_color())
    axes.set_ylabel("σ_max (dB), simplified dynamics")
    below.set_ylabel("phase of G (degrees)")
    below.set_xlabel("frequency ω (radians a step)")
    for part in (axes, below):
        part.set_xscale("log")
        part.grid(alpha=0.3)
    return _finished(figure, axes)


def phase(layer: LayerGain, omega: np.ndarray) -> np.ndarray:
    """Return the phase of 1/Π(1 − λe^{−iω}), over a layer's neuron and synapses."""
    decays = (layer.decay, *(item.decay for item in layer.filters))
    return -np.sum([np.angle(1.0 - decay * np.exp(-1j * omega)) for decay in decays], axis=0)


def response(layer: LayerGain, omega: np.ndarray) -> np.ndarray:
    """Return |G(e^{iω})| of a layer's neuron and synapses, times the greatest modulus of its input scale."""
    largest = max(map(abs, layer.input_scale or (1.0,)))
    found = largest * frequency_response(layer.decay, omega)
    for item in layer.filters:
        found = found * frequency_response(item.decay, omega)
    return found


def over_horizon_figure(report: GainReport, num_steps: int) -> Figure:
    """Return each layer's gain over T, the network's T as a line; with an input scale over its steps alone."""
    figure, axes = _figure("horizon T", _gain_label(report))
    for layer in report.layers:
        longest = num_steps if layer.input_scale is not None else max(num_steps, LONGEST)
        steps = sorted({round(t) for t in np.geomspace(1, longest, 24)})
        axes.plot(steps, [_gain(report, layer, layer.decay, t) for t in steps], ".-", label=_label(layer))
    axes.axvline(num_steps, color="gray", linestyle=":")
    axes.set_xscale("log", base=2)
    return _finished(figure, axes)


def over_decay_figure(report: GainReport, num_steps: int) -> Figure:
    """Return what each layer's gain over T steps would be with another λ, its own λ as a mark."""
    figure, axes = _figure(f"decay λ (T = {num_steps})", _gain_label(report))
    for layer in report.layers:
        values = [_gain(report, layer, float(decay), num_steps) for decay in SWEEP]
        (line,) = axes.plot(SWEEP, values, label=_label(layer))
        axes.plot([layer.decay], [_gain(report, layer, layer.decay, num_steps)], "o", color=line.get_color())
    return _finished(figure, axes)


def _gain(report: GainReport, layer: LayerGain, decay: float, steps: int) -> float:
    scale = None if layer.input_scale is None else layer.input_scale[:steps]
    alone = filtered_gain(layer.filters, decay, steps, report.input_norm, report.output_norm, scale)
    return multiply_up(layer.operator_norm.upper, alone)


def _gain_label(report: GainReport) -> str:
    return f"gain, {report.input_norm} → {report.output_norm}, simplified"


def _label(layer: LayerGain) -> str:
    return f"{layer.name}, λ = {layer.decay:g}"


def _figure(across: str, up: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.0, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(alpha=0.3)
    return figure, axes


def _finished(figure: Figure, axes: Axes) -> Figure:
    axes.legend(fontsize=8)
    return figure
