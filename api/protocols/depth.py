"""A picture of what depth decides: figures over the number of hidden layers, one line a kind of training."""

from collections.abc import Callable, Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .results import Results, RunResult

PANELS: dict[str, Callable[[RunResult], float]] = {
    "PGD20 leaves, %": lambda run: 100.0 * run.points[0].robust["pgd20"] / run.points[0].samples,
    "ensemble-fast leaves, %": lambda run: 100.0 * run.points[0].robust["ensemble-fast"] / run.points[0].samples,
    '"trains" certifies at the middle ε, %': lambda run: (
        100.0 * run.certified[1].certified["trains"] / run.certified[1].samples
    ),
}
KINDS = {"ρ = 0": "o-", "ρ = 1, one-sided": "s--", "ρ = 1, two-sided": "^:"}
"""Kind of training, and how its line is drawn."""


def hidden_layers(run: RunResult) -> int:
    """Return the number that a variant's name begins with."""
    return int(run.variant.split()[0])


def kind(run: RunResult) -> str:
    """Return which of `KINDS` a run is of."""
    if run.row.endswith("ρ = 0"):
        return "ρ = 0"
    return f"ρ = 1, {'two' if 'two-sided' in run.variant else 'one'}-sided"


def depth_figure(results: Sequence[Results]) -> Figure:
    """Return a picture with a row for each protocol; lines are means over seeds, marks are single networks."""
    figure = Figure(figsize=(11.0, 3.2 * len(results) + 0.6), layout="constrained")
    axes = figure.subplots(len(results), len(PANELS), squeeze=False)
    for row, found in zip(axes, results, strict=True):
        for axis, (title, value) in zip(row, PANELS.items(), strict=True):
            _draw(axis, found.runs, value)
            axis.set_title(f"{found.protocol.data}: {title}", fontsize=9)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(KINDS), fontsize=8)
    return figure


def _draw(axis: Axes, runs: Sequence[RunResult], value: Callable[[RunResult], float]) -> None:
    depths = sorted({hidden_layers(run) for run in runs})
    for color, (name, style) in enumerate(KINDS.items()):
        groups = [[value(r) for r in runs if kind(r) == name and hidden_layers(r) == depth] for depth in depths]
        axis.plot(depths, [fmean(group) for group in groups], style[1:], color=f"C{color}")
        places = [(depth, one) for depth, group in zip(depths, groups, strict=True) for one in group]
        axis.plot(*zip(*places, strict=True), style[0], color=f"C{color}", alpha=0.7, label=name)
    axis.set_xticks(depths)
    axis.set_xlabel("hidden layers", fontsize=8)
    axis.tick_params(labelsize=8)
