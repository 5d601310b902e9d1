"""`spikecert run`: everything that a file says, from training to the report, and the same again.

A protocol is such a file for all rows of a published table, or of this project's own.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikecert.asking.options import command
from spikecert.asking.question import Count, Output
from spikecert.asking.values import Naming, many, text, whole

from ..progress import Bars
from ..runs.sources import again, beside
from ..telling import say, show, show_json_text, table
from .attack import told
from .certify import below

if TYPE_CHECKING:
    from spikecert.protocols import Results


@dataclass(frozen=True, kw_only=True)
class Running:
    """What is run.

    Attributes:
        file: a TOML file, the record.json of a run, which is repeated, or a protocol (see --list).
        list: list the protocols and stop.
        root: the folder of the data set's files.
    """

    file: Annotated[Path | None, Naming(argument=True)] = None
    list: bool = False
    root: Annotated[Path | None, Naming(local=True)] = None


@dataclass(frozen=True, kw_only=True)
class QuickTrial:
    """What is changed of a protocol: a quick trial of it.

    Attributes:
        epochs: of a protocol: instead of its own.
        samples: of a protocol: first test samples to measure.
        train_samples: of a protocol: first to train on.
        width: of a protocol: a factor of a convolutional network's widths, such as 1/16.
        seeds: of a protocol: instead of its own, such as 0,1,2.
        workers: of a protocol: processes that take seeds beside each other; default: one.
        only: of a protocol: rows whose names contain this text, in any case.
        hold_out: of a protocol: keep validation images out of training: they pick an epoch.
        device: of a protocol: cpu, cuda, cuda:1, …; default: cpu.
    """

    epochs: Count | None = None
    samples: Count | None = None
    train_samples: Count | None = None
    width: Annotated[str, text("a factor")] | None = None
    seeds: Annotated[tuple[int, ...], many(whole())] | None = None
    workers: Count | None = None
    only: Annotated[str, text("part of a name")] | None = None
    hold_out: bool = False
    device: Annotated[str, text("a device")] | None = None


@command
def run(
    asked: Running,
    trial: QuickTrial,
    output: Output,
    context: typer.Context = None,  # pyright: ignore[reportArgumentType] (typer passes it)
) -> int:
    """Train or load, attack, certify and bracket radii as FILE says, and write the report.

    The record stores the file's content. `spikecert run record.json` repeats it, and ends with status 1 if it
    found anything else: on one machine it finds the same, bit for bit, unless a time limit cut it short.
    A protocol trains and measures all its rows, for each seed, and writes the table. After Ctrl-C the same command
    goes on. docs/reports.md describes the file.
    """
    if asked.list or asked.file is None:
        _list()
        return 0 if asked.list else 2
    if _is_protocol(asked.file):
        return _reproduce(str(asked.file), asked.root, trial, output, context)
    for name, value in vars(trial).items():
        if value not in (None, False):
            expected = f"none beside {asked.file}: it is of protocols (see --list)"
            raise ValueError(f"{name.replace('_', '-')}: got {value}, expected {expected}")
    return _run(asked.file, asked.root, output)


def _is_protocol(file: Path) -> bool:
    """Return whether a protocol is named, which no folder of its name hides, or a misspelt one."""
    from spikecert.protocols import names

    if str(file) in names():
        return not file.is_file()
    return file.suffix not in (".toml", ".json") and not file.exists()


def _run(file: Path, root: Path | None, output: Output) -> int:
    from spikecert.runs.configuration import load_configuration
    from spikecert.runs.running import execute

    chosen, before = load_configuration(file)
    folder = output.out or Path("runs") / (
        file.stem if before is None else f"{file.resolve().parent.name}-repeated"
    )
    with Bars() as bars:
        found = execute(chosen, file, folder, root, bars)
    status = told(found, Output(out=folder, json=output.json))
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


def _reproduce(name: str, root: Path | None, trial: QuickTrial, output: Output, context: typer.Context) -> int:
    """Train and measure all rows of a protocol; finished runs are kept in the folder."""
    from spikecert import protocols
    from spikecert.runs.building import checked_device

    chosen, device = protocols.protocol(name), checked_device(trial.device or "cpu")
    told = trial.epochs, trial.samples, trial.train_samples, trial.width, trial.seeds, trial.only, trial.hold_out
    options = protocols.Options(root, *told, device)
    folder = Path("runs/reproduce") / name if output.out is None else output.out
    seeded, workers = options.seeds or chosen.seeds, trial.workers or 1
    with Bars() as bars:
        if workers > 1 and len(seeded) > 1:
            _beside(context, seeded, folder, workers, bars)
        results = protocols.reproduce(chosen, folder, options, bars)
    if output.json:
        show_json_text(results.model_dump_json(by_alias=True, indent=1))
        return 0
    _tell(results, folder)
    return 0


def _beside(context: typer.Context, seeds: tuple[int, ...], folder: Path, workers: int, bars: Bars) -> None:
    """Run each seed in a process of its own, in the same folder: its runs are then found there."""
    import torch

    def look() -> None:
        bars("finished runs", len(list(folder.glob("runs/*/run.json"))), 0)

    own = [again(context, trial__seeds=str(k), trial__workers=None, output__out=folder) for k in seeds]
    beside(own, workers, max(1, torch.get_num_threads() // workers), look)


def _tell(results: "Results", folder: Path) -> None:
    from spikecert.protocols.tables import caption, columns, lines

    heads = ("", *(column.head for column in columns(results)))
    show(table(heads, lines(results)))
    show(f"\n{caption(results)}")
    say(f"wrote results.json, results.csv and results.md to {folder}")


def _list() -> None:
    from spikecert.protocols import names, protocol

    width = max(map(len, names())) + 2
    show("\n".join(f"{name:{width}}{protocol(name).title}" for name in names()))
