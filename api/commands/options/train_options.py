"""Options of `spikecert train` alone, group by group."""

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Option("--out", help="Folder for network.safetensors, checkpoints, history.csv.")]

# The network.
Architecture = Annotated[str, typer.Option(help="Architecture, such as mlp:64 or mlp:128-64.")]
Neuron = Annotated[str, typer.Option(help="lif, dlif (learns its input scale) or plif (learns λ).")]
NumSteps = Annotated[int, typer.Option("--num-steps", min=1, help="T.")]
Decay = Annotated[float, typer.Option(help="λ.")]
Threshold = Annotated[float, typer.Option(help="θ.")]
Reset = Annotated[str, typer.Option(help="zero, subtract or none.")]

# The objective.
Objective = Annotated[
    str,
    typer.Option(
        help="ms-mppd, cross-entropy, certified, s-ibp, certified-flips or certified-shift; with +gain-penalty or "
        "+margin-over-gain also those."
    ),
]
Rho = Annotated[float, typer.Option(help="Weight ρ of the membrane perturbation term.")]
Noise = Annotated[str, typer.Option(help="single-step or gaussian: the perturbed copy.")]
Size = Annotated[str, typer.Option(help="Size of that perturbation; ε of the other objectives, such as 5 events.")]
GainWeight = Annotated[float, typer.Option("--gain-weight", help="Weight of gain-penalty.")]
MarginWeight = Annotated[float, typer.Option("--margin-weight", help="Weight of margin-over-gain.")]

# The optimiser.
Epochs = Annotated[int, typer.Option(min=1)]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1, help="Over all processes.")]
LearningRate = Annotated[float | None, typer.Option("--learning-rate")]
Optimizer = Annotated[str, typer.Option(help="sgd or adam.")]
WeightDecay = Annotated[float, typer.Option("--weight-decay")]

# How it runs.
Precision = Annotated[str, typer.Option(help="full, or bfloat16 for matrix products in training.")]
Compiled = Annotated[bool, typer.Option(help="Run membranes by a kernel that the C compiler makes.")]
StepsAtOnce = Annotated[
    int | None, typer.Option("--steps-at-once", min=1, help="Steps of activations to keep: memory for time.")
]
Accumulate = Annotated[
    int, typer.Option(min=1, help="Parts of a batch, one after another, whose gradients add up: less memory.")
]
Seeds = Annotated[
    str | None, typer.Option(help="Several, such as 0,1,2: one folder each, mean and spread at the end.")
]
Workers = Annotated[int, typer.Option(min=1, help="Processes that train seeds beside each other.")]
