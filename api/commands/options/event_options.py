"""Options that say which events change, and how: beside --norm flips and --norm shift."""

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from .options import completed

if TYPE_CHECKING:
    from spikecert.reports.records.event_rules import EventRules

AXES = ("steps", "polarities", "rows", "columns")


@dataclass(frozen=True)
class EventOptions:
    """What the eight options say; each field is the option of its name."""

    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            autocompletion=completed(("flip", "insert", "delete")),
            help="Of flips: flip (events come or go), insert or delete; default: flip.",
        ),
    ] = None
    where: Annotated[
        str | None,
        typer.Option(
            "--where",
            help="The events that may change, such as steps=0:3,polarities=1:2,rows=5:10,columns=5:10; "
            "the last of each is excluded; default: all.",
            metavar="AXIS=FIRST:LAST,…",
        ),
    ] = None
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            autocompletion=completed(("total", "count", "jitter")),
            help="What ε is with --norm shift: total (steps in all), count (how many events move) or jitter "
            "(how far each does); default: total.",
        ),
    ] = None
    jitter: Annotated[
        int | None, typer.Option("--jitter", min=0, help="Of shifts: how far an event moves at most.")
    ] = None
    count: Annotated[
        int | None, typer.Option("--count", min=0, help="Of shifts: how many events move at most.")
    ] = None
    total: Annotated[
        int | None, typer.Option("--total", min=0, help="Of shifts: the sum of all moves at most.")
    ] = None
    merge: Annotated[
        str | None,
        typer.Option(
            "--merge",
            autocompletion=completed(("or", "add", "refuse")),
            help="Of shifts: two events of one entry are one (or), two (add) or refused (refuse); default: or.",
        ),
    ] = None
    border: Annotated[
        str | None,
        typer.Option(
            "--border",
            autocompletion=completed(("stay", "leave")),
            help="Of shifts: at the border events stay in the recording, or may leave it; default: stay.",
        ),
    ] = None

    @property
    def given(self) -> dict[str, str | int]:
        """Return what was given, in the order of the options."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def rules(self, norm: str) -> "EventRules | None":
        """Return what the options say, None where none is given.

        Raises:
            ValueError: in one line, for a value that makes no sense, or an option that the norm does not have.
        """
        from pydantic import ValidationError

        from spikecert.reports.records.event_rules import EventRules
        from spikecert.reports.records.records import first_error

        if not self.given:
            return None
        block = {} if self.where is None else {"where": blocks(self.where)}
        try:
            rules = EventRules.model_validate({**self.given, **block})
        except ValidationError as error:
            raise ValueError(first_error(error).removeprefix("record: ").replace("Value error, ", "")) from None
        _check_norm(norm, sorted(self.given, key=lambda name: name == "where"))
        return rules

    @property
    def repeated(self) -> str:
        """Return the options as text, for the command that a report tells to repeat.

        >>> EventOptions(kind="insert", jitter=2).repeated
        ' --kind insert --jitter 2'
        """
        return "".join(f" --{name} {shlex.quote(str(value))}" for name, value in self.given.items())


UNCHANGED = EventOptions()
"""No option given."""


def _check_norm(norm: str, names: list[str]) -> None:
    """Refuse options that are of another norm, whatever their value is."""
    from spikecert.reports.pages.norms import NORMS
    from spikecert.reports.records.event_rules import OF_NORM

    for name in names:
        fits = [known for known, meant in NORMS.items() if name in OF_NORM.get(meant, ())]
        if norm not in fits:
            raise ValueError(f"{name}: got one with --norm {norm}, expected --norm {' or '.join(fits)}")


def blocks(text: str) -> dict[str, tuple[int, int]]:
    """Return the intervals of "steps=0:3,rows=2:5".

    >>> blocks("steps=0:3,rows=2:5")
    {'steps': (0, 3), 'rows': (2, 5)}
    """
    found: dict[str, tuple[int, int]] = {}
    for part in text.split(","):
        axis, _, ends = part.strip().partition("=")
        first, colon, last = ends.partition(":")
        if axis not in AXES or axis in found or not (colon and first.isdecimal() and last.isdecimal()):
            raise ValueError(f"where: got {text!r}, expected intervals such as steps=0:3,rows=2:5, each axis once")
        found[axis] = int(first), int(last)
    return found
