"""`spikecert convert`: PyTorch code or a NIR file becomes a network file, or is told layer by layer."""

import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from spikecert.asking.options import Without, command
from spikecert.asking.question import Chip, Count, ScaledSamples, Seed
from spikecert.asking.values import Mistake, Naming, Numeral, Saying, many, real, text, whole

from ..runs.sources import data_of, kept_file, loaded, network_of
from ..telling import plain, show, show_json, wrote

if TYPE_CHECKING:
    from torch import Tensor

    from spikecert.models import Conversion, SpikingNetwork
    from spikecert.models.conversion.telling import LayerTold

MOST = 64
"""Samples that are compared if nothing is said."""


@dataclass(frozen=True, kw_only=True)
class Converting(ScaledSamples):
    """What is converted, on which inputs it is compared, and to what.

    Attributes:
        source: a NIR file, or a Python object as package.module:name or file.py:name: a module, its class, or a
            function that returns one (or a pair of module and sample inputs). The whole file is run, whatever is
            in it: name only code of your own. Nothing is unpickled.
        out: the network file to write; default: none, layers and neurons are told.
        latex: without --out: equations in LaTeX, too.
        num_steps: T, for a module that does one step a call, and for NIR; default: it loops itself.
        encoding: direct: one input for all steps; none: one for each, events or frames; rate: one that the module
            draws spikes of, from 0 on; default: what NIR's inputs show.
        data: compare on its first test samples.
        samples: first test samples; default: 64, or all where fewer are.
        shape: compare on random inputs of this shape, as 1,28,28, over the whole --range.
        flat: the module takes each sample as one row: images (1, 28, 28) reach it as (784,).
        ending: before: ask about the numbers that a last tanh, sigmoid or relu is of; default: refused.
        readout: mean, spikes or potential; default: what fits.
        classes: classes of a population code: outputs are averaged in so many groups.
        dt: NIR's time step; default: the file's, or 1e-4.
        reset: NIR's reset: zero (v_reset) or subtract (the threshold); default: what the file says.
        recorded: of NIR: a .safetensors file of inputs, and of outputs that its source gave for them.
        silent: of NIR: take a layer that never fires.
        target: the build for loihi, xylo, spinnaker or q8.8, of a network file, zoo:NAME, or what was converted.
        bits: of each of its weights.
        seed: of everything random.
        json: print JSON on standard output and nothing else.
    """

    source: Annotated[str, Naming(argument=True)]
    out: Path | None = None
    latex: bool = False
    num_steps: Count | None = None
    encoding: str | None = None
    data: Annotated[str, text("a data set", longest=4096), Naming("name", "data")] = ""
    shape: Annotated[tuple[int, ...], many(whole(1), expected="positive sizes as in 1,28,28")] | None = None
    flat: bool = False
    ending: str | None = None
    readout: str | None = None
    classes: Count | None = None
    dt: Annotated[Numeral, real(above=0.0)] | None = None
    reset: str | None = None
    recorded: Path | None = None
    silent: bool = False
    chip: Chip = Chip()
    seed: Seed = 0
    json: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.latex and self.out is not None:
            raise Mistake(
                ("latex",), Saying("it beside --out"), "either: equations are told where nothing is written"
            )


@command
def convert(asked: Annotated[Converting, Without("mean", "std", "device")]) -> int:
    """Convert PyTorch code, or a NIR network, if it matches its source spike for spike; build one for a chip.

    What can't match, or is no spiking network, is refused with the line of the code and the reason: status 2. Of a
    NIR file without --recorded all verdicts, records and pages say "not confirmed by its source".
    """
    from spikecert.models import convert as converted

    if kept_file(asked.source):
        return _built(asked, network_of(Path(asked.source)))
    module, rows, count = _read(asked)
    dt, recorded = asked.dt and float(asked.dt), asked.recorded and _recorded(asked.recorded)
    given = {"dt": dt, "reset": asked.reset, "recorded": recorded, "silent": asked.silent or None}
    settings = {name: value for name, value in given.items() if value is not None}
    rest = asked.num_steps, asked.encoding, asked.readout, asked.seed, asked.classes
    made = converted(module, rows, *rest, ending=asked.ending, **settings)
    _check_classes(made, rows, count, asked.classes)
    if asked.chip.target is not None:
        return _built(asked, made.network)
    if asked.out is None:
        return _look(asked, made)
    return _write(asked, asked.out, made)


def _built(asked: Converting, network: "SpikingNetwork") -> int:
    """Write a network's build for a chip, and tell what became of each layer."""
    from spikecert.models import save
    from spikecert.models.chips import quantization

    if asked.chip.target is None:
        raise Mistake(("target",), Saying("none"), f"a chip, as {asked.source} is a network of spikecert already")
    built = quantization(network, asked.chip.target, asked.chip.bits)
    digest = None if asked.out is None else save(built.network, asked.out)
    if asked.out is not None:
        wrote(asked.out)
    rest = {"target": built.target, "bits": asked.chip.bits, "levels": built.levels, "sha256": digest}
    if asked.json:
        layers = built.text.split("\n")[1:]
        show_json({"schema": "spikecert.build/1", "source": asked.source, **rest, "layers": layers})
    else:
        show(built.text)
    return 0


def _write(asked: Converting, out: Path, made: "Conversion") -> int:
    """Write a network file and tell how its network matches the source."""
    from spikecert.models import save
    from spikecert.runs.building import flattening

    digest = save(flattening(made.network) if asked.flat else made.network, out)
    wrote(out)
    show_json(_content(asked.source, out, digest, made)) if asked.json else show(_told(asked.source, made))
    return 0


def _look(asked: Converting, made: "Conversion") -> int:
    """Tell layers and neurons."""
    from spikecert.models.conversion.telling import told_of

    layers = told_of(made.network)
    told = _inspected(asked.source, made, layers)
    show_json(told) if asked.json else show(_in_words(made, layers, asked.latex))
    return 0


def _read(asked: Converting) -> "tuple[Any, Tensor | None, int | None]":
    """Return what is named, the inputs to compare it on, and of a data set its number of classes."""
    from torch import nn

    module, own = loaded(asked.source)
    found, count = _sample(asked)
    sample = own if found is None else found
    if sample is None and isinstance(module, nn.Module):
        raise ValueError(f"shape: got neither it nor --data for {asked.source}, expected inputs to run it on")
    return module, sample.flatten(1) if asked.flat and sample is not None else sample, count


def _sample(asked: Converting) -> "tuple[Tensor | None, int | None]":
    """Return inputs and, of a data set, its number of classes."""
    import torch

    from spikecert.runs.building import first

    ends, shape = asked.limits, asked.shape
    if asked.data and shape is not None:
        raise ValueError("shape: got one besides --data, expected either")
    if asked.data:
        found = data_of(asked, limits=ends)
        return first(found.test, asked.samples or min(MOST, len(found.test))).inputs, found.classes
    if shape is None:
        return None, None
    drawn = torch.rand(asked.samples or MOST, *shape, generator=torch.Generator().manual_seed(asked.seed))
    return drawn * (ends[1] - ends[0]) + ends[0], None


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
