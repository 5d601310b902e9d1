"""The leaderboard as a table of text, and as one HTML page in the style of all reports."""

from collections.abc import Callable
from pathlib import Path

from ...files import write_atomically
from ..pages.html_page import page_of
from ..pages.norms import ends, sign
from ..pages.wording import percent
from ..records.categories import categories, slices
from .leaderboard import Leaderboard, SandwichRow

HEADS = ("network", "samples", "ε", "clean", "left by attack", "proved", "gap", "undecided", "missed")
FILES = ("leaderboard.json", "leaderboard.html")
NOTE = (
    "The truth lies between what is proved and what the attack leaves: robust accuracy is at least the one and at "
    "most the other. The gap is their difference in points of all samples. Undecided is what neither proof nor "
    "counterexample decides; missed is what the attack left and a verifier broke: there the attack was too weak. "
    "Networks are ranked by what is proved, among those on the same samples and sets alone."
)


def cells(row: SandwichRow) -> tuple[str, ...]:
    """Return a row of the table, as text."""
    count = row.point.samples
    shares = (percent(part, count) for part in (row.point.clean, row.left, row.proved))
    gap, rest = f"{row.gap:.1f}", (str(row.undecided), str(row.missed))
    return row.name, str(count), row.threat.short(row.point.epsilon), *shares, gap, *rest


def conditions(row: SandwichRow) -> str:
    """Return what a group of rows is about, in one line."""
    data, threat = row.data, row.threat
    limit = "" if row.timeout is None else f", {row.timeout:g} s for a sample on average"
    sets = f"{sign(threat)}, ε = {threat.text(row.point.epsilon)}, inputs within {ends(threat)}"
    samples = f"{data.samples} {data.split} samples of {data.name}"
    run = f"attack: {row.attack or 'none'}; proofs: {', '.join(row.verifiers) or 'none'}{limit}"
    return f"{sets}, {samples}; {run}"


def told(row: SandwichRow) -> tuple[str, ...]:
    """Return why what the attack left may be less robust than it seems, in one line each."""
    return tuple(f"{row.name}, {sign.attack}: {line}." for sign in row.signs for line in sign.signs.told)


def to_html(board: Leaderboard) -> str:
    """Return the leaderboard as the text of one self-contained page."""
    return page_of(
        "leaderboard.html",
        board.rows[0].threat,
        groups=[
            {
                "conditions": conditions(group[0]),
                "rows": [
                    {"cells": cells(row), "name": row.name, "parts": slices(row.point, row.threat)}
                    for row in group
                ],
                "signs": [line for row in group for line in told(row)],
                "seconds": [_seconds(row) for row in group if any(row.seconds)],
                "hashes": [(row.name, row.sha256, row.fingerprint) for row in group],
            }
            for group in board.groups
        ],
        heads=HEADS,
        note=NOTE,
        categories=categories(board.rows[0].threat),
    )


def _seconds(row: SandwichRow) -> str:
    attack, proof = ("–" if seconds is None else f"{seconds:.2f} s" for seconds in row.seconds)
    return f"{row.name}: attack {attack}, proofs {proof} a sample."


RENDERERS: dict[str, Callable[[Leaderboard], str]] = {".json": Leaderboard.to_json, ".html": to_html}


def write_leaderboard(board: Leaderboard, folder: Path) -> list[Path]:
    """Write the leaderboard in all forms to a folder, each atomically, and return the paths."""
    paths = [folder / name for name in FILES]
    for path in paths:
        write_atomically(path, RENDERERS[path.suffix](board).encode())
    return paths
