"""`reproduce`: all runs of a protocol, those that are done taken from their folders, and the tables."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from spikecert.files import write_atomically
from spikecert.models.deadline import Progress, silent
from spikecert.training import Dataset, Split, dataset

from .configuration import Protocol
from .planning import Cell, PlannedRun, cells, hash_of
from .results import Results
from .running import done, run
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
        only: rows whose names contain this text, in upper or lower case.
        hold_out: keep the validation images out of training, and measure the epoch that they pick, and the last.
        device: where networks train and run.
    """

    root: Path | None = None
    epochs: int | None = None
    samples: int | None = None
    train_samples: int | None = None
    width: str | None = None
    seeds: tuple[int, ...] | None = None
    only: str | None = None
    hold_out: bool = False
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
    rows = chosen(changed, options.only)
    known = {cell.data: _samples(changed, cell.data, options.root) for cell in rows}
    hashes, device = {name: hash_of(data) for name, data in known.items()}, options.device
    runs = [
        PlannedRun(changed, cell, seed, known[cell.data], hashes[cell.data], folder / "runs", device)
        for cell in rows
        for seed in changed.seeds
    ]
    results = Results(protocol=changed, runs=())  # pyright: ignore[reportCallIssue] (an alias with a default)
    for number, planned in enumerate(runs):
        progress("runs", number, len(runs))
        result = done(planned) or run(planned, progress)
        results = results.model_copy(update={"runs": (*results.runs, result)})
        write(results, folder)
    progress("runs", len(runs), len(runs))
    return results


def _samples(protocol: Protocol, name: str, root: Path | None) -> Dataset:
    """Return the samples that a protocol takes of a data set."""
    data = reduced(dataset(name, root, num_steps=protocol.num_steps), protocol.train_samples)
    if protocol.validation_samples is not None:
        data = replace(data, validation=_first(data.validation, protocol.validation_samples))
    return joined(data) if protocol.images == "all" else data


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
    if options.train_samples is not None:
        content["train_samples"] = options.train_samples
    if options.seeds is not None:
        content["seeds"] = options.seeds
    if options.hold_out:
        content["images"], content["evaluation"]["last_epoch"] = "train", True
    if options.width is not None:
        if ":" in protocol.architecture:
            raise ValueError(f"width: got {options.width} for {protocol.architecture}, whose widths are given")
        content["architecture"] = f"{protocol.architecture}:{options.width}"
    return Protocol.model_validate(content)


def chosen(protocol: Protocol, only: str | None) -> tuple[Cell, ...]:
    """Return the rows whose names contain `only`, in upper or lower case; all for None.

    Raises:
        ValueError: where there is none, with the names that there are.
    """
    rows = cells(protocol)
    found = tuple(cell for cell in rows if only is None or only.casefold() in cell.row.casefold())
    if not found:
        names = ", ".join(repr(cell.row) for cell in rows)
        raise ValueError(f"only: got {only!r}, expected a part of one of {names}")
    return found


def joined(data: Dataset) -> Dataset:
    """Return the data set with its validation samples among those of training, too."""
    both = data.train, data.validation
    inputs, labels = torch.cat([split.inputs for split in both]), torch.cat([split.labels for split in both])
    return replace(data, train=Split(inputs, labels))


def reduced(data: Dataset, count: int | None) -> Dataset:
    """Return the data set with the first `count` training and validation samples."""
    if count is None:
        return data
    return replace(data, train=_first(data.train, count), validation=_first(data.validation, count))


def _first(split: Split, count: int) -> Split:
    return split.take(torch.arange(min(count, len(split))))


def write(results: Results, folder: Path) -> list[Path]:
    """Write the three files, each atomically, and return their paths."""
    contents = (results.model_dump_json(by_alias=True, indent=1), comma_separated(results), markdown(results))
    paths = [folder / name for name in FILES]
    for path, content in zip(paths, contents, strict=True):
        write_atomically(path, content.encode())
    return paths
