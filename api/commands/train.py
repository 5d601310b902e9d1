"""`spikecert train`: a network from an architecture string, trained and saved; several seeds in one command.

Several training runs that differ in their seed alone: which, and their mean and spread.
"""

import json
import os
import shlex
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from spikecert.asking.boxes import FEATURES, OwnFeatures
from spikecert.asking.options import Without, command, typed
from spikecert.asking.question import ARRAYS, TABLES, Count, ScaledSamples, Seed
from spikecert.asking.run_files import TrainStep
from spikecert.asking.values import Mistake, Naming, Saying, many, whole

from ..progress import Bars
from ..runs.sources import beside, data_of
from ..telling import say, show, show_json, table

if TYPE_CHECKING:
    from spikecert.models import SpikingNetwork
    from spikecert.training import Dataset, TrainingRun


@dataclass(frozen=True, kw_only=True)
class Runs(ScaledSamples):
    """On which samples it is trained, with which seeds, and where the networks go.

    Attributes:
        features: a TOML file with a table for each feature (`spikecert data draft`): it then takes their units.
        out: folder for network.safetensors, checkpoints, history.csv.
        seed: of everything random.
        seeds: several, such as 0,1,2: one folder each, mean and spread at the end.
        workers: seeds that train beside each other.
        json: print JSON on standard output and nothing else.
    """

    features: Annotated[OwnFeatures | None, FEATURES, Naming(forms=(*TABLES, *ARRAYS))] = None
    out: Path
    seed: Seed = 0
    seeds: Annotated[tuple[int, ...], many(whole(), expected="whole numbers from 0 on, such as 0,1,2")] | None = (
        None
    )
    workers: Count = 1
    json: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features is not None and self.range is not None:
            raise Mistake(("range",), Saying("it beside features"), "none: the features tell it")

    @property
    def ends(self) -> tuple[float, float] | None:
        """Return between which ends all inputs lie; None where the data say it."""
        if self.features:
            ends = [float(end) for feature in self.features for end in feature.range]
            return min(ends), max(ends)
        return None if self.range is None else self.limits

    @property
    def each(self) -> tuple[int, ...]:
        """Return the seeds, each once."""
        return (self.seed,) if self.seeds is None else tuple(dict.fromkeys(self.seeds))


FIGURES = ("clean_accuracy", "robust_accuracy", "rmse", "certified_rmse", "certified_share", "seconds")


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


EVENTS = ("certified-flips", "certified-shift")
"""Objectives that ask which events change."""


@command
def train(step: TrainStep, asked: Annotated[Runs, Without("samples", "mean", "std")]) -> int:
    """Train a network; a run that was interrupted goes on from its folder.

    Under torchrun (`torchrun --nproc-per-node 2 -m spikecert train …`) the processes share each batch.
    """
    from spikecert.runs import building
    from spikecert.training.processes import joined

    several = asked.seeds is not None
    if asked.workers > 1 and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise Mistake(("workers",), asked.workers, "1 under torchrun: its processes share each batch")
    kept = building.kept_network(step)
    samples = data_of(asked, step.num_steps if kept is None else kept.num_steps, asked.ends, asked.features)
    folders = {k: asked.out / f"seed-{k}" if several else asked.out for k in asked.each}
    features = _features(asked, samples)
    with joined(asked.device) as processes, Bars() as bars:
        if asked.workers > 1 and len(folders) > 1:
            _beside(step, asked, folders, bars)
        runs = {
            k: _trained(step, kept, samples, k, folder, asked, features, bars) for k, folder in folders.items()
        }
    if processes.first:
        _tell(runs, asked, samples, features)
    return 0


vars(train)["forms"] |= {name: EVENTS for name in train.__annotations__ if name.startswith("step__events__")}


def _features(asked: Runs, samples: "Dataset") -> OwnFeatures | None:
    """Say what a table holds, and return the features that are said or drafted."""
    from spikecert.runs import describing

    features, drafted = asked.features, ()
    if features is None and describing.drafts_features(asked, samples):
        features, drafted = describing.drafted_features(samples)
    if asked.data.lower().endswith(TABLES) and not asked.json:
        say(describing.data_in_words(samples, drafted))
    return features


def _trained(
    step: TrainStep,
    kept: "SpikingNetwork | None",
    samples: "Dataset",
    number: int,
    folder: Path,
    asked: Runs,
    features: OwnFeatures | None,
    bars: Bars,
) -> "TrainingRun":
    """Train with one seed, a new network or one that is there."""
    from spikecert.runs import building

    label = "train" if asked.seeds is None else f"train, seed {number}"
    return building.trained(
        step,
        samples,
        number,
        folder,
        features,
        kept,
        progress=lambda _, done, total: bars(label, done, total),
        figures=lambda _, values: bars.figures(label, values),
        device=building.checked_device(asked.device),
    )


def _beside(step: TrainStep, asked: Runs, folders: dict[int, Path], bars: Bars) -> None:
    """Train each seed in a process of its own; `fit` then finds their folders finished."""
    import torch

    from spikecert.runs.building import SCALED
    from spikecert.training.journal import epochs_of

    def look() -> None:
        for seed, folder in folders.items():
            bars(f"train, seed {seed}", max(epochs_of(folder), epochs_of(folder / SCALED)), step.epochs)

    own = [replace(asked, seed=k, seeds=None, workers=1, out=folder, json=False) for k, folder in folders.items()]
    commands = [shlex.split(typed("train", step, one))[1:] for one in own]
    beside(commands, asked.workers, max(1, torch.get_num_threads() // asked.workers), look)


def _next(path: Path, asked: Runs, samples: "Dataset") -> str:
    """Return the command that asks what the network is good for, about the data that are described beside it."""
    quoted = shlex.quote(str(path))
    if ":" in asked.data:  # code is described nowhere
        about = typed("", ScaledSamples(data=asked.data, range=asked.range)).removeprefix("spikecert ").strip()
        quoted = f"{quoted} {about}"
    if samples.test.real:
        return f"range {quoted}"
    return f"certify {quoted} --samples {min(100, len(samples.test))}"


def _tell(runs: dict[int, "TrainingRun"], asked: Runs, samples: "Dataset", features: OwnFeatures | None) -> None:
    """Describe the data beside each network, and say what training came to."""
    from spikecert.runs.describing import describe

    out, as_json = asked.out, asked.json
    for seed in runs:
        describe(asked, samples, features, out if asked.seeds is None else out / f"seed-{seed}")
    if asked.seeds is None:
        (run,) = runs.values()
        path = out / "network.safetensors"
        _tell_one(run, path, as_json)
        if not as_json:
            say(f"next: spikecert {_next(path, asked, samples)}")
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
