"""Two builds of one network as one HTML page: the cause, both rasters over another, what differs by how much."""

from ...models.differing.difference import Difference
from ..figures import rasters
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
