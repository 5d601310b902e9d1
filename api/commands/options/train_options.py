"""Options of `spikecert train` alone, group by group."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import number

if TYPE_CHECKING:
    from spikecert.models import LIF
    from spikecert.reports.records.event_rules import EventRules
    from spikecert.training import Objective

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
