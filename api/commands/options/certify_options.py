"""Options of `spikecert certify` alone, group by group."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from .options import ATTACKS, completed

# What is asked besides proofs.
Attacks = Annotated[
    list[str] | None,
    typer.Option(
        "--attack", autocompletion=completed(ATTACKS), help="Also attack: see `attack --method`; repeatable."
    ),
]
Radii = Annotated[bool, typer.Option("--radii", help="Also bracket each sample's radius, by the last verifier.")]
Tolerance = Annotated[str, typer.Option(help="Width at which a radius counts as exact.")]
Gains = Annotated[bool, typer.Option(help="Also report gains, and the growth measured beside them.")]
ProofFolder = Annotated[
    Path | None, typer.Option(help="Folder for a proof of each verified sample, for check-proof.")
]

AskedProperty = Annotated[
    str | None,
    typer.Option(
        "--property",
        help="What must hold in place of the class: moves=.1, top-k=3, targeted=7, robust, abstains=.2, or "
        'inequalities such as "Y0 - 2*Y1 <= 0.3" (Y outputs, X inputs, S the sample\'s own outputs; &, |, abs).',
    ),
]

MovesAtMost = Annotated[
    str | None,
    typer.Option("--moves-at-most", help="That no output moves by more than this: --property moves=… in short."),
]

Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        help="Certify the build for a chip, loihi, xylo, spinnaker or q8.8, in whole numbers; ε counts units "
        "of its inputs (0 to 255, or what the chip takes).",
    ),
]
Bits = Annotated[int, typer.Option("--bits", min=2, max=8, help="Of each weight, with --target.")]

# How long it may take, and what must come out.
Timeout = Annotated[float | None, typer.Option(help="Seconds for a sample, on average.")]
Memory = Annotated[
    str | None,
    typer.Option(help="What open nodes and batches of a search may take, such as 4GiB; default: about 2GiB."),
]
RequireCertified = Annotated[
    str | None, typer.Option("--require-certified", help="Status 1 below this share, such as 0.9.")
]


@dataclass(frozen=True)
class FleetOptions:
    """Who decides the batches, and where they are kept; each field is the option of its name."""

    engine: Annotated[
        str | None, typer.Option(help="Fan out: local (processes) or ray (machines); default: this process.")
    ] = None
    workers: Annotated[int | None, typer.Option(min=1, help="Batches decided at once.")] = None
    resume: Annotated[
        Path | None, typer.Option(help="Folder that keeps finished batches; a killed run goes on from it.")
    ] = None
    ray_address: Annotated[
        str | None, typer.Option("--ray-address", help="Of the cluster: auto, HOST:6379, ray://HOST:10001.")
    ] = None


NO_FLEET = FleetOptions()
