"""Options of `spikecert certify` alone, group by group.

Options that say which events change, and how: beside --norm flips and --norm shift.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import ATTACKS, completed

# What is asked besides proofs.
Attacks = Annotated[
    list[str] | None,
    typer.Option(
        "--attack", autocompletion=completed(ATTACKS), help="Also attack: see `attack --method`; repeatable."
    ),
]
Radii = Annotated[bool, typer.Option("--radii", help="Also bracket each sample's radius, by the last verifier.")]
Tolerance = Annotated[str, typer.Option(help="Width at which a radius counts as exact.")]
Gains = Annotated[bool, typer.Option(help="Also report gains, and the growth measured beside them.")]
ProofFolder = Annotated[
    Path | None, typer.Option(help="Folder for a proof of each verified sample, for check-proof.")
]

AskedProperty = Annotated[
    str | None,
    typer.Option(
        "--property",
        help="What must hold in place of the class: moves=.1, top-k=3, targeted=7, robust, abstains=.2, or "
        'inequalities such as "Y0 - 2*Y1 <= 0.3" (Y outputs, X inputs, S the sample\'s own outputs; &, |, abs).',
    ),
]

MovesAtMost = Annotated[
    str | None,
    typer.Option("--moves-at-most", help="That no output moves by more than this: --property moves=… in short."),
]

Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        help="Certify the build for a chip, loihi, xylo, spinnaker or q8.8, in whole numbers; ε counts units "
        "of its inputs (0 to 255, or what the chip takes).",
    ),
]
Bits = Annotated[int, typer.Option("--bits", min=2, max=8, help="Of each weight, with --target.")]

# How long it may take, and what must come out.
Timeout = Annotated[float | None, typer.Option(help="Seconds for a sample, on average.")]
Memory = Annotated[
    str | None,
    typer.Option(help="What open nodes and batches of a search may take, such as 4GiB; default: about 2GiB."),
]
RequireCertified = Annotated[
    str | None, typer.Option("--require-certified", help="Status 1 below this share, such as 0.9.")
]


@dataclass(frozen=True)
class FleetOptions:
    """Who decides the batches, and where they are kept; each field is the option of its name."""

    engine: Annotated[
        str | None, typer.Option(help="Fan out: local (processes) or ray (machines); default: this process.")
    ] = None
    workers: Annotated[int | None, typer.Option(min=1, help="Batches decided at once.")] = None
    resume: Annotated[
        Path | None, typer.Option(help="Folder that keeps finished batches; a killed run goes on from it.")
    ] = None
    ray_address: Annotated[
        str | None, typer.Option("--ray-address", help="Of the cluster: auto, HOST:6379, ray://HOST:10001.")
    ] = None


NO_FLEET = FleetOptions()


if TYPE_CHECKING:
    from spikecert.reports.records.network_rules import EventRules

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

        from spikecert.reports.records.network_rules import EventRules
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
    from spikecert.reports.records.network_rules import OF_NORM

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
