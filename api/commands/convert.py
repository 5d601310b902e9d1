"""`spikecert convert`: PyTorch code or a NIR file becomes a network file; `spikecert inspect` tells what it is."""

import reprlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..runs.sources import data_of, loaded
from ..telling import plain, say, show, show_json
from .options.options import Json, Range, Root, Seed, first, scale

if TYPE_CHECKING:
    from torch import Tensor

    from spikecert.models import Conversion
    from spikecert.models.conversion.telling import LayerTold

Source = Annotated[
    str,
    typer.Argument(
        help="A NIR file, or a Python object as package.module:name or file.py:name: a module, its class, or a "
        "function that returns one (or a pair of module and sample inputs). The whole file is run, whatever is in "
        "it: name only code of your own. Nothing is unpickled.",
        metavar="SOURCE",
    ),
]
MOST = 64
"""Samples that are compared if nothing is said."""
Shape = Annotated[
    str | None, typer.Option(help="Compare on random inputs of this shape, as 1,28,28, over the whole --range.")
]
Compared = Annotated[
    int | None, typer.Option("--samples", min=1, help="First test samples; default: 64, or all where fewer are.")
]
Flat = Annotated[
    bool,
    typer.Option("--flat", help="The module takes each sample as one row: images (1, 28, 28) reach it as (784,)."),
]
Ending = Annotated[
    str | None,
    typer.Option(help="before: ask about the numbers that a last tanh, sigmoid or relu is of; default: refused."),
]


def convert(
    source: Source,
    out: Annotated[Path, typer.Option("--out", help="The network file to write.")],
    num_steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="T, for a module that does one step a call, and for NIR; default: it loops itself."
        ),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            help="direct: one input for all steps; none: one for each; rate: one that the module draws spikes of, "
            "from 0 on; default: what NIR's inputs show."
        ),
    ] = None,
    readout: Annotated[str | None, typer.Option(help="mean, spikes or potential; default: what fits.")] = None,
    data: Annotated[str | None, typer.Option("--data", help="Compare on its first test samples.")] = None,
    root: Root = None,
    limits: Range = None,
    samples: Compared = None,
    shape: Shape = None,
    flat: Flat = False,
    classes: Annotated[
        int | None,
        typer.Option(min=1, help="Classes of a population code: outputs are averaged in so many groups."),
    ] = None,
    dt: Annotated[float | None, typer.Option(help="NIR's time step; default: the file's, or 1e-4.")] = None,
    reset: Annotated[
        str | None,
        typer.Option(help="NIR's reset: zero (v_reset) or subtract (the threshold); default: what the file says."),
    ] = None,
    recorded: Annotated[
        Path | None,
        typer.Option(help="Of NIR: a .safetensors file of inputs, and of outputs that its source gave for them."),
    ] = None,
    silent: Annotated[bool, typer.Option("--silent", help="Of NIR: take a layer that never fires.")] = False,
    ending: Ending = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> int:
    """Convert any PyTorch code, or a NIR network, if it matches its source spike for spike.

    What can't match is refused with the reason: status 2. Of a NIR file without --recorded all verdicts, records
    and pages say "not confirmed by its source".
    """
    from torch import nn

    from spikecert.models import convert as converted
    from spikecert.models import save
    from spikecert.runs.building import flattening

    module, own = loaded(source)
    asked, count = _sample(data, root, samples, shape, limits, seed)
    sample = own if asked is None else asked
    if sample is None and isinstance(module, nn.Module):
        raise ValueError(f"shape: got neither it nor --data for {source}, expected inputs to compare it on")
    given = {"dt": dt, "reset": reset, "recorded": recorded and _recorded(recorded), "silent": silent or None}
    settings = {name: value for name, value in given.items() if value is not None}
    rows = sample.flatten(1) if flat and sample is not None else sample
    made = converted(module, rows, num_steps, encoding, readout, seed, classes, ending=ending, **settings)
    _check_classes(made, rows, count, classes)
    digest = save(flattening(made.network) if flat else made.network, out)
    say(f"wrote {shlex.quote(str(out))}")
    show_json(_content(source, out, digest, made)) if as_json else show(_told(source, made))
    return 0


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
    limits: Range = None,
    samples: Compared = None,
    shape: Shape = None,
    flat: Flat = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print the equations in LaTeX, too.")] = False,
    ending: Ending = None,
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
    asked, _ = _sample(data, root, samples, shape, limits, seed)
    sample = own if asked is None else asked
    if sample is None and isinstance(module, nn.Module):
        raise ValueError(f"shape: got neither it nor --data for {source}, expected inputs to run it on")
    rows = sample.flatten(1) if flat and sample is not None else sample
    made = converted(module, rows, num_steps, encoding, seed=seed, ending=ending)
    layers = told_of(made.network)
    show_json(_inspected(source, made, layers)) if as_json else show(_in_words(made, layers, latex))
    return 0


def _sample(
    data: str | None, root: Path | None, samples: int | None, shape: str | None, limits: str | None, seed: int
) -> "tuple[Tensor | None, int | None]":
    """Return inputs and, of a data set, its number of classes."""
    import torch

    if data is not None and shape is not None:
        raise ValueError("shape: got one besides --data, expected either")
    ends = scale(limits, None, None).limits
    if data is not None:
        found = data_of(data, root, limits=ends)
        return first(found.test, samples or min(MOST, len(found.test))).inputs, found.classes
    if shape is None:
        return None, None
    sizes = shape.split(",")
    if not all(size.strip().isdigit() and int(size) > 0 for size in sizes):
        raise ValueError(f"shape: got {shape!r}, expected positive sizes as in 1,28,28")
    drawn = torch.rand(samples or MOST, *map(int, sizes), generator=torch.Generator().manual_seed(seed))
    return drawn * (ends[1] - ends[0]) + ends[0] if limits is not None else drawn, None


def _recorded(path: Path) -> "tuple[Tensor, Tensor]":
    """Return inputs and outputs that were recorded in a network's source."""
    from spikecert.models.files.storage import read_state

    held = read_state(path, "recorded")
    if held.keys() != {"inputs", "outputs"}:
        raise ValueError(f"recorded: {path} holds {reprlib.repr(sorted(held))}, expected inputs and outputs")
    return held["inputs"], held["outputs"]


def _check_classes(made: "Conversion", sample: "Tensor | None", count: int | None, classes: int | None) -> None:
    """Raise ValueError where a network has more outputs than its data have classes, and nobody says why."""
    import torch

    if count is None or sample is None or classes is not None:
        return
    with torch.no_grad():
        outputs = made.network(sample[:1].to(made.network.dtype)).shape[1]
    if outputs > count:
        expected = f"--classes {count} for a population code, or data of {outputs} classes"
        raise ValueError(f"classes: got {outputs} outputs for data of {count} classes, expected {expected}")


def _content(source: str, out: Path, digest: str, made: "Conversion") -> dict[str, Any]:
    check = made.check
    return {
        "schema": "spikecert.conversion/1",
        "source": source,
        "network": str(out),
        "sha256": digest,
        "samples": check.samples,
        "num_steps": check.num_steps,
        "spikes": check.spikes,
        "mismatches": list(check.mismatches),
        "firing_rates": list(check.rates),
        "output_error": check.output_error,
        "notes": list(made.notes),
    }


def _told(source: str, made: "Conversion") -> str:
    check = made.check
    head = (
        f"{source}: {check.spikes} spikes of {check.layers} layers on {check.samples} inputs, all the same; "
        f"outputs within {check.output_error:.1e}"
    )
    rates = "firing rates: " + ", ".join(f"{rate:.3f}" for rate in check.rates)
    return "\n".join(map(plain, [head, rates, *(f"* {note}" for note in made.notes)]))


def _inspected(source: str, made: "Conversion", layers: "tuple[LayerTold, ...]") -> dict[str, Any]:
    return {
        "schema": "spikecert.inspection/1",
        "source": source,
        "num_steps": made.network.num_steps,
        "layers": [{"name": layer.name, "words": layer.words, "latex": layer.latex} for layer in layers],
        "firing_rates": list(made.check.rates),
        "notes": list(made.notes),
    }


def _in_words(made: "Conversion", layers: "tuple[LayerTold, ...]", latex: bool) -> str:
    lines: list[str] = []
    for layer in layers:
        lines.append(f"{layer.name}: {layer.words}")
        lines += [f"    {layer.latex}"] if latex and layer.latex else []
    return "\n".join(map(plain, [*lines, *(f"* {note}" for note in made.notes)]))
