"""`spikecert reproduce`: a published table, or this project's own, from one command."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..progress import Bars
from ..runs.sources import again, beside
from ..telling import say, show, show_json_text, table
from .options import Device, Json, Root

if TYPE_CHECKING:
    from spikecert.protocols import Results


def reproduce(
    name: Annotated[str | None, typer.Argument(help="A protocol, such as vgg11-cifar10-at; see --list.")] = None,
    root: Root = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of runs and tables; default: runs/reproduce/NAME.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the protocol's.")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="First test samples to measure.")] = None,
    train_samples: Annotated[int | None, typer.Option("--train-samples", min=1, help="First to train on.")] = None,
    width: Annotated[
        str | None, typer.Option(help="A factor of a convolutional network's widths, such as 1/16.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Instead of the protocol's, such as 0,1,2.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that take seeds beside each other.")] = 1,
    only: Annotated[str | None, typer.Option(help="Rows whose names contain this text, in any case.")] = None,
    hold_out: Annotated[
        bool, typer.Option("--hold-out", help="Keep validation images out of training: they pick an epoch.")
    ] = False,
    device: Device = "cpu",
    listed: Annotated[bool, typer.Option("--list", help="List the protocols and stop.")] = False,
    as_json: Json = False,
    context: typer.Context = None,  # pyright: ignore[reportArgumentType] (typer passes it)
) -> int:
    """Train and measure all rows of a protocol, for each seed, and write the table.

    Each finished run is kept in the folder: the same command goes on from there. --epochs, --samples,
    --train-samples and --width make a quick trial of it.
    """
    from spikecert import protocols
    from spikecert.runs.building import checked_device

    if listed or name is None:
        _list()
        return 0 if listed else 2
    chosen = protocols.protocol(name)
    options = protocols.Options(
        root, epochs, samples, train_samples, width, _numbers(seeds), only, hold_out, checked_device(device)
    )
    folder = Path("runs/reproduce") / name if out is None else out
    seeded = chosen.seeds if options.seeds is None else options.seeds
    with Bars() as bars:
        if workers > 1 and len(seeded) > 1:
            _beside(context, seeded, folder, workers, bars)
        results = protocols.reproduce(chosen, folder, options, bars)
    if as_json:
        show_json_text(results.model_dump_json(by_alias=True, indent=1))
        return 0
    _tell(results, folder)
    return 0


def _beside(context: typer.Context, seeds: tuple[int, ...], folder: Path, workers: int, bars: Bars) -> None:
    """Run each seed in a process of its own, in the same folder: its runs are then found there."""
    import torch

    def look() -> None:
        bars("finished runs", len(list(folder.glob("runs/*/run.json"))), 0)

    own = [again(context, seeds=str(k), workers=None, out=folder) for k in seeds]
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


def _numbers(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() for part in parts):
        raise ValueError(f"seeds: got {text!r}, expected numbers with commas, such as 0,1,2")
    return tuple(int(part) for part in parts)
