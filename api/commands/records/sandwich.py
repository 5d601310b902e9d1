"""`spikecert sandwich`: networks between what the standard attack leaves and what is proved, as a leaderboard."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...progress import Bars
from ...telling import INTERRUPTED, plain, say, show, show_json_text, table
from ..options import options
from ..options.options import ATTACKS, Epsilons, Json, Out, completed, epsilons, with_groups
from ..options.question_options import QUESTION, QuestionOptions

if TYPE_CHECKING:
    from spikecert.reports import Record
    from spikecert.reports.comparing.leaderboard import Leaderboard
    from spikecert.runs.sandwiching import Contender


AT = "@"


@with_groups
def sandwich(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Network files, zoo:NAME, and records (record.json) of runs before; NETWORK@EPSILON for one with "
            "an ε of its own.",
            metavar="MODEL…",
        ),
    ],
    epsilon: Epsilons = ["8/255"],  # noqa: B006 (typer copies it)
    asked: QuestionOptions = QUESTION,
    verifier: options.Verifiers = "auto",
    method: Annotated[
        str, typer.Option("--method", autocompletion=completed(ATTACKS), help="The attack; default: standard.")
    ] = "standard",
    timeout: Annotated[float, typer.Option(help="Seconds for a sample, on average.")] = 10.0,
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Put networks between attack and proof: clean, left by the standard attack, proved, and the gap.

    With --out each network has a folder there with its report, leaderboard.json and leaderboard.html lie beside
    them, and a run that was stopped goes on where it was.
    """
    from spikecert.models.validation import check_choice
    from spikecert.reports import load_record
    from spikecert.reports.comparing.leaderboard import leaderboard, write_leaderboard
    from spikecert.runs.sandwiching import sandwiched

    check_choice("method", method, ATTACKS)
    ready = [load_record(source) for source in sources if source.endswith(".json")]
    networks = [source for source in sources if not source.endswith(".json")]
    asked_each = [_contender(source, epsilon, asked, verifier, method, timeout) for source in networks]
    contenders = _named_apart(asked_each)
    found: list[Record] = []
    interrupted = False
    with Bars() as bars:
        for place, (record, cut) in enumerate(sandwiched(contenders, out, bars)):
            found.append(record)
            interrupted = cut
            bars("networks", place + (not cut), len(contenders))
    board = leaderboard([*ready, *found], method)
    if out is not None:
        for path in write_leaderboard(board, out):
            say(f"wrote {shlex.quote(str(path))}")
    show_json_text(board.to_json()) if as_json else show(_table(board))
    return INTERRUPTED if interrupted else 0


def _contender(
    source: str, epsilon: list[str], asked: QuestionOptions, verifier: str, method: str, timeout: float
) -> "Contender":
    """Return one network, its ε those behind "@" where there are any."""
    from spikecert.reports import Plan
    from spikecert.runs.sandwiching import Contender

    name, _, own = source.rpartition(AT) if AT in source else (source, "", "")
    written = [own] if own else epsilon
    subject, threat = asked.subject(Path(name)), asked.threat(epsilons(written))
    verifiers = options.names(verifier, "verifier")
    plan = Plan(threat, (method,), verifiers, timeout, asked.seed, ties=asked.ties)
    command = f"spikecert certify {shlex.quote(name)} {asked.repeated(written)}"
    command += f" --verifier {shlex.quote(verifier)} --attack {method} --timeout {timeout:g}"
    return Contender(subject, plan, command)


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
