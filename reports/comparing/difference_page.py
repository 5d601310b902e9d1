"""Two builds of one network as one HTML page: the cause, both rasters over another, what differs by how much.

Geometry of two rasters over another: trains of one layer in two builds, and the spikes that only one has.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ...models.differing.difference import Difference
from ..comparing import difference_page as rasters
from ..pages.html_page import page_of
from .difference_record import DifferenceRecord

NOTE = (
    "Both builds ran on the same inputs. What parts first is at the smallest step, and there in the first layer: "
    "all else may follow from it. A cause was tested: the setting was exchanged, and all trains compared again."
)
NOTHING = {
    True: "Both descriptions say the same.",
    False: "One build only runs as it is, and says nothing of its settings.",
}
LAYER_HEADS = ("layer in A", "in B", "spikes", "differ", "share", "inputs", "share of inputs")
MOMENT_HEADS = ("step", "I in A", "v in A", "s in A", "I in B", "v in B", "s in B")
LAST_STEPS = 8
"""Of the first parting, how many steps are told."""


def to_html(found: Difference, record: DifferenceRecord, command: str) -> str:
    """Return the page.

    Args:
        found: by `differ`.
        record: of it.
        command: that gives the page again.
    """
    first, moment = found.first, found.moment
    chart = None
    if moment is not None and first is not None:
        a, b = (raster.T.tolist() for raster in moment.rasters)
        chart = rasters.raster_chart(a, b, first.neuron, first.step, first.layer)
    known = not any("runs as it is" in note for note in found.notes)
    return page_of(
        "builds/difference.html",
        None,
        verdict=f"{found.verdict[0].upper()}{found.verdict[1:]}.",
        cause=found.cause,
        cause_head="Tested:" if found.mended else "Not mended:",
        note=NOTE,
        chart=chart,
        width=rasters.WIDTH,
        left=rasters.LEFT,
        right=rasters.RIGHT,
        layer="" if first is None else first.layer,
        neuron=0 if first is None else first.neuron,
        sample=0 if moment is None else moment.sample,
        layer_heads=LAYER_HEADS,
        layers=layer_rows(record),
        steps=", ".join(f"{step + 1}: {count}" for step, count in enumerate(found.steps) if count),
        alone=found.alone,
        moment_heads=MOMENT_HEADS,
        moments=[] if record.moment is None else moment_rows(record),
        declared=[(one.kind, one.layer, one.words, "yes" if one.needed else "–") for one in found.declared],
        nothing=NOTHING[known],
        tried=[(one.words, str(one.wrong)) for one in found.nearest],
        conditions=_conditions(record),
        command=command,
    )


def layer_rows(record: DifferenceRecord) -> list[tuple[str, ...]]:
    """Return one row for each pair of layers, as text."""
    return [
        (
            layer.a,
            layer.b,
            str(layer.spikes),
            str(layer.wrong),
            f"{100 * layer.wrong / max(layer.spikes, 1):.3g} %",
            str(layer.inputs),
            f"{100 * layer.inputs / record.samples:.3g} %",
        )
        for layer in record.layers
    ]


def moment_rows(record: DifferenceRecord) -> list[tuple[str, ...]]:
    """Return the last steps up to the first parting, as text."""
    moment = record.moment
    assert moment is not None
    count = len(moment.spikes[0])
    rows = []
    for t in range(max(0, count - LAST_STEPS), count):
        cells = [str(t + 1)]
        for side in (0, 1):
            cells += [_at(moment.currents[side], t), _at(moment.potentials[side], t), moment.spikes[side][t]]
        rows.append(tuple(cells))
    return rows


def _at(signal: tuple[float, ...] | None, t: int) -> str:
    return "–" if signal is None else f"{signal[t]:.6g}"


def _conditions(record: DifferenceRecord) -> list[tuple[str, str]]:
    sides = [
        (name, f"{side.name}{'' if side.sha256 is None else f', SHA-256 {side.sha256}'}")
        for name, side in (("A", record.a), ("B", record.b))
    ]
    inputs = f"{record.samples} of {record.data}, T = {record.num_steps}"
    share = f"{record.parted} in any spike or output, {record.answers} in the class"
    return [*sides, ("inputs", inputs), ("differ", share), *(("note", note) for note in record.notes)]


WIDTH = 720.0
LEFT, RIGHT, TOP, GAP, FOOT = 62.0, 708.0, 26.0, 40.0, 40.0
ROWS = 40
"""Neurons that are drawn, those whose trains part first of all."""
TALLEST, LEAST = 9.0, 3.0
"""Of a row, and of a mark."""
LABELS = 10
"""Steps and rows that are told, about."""


@dataclass(frozen=True)
class BuildRaster:
    """One build's trains.

    Attributes:
        name: of the build.
        y, height: of its frame.
        rows: (y, text) of the neurons that are told.
        both, alone: paths of the spikes that the other build has too, and of those that it has not.
        missing: paths of where the other one has a spike and this one has none.
    """

    name: str
    y: float
    height: float
    rows: tuple[tuple[float, str], ...]
    both: str
    alone: str
    missing: str


@dataclass(frozen=True)
class RasterChart:
    """The picture of a layer.

    Attributes:
        height: of the whole.
        rasters: A above B.
        steps: (x, text) of the steps that are told.
        parting: (x, y) of the first spike that parts, in both.
        summary: in words.
    """

    height: float
    rasters: tuple[BuildRaster, BuildRaster]
    steps: tuple[tuple[float, str], ...]
    parting: tuple[tuple[float, float], ...]
    summary: str


def raster_chart(
    a: Sequence[Sequence[bool]], b: Sequence[Sequence[bool]], neuron: int, step: int, layer: str
) -> RasterChart:
    """Return the picture of spikes by neuron and step.

    Args:
        a, b: of each neuron, its train.
        neuron, step: where trains part first; steps from 1.
        layer: its name.
    """
    rows = drawn_rows(a, b, neuron)
    steps = len(a[0])
    cell = (RIGHT - LEFT) / steps, TALLEST
    height = cell[1] * len(rows)
    tops = TOP, TOP + height + GAP
    pairs = zip(("A", "B"), tops, (a, b), (b, a), strict=True)
    first, second = (_raster(name, top, cell, rows, own, other) for name, top, own, other in pairs)
    place = LEFT + (step - 0.5) * cell[0]
    parting = tuple((place, top + (rows.index(neuron) + 0.5) * cell[1]) for top in tops)
    every = max(1, round(steps / LABELS))
    told = tuple((LEFT + (t - 0.5) * cell[0], str(t)) for t in range(1, steps + 1, every))
    apart = sum(x != y for one, other in zip(a, b, strict=True) for x, y in zip(one, other, strict=True))
    shown = "" if len(rows) == len(a) else f", {len(rows)} of its {len(a)} neurons"
    summary = f"Spikes of {layer} in both builds{shown}: {apart} differ, first neuron {neuron} at step {step}."
    return RasterChart(tops[1] + height + FOOT, (first, second), told, parting, summary)


def drawn_rows(a: Sequence[Sequence[bool]], b: Sequence[Sequence[bool]], neuron: int) -> list[int]:
    """Return which neurons are drawn: the one that parts first, others that part, others that fire, in order."""

    def rank(row: int) -> int:
        """Return how much there is to see."""
        return 0 if row == neuron else 1 if list(a[row]) != list(b[row]) else 2 if any(a[row]) else 3

    return sorted(sorted(range(len(a)), key=rank)[:ROWS])


def _raster(
    name: str,
    top: float,
    cell: tuple[float, float],
    rows: Sequence[int],
    own: Sequence[Sequence[bool]],
    other: Sequence[Sequence[bool]],
) -> BuildRaster:
    both, alone, missing = [], [], []
    for place, row in enumerate(rows):
        y = top + place * cell[1]
        for t, (mine, theirs) in enumerate(zip(own[row], other[row], strict=True)):
            if mine or theirs:
                (both if mine and theirs else alone if mine else missing).append(
                    _mark(LEFT + t * cell[0], y, cell)
                )
    every = max(1, round(len(rows) / LABELS))
    told = tuple((top + (place + 0.5) * cell[1] + 4, str(rows[place])) for place in range(0, len(rows), every))
    return BuildRaster(name, top, cell[1] * len(rows), told, "".join(both), "".join(alone), "".join(missing))


def _mark(x: float, y: float, cell: tuple[float, float]) -> str:
    width, height = max(LEAST, 0.7 * cell[0]), max(LEAST, 0.72 * cell[1])
    x, y = x + (cell[0] - width) / 2, y + (cell[1] - height) / 2
    return f"M{x:.1f} {y:.1f}h{width:.1f}v{height:.1f}h-{width:.1f}z"
