"""A record's samples as a long table: one line for each model, ε, sample and attack or verifier."""

import csv
import io
from collections.abc import Iterator

from .records import ModelRecord, Record
from .rows import Row

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
)
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def to_csv(record: Record) -> str:
    """Return the table as CSV text with a header line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for model in record.models:
        for row in model.rows:
            writer.writerows(_lines(record.threat.norm, model, row))
    return text.getvalue()


def _lines(norm: str, model: ModelRecord, row: Row) -> Iterator[tuple[object, ...]]:
    head = (
        _safe(model.name),
        row.index,
        row.label,
        row.predicted,
        norm,
        repr(row.epsilon),
        model.architecture.num_steps,
    )
    for name, broke in row.attacks.items():
        yield *head, "attack", _safe(name), "broken" if broke else "held", "", "", ""
    for name, found in row.verdicts.items():
        margin = "" if found.margin is None else repr(found.margin)
        yield (
            *head,
            "verifier",
            _safe(name),
            found.status,
            margin,
            f"{found.seconds:.6f}",
            _safe(found.reason),
        )


def _safe(text: str) -> str:
    """Keep a spreadsheet from running a text as a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
