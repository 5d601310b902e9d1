"""`spikecert train`: a network from an architecture string, trained and saved; several seeds in one command."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..output import say, show, show_json, table
from ..progress import Bars
from ..seeds import Summary, chosen_seeds, content, percent, summary, write_summary
from .options import Data, Device, Json, Root, Seed, checked_device, number

if TYPE_CHECKING:
    from spikecert.training import TrainingRun


def train(
    out: Annotated[Path, typer.Option("--out", help="Folder for network.safetensors, checkpoints, history.csv.")],
    data: Data = "digits",
    root: Root = None,
    network: Annotated[str, typer.Option(help="Architecture, such as mlp:64 or mlp:128-64.")] = "mlp:64",
    neuron: Annotated[str, typer.Option(help="lif, dlif (learns its input scale) or plif (learns λ).")] = "dlif",
    num_steps: Annotated[int, typer.Option("--num-steps", min=1, help="T.")] = 8,
    decay: Annotated[float, typer.Option(help="λ.")] = 0.99,
    threshold: Annotated[float, typer.Option(help="θ.")] = 1.0,
    reset: Annotated[str, typer.Option(help="zero, subtract or none.")] = "zero",
    objective: Annotated[
        str,
        typer.Option(
            help="ms-mppd, cross-entropy, certified or s-ibp; with +gain-penalty or +margin-over-gain also those."
        ),
    ] = "ms-mppd",
    rho: Annotated[float, typer.Option(help="Weight ρ of the membrane perturbation term.")] = 1.0,
    noise: Annotated[str, typer.Option(help="single-step or gaussian: the perturbed copy.")] = "single-step",
    size: Annotated[str, typer.Option(help="Size of that perturbation; ε of the other objectives.")] = "4/255",
    gain_weight: Annotated[float, typer.Option("--gain-weight", help="Weight of gain-penalty.")] = 0.1,
    margin_weight: Annotated[float, typer.Option("--margin-weight", help="Weight of margin-over-gain.")] = 1.0,
    epochs: Annotated[int, typer.Option(min=1)] = 20,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Over all processes.")] = 64,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate")] = None,
    optimizer: Annotated[str, typer.Option(help="sgd or adam.")] = "adam",
    weight_decay: Annotated[float, typer.Option("--weight-decay")] = 0.0,
    precision: Annotated[str, typer.Option(help="full, or bfloat16 for matrix products in training.")] = "full",
    compiled: Annotated[bool, typer.Option(help="Run membranes by a kernel that the C compiler makes.")] = False,
    steps_at_once: Annotated[
        int | None,
        typer.Option("--steps-at-once", min=1, help="Steps of activations to keep: memory for time."),
    ] = None,
    seed: Seed = 0,
    seeds: Annotated[
        str | None, typer.Option(help="Several, such as 0,1,2: one folder each, mean and spread at the end.")
    ] = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> int:
    """Train a network; a run that was interrupted goes on from its folder.

    Under torchrun (`torchrun --nproc-per-node 2 -m spikecert train …`) the processes share each batch.
    """
    from spikecert import building
    from spikecert.training import dataset, fit
    from spikecert.training.processes import joined

    several = chosen_seeds(seeds, seed)
    samples = dataset(data, root, num_steps=num_steps)
    template = building.neuron(neuron, num_steps, decay, threshold, reset)
    aim = building.objective(objective, rho, noise, number(size, "size"), gain_weight, margin_weight)

    def one(number: int, folder: Path, bars: Bars) -> "TrainingRun":
        fresh = building.fresh_network(network, samples, num_steps, template, number)
        label = "train" if seeds is None else f"train, seed {number}"
        return fit(
            fresh,
            samples,
            aim,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            optimizer=optimizer,
            weight_decay=weight_decay,
            seed=number,
            precision=precision,
            compiled=compiled,
            steps_at_once=steps_at_once,
            folder=folder,
            progress=lambda _, done, total: bars(label, done, total),
            figures=lambda _, values: bars.figures(label, values),
            device=checked_device(device),
        )

    with joined(device) as processes, Bars() as bars:
        folders = {k: out if seeds is None else out / f"seed-{k}" for k in several}
        runs = {k: one(k, folder, bars) for k, folder in folders.items()}
    if processes.first:
        for reason in {str(run.kernel) for run in runs.values() if run.kernel.reason}:
            say(f"kernel: {reason}")
        _tell(runs, out, seeds is not None, as_json)
    return 0


def _tell(runs: dict[int, "TrainingRun"], out: Path, several: bool, as_json: bool) -> None:
    if not several:
        (run,) = runs.values()
        _tell_one(run, out / "network.safetensors", as_json)
        return
    found = summary(runs, lambda seed: out / f"seed-{seed}" / "network.safetensors")
    write_summary(found, out)
    if as_json:
        show_json(found.content())
    else:
        _tell_several(found, out)


def _tell_one(run: "TrainingRun", path: Path, as_json: bool) -> None:
    if as_json:
        show_json(content(run, path))
        return
    rows = [
        (str(epoch.epoch), f"{epoch.loss:.4f}", percent(epoch.clean_accuracy), percent(epoch.robust_accuracy))
        for epoch in run.history
    ]
    show(table(("epoch", "loss", "clean", "robust"), rows))
    say(f"epoch {run.best_epoch} was picked on the validation split")
    say(f"next: spikecert gains {shlex.quote(str(path))}")


def _tell_several(found: Summary, out: Path) -> None:
    rows = [
        (str(seed), str(run["best_epoch"]), percent(run["clean_accuracy"]), percent(run["robust_accuracy"]))
        for seed, run in found.runs.items()
    ]
    cells: list[Callable[[Any], Any]] = [found.mean.get, found.spread.get]
    ends = [(cell("clean_accuracy"), cell("robust_accuracy")) for cell in cells]
    rows += [(name, "", *map(percent, end)) for name, end in zip(("mean", "spread"), ends, strict=True)]
    show(table(("seed", "epoch", "clean", "robust"), rows))
    say(f"accuracies of the picked epochs on the validation split; all of it in {out / 'seeds.json'}")
