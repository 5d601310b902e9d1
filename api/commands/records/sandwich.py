"""`spikecert sandwich`: networks between what the standard attack leaves and what is proved, as a leaderboard."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikecert.asking.options import Without, command, typed
from spikecert.asking.question import ATTACKS, BaseQuestion, Output, ProvingBySeveral, Question, Seconds
from spikecert.asking.values import Naming, Numeral, choice

from ...progress import Bars
from ...telling import INTERRUPTED, plain, say, show, show_json_text, table
from ..certify import Certifying

if TYPE_CHECKING:
    from spikecert.reports import Record
    from spikecert.reports.comparing.leaderboard import Leaderboard
    from spikecert.runs.sandwiching import Contender


AT = "@"


@dataclass(frozen=True, kw_only=True)
class Ranking(ProvingBySeveral):
    """How networks are measured.

    Attributes:
        timeout: seconds for a sample, on average.
        method: the attack.
    """

    timeout: Seconds = Numeral(10.0, "10")
    method: Annotated[str, choice(*ATTACKS), Naming(always=True)] = "standard"


@command
def sandwich(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Network files, zoo:NAME, and records (record.json) of runs before; NETWORK@EPSILON for one with "
            "an ε of its own.",
            metavar="MODEL…",
        ),
    ],
    asked: Annotated[BaseQuestion, Without("property")],
    how: Ranking,
    output: Output,
) -> int:
    """Put networks between attack and proof: clean, left by the standard attack, proved, and the gap.

    With --out each network has a folder there with its report, leaderboard.json and leaderboard.html lie beside
    them, and a run that was stopped goes on where it was.
    """
    from spikecert.reports import load_record
    from spikecert.reports.comparing.leaderboard import leaderboard, write_leaderboard
    from spikecert.runs.sandwiching import sandwiched

    ready = [load_record(source) for source in sources if source.endswith(".json")]
    networks = [source for source in sources if not source.endswith(".json")]
    contenders = _named_apart([_contender(source, asked, how) for source in networks])
    found: list[Record] = []
    interrupted = False
    with Bars() as bars:
        for place, (record, cut) in enumerate(sandwiched(contenders, output.out, bars)):
            found.append(record)
            interrupted = cut
            bars("networks", place + (not cut), len(contenders))
    board = leaderboard([*ready, *found], how.method)
    if output.out is not None:
        for path in write_leaderboard(board, output.out):
            say(f"wrote {shlex.quote(str(path))}")
    show_json_text(board.to_json()) if output.json else show(_table(board))
    return INTERRUPTED if interrupted else 0


def _contender(source: str, asked: BaseQuestion, how: Ranking) -> "Contender":
    """Return one network, its ε those behind "@" where there are any."""
    from spikecert.reports import Plan
    from spikecert.runs.examining import subject_at
    from spikecert.runs.sandwiching import Contender

    name, _, own = source.rpartition(AT) if AT in source else (source, "", "")
    threat = asked.threat.sized(own) if own else asked.threat
    plan = Plan(threat, (how.method,), how.verifier, how.timeout, asked.seed, ties=asked.ties)
    question = Question(model=Path(name), **{**vars(asked), "threat": threat})
    certifying = Certifying(verifier=how.verifier, timeout=how.timeout, attack=(how.method,))
    return Contender(subject_at(Path(name), asked), plan, typed("certify", question, certifying))


def _named_apart(contenders: "list[Contender]") -> "list[Contender]":
    """Return the networks under names of their own, those of one name told apart by numbers."""
    known: dict[str, int] = {}
    found = []
    for contender in contenders:
        name = contender.subject.name
        known[name] = known.get(name, 0) + 1
        told = name if known[name] == 1 else f"{name} ({known[name]})"
        found.append(replace(contender, subject=replace(contender.subject, name=told)))
    return found


def _table(board: "Leaderboard") -> str:
    """Return the leaderboard as text, one table for each group that may be ranked."""
    from spikecert.reports.comparing.leaderboard import HEADS, cells, conditions, told

    lines: list[str] = []
    for group in board.groups:
        lines += ["", plain(conditions(group[0])), table(HEADS, [cells(row) for row in group])]
        lines += [plain(line) for row in group for line in told(row)]
    return "\n".join(lines[1:])
