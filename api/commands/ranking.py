"""`spikecert certify` of several networks: between what an attack leaves and what is proved, as a leaderboard."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spikecert.asking.options import typed
from spikecert.asking.question import BaseQuestion, Certifying, Fan, Output, Question
from spikecert.asking.values import Numeral

from ..progress import Bars
from ..telling import plain, show, show_json_text, table, wrote

if TYPE_CHECKING:
    from spikecert.reports import Record
    from spikecert.reports.comparing.leaderboard import Leaderboard
    from spikecert.runs.sandwiching import Contender


AT, ATTACK, TIMEOUT = "@", "standard", Numeral(10.0, "10")
"""What stands before a network's own ε; the attack and the seconds for a sample where none are said."""


def is_ranked(models: list[str]) -> bool:
    """Return whether several networks are meant, or one with an ε of its own, or a record."""
    return len(models) > 1 or models[0].endswith(".json") or bool(_epsilon(models[0]))


def _epsilon(source: str) -> str:
    """Return a network's own ε, or nothing: a file may have the sign in its name."""
    name, _, own = source.rpartition(AT)
    return own if name and not Path(source).exists() and not own.endswith(".safetensors") else ""


def rank(models: list[str], asked: BaseQuestion, how: Certifying, fan: Fan, output: Output) -> "list[Record]":
    """Measure networks, and show and write the leaderboard.

    Returns:
        The records of those that were measured.

    Raises:
        KeyboardInterrupt: on Ctrl-C, when what is finished has been told.
    """
    from spikecert.reports import load_record
    from spikecert.reports.comparing.leaderboard import leaderboard, write_leaderboard
    from spikecert.runs.sandwiching import sandwiched

    _check(asked, how, fan)
    how = replace(how, attack=how.attack or (ATTACK,), timeout=how.timeout or TIMEOUT)
    ready = [load_record(source) for source in models if source.endswith(".json")]
    networks = [source for source in models if not source.endswith(".json")]
    contenders = _named_apart([_contender(source, asked, how, fan) for source in networks])
    found: list[Record] = []
    interrupted = False
    with Bars() as bars:
        for place, (record, cut) in enumerate(sandwiched(contenders, output.out, bars)):
            found.append(record)
            interrupted = cut
            bars("networks", place + (not cut), len(contenders))
    board = leaderboard([*ready, *found], how.attack[0])
    if output.out is not None:
        wrote(*write_leaderboard(board, output.out))
    show_json_text(board.to_json()) if output.json else show(_table(board))
    if interrupted:
        raise KeyboardInterrupt
    return found


def _check(asked: BaseQuestion, how: Certifying, fan: Fan) -> None:
    """Raise ValueError for what is asked of one network alone."""
    alone = {
        "property": asked.threat.asked,
        "target": how.chip.target,
        "proof": how.proof,
        "radii": how.radii,
        "resume": fan.resume,
    }
    for name, value in alone.items():
        if value:
            cure = "--out, where a run goes on" if name == "resume" else "none"
            raise ValueError(f"{name}: got {value} beside several networks, expected {cure}")


def _contender(source: str, asked: BaseQuestion, how: Certifying, fan: Fan) -> "Contender":
    """Return one network, its ε those behind "@" where there are any."""
    from spikecert.reports import Plan
    from spikecert.runs.building import fleet
    from spikecert.runs.examining import subject_at
    from spikecert.runs.sandwiching import Contender

    own = _epsilon(source)
    name = Path(source.removesuffix(f"{AT}{own}") if own else source)
    threat = asked.threat.sized(own) if own else asked.threat
    rest = fleet(fan), None, asked.ties, how.memory
    plan = Plan(threat, how.attack, how.verifier, how.timeout, asked.seed, *rest)
    question = Question(model=name, **{**vars(asked), "threat": threat})
    told = replace(how, gains=False, require_certified=None)
    return Contender(subject_at(name, asked), plan, typed("certify", question, told))


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
