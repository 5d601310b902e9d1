"""`spikecert train`: a network from an architecture string, trained and saved."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..output import say, show, show_json, table
from ..progress import Bars
from .options import Data, Device, Json, Root, Seed, checked_device, number

if TYPE_CHECKING:
    from spikecert.training import TrainingRun


def train(
    out: Annotated[Path, typer.Option("--out", help="Folder for network.safetensors and checkpoints.")],
    data: Data = "digits",
    root: Root = None,
    network: Annotated[str, typer.Option(help="Architecture, such as mlp:64 or mlp:128-64.")] = "mlp:64",
    neuron: Annotated[str, typer.Option(help="lif or dlif (learnable input scale).")] = "dlif",
    num_steps: Annotated[int, typer.Option("--num-steps", min=1, help="T.")] = 8,
    decay: Annotated[float, typer.Option(help="λ.")] = 0.99,
    threshold: Annotated[float, typer.Option(help="θ.")] = 1.0,
    reset: Annotated[str, typer.Option(help="zero, subtract or none.")] = "zero",
    objective: Annotated[str, typer.Option(help="ms-mppd, cross-entropy or certified.")] = "ms-mppd",
    rho: Annotated[float, typer.Option(help="Weight ρ of the membrane perturbation term.")] = 1.0,
    noise: Annotated[str, typer.Option(help="single-step or gaussian: the perturbed copy.")] = "single-step",
    size: Annotated[str, typer.Option(help="Size of that perturbation; ε of certified.")] = "4/255",
    epochs: Annotated[int, typer.Option(min=1)] = 20,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1)] = 64,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate")] = None,
    optimizer: Annotated[str, typer.Option(help="sgd or adam.")] = "adam",
    weight_decay: Annotated[float, typer.Option("--weight-decay")] = 0.0,
    seed: Seed = 0,
    device: Device = "cpu",
    as_json: Json = False,
) -> int:
    """Train a network; a run that was interrupted goes on from its folder."""
    from spikecert import building
    from spikecert.training import dataset, fit

    samples = dataset(data, root, num_steps=num_steps)
    template = building.neuron(neuron, num_steps, decay, threshold, reset)
    fresh = building.fresh_network(network, samples, num_steps, template, seed)
    with Bars() as bars:
        run = fit(
            fresh,
            samples,
            building.objective(objective, rho, noise, number(size, "size")),
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            optimizer=optimizer,
            weight_decay=weight_decay,
            seed=seed,
            folder=out,
            progress=bars,
            device=checked_device(device),
        )
    _tell(run, out / "network.safetensors", as_json)
    return 0


def _tell(run: "TrainingRun", path: Path, as_json: bool) -> None:
    if as_json:
        show_json(_content(run, path))
        return
    rows = [
        (str(epoch.epoch), f"{epoch.loss:.4f}", _percent(epoch.clean_accuracy), _percent(epoch.robust_accuracy))
        for epoch in run.history
    ]
    show(table(("epoch", "loss", "clean", "robust"), rows))
    say(f"epoch {run.best_epoch} was picked on the validation split")
    say(f"next: spikecert gains {shlex.quote(str(path))}")


def _content(run: "TrainingRun", path: Path) -> dict[str, Any]:
    from spikecert.models import network_hash

    history = [
        {
            "epoch": epoch.epoch,
            "loss": epoch.loss,
            "clean_accuracy": epoch.clean_accuracy,
            "robust_accuracy": epoch.robust_accuracy,
        }
        for epoch in run.history
    ]
    return {
        "network": str(path),
        "sha256": network_hash(run.network),
        "best_epoch": run.best_epoch,
        "seconds": run.seconds,
        "history": history,
    }


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"
