"""The command line: one table of commands, one place where errors become one line and an exit status."""

import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_command_from_info
from typer.models import CommandInfo

from . import __version__
from .help import epilog, overview
from .stopping import MESSAGE, STATUSES, Stopping
from .telling import INTERRUPTED, plain, say

COMMANDS: dict[str, str] = {
    "demo": "demo:demo",
    "train": "train:train",
    "gains": "analysis.gains:gains",
    "ablate": "analysis.ablate:ablate",
    "attack": "attack:attack",
    "certify": "certify:certify",
    "check-proof": "proofs.check_proof:check_proof",
    "convert": "convert:convert",
    "data": "data:data",
    "differ": "analysis.differ:differ",
    "doctor": "doctor:doctor",
    "equivalent": "analysis.equivalent:equivalent",
    "explain": "records.explain:explain",
    "loop": "loop:loop",
    "radius": "radius:radius",
    "range": "range:output_ranges",
    "report": "records.report:report",
    "run": "run:run",
    "vnnlib": "vnnlib:vnnlib",
    "zoo": "zoo:zoo",
}
"""Where each command is: its module below `commands`, and its function."""
WORDS = {"quantize": "convert"}
"""Other words for commands: a build for a chip is what `convert --target` makes."""


def command_of(name: str) -> Callable[..., Any]:
    """Return a command's function; its module is imported now."""
    module, _, function = COMMANDS[name].partition(":")
    found: Callable[..., Any] = getattr(import_module(f".commands.{module}", __package__), function)
    return found


class Commands(TyperGroup):
    """The commands, of which one is built when it is run, and all where their help is listed."""

    forms: frozenset[str] = frozenset({"linf"})
    """What `--norm` and `--objective` say, and how `--data` ends: help shows the options that these have."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, None for a name that is none."""
        if cmd_name not in COMMANDS:
            return None
        function = command_of(cmd_name)
        info = CommandInfo(cmd_name, callback=function, epilog=epilog(cmd_name))
        made = get_command_from_info(info, pretty_exceptions_short=False, rich_markup_mode=None)
        forms: dict[str, tuple[str, ...]] = getattr(function, "forms", {})
        for parameter in made.params:
            vars(parameter)["hidden"] = self.forms.isdisjoint(forms.get(parameter.name or "", self.forms))
        return made

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is run; its help knows the norm, or the objective, that is asked for."""
        told = [part for arg in args for part in (arg.split("=", 1) if arg.startswith("--") else [arg])]
        norms = [value for before, value in pairwise(told) if before == "--norm"] or ["linf"]
        objectives = [value.split("+")[0] for before, value in pairwise(told) if before == "--objective"]
        data = [Path(value).suffix.lower() for before, value in pairwise(told) if before == "--data"]
        self.forms = frozenset((norms[-1], *objectives[-1:], *data[-1:]))
        if args and args[0] in WORDS:
            args = [WORDS[args[0]], *args[1:]]
        if args and args[0] not in COMMANDS:
            near = " or ".join(map(repr, get_close_matches(args[0], COMMANDS)))
            raise UsageError(f"No such command {args[0]!r}." + f" Did you mean {near}?" * bool(near))
        return super().resolve_command(ctx, args)


app: typer.Typer = typer.Typer(
    name="spikecert", cls=Commands, rich_markup_mode=None, pretty_exceptions_enable=False, epilog=overview()
)

UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # click's own, wherever typer keeps it
BAD_INPUT = (ValueError, TypeError, FloatingPointError, OverflowError, OSError, ImportError)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"spikecert {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
    log: Annotated[Literal["info", "debug"] | None, typer.Option(help="What is logged on standard error.")] = None,
) -> None:
    """Stability analysis and robustness certification of spiking neural networks."""
    if log is not None:
        logger, handler = logging.getLogger(__name__.partition(".")[0]), logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
        logger.addHandler(handler)
        context.call_on_close(partial(logger.setLevel, logger.level))
        context.call_on_close(partial(logger.removeHandler, handler))
        logger.setLevel(log.upper())


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
        return _fail(_usage(error), 2)
    except typer.Abort:
        return INTERRUPTED
    except BAD_INPUT as error:
        return _fail(_told(error), 2)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "allocate memory" in str(error) or "out of memory" in str(error):
            return _fail(f"memory: there is too little for what is asked: {_told(error)[:200]}", 2)
        if type(error).__name__ != "SoundnessError":
            return _failed_plug_in(error)
        return _fail(f"UNSOUND, please report: {error}. No result of this run may be used.", 3)
    except Exception as error:
        return _failed_plug_in(error)
    # typer returns the status of an interrupt or raises it, by version; commands return it with what was finished
    return status if isinstance(status, int) else 0


def _failed_plug_in(error: Exception) -> int:
    """Tell an error of another package's code; of our own, which is a bug, nothing is hidden."""
    from spikecert.files.plugged import at_fault, failure

    if (package := at_fault(error)) is None or _interrupted(error):
        raise error
    return _fail(f"the plug-in of the package {package} failed: {failure(error)}", 2)


def _usage(error: Any) -> str:
    """Return what is wrong with a command line, values of options in the words that all others have."""
    names = getattr(getattr(error, "param", None), "opts", ())
    found = re.match(r"'(.*)' is not (?:a valid )?(.*?)\.?$", getattr(error, "message", ""), re.S)
    if not names or found is None:
        return str(error.format_message())
    expected = {"integer": "a whole number", "float": "a number"}.get(found[2], found[2])
    return f"{names[-1].lstrip('-')}: got {found[1]!r}, expected {expected}"


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
