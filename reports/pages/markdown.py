"""A record as Markdown: the same claims as the page, for a pull request or a terminal.

Geometry of a counterexample's events: each step's frame, or features over time, and what came, went, moved.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest

from ...asking import Threat
from ..pages import wording
from ..records.categories import categories, slices
from ..records.radii import RadiusTable, rounded_down, rounded_up
from ..records.records import ModelRecord, Record
from ..records.rows import Tally
from ..records.schema import Counterexample
from .advice import advice
from .claims import claims
from .wording import code_markdown, markdown, plain

WIDTH, GAP, HEAD = 340.0, 8.0, 14.0
ACROSS = 6
"""Frames side by side."""
TALLEST, WIDEST, HIGHEST = 240.0, 26.0, 7.0
LEAST_MARK, TOLD = 5.0, 6


@dataclass(frozen=True)
class EventMark:
    """An event that came ("new") or went ("gone"): its corner and size."""

    x: float
    y: float
    width: float
    height: float
    style: str


@dataclass(frozen=True)
class EventFrame:
    """A grid of entries: where events are in both recordings, as a path of each polarity, and what changed."""

    x: float
    y: float
    width: float
    height: float
    label: str
    events: tuple[str, ...]
    marks: tuple[EventMark, ...]


@dataclass(frozen=True)
class EventScene:
    """The picture of one counterexample's events; `changes` tells the first changes, `more` how many others."""

    height: float
    frames: tuple[EventFrame, ...]
    changed: int
    changes: tuple[str, ...]
    more: int


def recording(case: Counterexample) -> EventScene | None:
    """Return the picture of a counterexample of shape (T, polarities, rows, columns) or (T, features), or None."""
    if len(case.shape) not in (2, 4):
        return None
    frames = tuple(_frames(case)) if len(case.shape) == 4 else (_over_time(case),)
    told = changed_events(case)
    height = max(frame.y + frame.height for frame in frames) + 2
    return EventScene(height, frames, len(told), tuple(told[:TOLD]), max(0, len(told) - TOLD))


def changed_events(case: Counterexample) -> list[str]:
    """Return what became of each event that changed, such as "row 3, column 4, on: from step 1 to step 2"."""
    per_step = math.prod(case.shape[1:])
    changes = sorted((place % per_step, place // per_step, size) for place, size in _differences(case))
    told = []
    for feature, group in groupby(changes, key=lambda change: change[0]):
        moved = [(step, size) for _, step, size in group]
        gone = [step for step, size in moved for _ in range(round(-size))]
        new = [step for step, size in moved for _ in range(round(size))]
        told += [f"{_place(feature, case.shape[1:])}: {_told(*pair)}" for pair in zip_longest(gone, new)]
    return told


def _told(gone: int | None, new: int | None) -> str:
    if gone is None:
        return f"came at step {new}"
    return f"went at step {gone}" if new is None else f"from step {gone} to step {new}"


def _place(feature: int, shape: Sequence[int]) -> str:
    """Return an entry of one step in words; polarity 1 is "on", as event cameras have it."""
    if len(shape) == 1:
        return f"feature {feature}"
    polarity, pixel = divmod(feature, shape[1] * shape[2])
    row, column = divmod(pixel, shape[2])
    names = ("off", "on") if shape[0] == 2 else tuple(f"polarity {k}" for k in range(shape[0]))
    return f"row {row}, column {column}, {names[polarity]}"


def _differences(case: Counterexample) -> Iterator[tuple[int, float]]:
    for place, (before, after) in enumerate(zip(case.clean, case.perturbed, strict=True)):
        if before != after:
            yield place, after - before


def _frames(case: Counterexample) -> Iterator[EventFrame]:
    """Yield a frame for each step, so many side by side."""
    steps, polarities, rows, columns = case.shape
    across = min(ACROSS, steps)
    width = (WIDTH - GAP * (across - 1)) / across
    cell, size = width / columns, rows * columns
    for step in range(steps):
        x = (step % across) * (width + GAP)
        y = (step // across) * (cell * rows + HEAD + GAP) + HEAD
        start = step * polarities * size
        layers = [slice(start + k * size, start + (k + 1) * size) for k in range(polarities)]
        pairs = [(case.clean[part], case.perturbed[part]) for part in layers]
        where = columns, (x, y), (cell, cell)
        events = tuple(_path(_kept(*pair), *where) for pair in pairs)
        marks = tuple(mark for one, other in pairs for mark in _marks(one, other, *where))
        yield EventFrame(x, y, width, cell * rows, f"step {step}", events, marks)


def _over_time(case: Counterexample) -> EventFrame:
    """Return features over time, which runs to the right."""
    steps, features = case.shape
    cell = min(WIDTH / steps, WIDEST), min(TALLEST / features, HIGHEST)
    turned = [
        [values[step * features + feature] for feature in range(features) for step in range(steps)]
        for values in (case.clean, case.perturbed)
    ]
    before, after = turned
    path = _path(_kept(before, after), steps, (0.0, HEAD), cell)
    marks = tuple(_marks(before, after, steps, (0.0, HEAD), cell))
    label = f"{features} features over {steps} steps"
    return EventFrame(0.0, HEAD, cell[0] * steps, cell[1] * features, label, (path,), marks)


def _kept(before: Sequence[float], after: Sequence[float]) -> list[bool]:
    """Return where both recordings have the same events."""
    return [one == other and one > 0 for one, other in zip(before, after, strict=True)]


def _path(kept: Sequence[bool], columns: int, corner: tuple[float, float], cell: tuple[float, float]) -> str:
    """Return rectangles over each run of events in a row."""
    found = []
    for row in range(len(kept) // columns):
        places = enumerate(kept[row * columns : (row + 1) * columns])
        for event, run in groupby(places, key=lambda pair: pair[1]):
            first, *rest = run
            if event:
                x, y, across = corner[0] + first[0] * cell[0], corner[1] + row * cell[1], (1 + len(rest)) * cell[0]
                found.append(f"M{x:.1f} {y:.1f}h{across:.1f}v{cell[1]:.1f}h-{across:.1f}z")
    return "".join(found)


def _marks(
    before: Sequence[float],
    after: Sequence[float],
    columns: int,
    corner: tuple[float, float],
    cell: tuple[float, float],
) -> Iterator[EventMark]:
    """Yield what came and what went, large enough to be seen."""
    width, height = (max(size, LEAST_MARK) for size in cell)
    for place, (one, other) in enumerate(zip(before, after, strict=True)):
        if one != other:
            row, column = divmod(place, columns)
            middle = corner[0] + (column + 0.5) * cell[0], corner[1] + (row + 0.5) * cell[1]
            style = "new" if other > one else "gone"
            yield EventMark(middle[0] - width / 2, middle[1] - height / 2, width, height, style)


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
        if record.threat.of_events:
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
