"""`spikecert inspect`: what a module computes, in words and in LaTeX, before anything is proven of it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..output import plain, show, show_json
from ..runs.sources import loaded
from .convert import Source, sample_of
from .options.options import Json, Root, Samples, Seed

if TYPE_CHECKING:
    from spikecert.models import Conversion
    from spikecert.models.conversion.telling import LayerTold


def inspect(
    source: Source,
    num_steps: Annotated[
        int | None,
        typer.Option(min=1, help="T, for a module that does one step a call; default: it loops itself."),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="direct: one input for all steps; none: one for each, events or frames.")
    ] = None,
    data: Annotated[str | None, typer.Option("--data", help="Compare on its first test samples.")] = None,
    root: Root = None,
    samples: Samples = 64,
    shape: Annotated[str | None, typer.Option(help="Compare on random inputs of this shape, as 1,28,28.")] = None,
    latex: Annotated[bool, typer.Option("--latex", help="Print the equations in LaTeX, too.")] = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> int:
    """Tell the layers and neurons of any PyTorch code, by what it computes. The code of a Python SOURCE is run.

    What is no spiking network is refused with the line of the code and the reason: status 2.
    """
    from torch import nn

    from spikecert.models import convert as converted
    from spikecert.models.conversion.telling import told_of

    module, own = loaded(source)
    asked, _ = sample_of(data, root, samples, shape, seed)
    sample = own if asked is None else asked
    if sample is None and isinstance(module, nn.Module):
        raise ValueError(f"shape: got neither it nor --data for {source}, expected inputs to run it on")
    made = converted(module, sample, num_steps, encoding, seed=seed)
    layers = told_of(made.network)
    show_json(_content(source, made, layers)) if as_json else show(_told(made, layers, latex))
    return 0


def _content(source: str, made: "Conversion", layers: "tuple[LayerTold, ...]") -> dict[str, Any]:
    return {
        "schema": "spikecert.inspection/1",
        "source": source,
        "num_steps": made.network.num_steps,
        "layers": [{"name": layer.name, "words": layer.words, "latex": layer.latex} for layer in layers],
        "firing_rates": list(made.check.rates),
        "notes": list(made.notes),
    }


def _told(made: "Conversion", layers: "tuple[LayerTold, ...]", latex: bool) -> str:
    lines: list[str] = []
    for layer in layers:
        lines.append(f"{layer.name}: {layer.words}")
        lines += [f"    {layer.latex}"] if latex and layer.latex else []
    return "\n".join(map(plain, [*lines, *(f"* {note}" for note in made.notes)]))
