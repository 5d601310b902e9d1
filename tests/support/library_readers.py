"""Conversion by the readers of libraries alone, which refuse what the tracer may take by what it computes."""

from typing import Any

from torch import Tensor, nn

import spikecert
from spikecert.models import Conversion
from spikecert.models.conversion.converting import converted
from spikecert.models.conversion.libraries.plain_torch import detect
from spikecert.models.conversion.observing.observing import Source


def convert(
    source: Any,
    sample: Tensor | None = None,
    num_steps: int | None = None,
    encoding: str | None = None,
    readout: str | None = None,
    seed: int = 0,
    classes: int | None = None,
    output: str | int | None = None,
    **settings: Any,
) -> Conversion:
    """Return the network of a module as its library's reader has it; of a NIR graph as `spikecert.convert`."""
    if not isinstance(source, nn.Module) or sample is None or settings:
        told = {"readout": readout, "seed": seed, "classes": classes, "output": output, **settings}
        return spikecert.convert(source, sample, num_steps, encoding, **told)
    made = Source.of(detect(source), source, encoding or "direct", num_steps, output)
    return converted(made, sample, readout, seed, classes)
