"""Results as a table of text, as Markdown and as CSV."""

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from spikecert.reports.pages.wording import cell
from spikecert.reports.pages.wording import markdown as escaped
from spikecert.reports.records.rows import Tally

from .configuration import CertificationSettings, Protocol
from .planning import cells
from .results import Results, RunResult, mean_and_spread


@dataclass(frozen=True)
class Column:
    """One number of a run: its heading, how it is read, and how it is written; None for a run without it."""

    head: str
    value: Callable[[RunResult], float | None]
    form: str = "{:.1f}"


MOST_COLUMNS = 8
"""Of figures in one table of a document."""
STABILITY = (
    ("ℓ2 gain", "gain_l2", "{:.0f}"),
    ("ℓ∞ gain", "gain_linf", "{:.0f}"),
    ("pattern radius", "radius", "{:.2e}"),
)
"""Heading, attribute of `Stability`, and form; the gains are the surrogate network's."""


ALIGNMENT = (
    ("cosine at start", "cosine_start", "{:+.2f}"),
    ("cosine at end", "cosine_end", "{:+.2f}"),
    ("rms current at start", "current_start", "{:.2f}"),
    ("rms current at end", "current_end", "{:.2f}"),
)
"""Heading, attribute of `Alignment`, and form."""


def columns(results: Results) -> list[Column]:
    """Return the columns of the protocol's table; shares are per cent of the test samples."""
    evaluation = results.protocol.evaluation
    found = [Column("clean %", lambda run: _percent(run.points[0], run.points[0].clean))]
    for place, epsilon in enumerate(evaluation.epsilons):
        where = "" if len(evaluation.epsilons) == 1 else f" ε={epsilon:.3g}"
        found += [_robust(place, name, where) for name in evaluation.attacks]
        found += [_certified(place, name, where) for name in evaluation.verifiers]
    if evaluation.noise is not None:
        found.append(Column("noise %", _under_noise))
    if evaluation.certification is not None:
        found += _certified_at_small(evaluation.certification)
    if evaluation.stability:
        found += [_figure("stability", *column) for column in STABILITY]
    if evaluation.alignment:
        found += [_figure("alignment", *column) for column in ALIGNMENT]
    return [*found, Column("training CPU s", lambda run: run.training_cpu)]


def _figure(part: str, head: str, name: str, form: str) -> Column:
    def value(run: RunResult) -> float | None:
        """Return one attribute of one part of a result, where it has that part."""
        found = getattr(run, part)
        return None if found is None else getattr(found, name)

    return Column(head, value, form)


def _under_noise(run: RunResult) -> float | None:
    return None if run.noise is None else _percent(run.points[0], run.noise)


def _certified_at_small(asked: CertificationSettings) -> list[Column]:
    """Return a column for each verifier at each small ε, in 255ths; of the samples that were certified."""

    def column(place: int, verifier: str) -> Column:
        """Return one of them."""

        def value(run: RunResult) -> float | None:
            """Return the share, where it was measured."""
            return (
                _percent(run.certified[place], run.certified[place].certified[verifier]) if run.certified else None
            )

        return Column(f"certified {verifier} ε={_size(asked.epsilons[place])} %", value)

    return [column(place, verifier) for place in range(len(asked.epsilons)) for verifier in asked.verifiers]


def _size(epsilon: float) -> str:
    """Return an ε as papers write it: in 255ths where that takes two digits, as a number elsewhere.

    >>> _size(0.5 / 255), _size(1e-4)
    ('0.5/255', '0.0001')
    """
    told = f"{255 * epsilon:.2g}"
    return f"{told}/255" if math.isclose(float(told), 255 * epsilon, rel_tol=1e-9) else f"{epsilon:.3g}"


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
    results = results.with_last_epochs
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
    text = [f"**{escaped(results.protocol.title)}**", "", escaped(caption(results)), ""]
    return "\n".join([*text, *_parted([heads, *lines(results)])])


def _parted(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of tables of at most `MOST_COLUMNS` figures, each with the rows' names: they fit a page."""
    for start in range(1, len(rows[0]), MOST_COLUMNS):
        heads, *others = ((row[0], *row[start : start + MOST_COLUMNS]) for row in rows)
        yield _line(map(escaped, heads))
        yield _line(("---", *("---:" for _ in heads[1:])))
        yield from (_line(map(escaped, line)) for line in others)
        yield ""


def caption(results: Results) -> str:
    """Return what a reader needs to judge the numbers."""
    protocol, first = results.protocol, results.runs[0]
    seeds = sorted({run.seed for run in results.runs})
    sizes = ", ".join(f"{epsilon:.4g}" for epsilon in protocol.evaluation.epsilons)
    spread = "; mean ± sample standard deviation over the seeds" if len(seeds) > 1 else ""
    packages = ", ".join(f"{name} {first.environment.packages[name]}" for name in ("spikecert", "torch"))
    asked = protocol.evaluation
    norm = asked.threat(asked.epsilons).words
    data = ", ".join(dict.fromkeys(cell.data for cell in cells(protocol)))
    limit = protocol.evaluation.timeout
    told = "" if limit is None else f"; verifiers had {limit:g} s a sample"
    return (
        f"{architectures(protocol)} on {data}, T = {protocol.num_steps}, λ = {protocol.decay:g}; {norm}, "
        f"ε = {sizes}; the first {first.points[0].samples} test samples{_certified_samples(results)}; "
        f"{_trained_on(protocol)}{_epochs(results)}; seeds "
        f"{', '.join(map(str, seeds))}{spread}{told}. Python {first.environment.python}, {packages}, "
        f"{first.environment.torch_threads} thread(s), {first.environment.device}."
    )


def architectures(protocol: Protocol) -> str:
    """Return what the variants are built as; the protocol's own where they say nothing."""
    built = (variant.start.architecture or protocol.architecture for variant in protocol.variants)
    return ", ".join(dict.fromkeys(built))


def _certified_samples(results: Results) -> str:
    found = results.runs[0].certified
    return f", certified the first {found[0].samples}" if found else ""


def _trained_on(protocol: Protocol) -> str:
    """Return in words what was trained on, where it was not the whole train split with a pick by validation."""
    count = "" if protocol.train_samples is None else f"the first {protocol.train_samples} training samples; "
    return count + (
        "validation samples trained on, too, and the last epoch measured; " if protocol.images == "all" else ""
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
    for run in results.with_last_epochs.runs:
        values = (column.value(run) for column in wanted)
        names = map(cell, (run.row, run.variant, run.neuron))
        writer.writerow((*names, run.seed, *values, cell(run.network)))
    return text.getvalue()
