"""`spikecert train`: a network from an architecture string, trained and saved; several seeds in one command."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..progress import Bars
from ..runs.beside import again, beside
from ..runs.seeds import HEADS, Summary, chosen_seeds, content, shown, summary, write_summary
from ..runs.sources import data_of
from ..telling import say, show, show_json, table
from .options import train_options as own
from .options.event_options import UNCHANGED, EventOptions
from .options.options import Data, Device, Json, Root, Seed, checked_device
from .options.sharing import with_groups

if TYPE_CHECKING:
    from spikecert.reports.records.event_rules import EventRules
    from spikecert.training import TrainingRun


@with_groups
def train(
    out: own.Folder,
    data: Data = "digits",
    root: Root = None,
    start: own.StartOptions = own.START,
    aim: own.ObjectiveOptions = own.OBJECTIVE,
    events: EventOptions = UNCHANGED,
    settings: own.SettingsOptions = own.SETTINGS,
    seed: Seed = 0,
    seeds: own.Seeds = None,
    workers: own.Workers = 1,
    device: Device = "cpu",
    as_json: Json = False,
    context: typer.Context = None,  # pyright: ignore[reportArgumentType] (typer passes it)
) -> int:
    """Train a network; a run that was interrupted goes on from its folder.

    Under torchrun (`torchrun --nproc-per-node 2 -m spikecert train …`) the processes share each batch.
    """
    from spikecert.runs import building
    from spikecert.training import Settings, fit
    from spikecert.training.processes import joined

    several = chosen_seeds(seeds, seed)
    if workers > 1 and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError(f"workers: got {workers} under torchrun, expected 1: its processes share each batch")
    samples, template = data_of(data, root, start.num_steps), start.template
    objective = aim.aim(_rules(aim.objective, events))

    def one(number: int, folder: Path, bars: Bars) -> "TrainingRun":
        """Train with one seed."""
        fresh = building.fresh_network(start.network, samples, start.num_steps, template, number)
        label = "train" if seeds is None else f"train, seed {number}"
        return fit(
            fresh,
            samples,
            objective,
            Settings(**settings.fields, seed=number),
            folder=folder,
            progress=lambda _, done, total: bars(label, done, total),
            figures=lambda _, values: bars.figures(label, values),
            device=checked_device(device),
        )

    with joined(device) as processes, Bars() as bars:
        folders = {k: out if seeds is None else out / f"seed-{k}" for k in several}
        if workers > 1 and len(several) > 1:
            _beside(context, folders, workers, settings.epochs, bars)
        runs = {k: one(k, folder, bars) for k, folder in folders.items()}
    if processes.first:
        _tell(runs, out, seeds is not None, as_json)
    return 0


def _rules(objective: str, events: EventOptions) -> "EventRules | None":
    """Return which events change, and how, of the objective that is about them.

    Raises:
        ValueError: for an option that the objective does not have.
    """
    from spikecert.reports.pages.norms import NORMS
    from spikecert.reports.records.event_rules import OF_NORM
    from spikecert.runs import building

    named = {name: norm for name, norm in building.OF_EVENTS.items() if name in objective.split("+")}
    for option in events.given:
        fits = [name for name, norm in building.OF_EVENTS.items() if option in OF_NORM[NORMS[norm]]]
        if not set(fits) & set(named):
            expected = " or ".join(fits)
            raise ValueError(f"{option}: got one with --objective {objective}, expected --objective {expected}")
    return events.rules(next(iter(named.values()))) if named else None


def _beside(context: typer.Context, folders: dict[int, Path], workers: int, epochs: int, bars: Bars) -> None:
    """Train each seed in a process of its own; `fit` then finds their folders finished."""
    import torch

    from spikecert.training.journal import epochs_of

    def look() -> None:
        for seed, folder in folders.items():
            bars(f"train, seed {seed}", epochs_of(folder), epochs)

    own = [again(context, seed=k, seeds=None, workers=None, out=folder) for k, folder in folders.items()]
    beside(own, workers, max(1, torch.get_num_threads() // workers), look)


def _tell(runs: dict[int, "TrainingRun"], out: Path, several: bool, as_json: bool) -> None:
    if not several:
        (run,) = runs.values()
        _tell_one(run, out / "network.safetensors", as_json)
        return
    means = summary(runs, lambda seed: out / f"seed-{seed}" / "network.safetensors")
    write_summary(means, out)
    if as_json:
        show_json(means.content())
    else:
        _tell_several(means, out)


def _tell_one(run: "TrainingRun", path: Path, as_json: bool) -> None:
    if as_json:
        show_json(content(run, path))
        return
    names = list(run.history[0].measured)
    rows = [
        (str(epoch.epoch), f"{epoch.loss:.4f}", *(shown(name, epoch.measured[name]) for name in names))
        for epoch in run.history
    ]
    show(table(("epoch", "loss", *(HEADS[name] for name in names)), rows))
    say(f"epoch {run.best_epoch} was picked on the validation split")
    say(f"next: spikecert {'gains' if run.best.rmse is None else 'range'} {shlex.quote(str(path))}")


def _tell_several(means: Summary, out: Path) -> None:
    names = [name for name in HEADS if name in next(iter(means.runs.values()))]
    told: list[tuple[str, str, Mapping[str, Any]]] = [
        *((str(seed), str(run["best_epoch"]), run) for seed, run in means.runs.items()),
        ("mean", "", means.mean),
        ("spread", "", means.spread),
    ]
    rows = [(head, epoch, *(shown(name, of.get(name)) for name in names)) for head, epoch, of in told]
    show(table(("seed", "epoch", *(HEADS[name] for name in names)), rows))
    say(f"figures of the picked epochs on the validation split; all of it in {out / 'seeds.json'}")
