"""Figures of a record for papers and slides: matplotlib's, and files of them as SVG, PDF and PNG.

Of each kind there is one function that draws a model's axes; `plot` puts models side by side.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...files import write_atomically
from ...models.validation import check_choice
from ..records.radii import RadiusTable
from ..records.records import ModelRecord, Record
from ..records.schema import Counterexample, GainTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN, HEIGHT = 3.4, 2.7
"""Inches of one picture: a column of a paper of two."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#767676")
"""Colours that colour-blind readers tell apart; lines differ in marks and dashes, too."""
MARKS = "osD^v"
NEURONS = 24
"""Of a raster, at most."""
SUFFIXES = (".svg", ".pdf", ".png")
_STYLE: Any = {"font.size": 8, "svg.hashsalt": "spikecert", "svg.fonttype": "none", "pdf.fonttype": 42}


@dataclass(frozen=True)
class _Drawing:
    """How a kind of figure is drawn, of which models it can be, and what is missing of others."""

    draw: Callable[["Axes", Record, ModelRecord], None]
    found: Callable[[ModelRecord], bool]
    missing: str


def plot(record: Any, kind: str) -> "Figure":
    """Return a figure, a picture for each model that has what it shows, or of a training run.

    Args:
        record: a record; for "training" a `TrainingRun`.
        kind: "accuracy": against ε what attacks leave, what is proved, and between them what is unknown; "radii":
            each sample's proven and attacked end; "margins": proven leads at the record's focus, rising;
            "gains": proven gains by layer; "rasters": spikes of a counterexample over those of its sample;
            "training": loss and accuracies by epoch.

    Raises:
        ValueError: for another kind, and for a record that lacks what it shows.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    check_choice("kind", kind, (*KINDS, "training"))
    with rc_context(_STYLE):
        if kind == "training":
            return _training(Figure(figsize=(COLUMN, HEIGHT), layout="constrained"), record)
        if not isinstance(record, Record):
            raise TypeError(f"record: got {type(record).__name__}, expected a Record for {kind!r}")
        how = KINDS[kind]
        models = [model for model in record.models if how.found(model)]
        if not models:
            raise ValueError(
                f"kind: got {kind!r}, expected one of {_shown(record)}: the record has no {how.missing}"
            )
        figure = Figure(figsize=(COLUMN * len(models), HEIGHT), layout="constrained")
        for place, model in enumerate(models):
            axes = figure.add_subplot(1, len(models), place + 1)
            axes.set_title(model.name, fontsize=8)
            how.draw(axes, record, model)
        return figure


def save_figures(record: Record, folder: str | Path) -> tuple[Path, ...]:
    """Write each figure that the record has, as KIND.svg, .pdf and .png, and return the files.

    The same record gives the same bytes.
    """
    from io import BytesIO

    from matplotlib import rc_context

    written: list[Path] = []
    Path(folder).mkdir(parents=True, exist_ok=True)
    for kind in kinds_of(record):
        figure = plot(record, kind)
        for suffix in SUFFIXES:
            content, dated = BytesIO(), {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix)
            with rc_context(_STYLE):
                figure.savefig(content, format=suffix[1:], dpi=200, metadata=dated)
            write_atomically(Path(folder) / f"{kind}{suffix}", content.getvalue())
            written.append(Path(folder) / f"{kind}{suffix}")
    return tuple(written)


def kinds_of(record: Record) -> tuple[str, ...]:
    """Return the kinds of figures that a record has what to show for."""
    return tuple(kind for kind, how in KINDS.items() if any(map(how.found, record.models)))


def _shown(record: Record) -> str:
    return ", ".join(map(repr, kinds_of(record)))


def _accuracy(axes: "Axes", record: Record, model: ModelRecord) -> None:
    """Draw shares of one list of samples of one network over ε: the band between proof and attack is unknown."""
    sizes = [point.epsilon for point in model.points]
    upper = [100 * point.unbroken / point.samples for point in model.points]
    lower = [100 * point.certified_by_any / point.samples for point in model.points]
    axes.fill_between(sizes, lower, upper, color="#dddddd", label="unknown")
    axes.axhline(100 * model.points[0].clean / model.points[0].samples, color=COLOURS[4], ls=":", label="clean")
    for place, name in enumerate(model.attacks):
        left = [100 * point.robust[name] / point.samples for point in model.points]
        axes.plot(sizes, left, f"--{MARKS[place % 5]}", color=COLOURS[1], ms=3, lw=1, label=f"left by {name}")
    for place, name in enumerate(model.verifiers):
        proved = [100 * point.certified[name] / point.samples for point in model.points]
        axes.plot(sizes, proved, f"-{MARKS[place % 5]}", color=COLOURS[0], ms=3, lw=1, label=f"proved by {name}")
    _axes(axes, f"ε ({record.threat.sign})", f"% of {record.data.samples} samples")
    axes.set_ylim(-2, 102)


def _radii(axes: "Axes", record: Record, model: ModelRecord) -> None:
    samples = _table(model).ordered()
    places = np.arange(len(samples) + 1)
    ends = [np.array([getattr(sample, end) for sample in samples]) for end in ("lower", "upper")]
    lower, upper = (np.append(end, end[-1]) for end in ends)
    axes.fill_between(places, lower, upper, step="post", color="#dddddd", label="unknown")
    axes.step(places, upper, where="post", color=COLOURS[1], lw=1, ls="--", label="broken at")
    axes.step(places, lower, where="post", color=COLOURS[0], lw=1, label="proved up to")
    _axes(axes, "samples, the most fragile first", f"radius ({record.threat.sign})")
    axes.set_ylim(bottom=0)


def _margins(axes: "Axes", record: Record, model: ModelRecord) -> None:
    """Draw what each verifier proved of the lead of the label, least first: above 0 is certified."""
    rows = [row for row in model.rows if row.epsilon == record.focus]
    for place, name in enumerate(model.verifiers):
        leads = sorted(found for row in rows if (found := row.verdicts[name].margin) is not None)
        if leads:
            colour, mark = COLOURS[place % 5], MARKS[place % 5]
            axes.plot(range(1, len(leads) + 1), leads, f"-{mark}", color=colour, ms=2, lw=1, label=name)
    axes.axhline(0, color="black", lw=0.6)
    _axes(
        axes,
        f"those with a bound of {len(rows)} samples, least first",
        f"proved lead at ε = {record.threat.short(record.focus)}",
    )


def _gains(axes: "Axes", record: Record, model: ModelRecord) -> None:
    rows = [row for row in _gain_table(model).layers if row.gain is not None]
    axes.bar(range(len(rows)), [row.gain or 0.0 for row in rows], width=0.5, color=COLOURS[0], label="proved gain")
    axes.set_xlim(-0.8, len(rows) - 0.2)
    norms = [row.operator_norm[1] for row in rows]
    axes.plot(range(len(rows)), norms, "o", color=COLOURS[1], ms=3, label="norm of its weights")
    axes.set_xticks(range(len(rows)), [row.name for row in rows], rotation=30, ha="right")
    _axes(axes, "", "gain, simplified dynamics")


def _rasters(axes: "Axes", record: Record, model: ModelRecord) -> None:
    """Draw spikes of neurons of each layer: dots of both, rings of the sample alone, crosses of the other."""
    case = next(filter(_told, model.counterexamples))
    axes.set_title(f"{model.name}: sample {case.index}, ε = {case.epsilon:g}", fontsize=8)
    names, rows = [], 0
    marks: dict[str, list[tuple[int, int]]] = {"both": [], "sample": [], "counterexample": []}
    for layer in case.activity:
        for neuron in layer.shown[: NEURONS - rows]:
            for step, pair in enumerate(zip(neuron.clean, neuron.perturbed, strict=True)):
                if "1" in pair:
                    marks[{("1", "1"): "both", ("1", "0"): "sample"}.get(pair, "counterexample")].append(
                        (step, rows)
                    )
            names.append(f"{layer.name}, {neuron.index}")
            rows += 1
    styles = {
        "both": ("o", "black", "black"),
        "sample": ("o", "none", COLOURS[1]),
        "counterexample": ("x", COLOURS[0], COLOURS[0]),
    }
    for label, (mark, face, edge) in styles.items():
        steps, places = zip(*marks[label], strict=True) if marks[label] else ((), ())
        axes.plot(steps, places, mark, mfc=face, mec=edge, ms=4, ls="", label=label)
    axes.set_yticks(range(rows), names, fontsize=min(6.0, 100 / rows))
    steps = len(case.activity[0].shown[0].clean)
    axes.set_xticks(range(0, steps, -(-steps // 10)))
    axes.set(xlim=(-0.5, steps - 0.5), ylim=(rows - 0.5, -0.5))
    _axes(axes, "step", "")


def _training(figure: "Figure", run: Any) -> "Figure":
    history: Sequence[Any] = getattr(run, "history", ())
    if not history or not hasattr(history[0], "measured"):
        raise TypeError(f"record: got {type(run).__name__}, expected a TrainingRun for 'training'")
    axes = figure.add_subplot()
    epochs = [metrics.epoch for metrics in history]
    axes.plot(epochs, [metrics.loss for metrics in history], color=COLOURS[4], lw=1, label="loss")
    other = axes.twinx()
    for place, name in enumerate(history[0].measured):
        values = [metrics.measured[name] for metrics in history]
        if any(value is not None for value in values):
            other.plot(
                epochs,
                [np.nan if value is None else value for value in values],
                f"-{MARKS[place]}",
                color=COLOURS[place],
                ms=2,
                lw=1,
                label=name.replace("_", " "),
            )
    other.set_ylabel("validation")
    lines = [line for each in (axes, other) for line in each.get_lines()]
    _axes(axes, "epoch", "loss")
    axes.legend(handles=lines, fontsize=6, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=2)
    return figure


def _axes(axes: "Axes", below: str, beside: str) -> None:
    axes.set_xlabel(below)
    axes.set_ylabel(beside)
    axes.legend(fontsize=6, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=3)
    axes.spines[["top", "right"]].set_visible(False)


def _table(model: ModelRecord) -> RadiusTable:
    assert model.radii is not None
    return model.radii


def _gain_table(model: ModelRecord) -> GainTable:
    assert model.gains is not None
    return model.gains


def _has_margins(model: ModelRecord) -> bool:
    return any(found.margin is not None for row in model.rows for found in row.verdicts.values())


def _has_gains(model: ModelRecord) -> bool:
    return model.gains is not None and any(row.gain is not None for row in model.gains.layers)


def _told(case: Counterexample) -> bool:
    return any(neuron.clean != neuron.perturbed for layer in case.activity for neuron in layer.shown)


KINDS = {
    "accuracy": _Drawing(_accuracy, lambda model: True, "rows"),
    "radii": _Drawing(_radii, lambda model: model.radii is not None, "radii"),
    "margins": _Drawing(_margins, _has_margins, "proved leads"),
    "gains": _Drawing(_gains, _has_gains, "finite gains"),
    "rasters": _Drawing(_rasters, lambda model: any(map(_told, model.counterexamples)), "counterexample's spikes"),
}
"""Kinds of figures of a record."""
