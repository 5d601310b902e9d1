"""A record as Markdown: the same claims as the page, for a pull request or a terminal."""

from collections.abc import Iterable, Sequence

from . import wording
from .radii import RadiusTable, rounded_down, rounded_up
from .records import ModelRecord, Record
from .rows import Tally


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
    )
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _head(record: Record) -> list[str]:
    return [f"# {escaped(record.title)}", "", f"**{escaped(wording.verdict(record))}**"]


def _numbers(record: Record) -> list[str]:
    lines = ["## Accuracy over perturbation size", "", f"{escaped(wording.conditions(record))}."]
    for model in record.models:
        heads = ["ε", "clean", *(f"robust ({name})" for name in model.attacks)]
        heads += [*(f"certified ({name})" for name in model.verifiers), "undecided", "broken", "misclassified"]
        lines += [
            "",
            f"### {escaped(model.name)}",
            "",
            *table_lines(heads, [_cells(model, p) for p in model.points]),
        ]
        if ties := wording.ties_found(model):
            lines += ["", escaped(ties)]
    return lines


def _cells(model: ModelRecord, point: Tally) -> list[str]:
    counts = [point.clean, *(point.robust[name] for name in model.attacks)]
    counts += [*(point.certified[name] for name in model.verifiers), *point.left]
    shares = [wording.percent(count, point.samples) for count in counts]
    return [wording.epsilon_text(point.epsilon), *shares]


def _radii(record: Record) -> list[str]:
    lines = ["## Radius of each sample: certified ≤ exact ≤ attacked", ""]
    rows = [
        [model.name, str(len(table.samples)), str(table.exact), *_medians(table)]
        for model in record.models
        if (table := model.radii) is not None
    ]
    if not rows:
        return [*lines, escaped(wording.NO_RADII)]
    heads = ["model", "samples", "exact", "median proved", "median broken"]
    note = f"{wording.RADII_NOTE} {wording.radii_conditions(record)}"
    return [*lines, *table_lines(heads, rows), "", escaped(note)]


def _medians(table: RadiusTable) -> tuple[str, str]:
    low, high = table.medians
    return rounded_down(low), rounded_up(high)


def _hardest(record: Record) -> list[str]:
    lines = ["## Hardest samples", "", escaped(wording.HARDEST_NOTE)]
    for model in record.models:
        lines += ["", f"### {escaped(model.name)}", ""]
        rows = [
            [
                str(case.index),
                str(case.label),
                wording.classified(case),
                wording.distance_text(case.epsilon),
                case.found_by,
                ", ".join(f"{layer.name}: {layer.changed} of {layer.neurons}" for layer in case.activity) or "–",
            ]
            for case in model.counterexamples
        ]
        heads = ["sample", "label", "classified", "within ε", "found by", "neurons that changed their train"]
        lines += table_lines(heads, rows) if rows else [escaped(wording.unbroken(model))]
    return lines


def _meanings(record: Record) -> list[str]:
    words = [f"- **{word}**: {escaped(text)}" for word, text in wording.meanings(record)]
    return [
        "## What the verdicts mean, and what they do not",
        "",
        *words,
        "",
        "“Verified” covers:",
        "",
        *(f"- {text}" for text in wording.COVERED),
        "",
        "It does not cover:",
        "",
        *(f"- {text}" for text in wording.UNCOVERED),
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
    assumed = [f"- {escaped(text)}" for text in wording.assumptions(record)]
    ran = [f"- {escaped(name)}: {escaped(text)}" for name, text in wording.sources(record)]
    return ["## Threat model and assumptions", "", *assumed, *ran]


def _origin(record: Record) -> list[str]:
    packages = ", ".join(f"{name} {version}" for name, version in record.environment.packages.items())
    lines = [
        "## How to repeat it",
        "",
        *([f"    {' '.join(record.command.split())}", ""] if record.command else []),
    ]
    lines += [f"- Fingerprint of the results: {record.fingerprint}"]
    lines += [f"- {escaped(model.name)}, SHA-256: {model.architecture.sha256}" for model in record.models]
    if record.data.sha256 is not None:
        lines += [f"- Samples, SHA-256: {record.data.sha256}"]
    lines += [f"- Seeds: {escaped(', '.join(f'{name} {seed}' for name, seed in record.seeds.items()))}"]
    environment = record.environment
    place = f"Python {environment.python}, {environment.platform}, {environment.device}"
    if repeated := wording.repetition(record):
        lines += [f"- {escaped(repeated)}"]
    return [*lines, f"- {escaped(place)}, {escaped(packages)}", f"- Made {escaped(record.created)}"]


def table_lines(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table, one line of text each, with escaped cells."""
    lines = [_line(heads), _line(["---"] * len(heads))]
    return [*lines, *(_line([escaped(cell) for cell in row]) for row in rows)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def escaped(text: str) -> str:
    """Escape what Markdown or HTML would act on, and keep the text on one line."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for sign in ("\\", "`", "*", "_", "|", "[", "]"):
        text = text.replace(sign, f"\\{sign}")
    return text
