"""Results as a table of text, as Markdown and as CSV."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from spikecert.reports.rows import Tally
from spikecert.reports.text import cell
from spikecert.reports.text import markdown as escaped

from .results import Results, RunResult, mean_and_spread


@dataclass(frozen=True)
class Column:
    """One number of a run: its heading, how it is read, and how it is written; None for a run without it."""

    head: str
    value: Callable[[RunResult], float | None]
    form: str = "{:.1f}"


STABILITY = (
    ("ℓ2 gain", "gain_l2", "{:.0f}"),
    ("ℓ∞ gain", "gain_linf", "{:.0f}"),
    ("pattern radius", "radius", "{:.2e}"),
)
"""Heading, attribute of `Stability`, and form; the gains are the surrogate network's."""


def columns(results: Results) -> list[Column]:
    """Return the columns of the protocol's table; shares are per cent of the test samples."""
    evaluation = results.protocol.evaluation
    found = [Column("clean %", lambda run: _percent(run.points[0], run.points[0].clean))]
    for place, epsilon in enumerate(evaluation.epsilons):
        where = "" if len(evaluation.epsilons) == 1 else f" ε={epsilon:.3g}"
        found += [_robust(place, name, where) for name in evaluation.attacks]
        found += [_certified(place, name, where) for name in evaluation.verifiers]
    if evaluation.stability:
        found += [_stability(*column) for column in STABILITY]
    return [*found, Column("training CPU s", lambda run: run.training_cpu)]


def _stability(head: str, name: str, form: str) -> Column:
    return Column(head, lambda run: None if run.stability is None else getattr(run.stability, name), form)


def _robust(place: int, name: str, where: str) -> Column:
    return Column(f"{name}{where} %", lambda run: _percent(run.points[place], run.points[place].robust[name]))


def _certified(place: int, name: str, where: str) -> Column:
    return Column(
        f"certified {name}{where} %", lambda run: _percent(run.points[place], run.points[place].certified[name])
    )


def _percent(point: Tally, count: int) -> float:
    return 100.0 * count / point.samples


def lines(results: Results) -> list[tuple[str, ...]]:
    """Return the table's lines, one a row: its name, then mean ± spread over the seeds of each column."""
    return [(row, *(_told(column, results.of(row)) for column in columns(results))) for row in results.rows]


def _told(column: Column, runs: Sequence[RunResult]) -> str:
    values = [value for run in runs if (value := column.value(run)) is not None]
    if not values:
        return "–"
    mean, spread = mean_and_spread(values)
    return column.form.format(mean) + ("" if spread is None else f" ± {column.form.format(spread)}")


def markdown(results: Results) -> str:
    """Return the table with its caption: what was measured, on what, with which seeds and versions."""
    heads = ("", *(column.head for column in columns(results)))
    text = [
        f"**{escaped(results.protocol.title)}**",
        "",
        escaped(caption(results)),
        "",
        _line(map(escaped, heads)),
    ]
    text.append(_line(("---", *("---:" for _ in heads[1:]))))
    return "\n".join([*text, *(_line(map(escaped, line)) for line in lines(results)), ""])


def caption(results: Results) -> str:
    """Return what a reader needs to judge the numbers."""
    protocol, first = results.protocol, results.runs[0]
    seeds = sorted({run.seed for run in results.runs})
    sizes = ", ".join(f"{epsilon:.4g}" for epsilon in protocol.evaluation.epsilons)
    spread = "; mean ± sample standard deviation over the seeds" if len(seeds) > 1 else ""
    packages = ", ".join(f"{name} {first.environment.packages[name]}" for name in ("spikecert", "torch"))
    norm = {"linf": "ℓ∞", "l2": "ℓ2"}[protocol.evaluation.norm]
    limit = protocol.evaluation.timeout
    told = "" if limit is None else f"; verifiers had {limit:g} s a sample"
    return (
        f"{protocol.architecture} on {protocol.data}, T = {protocol.num_steps}, λ = {protocol.decay:g}; {norm}, "
        f"ε = {sizes}; the first {first.points[0].samples} test samples; {_epochs(results)}; seeds "
        f"{', '.join(map(str, seeds))}{spread}{told}. Python {first.environment.python}, {packages}, "
        f"{first.environment.torch_threads} thread(s), {first.environment.device}."
    )


def _epochs(results: Results) -> str:
    counts = sorted({run.epochs for run in results.runs})
    return f"{' or '.join(map(str, counts))} epoch{'s' if counts != [1] else ''}"


def _line(fields: Iterable[str]) -> str:
    return f"| {' | '.join(fields)} |"


def comma_separated(results: Results) -> str:
    """Return one line for each run, with all digits."""
    wanted = columns(results)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("row", "variant", "neuron", "seed", *(column.head for column in wanted), "network"))
    for run in results.runs:
        values = (column.value(run) for column in wanted)
        names = map(cell, (run.row, run.variant, run.neuron))
        writer.writerow((*names, run.seed, *values, cell(run.network)))
    return text.getvalue()
