"""Geometry of a counterexample's insides: potentials of neurons that changed their train, and spikes."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..records.schema import Counterexample, LayerActivity, NeuronActivity

WIDTH = 340
TRACES = 4
"""Neurons whose potentials are drawn, over all layers, the first layers first."""
ACROSS, DOWN, GAP = 164, 74, 12
HEAD, PAD = 15, 6
RASTER_LEFT, CELL, TALLEST = 30, 7, 26.0


@dataclass(frozen=True)
class SpikeMark:
    """A step at which the neuron fires, for the sample or for the counterexample."""

    x: float
    y: float
    style: str


@dataclass(frozen=True)
class MembranePlot:
    """Potentials of one neuron for sample and counterexample."""

    x: float
    y: float
    label: str
    text: str
    threshold_y: float
    clean: str
    perturbed: str
    spikes: tuple[SpikeMark, ...]


@dataclass(frozen=True)
class RasterCell:
    """One step of one neuron in a raster; style "both", "gone" (only the sample fires) or "new"."""

    x: float
    y: float
    style: str


@dataclass(frozen=True)
class Raster:
    """Spikes of one layer's neurons, a row for each."""

    name: str
    text: str
    width: float
    height: float
    cell: float
    changed: tuple[float, ...]
    cells: tuple[RasterCell, ...]


@dataclass(frozen=True)
class Scene:
    """All pictures of the insides of one counterexample."""

    height: float
    membranes: tuple[MembranePlot, ...]
    rasters: tuple[Raster, ...]
    summary: str


def scene(counterexample: Counterexample) -> Scene | None:
    """Return the pictures of one counterexample; None where its activity was not recorded."""
    if not counterexample.activity:
        return None
    traced = [
        (layer, neuron) for layer in counterexample.activity for neuron in layer.shown if neuron.clean_potentials
    ][:TRACES]
    lines = -(-len(traced) // 2)
    return Scene(
        height=lines * (DOWN + HEAD + GAP),
        membranes=tuple(_membrane(place, *pair) for place, pair in enumerate(traced)),
        rasters=tuple(_raster(layer) for layer in counterexample.activity if layer.changed),
        summary=", ".join(
            f"{layer.name}: {layer.changed} of {layer.neurons}" for layer in counterexample.activity
        ),
    )


def _membrane(place: int, layer: LayerActivity, neuron: NeuronActivity) -> MembranePlot:
    x, y = (place % 2) * (ACROSS + GAP), (place // 2) * (DOWN + HEAD + GAP)
    values = (*neuron.clean_potentials, *neuron.perturbed_potentials, layer.threshold, 0.0)
    low, high = min(values), max(values)
    clean, perturbed = (
        _points(potentials, low, high, x, y + HEAD)
        for potentials in (neuron.clean_potentials, neuron.perturbed_potentials)
    )
    spikes = [SpikeMark(*point, "gone") for point, fired in zip(clean, neuron.clean, strict=True) if fired == "1"]
    spikes += [
        SpikeMark(*point, "new") for point, fired in zip(perturbed, neuron.perturbed, strict=True) if fired == "1"
    ]
    label = f"{layer.name}, neuron {neuron.index}"
    return MembranePlot(
        x=x,
        y=y,
        label=label,
        text=f"{label}: spikes {neuron.clean} for the sample, {neuron.perturbed} for the counterexample",
        threshold_y=_height(layer.threshold, low, high, y + HEAD),
        clean=_line(clean),
        perturbed=_line(perturbed),
        spikes=tuple(spikes),
    )


def _points(values: Sequence[float], low: float, high: float, x: float, y: float) -> list[tuple[float, float]]:
    step = (ACROSS - 2 * PAD) / max(len(values) - 1, 1)
    return [(x + PAD + step * t, _height(value, low, high, y)) for t, value in enumerate(values)]


def _height(value: float, low: float, high: float, y: float) -> float:
    return y + DOWN - PAD - (DOWN - 2 * PAD) * (value - low) / (high - low or 1.0)


def _line(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _raster(layer: LayerActivity) -> Raster:
    steps = len(layer.shown[0].clean)
    cell = min((WIDTH - RASTER_LEFT) / steps, TALLEST)
    cells = [
        RasterCell(RASTER_LEFT + t * cell, row * CELL, style)
        for row, neuron in enumerate(layer.shown)
        for t, pair in enumerate(zip(neuron.clean, neuron.perturbed, strict=True))
        if (style := {"11": "both", "10": "gone", "01": "new"}.get("".join(pair)))
    ]
    shown = "" if len(layer.shown) == layer.neurons else f" (spikes of {len(layer.shown)} neurons are shown)"
    return Raster(
        name=layer.name,
        text=f"{layer.name}: {layer.changed} of {layer.neurons} neurons changed their train{shown}",
        width=RASTER_LEFT + steps * cell,
        height=len(layer.shown) * CELL,
        cell=cell,
        changed=tuple(row * CELL for row, neuron in enumerate(layer.shown) if neuron.clean != neuron.perturbed),
        cells=tuple(cells),
    )
