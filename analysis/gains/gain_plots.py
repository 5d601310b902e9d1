"""What a report of gains looks like over frequency, over the horizon and over the decay: one figure each."""

import math
from io import BytesIO

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from ..arithmetic.intervals import multiply_up
from ..figures import frequency_response
from .filter_gains import filtered_gain
from .gains import GainReport, LayerGain

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
