"""A record's samples as a long table: one line for each model, ε, sample and attack or verifier."""

import csv
import io
from collections.abc import Iterator

from ..records.records import ModelRecord, Record
from ..records.rows import SampleRow
from ..records.schema import Threat
from .text import cell

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
