"""What became of mutants: a file of lines that a run adds to, and a table of what survived."""

import json
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from .places import Mutant, flat
from .targets import folder_of

KNOWN = Path(__file__).with_name("survivors.toml")


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant.

    Attributes:
        key: of the mutant.
        fate: "killed", "survived", or "unfinished" where its time was up before all its tests had run.
        by: the test that failed.
        seconds: CPU time.
    """

    key: str
    file: str
    line: int
    kind: str
    said: str
    fate: str
    by: str
    seconds: float

    @classmethod
    def of(cls, mutant: Mutant, fate: str, by: str, seconds: float) -> "Outcome":
        """Return the outcome of a mutant."""
        names = (mutant.key, mutant.file, mutant.line, mutant.change.kind)
        return cls(*names, f"{flat(mutant.old)} → {flat(mutant.change.new)}", fate, by, round(seconds, 1))

    def write(self, path: Path) -> None:
        """Add a line to a file, which holds only whole lines even if the run is killed."""
        with path.open("ab", buffering=0) as file:
            file.write(json.dumps(asdict(self), ensure_ascii=False).encode() + b"\n")


def read(path: Path) -> dict[str, Outcome]:
    """Return what a file holds, by the mutants' keys; a line that was cut off is none."""
    found = {}
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        try:
            outcome = Outcome(**json.loads(line))
        except json.JSONDecodeError:
            continue
        found[outcome.key] = outcome
    return found


def known() -> dict[str, str]:
    """Return the reasons why mutants survive, by their keys."""
    if not KNOWN.exists():
        return {}
    return {key: reason for reason, keys in tomllib.loads(KNOWN.read_text("utf-8")).items() for key in keys}


def table(outcomes: Iterable[Outcome]) -> str:
    """Return a Markdown table of folders, and one of what survived that nobody has explained."""
    folders, reasons = defaultdict[str, list[Outcome]](list), known()
    for each in outcomes:
        folders[folder_of(each.file)].append(each)
    total = [each for group in folders.values() for each in group]
    lines = [
        "| folder | mutants | killed | survived | known | unfinished | CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [_row(name, group, reasons) for name, group in sorted(folders.items())]
    lines += [_row("**all**", total, reasons), ""]
    if left := unexplained(total):
        lines += ["| survived, or unfinished | kind | change |", "|---|---|---|"]
        lines += [f"| {o.file}:{o.line}{_mark(o)} | {o.kind} | `{_escaped(o.said)}` |" for o in left]
    return "\n".join(lines)


def unexplained(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return what no test killed and nobody has explained, by its place."""
    reasons = known()
    left = (each for each in outcomes if each.fate != "killed" and each.key not in reasons)
    return sorted(left, key=lambda each: (each.file, each.line))


def open_keys(outcomes: Iterable[Outcome]) -> list[str]:
    """Return the keys of what is unexplained, as `survivors.toml` takes them."""
    return [json.dumps(each.key, ensure_ascii=False) + "," for each in unexplained(outcomes)]


def _escaped(text: str) -> str:
    """Return a text for a cell of a table."""
    return text.replace("|", "\\|")


def _mark(outcome: Outcome) -> str:
    return " (unfinished)" if outcome.fate == "unfinished" else ""


def _row(name: str, group: list[Outcome], reasons: dict[str, str]) -> str:
    """Return the row of a folder."""
    fates = [("known" if o.key in reasons and o.fate != "killed" else o.fate) for o in group]
    counts = [fates.count(fate) for fate in ("killed", "survived", "known", "unfinished")]
    share = f"{counts[0]} ({counts[0] / len(group):.0%})" if group else "0"
    seconds = sum(o.seconds for o in group)
    return f"| {name} | {len(group)} | {share} | {counts[1]} | {counts[2]} | {counts[3]} | {seconds:.0f} |"
