"""`spikecert run`: everything that a file says, from training to the report, and the same again."""

from pathlib import Path
from typing import Annotated

import typer

from spikecert.asking.question import Output

from ..progress import Bars
from ..telling import say
from .attack import told
from .certify import below
from .options import Json, Root


def run(
    file: Annotated[
        Path, typer.Argument(help="A TOML file, or the record.json of a run, which is repeated.", metavar="FILE")
    ],
    root: Root = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of results; default: runs/NAME of FILE.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Train or load, attack, certify and bracket radii as FILE says, and write the report.

    The record stores the file's content. `spikecert run record.json` repeats it, and ends with status 1 if it
    found anything else: on one machine it finds the same, bit for bit, unless a time limit cut it short. After
    Ctrl-C the same command goes on. docs/reports.md describes the file.
    """
    from spikecert.runs.configuration import load_configuration
    from spikecert.runs.running import execute

    chosen, before = load_configuration(file)
    folder = out or Path("runs") / (file.stem if before is None else f"{file.resolve().parent.name}-repeated")
    with Bars() as bars:
        found = execute(chosen, file, folder, root, bars)
    status = told(found, Output(out=folder, json=as_json))
    if status:
        return status
    if before is not None:
        return _repeated(before, found.record.fingerprint)
    return below(found.record, None if chosen.certify is None else chosen.certify.require)


def _repeated(before: str, after: str) -> int:
    if before == after:
        say(f"the same results as before: fingerprint {after}")
        return 0
    say(f"OTHER results than before: fingerprint {before} then, {after} now")
    return 1
