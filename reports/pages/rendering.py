"""Write a record to a file, in the format that its suffix names; LaTeX tables and samples as CSV among them.

A record as a LaTeX table of accuracies over ε, for a paper: booktabs, one block of rows a model.

A record's samples as a long table: one line for each model, ε, sample and attack or verifier.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ...asking import Threat
from ...certify.questions.described import in_words
from ...files import write_atomically
from ..records.radii import rounded_down, rounded_up
from ..records.records import ModelRecord, Record
from ..records.rows import SampleRow, Tally
from .html_page import to_html
from .junit import to_junit
from .markdown import to_markdown
from .wording import cell, latex, steps, ties_found

BALLS = {"linf": r"$\ell_\infty$", "l2": r"$\ell_2$"}
NOTE = (
    "Robust: under the named attack, an upper bound. Certified: proved by the named verifier, a lower bound. "
    "The truth lies between the two. Open: neither."
)


def to_latex(record: Record) -> str:
    """Return a `table` environment of a column's width; it needs \\usepackage{booktabs}."""
    attacks = tuple(dict.fromkeys(name for model in record.models for name in model.attacks))
    verifiers = tuple(dict.fromkeys(name for model in record.models for name in model.verifiers))
    heads = [r"$\varepsilon$", "Clean", *map(latex, (*attacks, *verifiers)), "Open"]
    blocks = [_block(model, record.threat, attacks, verifiers) for model in record.models]
    lines = [
        r"% needs \usepackage{booktabs}",
        rf"% fingerprint of the results: {record.fingerprint}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_caption(record)}}}",
        r"\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
        r"\toprule",
        *_groups(len(attacks), len(verifiers)),
        _row(heads),
        r"\midrule",
        "\n\\midrule\n".join(blocks),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _groups(attacks: int, verifiers: int) -> tuple[str, ...]:
    """Return the line above the methods' names, and the rules below it."""
    groups = [
        (start, count, name)
        for start, count, name in ((3, attacks, "Robust"), (3 + attacks, verifiers, "Certified"))
        if count
    ]
    cells = [rf"\multicolumn{{{count}}}{{c}}{{{name}}}" for _, count, name in groups]
    rules = [rf"\cmidrule(lr){{{start}-{start + count - 1}}}" for start, count, _ in groups]
    return (_row(["", "", *cells, ""]), "".join(rules)) if groups else ()


def _caption(record: Record) -> str:
    threat, data = record.threat, record.data
    where = f"{data.samples} {data.split} samples of {data.name}"
    asked = None if threat.asked is None else f"for which this holds: {latex(in_words(threat.asked))}; "
    text = "Accuracy in \\% " if asked is None else f"Share in \\% {asked}"
    text += f"over {BALLS.get(threat.norm, threat.sign)} perturbations, "
    text += f"{latex(told)}, " if (told := threat.words.removeprefix(threat.sign).strip()) else ""
    text += f"inputs in $[{threat.lower:g}, {threat.upper:g}]$, "
    text += f"{latex(steps(record.models))}, {latex(where)}. {NOTE}"
    for model in record.models:
        text += f" {latex(found)}" if (found := ties_found(model)) else ""
        if model.radii is not None:
            low, high = model.radii.medians
            text += f" {latex(model.name)}: median radius over {len(model.radii.samples)} samples between "
            text += f"{rounded_down(low)} (certified) and {rounded_up(high)} (attacked)."
    return text


def _block(model: ModelRecord, threat: Threat, attacks: Sequence[str], verifiers: Sequence[str]) -> str:
    width = 3 + len(attacks) + len(verifiers)
    lines = [_row([rf"\multicolumn{{{width}}}{{l}}{{{latex(model.name)}}}"])]
    for point in model.points:
        counts = [point.clean, *(point.robust.get(name) for name in attacks)]
        counts += [*(point.certified.get(name) for name in verifiers), point.undecided]
        size = f"${threat.short(point.epsilon)}$"
        lines.append(_row([size, *(_share(count, point) for count in counts)]))
    return "\n".join(lines)


def _share(count: int | None, point: Tally) -> str:
    return "--" if count is None else f"{100 * count / point.samples:.1f}"


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


COLUMNS = (
    "model",
    "sample",
    "label",
    "predicted",
    "norm",
    "epsilon",
    "num_steps",
    "kind",
    "method",
    "result",
    "margin",
    "seconds",
    "reason",
    "clean",
    "ties",
)


def to_csv(record: Record) -> str:
    """Return the table as CSV text with a header line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for model in record.models:
        for row in model.rows:
            writer.writerows(_lines(record.threat, model, row))
        writer.writerows(_radii(record.threat.norm, model))
    return text.getvalue()


def _lines(threat: Threat, model: ModelRecord, row: SampleRow) -> Iterator[tuple[object, ...]]:
    head = (
        cell(model.name),
        row.index,
        row.label,
        row.predicted,
        threat.norm,
        repr(row.epsilon),
        model.architecture.num_steps,
    )
    tail = _clean(row), model.ties
    fails = _failing(row) if threat.asked is None else "" if row.correct else "failing"
    for name, broke in row.attacks.items():
        result = fails or ("broken" if broke else "held")
        yield *head, "attack", cell(name), result, "", "", "", *tail
    for name, finding in row.verdicts.items():
        margin = "" if finding.margin is None else repr(finding.margin)
        yield (
            *head,
            "verifier",
            cell(name),
            fails or finding.status,
            margin,
            f"{finding.seconds:.6f}",
            cell(finding.reason),
            *tail,
        )


def _radii(norm: str, model: ModelRecord) -> Iterator[tuple[object, ...]]:
    """Yield both ends of each radius: what is proved up to ε (kind "radius", method the verifier), what breaks."""
    if model.radii is None:
        return
    predicted = {row.index: row.predicted for row in model.rows}
    clean = {row.index: _clean(row) for row in model.rows}
    for sample in model.radii.samples:
        head = cell(model.name), sample.index, sample.label, predicted[sample.index], norm
        tail = clean[sample.index], model.ties
        steps, exact = model.architecture.num_steps, "exact" if sample.exact else ""
        yield *head, repr(sample.lower), steps, "radius", cell(sample.verifier), "certified", "", "", exact, *tail
        result = "attacked" if sample.attacked else "not broken"
        yield *head, repr(sample.upper), steps, "radius", "radius search", result, "", "", exact, *tail


def _failing(row: SampleRow) -> str:
    """Return how the sample fails as it is; "" where it does not."""
    return "" if row.correct else "tied" if row.tied else "misclassified"


def _clean(row: SampleRow) -> str:
    """Return what the network makes of the sample as it is: "tied" whichever class argmax then takes."""
    return "tied" if row.tied else "right" if row.correct else "wrong"


RENDERERS: dict[str, Callable[[Record], str]] = {
    ".html": to_html,
    ".md": to_markdown,
    ".csv": to_csv,
    ".tex": to_latex,
    ".json": Record.to_json,
    ".xml": to_junit,
}


def render(record: Record, path: str | Path) -> Path:
    """Write `record` to `path`, atomically, and return the path.

    Args:
        record: any record; the same record always gives the same bytes.
        path: suffix .html (self-contained report), .md, .csv (samples), .tex (table), .json (for `load_record`) or
            .xml (JUnit's, a test for each sample).

    Raises:
        ValueError: for another suffix.
    """
    path = Path(path)
    if path.suffix not in RENDERERS:
        raise ValueError(f"path: got {path.name!r}, expected a name that ends in {', '.join(RENDERERS)}")
    write_atomically(path, RENDERERS[path.suffix](record).encode())
    return path
