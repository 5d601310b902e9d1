"""`spikecert train`: a network from an architecture string, trained and saved; several seeds in one command.

Several training runs that differ in their seed alone: which, and their mean and spread.

Options of `spikecert train` alone, group by group.
"""

import json
import os
import shlex
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..progress import Bars
from ..runs.sources import again, beside, data_of
from ..telling import say, show, show_json, table
from .options.certify_options import UNCHANGED, EventOptions
from .options.options import Data, Device, Json, Root, Seed, checked_device, number, with_groups

if TYPE_CHECKING:
    from spikecert.models import LIF
    from spikecert.reports.records.network_rules import EventRules
    from spikecert.training import Objective, TrainingRun

Folder = Annotated[Path, typer.Option("--out", help="Folder for network.safetensors, checkpoints, history.csv.")]

Seeds = Annotated[
    str | None, typer.Option(help="Several, such as 0,1,2: one folder each, mean and spread at the end.")
]
Workers = Annotated[int, typer.Option(min=1, help="Processes that train seeds beside each other.")]


@dataclass(frozen=True)
class StartOptions:
    """The network at the start; each field is the option of its name."""

    network: Annotated[str, typer.Option(help="Architecture, such as mlp:64 or mlp:128-64.")] = "mlp:64-64"
    neuron: Annotated[str, typer.Option(help="lif, dlif (learns its input scale) or plif (learns λ).")] = "dlif"
    num_steps: Annotated[int, typer.Option("--num-steps", min=1, help="T.")] = 8
    decay: Annotated[float, typer.Option(help="λ.")] = 0.99
    threshold: Annotated[float, typer.Option(help="θ.")] = 1.0
    reset: Annotated[str, typer.Option(help="zero, subtract or none.")] = "zero"

    @property
    def template(self) -> "LIF":
        """Return the neuron."""
        from spikecert.runs.building import neuron

        return neuron(self.neuron, self.num_steps, self.decay, self.threshold, self.reset)


@dataclass(frozen=True)
class ObjectiveOptions:
    """What training minimises; each field is the option of its name."""

    objective: Annotated[
        str,
        typer.Option(
            help="ms-mppd, cross-entropy, certified, s-ibp, certified-flips or certified-shift; of real targets "
            "mse or huber; with +gain-penalty, +margin-over-gain or, of real targets, +certified-moves also those."
        ),
    ] = "ms-mppd"
    rho: Annotated[float, typer.Option(help="Weight ρ of the membrane perturbation term.")] = 1.0
    noise: Annotated[str, typer.Option(help="single-step or gaussian: the perturbed copy.")] = "single-step"
    size: Annotated[
        str, typer.Option(help="Size of that perturbation; ε of the other objectives, such as 5 events.")
    ] = "4/255"
    gain_weight: Annotated[float, typer.Option("--gain-weight", help="Weight of gain-penalty.")] = 0.1
    margin_weight: Annotated[float, typer.Option("--margin-weight", help="Weight of margin-over-gain.")] = 1.0
    delta: Annotated[
        str, typer.Option(help="What certified-moves lets an output move; where huber turns straight.")
    ] = "0.1"

    def aim(self, rules: "EventRules | None") -> "Objective":
        """Return the objective; `rules` say which events change, of one that is about them."""
        from spikecert.runs import building

        weights, delta = (self.gain_weight, self.margin_weight), number(self.delta, "delta")
        return building.objective(
            self.objective, self.rho, self.noise, number(self.size, "size"), *weights, rules, delta
        )


@dataclass(frozen=True)
class SettingsOptions:
    """How it is trained: fields of `training.Settings`, with the defaults of this command."""

    epochs: Annotated[int, typer.Option(min=1)] = 20
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Over all processes.")] = 64
    learning_rate: Annotated[float | None, typer.Option("--learning-rate")] = None
    optimizer: Annotated[str, typer.Option(help="sgd or adam.")] = "adam"
    weight_decay: Annotated[float, typer.Option("--weight-decay")] = 0.0
    precision: Annotated[str, typer.Option(help="full, or bfloat16 for matrix products in training.")] = "full"
    steps_at_once: Annotated[
        int | None, typer.Option("--steps-at-once", min=1, help="Steps of activations to keep: memory for time.")
    ] = None
    accumulate: Annotated[
        int, typer.Option(min=1, help="Parts of a batch, one after another, whose gradients add up: less memory.")
    ] = 1
    through: Annotated[
        str | None,
        typer.Option(
            help="Chip whose weights losses are of, and their bits: loihi:4, xylo:8, spinnaker:8 or, say, q8.8:6."
        ),
    ] = None

    @property
    def fields(self) -> dict[str, Any]:
        """Return what `training.Settings` takes."""
        from spikecert.models.chips import ChipWeights

        if self.through is None:
            return vars(self)
        target, _, bits = self.through.partition(":")
        if bits and not bits.isdecimal():
            raise ValueError(f"through: got {self.through!r}, expected a chip and bits, such as loihi:4")
        return vars(self) | {"through": ChipWeights(target, int(bits) if bits else 8)}


START, OBJECTIVE, SETTINGS = StartOptions(), ObjectiveOptions(), SettingsOptions()


FIGURES = ("clean_accuracy", "robust_accuracy", "rmse", "certified_rmse", "certified_share", "seconds")


def chosen_seeds(text: str | None, seed: int) -> tuple[int, ...]:
    """Return the seeds that "0,1,2" names, each once; the one `seed` for None.

    Raises:
        ValueError: for a text that is no list of whole numbers from 0 on.

    >>> chosen_seeds("0,2,1,2", 7), chosen_seeds(None, 7)
    ((0, 2, 1), (7,))
    """
    if text is None:
        return (seed,)
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"seeds: got {text!r}, expected whole numbers from 0 on, such as 0,1,2")
    return tuple(dict.fromkeys(map(int, parts)))


@dataclass(frozen=True)
class Summary:
    """What the runs of several seeds found.

    Attributes:
        runs: from seed to network, picked epoch and its accuracies on the validation split.
        mean: over the seeds, of each figure that every run has.
        spread: the sample standard deviation over the seeds; None for one seed.
    """

    runs: Mapping[int, Mapping[str, Any]]
    mean: Mapping[str, float]
    spread: Mapping[str, float | None]

    def content(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return asdict(self)


def summary(runs: Mapping[int, "TrainingRun"], path: Callable[[int], Path]) -> Summary:
    """Return mean and spread of several runs; `path` says where each seed's network is."""
    rows = {seed: {**content(run, path(seed)), **_picked(run)} for seed, run in runs.items()}
    columns: dict[str, list[Any]] = {name: [row.get(name) for row in rows.values()] for name in FIGURES}
    whole = {name: values for name, values in columns.items() if None not in values}
    spread = {name: statistics.stdev(v) if len(v) > 1 else None for name, v in whole.items()}
    return Summary(rows, {name: statistics.fmean(values) for name, values in whole.items()}, spread)


def _picked(run: "TrainingRun") -> dict[str, float | None]:
    return run.best.measured


def write_summary(means: Summary, folder: Path) -> None:
    """Write seeds.json."""
    from spikecert.files import write_atomically

    write_atomically(folder / "seeds.json", json.dumps(means.content(), indent=1, allow_nan=False).encode())


def content(run: "TrainingRun", path: Path) -> dict[str, Any]:
    """Return one run as JSON-ready data."""
    from spikecert.models import network_hash

    history = [{"epoch": epoch.epoch, "loss": epoch.loss, **epoch.measured} for epoch in run.history]
    return {
        "network": str(path),
        "sha256": network_hash(run.network),
        "best_epoch": run.best_epoch,
        "seconds": run.seconds,
        "history": history,
    }


HEADS = {
    "clean_accuracy": "clean",
    "robust_accuracy": "robust",
    "rmse": "RMSE",
    "certified_rmse": "RMSE, certified",
    "certified_share": "moves at most δ",
}
"""What tables call the figures of an epoch."""


def shown(name: str, value: float | None) -> str:
    """Return a figure as text: errors in their units, all others as shares of 100."""
    return f"{value:.4g}" if value is not None and name.endswith("rmse") else percent(value)


def percent(share: float | None) -> str:
    """Return a share as per cent, a dash for None."""
    return "–" if share is None else f"{100 * share:.1f} %"


@with_groups
def train(
    out: Folder,
    data: Data = "digits",
    root: Root = None,
    start: StartOptions = START,
    aim: ObjectiveOptions = OBJECTIVE,
    events: EventOptions = UNCHANGED,
    settings: SettingsOptions = SETTINGS,
    seed: Seed = 0,
    seeds: Seeds = None,
    workers: Workers = 1,
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
    from spikecert.reports.records.network_rules import OF_NORM
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
