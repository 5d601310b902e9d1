"""`reproduce`: all runs of a protocol, those that are done taken from their folders, and the tables."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from spikecert.files import write_atomically
from spikecert.models.progress import Progress, silent
from spikecert.training import Dataset, Split, dataset

from .configuration import Protocol
from .grid import cells
from .results import Results
from .running import PlannedRun, done, hash_of, run
from .tables import comma_separated, markdown

FILES = ("results.json", "results.csv", "results.md")


@dataclass(frozen=True)
class Options:
    """What may be changed about a protocol: None leaves it as its file says.

    Attributes:
        root: the folder of the data set's files.
        epochs: of training.
        samples: first test samples that are measured.
        train_samples: first training (and validation) samples.
        width: a factor of the widths of a convolutional network, such as "1/16".
        seeds: of the repetitions.
        only: rows whose names contain this text.
        device: where networks train and run.
    """

    root: Path | None = None
    epochs: int | None = None
    samples: int | None = None
    train_samples: int | None = None
    width: str | None = None
    seeds: tuple[int, ...] | None = None
    only: str | None = None
    device: str = "cpu"


def reproduce(protocol: Protocol, folder: Path, options: Options, progress: Progress = silent) -> Results:
    """Run what is left of the protocol and write results.json, .csv and .md to `folder`, after each run.

    Args:
        protocol: as from `protocol(name)`.
        folder: of runs and tables; the same call goes on from what is there.
        options: changes; each makes other runs, which stand beside those of other options.
        progress: told about training, attacks and certification, and about "runs".

    Raises:
        FileNotFoundError: for missing data, with what to put where.
        ValueError: for options that leave nothing to do, or do not fit.
    """
    changed = adapted(protocol, options)
    data = reduced(dataset(changed.data, options.root), options.train_samples)
    runs = list(_planned_runs(changed, data, folder / "runs", options))
    if not runs:
        rows = ", ".join(repr(cell.row) for cell in cells(changed))
        raise ValueError(f"only: got {options.only!r}, expected a part of one of {rows}")
    results = Results(protocol=changed, runs=())  # pyright: ignore[reportCallIssue] (an alias with a default)
    for number, planned in enumerate(runs):
        progress("runs", number, len(runs))
        result = done(planned) or run(planned, progress)
        results = results.model_copy(update={"runs": (*results.runs, result)})
        write(results, folder)
    progress("runs", len(runs), len(runs))
    return results


def adapted(protocol: Protocol, options: Options) -> Protocol:
    """Return the protocol with the options' settings.

    Raises:
        ValueError: for a width of a network that has none.
    """
    content = protocol.model_dump()
    if options.epochs is not None:
        content["training"]["epochs"] = options.epochs
        for variant in content["variants"]:
            variant["training"].pop("epochs", None)
    if options.samples is not None:
        content["evaluation"]["samples"] = options.samples
    if options.seeds is not None:
        content["seeds"] = options.seeds
    if options.width is not None:
        if ":" in protocol.architecture:
            raise ValueError(f"width: got {options.width} for {protocol.architecture}, whose widths are given")
        content["architecture"] = f"{protocol.architecture}:{options.width}"
    return Protocol.model_validate(content)


def reduced(data: Dataset, count: int | None) -> Dataset:
    """Return the data set with the first `count` training and validation samples."""
    if count is None:
        return data
    return replace(data, train=_first(data.train, count), validation=_first(data.validation, count))


def _first(split: Split, count: int) -> Split:
    return split.take(torch.arange(min(count, len(split))))


def _planned_runs(protocol: Protocol, data: Dataset, folder: Path, options: Options) -> Iterator[PlannedRun]:
    data_hash = hash_of(data)
    for cell in cells(protocol):
        if options.only is None or options.only in cell.row:
            for seed in protocol.seeds:
                yield PlannedRun(protocol, cell, seed, data, data_hash, folder, options.device)


def write(results: Results, folder: Path) -> list[Path]:
    """Write the three files, each atomically, and return their paths."""
    contents = (results.model_dump_json(by_alias=True, indent=1), comma_separated(results), markdown(results))
    paths = [folder / name for name in FILES]
    for path, content in zip(paths, contents, strict=True):
        write_atomically(path, content.encode())
    return paths
