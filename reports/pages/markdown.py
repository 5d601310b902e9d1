"""A record as Markdown: the same claims as the page, for a pull request or a terminal."""

from collections.abc import Iterable, Sequence

from ..figures.recordings import TOLD, changed_events
from ..records.categories import categories, slices
from ..records.event_rules import OF_NORM
from ..records.radii import RadiusTable, rounded_down, rounded_up
from ..records.records import ModelRecord, Record
from ..records.rows import Tally
from ..records.schema import Counterexample, Threat
from . import wording
from .advice import advice
from .claims import claims
from .text import code_markdown, markdown, plain


def to_markdown(record: Record) -> str:
    """Return the report as GitHub-flavoured Markdown."""
    sections = (
        _head(record),
        _numbers(record),
        _radii(record),
        _hardest(record),
        _gains(record),
        _growth(record),
        _threat(record),
        _meanings(record),
        _origin(record),
        _next(record),
    )
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _head(record: Record) -> list[str]:
    assumed = [f"*{name}*: {markdown(text)}" for name, text in wording.essentials(record)]
    lines = [f"# {markdown(record.title)}", "", f"**{markdown(wording.verdict(record))}**", ""]
    return [*lines, "  \n".join(assumed), "", *category_lines(record)]


def category_lines(record: Record) -> list[str]:
    """Return the five categories at the record's focus ε as a table, one column a model."""
    parts = [slices(model.at(record.focus), record.threat) for model in record.models]
    rows = [
        [
            f"{category.sign} {category.name}",
            *(f"{found[place].count} ({found[place].percent})" for found in parts),
        ]
        for place, category in enumerate(categories(record.threat))
    ]
    whole = ["together", *(f"{model.at(record.focus).samples} (100.0 %)" for model in record.models)]
    heads = [f"at ε = {record.threat.short(record.focus)}", *(model.name for model in record.models)]
    return table_lines(heads, [*rows, whole])


def _next(record: Record) -> list[str]:
    return ["## What to do next", "", *(f"- {code_markdown(text)}" for text in advice(record))]


def _numbers(record: Record) -> list[str]:
    lines = [f"## {wording.over(record.threat)}", "", f"{markdown(wording.conditions(record))}."]
    for model in record.models:
        heads = ["ε", "clean", *(f"robust ≤ ({name})" for name in model.attacks)]
        heads += [
            *(f"certified ({name})" for name in model.verifiers),
            *(part.name for part in categories(record.threat)),
        ]
        lines += [
            "",
            f"### {markdown(model.name)}",
            "",
            *table_lines(heads, [_cells(model, point, record.threat) for point in model.points]),
        ]
        if ties := wording.ties_found(model):
            lines += ["", markdown(ties)]
        if found := wording.signs_found(model, record.threat):
            lines += ["", "Signs that an attack says little:", "", *(f"- {markdown(line)}" for line in found)]
    return lines


def _cells(model: ModelRecord, point: Tally, threat: Threat) -> list[str]:
    counts = [point.clean, *(point.robust[name] for name in model.attacks)]
    counts += [point.certified[name] for name in model.verifiers]
    shares = [wording.percent(count, point.samples) for count in counts]
    return [threat.text(point.epsilon), *shares, *(part.percent for part in slices(point, threat))]


def _radii(record: Record) -> list[str]:
    lines = ["## Radius of each sample: certified ≤ exact ≤ attacked", ""]
    rows = [
        [model.name, str(len(table.samples)), str(table.exact), *_medians(table)]
        for model in record.models
        if (table := model.radii) is not None
    ]
    if not rows:
        return [*lines, code_markdown(wording.no_radii(record.threat))]
    heads = ["model", "samples", "exact", "median proved", "median broken"]
    note = f"{claims(record.threat).radii} {wording.radii_conditions(record)}"
    return [*lines, *table_lines(heads, rows), "", markdown(note)]


def _medians(table: RadiusTable) -> tuple[str, str]:
    low, high = table.medians
    return rounded_down(low), rounded_up(high)


def _hardest(record: Record) -> list[str]:
    lines = ["## Hardest samples", "", markdown(claims(record.threat).hardest)]
    for model in record.models:
        lines += ["", f"### {markdown(model.name)}", ""]
        rows = [
            [
                str(case.index),
                *wording.outcome(case, record.data),
                wording.distance_text(record.threat, case.epsilon),
                case.found_by,
                ", ".join(f"{layer.name}: {layer.changed} of {layer.neurons}" for layer in case.activity) or "–",
            ]
            for case in model.counterexamples
        ]
        heads = [
            "sample",
            *wording.outcome_heads(record.threat),
            "within ε",
            "found by",
            "neurons that changed their train",
        ]
        if record.threat.norm in OF_NORM:
            heads.append("events that changed")
            told = map(_events, model.counterexamples)
            rows = [[*row, cell] for row, cell in zip(rows, told, strict=True)]
        lines += table_lines(heads, rows) if rows else [markdown(wording.unbroken(model, record.threat))]
    return lines


def _events(case: Counterexample) -> str:
    """Return what became of the first events that changed."""
    told = changed_events(case)
    return "; ".join(told[:TOLD]) + (f"; {len(told) - TOLD} more" if len(told) > TOLD else "")


def _meanings(record: Record) -> list[str]:
    claimed = claims(record.threat)
    words = [f"- **{word}**: {markdown(text)}" for word, text in wording.meanings(record)]
    return [
        "## What the verdicts mean, and what they do not",
        "",
        *words,
        "",
        "“Verified” covers:",
        "",
        *(f"- {text}" for text in claimed.covered),
        "",
        "It does not cover:",
        "",
        *(f"- {text}" for text in claimed.uncovered),
        "",
        "How to read the numbers:",
        "",
        *(f"- {text}" for text in wording.LIMITS),
    ]


def _gains(record: Record) -> list[str]:
    rows = [
        [
            model.name,
            layer.name,
            wording.gain_norms(model.gains),
            " to ".join(wording.norm_ends(layer.operator_norm)),
            wording.gain_text(layer.neuron_gain),
            wording.gain_text(layer.gain),
            wording.gain_text(layer.bias),
        ]
        for model in record.models
        if model.gains is not None
        for layer in model.gains.layers
    ]
    if not rows:
        return []
    heads = ["model", "layer", "norms, horizon", "‖W‖", "neuron gain", "layer gain", "bias"]
    return [f"## {wording.GAINS_CAPTION}", "", wording.GAINS_NOTE, "", *table_lines(heads, rows)]


def _growth(record: Record) -> list[str]:
    rows = [
        [
            model.name,
            row.layer,
            row.source,
            wording.gain_text(row.bound),
            f"{row.simplified:.4f}",
            "–" if row.exact is None else f"{row.exact:.4f}",
            f"{row.same_trains} of {row.samples}",
        ]
        for model in record.models
        for row in model.growth
    ]
    if not rows:
        return []
    heads = ["model", "layer", "perturbation", "proven", "measured", "true potentials", "trains unchanged"]
    return ["### Theory against measurement", "", wording.GROWTH_NOTE, "", *table_lines(heads, rows)]


def _threat(record: Record) -> list[str]:
    assumed = [f"- {markdown(text)}" for text in wording.assumptions(record)]
    ran = [f"- {markdown(name)}: {markdown(text)}" for name, text in wording.sources(record)]
    return ["## Threat model and assumptions", "", *assumed, *ran]


def _origin(record: Record) -> list[str]:
    packages = ", ".join(f"{name} {version}" for name, version in record.environment.packages.items())
    lines = [
        "## How to repeat it",
        "",
        *([_code(record.command), ""] if record.command else []),
    ]
    lines += [f"- Fingerprint of the results: {record.fingerprint}"]
    lines += [f"- {markdown(model.name)}, SHA-256: {model.architecture.sha256}" for model in record.models]
    if record.data.sha256 is not None:
        lines += [f"- Samples, SHA-256: {record.data.sha256}"]
    lines += [f"- Seeds: {markdown(', '.join(f'{name} {seed}' for name, seed in record.seeds.items()))}"]
    environment = record.environment
    place = f"Python {environment.python}, {environment.platform}, {environment.device}"
    if repeated := wording.repetition(record):
        lines += [f"- {code_markdown(repeated)}"]
    return [*lines, f"- {markdown(place)}, {markdown(packages)}", f"- Made {markdown(record.created)}"]


def _code(text: str) -> str:
    """Return a line of code, or of text where it holds what HTML would act on: code can't escape that."""
    return markdown(text) if set("<>&") & set(text) else f"    {plain(text)}"


def table_lines(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table, one line of text each, with cells that print as they are."""
    lines = [_line(map(markdown, heads)), _line(["---"] * len(heads))]
    return [*lines, *(_line(map(markdown, row)) for row in rows)]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
