"""Do stability figures predict certified robustness? Rank correlations over runs of protocols, and a picture."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from scipy.stats import spearmanr

from .results import Results, RunResult

FIGURES = {
    "gain_l2": "surrogate network's ℓ2 gain",
    "gain_linf": "its ℓ∞ gain",
    "radius": "pattern-preserving radius",
}
MARKS = "o^sDvP*XdhH<>p"


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation, over networks, between a stability figure and the share that is certified.

    Attributes:
        protocol: whose runs they are.
        figure: an attribute of `Stability`.
        verifier: whose share.
        coefficient: in [−1, 1]; None where one of both is constant.
        networks: how many.
    """

    protocol: str
    figure: str
    verifier: str
    coefficient: float | None
    networks: int


def correlations(results: Results) -> tuple[Correlation, ...]:
    """Return the correlation of each stability figure with each verifier's share at the first ε."""
    found = []
    for figure in FIGURES:
        for verifier in results.protocol.evaluation.verifiers:
            pairs = _pairs(results.runs, figure, verifier)
            found.append(Correlation(results.protocol.name, figure, verifier, _spearman(pairs), len(pairs)))
    return tuple(found)


def _pairs(runs: Sequence[RunResult], figure: str, verifier: str) -> list[tuple[float, float]]:
    """Return figure and certified share, in per cent, of the runs that have both."""
    pairs = []
    for run in runs:
        value = None if run.stability is None else getattr(run.stability, figure)
        if value is not None:
            pairs.append((value, 100.0 * run.points[0].certified[verifier] / run.points[0].samples))
    return pairs


def _spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    first, second = ([pair[k] for pair in pairs] for k in range(2))
    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return float(spearmanr(first, second).statistic)  # pyright: ignore[reportAttributeAccessIssue]


def correlation_table(correlations: Sequence[Correlation]) -> str:
    """Return the correlations as Markdown."""
    lines = [
        "| protocol | stability figure | certified by | rank correlation | networks |",
        "|---|---|---|---:|---:|",
    ]
    for item in correlations:
        told = "–" if item.coefficient is None else f"{item.coefficient:+.2f}"
        lines.append(f"| {item.protocol} | {FIGURES[item.figure]} | {item.verifier} | {told} | {item.networks} |")
    return "\n".join([*lines, ""])


def scatter(results: Sequence[Results], verifier: str) -> Figure:
    """Return a picture with a row for each protocol and a column for each stability figure, one mark a network."""
    figure = Figure(figsize=(4.0 * len(FIGURES), 3.4 * len(results) + 0.9), layout="constrained")
    axes = figure.subplots(len(results), len(FIGURES), squeeze=False)
    for row, found in zip(axes, results, strict=True):
        for axis, name in zip(row, FIGURES, strict=True):
            _draw(axis, found, name, verifier)
        row[0].set_ylabel(f"{found.protocol.data}: certified by {verifier}, %", fontsize=9)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
    return figure


def _draw(axis: Axes, results: Results, name: str, verifier: str) -> None:
    for mark, variant in zip(MARKS, dict.fromkeys(run.variant for run in results.runs), strict=False):
        pairs = _pairs([run for run in results.runs if run.variant == variant], name, verifier)
        axis.scatter(*zip(*pairs, strict=True), s=28, alpha=0.75, marker=mark, label=variant)
    coefficient = _spearman(_pairs(results.runs, name, verifier))
    told = "" if coefficient is None else f", rank correlation {coefficient:+.2f}"
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_title(f"{FIGURES[name]}{told}", fontsize=9)
    axis.tick_params(labelsize=8)
