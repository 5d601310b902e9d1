"""The command line: one table of commands, one place where errors become one line and an exit status."""

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated, Any, NoReturn

import typer

from . import __version__
from .commands import attack, certify, convert, demo, doctor, loop, radius, reproduce, run, train, vnnlib, zoo
from .commands import range as range_command
from .commands.analysis import ablate, differ, equivalent, gains, theorems
from .commands.proofs import check_proof
from .commands.proofs import kernels as elaborate
from .commands.records import explain, report, sandwich
from .commands.records import report as compare
from .commands.records import report as replay
from .help import epilog, overview
from .stopping import MESSAGE, STATUSES, Stopping
from .telling import INTERRUPTED, plain, say

COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": demo.demo,
    "train": train.train,
    "gains": gains.gains,
    "ablate": ablate.ablate,
    "attack": attack.attack,
    "certify": certify.certify,
    "check-proof": check_proof.check_proof,
    "compare": compare.compare,
    "convert": convert.convert,
    "differ": differ.differ,
    "doctor": doctor.doctor,
    "elaborate": elaborate.elaborate,
    "equivalent": equivalent.equivalent,
    "explain": explain.explain,
    "inspect": convert.inspect,
    "loop": loop.loop,
    "radius": radius.radius,
    "range": range_command.output_ranges,
    "replay": replay.replay,
    "report": report.report,
    "reproduce": reproduce.reproduce,
    "run": run.run,
    "sandwich": sandwich.sandwich,
    "theorems": theorems.theorems,
    "vnnlib": vnnlib.vnnlib,
    "zoo": zoo.zoo,
}

app: typer.Typer = typer.Typer(
    name="spikecert", rich_markup_mode=None, pretty_exceptions_enable=False, epilog=overview()
)
for _name, _command in COMMANDS.items():
    app.command(_name, epilog=epilog(_name))(_command)

UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # click's own, wherever typer keeps it
BAD_INPUT = (ValueError, TypeError, FloatingPointError, OverflowError, OSError, ImportError)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"spikecert {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Stability analysis and robustness certification of spiking neural networks."""


def program() -> NoReturn:
    """Run the command line as a program of its own, and end with its exit status.

    Interrupted, it ends at once. Python would first take everything down, and then call it an end by Ctrl-C
    whatever it was, if KeyboardInterrupt passed through code that came as text, as that of each dataclass does.
    """
    status = main()
    if status in STATUSES:
        with suppress(OSError):  # nobody may listen any more
            sys.stdout.flush()
        os._exit(status)
    sys.exit(status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    stopping = Stopping()
    try:
        with stopping:
            status = _run_warned(arguments)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except Exception as error:
        if not _interrupted(error):
            raise
        status = INTERRUPTED
    if status != INTERRUPTED:
        return status
    say(MESSAGE)
    return stopping.status


def _interrupted(error: BaseException | None) -> bool:
    """Return whether Ctrl-C is behind an error: while a class is made Python 3.11 and pydantic raise their own."""
    if error is None:
        return False
    named = isinstance(error, KeyboardInterrupt) or "KeyboardInterrupt" in str(error)
    return named or _interrupted(error.__cause__)


def _run_warned(arguments: Sequence[str] | None) -> int:
    """Run, and say each warning of ours in one line."""
    command = typer.main.get_command(app)
    with warnings.catch_warnings():
        warnings.filterwarnings("always", "folder: ")  # what is decided again is named, each time
        warnings.filterwarnings("default", "objective: ")  # once, however many networks a command trains
        warnings.filterwarnings("always", "graph: ")
        warnings.showwarning = _warned
        return _run(command, arguments)


def _run(command: Any, arguments: Sequence[str] | None) -> int:
    if not (sys.argv[1:] if arguments is None else arguments):
        command.main(["--help"], prog_name="spikecert", standalone_mode=False)
        return 2
    try:
        status = command.main(arguments, prog_name="spikecert", standalone_mode=False)
    except UsageError as error:
        return _fail(error.format_message(), 2)  # type: ignore[attr-defined]
    except typer.Abort:
        return INTERRUPTED
    except BAD_INPUT as error:
        return _fail(_told(error), 2)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "allocate memory" in str(error) or "out of memory" in str(error):
            return _fail(f"memory: there is too little for what is asked: {_told(error)[:200]}", 2)
        if type(error).__name__ != "SoundnessError":
            raise
        return _fail(f"UNSOUND, please report: {error}. No result of this run may be used.", 3)
    # typer returns the status of an interrupt or raises it, by version; commands return it with what was finished
    return status if isinstance(status, int) else 0


def _told(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _fail(message: str, status: int) -> int:
    say(f"spikecert: {plain(message)}")
    return status


def _warned(message: Warning | str, *_: Any, **__: Any) -> None:
    say(f"spikecert: warning: {plain(str(message))}")


if __name__ == "__main__":
    program()
