"""A comparison as Markdown for a pull request, and as one HTML page."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ...asking.threats import short, threat_form, with_value
from ...certify.questions.described import in_words
from ...files import write_atomically
from .. import figures
from ..making.combining import join
from ..pages import wording
from ..pages.html_page import frame, page_of
from ..pages.markdown import table_lines
from ..pages.wording import markdown
from ..records.radii import rounded_down, rounded_up
from ..records.records import Record
from .comparing import Change, Comparison, Counts, ModelComparison, PointChange, Side

LISTED = 50
"""Samples that became worse, listed one by one: the first of them."""
WORDS = {"verified": "verified", "falsified": "falsified", "unknown": "undecided"}
HEADS = ("ε", "clean", "certified", "broken", "misclassified or tied", "undecided", "better", "worse")
NOTE = (
    "Certified, broken and undecided are over all that was run on a side. Broken is what a perturbation broke; "
    "falsified is that, or misclassified as it is. A sample is worse if it lost its proof, or is falsified now "
    "and was not; better is the reverse. Where the sides ran different attacks or verifiers, a "
    "difference may be theirs and not the network's."
)
RENDERERS: dict[str, Callable[[Comparison, Record, Record], str]] = {}


def to_markdown(comparison: Comparison) -> str:
    """Return the comparison as GitHub-flavoured Markdown."""
    lines = [f"# {markdown(' → '.join(comparison.titles))}", ""]
    for model in comparison.models:
        lines += [f"**{markdown(sentence(comparison, model))}**", "", *table_lines(HEADS, rows(model)), ""]
        lines += [f"- {markdown(text)}" for text in remarks(model)]
        worse = model.worse
        if worse:
            lines += ["", f"Worse ({len(worse)}{_cut(worse)}):", "", *table_lines(WORSE, listed(worse))]
        lines += [""]
    norm, data = asked_sign(comparison), comparison.data
    conditions = f"{norm}, {data.samples} {data.split} samples of {data.name}"
    return "\n".join([*lines, f"{markdown(conditions)}. {NOTE}"]) + "\n"


def asked_sign(comparison: Comparison) -> str:
    """Return the norm, and the property where one is asked about."""
    asked = "" if comparison.asked is None else f"property: {in_words(comparison.asked)}; "
    return f"{asked}{threat_form(comparison.norm).sign}"


WORSE = ("sample", "label", "ε", "before", "after")


def sentence(comparison: Comparison, model: ModelComparison) -> str:
    """Return the result at the largest common ε in one sentence."""
    point = model.points[-1]
    who = "The same network" if model.same_network else f"{model.before.name} → {model.after.name}"
    shares = [wording.percent(side.certified, point.samples) for side in (point.before, point.after)]
    broken = (
        wording.percent(_count(point, side, "broken"), point.samples) for side in (point.before, point.after)
    )
    where = f"ε = {with_value(short(point.epsilon), point.epsilon)} in {threat_form(comparison.norm).sign}"
    return (
        f"{who}: at {where}, certified {' → '.join(shares)}, broken by a perturbation "
        f"{' → '.join(broken)}; over all ε, "
        f"{sum(item.better for item in model.points)} verdicts became better and "
        f"{sum(item.worse for item in model.points)} worse."
    )


def rows(model: ModelComparison) -> list[tuple[str, ...]]:
    """Return one row of text for each ε."""
    return [
        (
            with_value(short(point.epsilon), point.epsilon),
            *(_arrow(point, name) for name in ("clean", "certified", "broken", "failing", "undecided")),
            str(point.better),
            str(point.worse),
        )
        for point in model.points
    ]


def _arrow(point: PointChange, name: str) -> str:
    before, after = (_count(point, side, name) for side in (point.before, point.after))
    if before == after:
        return f"{wording.percent(after, point.samples)}"
    difference = 100 * (after - before) / point.samples
    return f"{100 * before / point.samples:.1f} → {wording.percent(after, point.samples)} ({difference:+.1f})"


def _count(point: PointChange, side: Counts, name: str) -> int:
    """Return a count of one side; broken samples leave out those that fail as they are."""
    failing = point.samples - side.clean
    derived = {"failing": failing, "broken": side.falsified - failing}
    return derived[name] if name in derived else getattr(side, name)


def remarks(model: ModelComparison) -> list[str]:
    """Return what else changed, one sentence each."""
    lines = [
        f"{kind}: {_names(getattr(model.before, key))} → {_names(getattr(model.after, key))}"
        for kind, key in (("attacks", "attacks"), ("verifiers", "verifiers"))
        if getattr(model.before, key) != getattr(model.after, key)
    ]
    ends = [_radius(side) for side in (model.before, model.after)]
    if any(ends):
        lines.append(f"median radius (certified to attacked): {' → '.join(end or 'not measured' for end in ends)}")
    for point in model.points:
        moved = model.transitions(point.epsilon)
        if moved:
            text = ", ".join(f"{WORDS[a]} → {WORDS[b]}: {count}" for (a, b), count in sorted(moved.items()))
            lines.append(f"ε = {short(point.epsilon)}: {text}")
    same = model.same_network
    hashes = (f"{side.sha256[:12]}…" for side in (model.before, model.after))
    return [*lines, "the networks are the same" if same else f"networks: {' → '.join(hashes)}"]


def listed(changes: Sequence[Change]) -> list[tuple[str, ...]]:
    """Return the first changes as rows of text."""
    return [
        (
            str(change.index),
            str(change.label),
            with_value(short(change.epsilon), change.epsilon),
            WORDS[change.before],
            WORDS[change.after],
        )
        for change in changes[:LISTED]
    ]


def _cut(changes: Sequence[Change]) -> str:
    return "" if len(changes) <= LISTED else f", the first {LISTED}"


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _radius(side: Side) -> str | None:
    if side.median_radius is None:
        return None
    lower, upper = side.median_radius
    return f"{rounded_down(lower)} to {rounded_up(upper)}"


def to_html(comparison: Comparison, before: Record, after: Record) -> str:
    """Return the comparison as one self-contained page, with the accuracies of both where their ε are the same."""
    both = join([before, after]) if before.threat == after.threat else None
    models = [
        {
            "names": (model.before.name, model.after.name),
            "sentence": sentence(comparison, model),
            "rows": rows(model),
            "remarks": remarks(model),
            "worse": listed(model.worse),
            "cut": f"{len(model.worse)}{_cut(model.worse)}",
        }
        for model in comparison.models
    ]
    return page_of(
        "comparison.html",
        before.threat,
        titles=comparison.titles,
        fingerprints=comparison.fingerprints,
        models=models,
        heads=HEADS,
        worse_heads=WORSE,
        note=NOTE,
        panels=() if both is None else figures.panels(both),
        levels=() if both is None else figures.level_charts(both),
        over=wording.over(before.threat),
        conditions=None if both is None else wording.conditions(both),
        norm=asked_sign(comparison),
        axis=threat_form(comparison.norm).sign,
        frame=frame(),
    )


RENDERERS |= {
    ".html": to_html,
    ".md": lambda found, before, after: to_markdown(found),
    ".json": lambda found, before, after: found.to_json(),
}


def render_comparison(comparison: Comparison, before: Record, after: Record, path: str | Path) -> Path:
    """Write a comparison to `path`, as its suffix .html, .md or .json says, and return the path.

    Raises:
        ValueError: for another suffix.
    """
    path = Path(path)
    if path.suffix not in RENDERERS:
        raise ValueError(f"path: got {path.name!r}, expected a name that ends in {', '.join(RENDERERS)}")
    write_atomically(path, RENDERERS[path.suffix](comparison, before, after).encode())
    return path
