"""The page of a night: what ran, how many questions were not trivial, what failed, and the seed and versions."""

import os
import platform
import subprocess
from collections.abc import Sequence
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .parts import Outcome, Part

PACKAGES = ("torch", "numpy", "scipy", "highspy", "cvxpy", "hypothesis", "pytest")
STYLE = "body{font:15px sans-serif;margin:2em}td,th{padding:.2em .8em;text-align:left}pre{overflow:auto}"


def versions(root: Path) -> str:
    """Return in a line what ran: the commit, Python, and packages."""
    asked = ["git", "-C", str(root), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() or "no commit"
    return ", ".join([commit, f"Python {platform.python_version()}", *map(_version, PACKAGES)])


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} is not there"


def page(outcomes: Sequence[Outcome], waiting: Sequence[Part], seed: int, ran: str) -> str:
    """Return the page as HTML.

    Args:
        outcomes: of the parts that ran.
        waiting: the parts that did not run yet.
        seed: what draws were made from.
        ran: `versions`.
    """
    bad = [outcome for outcome in outcomes if not outcome.good]
    most = sum(part.minutes for part in (*waiting, *(outcome.part for outcome in outcomes)))
    minutes = sum(outcome.seconds for outcome in outcomes) / 60
    head = f"{len(outcomes) - len(bad)} of {len(outcomes) + len(waiting)} parts ok"
    lines = [
        f"<title>{head}</title><meta charset='utf-8'><style>{STYLE}</style><h1>{head}</h1>",
        f"<p>seed {seed}; {minutes:.1f} of at most {most:g} minutes; "
        f"{sum(outcome.questions for outcome in outcomes)} non-trivial questions; {escape(ran)}.</p>",
        "<table><tr><th>part<th>what it asks<th>how it ended<th>counts<th>non-trivial<th>minutes",
        *(_row(outcome) for outcome in outcomes),
        *(f"<tr><td>{escape(part.name)}<td>{escape(part.asks)}<td>not run yet" for part in waiting),
        "</table>",
        *(_failed(outcome) for outcome in bad),
    ]
    return "\n".join(lines) + "\n"


def _row(outcome: Outcome) -> str:
    part = outcome.part
    cells = (part.name, part.asks, outcome.told, outcome.counts, outcome.questions or "")
    told = "".join(f"<td>{escape(str(cell))}" for cell in cells)
    return f"<tr>{told}<td>{outcome.seconds / 60:.1f} of {part.minutes:g}"


def _failed(outcome: Outcome) -> str:
    named = "".join(f"<li>{escape(line)}" for line in outcome.failures)
    command = escape(" ".join(outcome.part.command))
    return (
        f"<h2>{escape(outcome.part.name)}</h2><p><code>{command}</code></p><ul>{named}</ul>"
        f"<pre>{escape(outcome.tail)}</pre>"
    )


def write(path: Path, text: str) -> None:
    """Write a file whole, or leave the one that is there."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
