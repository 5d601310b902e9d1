"""Options of commands that ask no question about a network."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    Path, typer.Argument(help="A network file as written by `train`, or zoo:NAME (see `zoo`).", metavar="MODEL")
]
Root = Annotated[Path | None, typer.Option("--root", help="The folder of the data set's files.")]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Of everything random.")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1, …")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output and nothing else.")]
