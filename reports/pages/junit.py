"""A record as JUnit's XML, which what runs other tests shows: a test for each sample at each ε."""

from collections.abc import Iterator
from xml.sax.saxutils import quoteattr

from ...files.texts import printable
from ..records.records import ModelRecord, Record
from ..records.rows import SampleRow


def to_junit(record: Record) -> str:
    """Return a suite for each network and ε: a sample passes where it is proved, fails where an input breaks it.

    What is undecided is skipped, and so is a sample that the network misclassifies as it is: nothing was shown.
    """
    suites = [suite for model in record.models for suite in _suites(record, model)]
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>", *suites, "</testsuites>", ""])


def _suites(record: Record, model: ModelRecord) -> Iterator[str]:
    for point in model.points:
        rows = [row for row in model.rows if row.epsilon == point.epsilon]
        name = f"{model.name}, ε = {record.threat.text(point.epsilon)} ({record.threat.words})"
        counts = {"tests": len(rows), "failures": sum(_outcome(row)[0] == "failure" for row in rows)}
        counts["skipped"] = sum(_outcome(row)[0] == "skipped" for row in rows)
        told = " ".join(f'{key}="{count}"' for key, count in counts.items())
        yield f"<testsuite name={_attribute(name)} {told}>"
        yield from (_case(name, row) for row in rows)
        yield "</testsuite>"


def _case(suite: str, row: SampleRow) -> str:
    head = f'<testcase classname={_attribute(suite)} name="sample {row.index}, label {row.label}"'
    kind, why = _outcome(row)
    return f"{head}/>" if not kind else f"{head}><{kind} message={_attribute(why)}/></testcase>"


def _outcome(row: SampleRow) -> tuple[str, str]:
    """Return "failure", "skipped" or "" for what is proved, and why."""
    if not row.correct:
        return "skipped", "tied as it is" if row.tied else "fails as it is"
    if row.verified:
        return "", ""
    if row.falsified:
        return "failure", "an input of the set was found that fails, and run again"
    return "skipped", "; ".join(
        f"{name}: {found.reason}" for name, found in row.verdicts.items()
    ) or "nothing asked"


def _attribute(text: str) -> str:
    return quoteattr(printable(text))
