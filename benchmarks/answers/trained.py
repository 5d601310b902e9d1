"""Networks that were trained: those of the zoo, and two of digits, whose weights are kept in 256ths."""

import base64
import json
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikecert import LIF, CertifiedLoss, SpikingNetwork, dataset, fit, load_zoo, mlp, zoo
from spikecert.certify.loops import controller
from spikecert.files import write_atomically

from .subjects import POOL, Subject
from .wide import digits

FILE = Path(__file__).parent / "kept" / "digits.json"
UNIT = 256
STEPS, DECAY = 8, 0.9
GIVEN = ((-1.0, -1.75),)
"""The linear controller that loops are closed with."""
TABLE = 60
"""Digits of a table."""
TABLES = {"digits 64-64-10": ((64, 64, 10), "zero"), "digits 64-32-32-10": ((64, 32, 32, 10), "subtract")}
EPSILONS = {"near": 0.02, "far": 0.04}
PIXELS, TIMES, EDGE = 8, 3, 2
"""A digit becomes an image of 28²: each pixel three times three, and an edge of two."""


@cache
def _kept() -> dict[str, list[dict[str, Any]]]:
    return json.loads(FILE.read_text(encoding="utf-8"))


def of_digits(name: str, _: bool = False) -> SpikingNetwork:
    """Return a network of digits with the weights that are kept."""
    widths, reset = TABLES[name]
    made = mlp(widths, STEPS, LIF(DECAY, 1.0, reset)).double()
    layers = [module for module in made.layers if isinstance(module, nn.Linear)]
    for layer, kept in zip(layers, _kept()[name], strict=True):
        for part in ("weight", "bias"):
            numbers = np.frombuffer(base64.b64decode(kept[part]), dtype="<i2").astype(np.float64) / UNIT
            parameter = getattr(layer, part)
            parameter.data.copy_(torch.from_numpy(numbers).reshape(parameter.shape))
    return made.eval()


def train() -> None:
    """Train the networks of digits and keep their weights: other machines may round otherwise on the way."""
    found = {}
    for name, (widths, reset) in TABLES.items():
        torch.manual_seed(0)
        network = mlp(widths, STEPS, LIF(DECAY, 1.0, reset))
        network = fit(network, dataset("digits"), CertifiedLoss(0.03, "trains"), epochs=30).network
        layers = [module for module in network.layers if isinstance(module, nn.Linear)]
        found[name] = [{part: _packed(getattr(layer, part)) for part in ("weight", "bias")} for layer in layers]
    write_atomically(FILE, (json.dumps(found, indent=0) + "\n").encode())


def _packed(parameter: Tensor) -> str:
    numbers = (parameter.detach().double() * UNIT).round().clamp(-(2**15), 2**15 - 1)
    return base64.b64encode(numbers.numpy().astype("<i2").tobytes()).decode()


@cache
def table() -> Tensor:
    """Return the first digits of the test split."""
    return dataset("digits").test.inputs[:TABLE].double()


def _images() -> Tensor:
    """Return digits as images of 28 × 28."""
    images = digits().reshape(-1, 1, PIXELS, PIXELS)
    large = images.repeat_interleave(TIMES, 2).repeat_interleave(TIMES, 3)
    return torch.nn.functional.pad(large, (EDGE,) * 4)


def _samples(data: str) -> Tensor:
    """Return the pool of a data set: of images that are downloaded, digits in their place."""
    if data in ("mnist", "fashion-mnist"):
        return _images()
    return dataset(data).test.inputs[:POOL]


def _entry(name: str, _: bool) -> SpikingNetwork:
    return load_zoo(name)


def _zoo() -> tuple[Subject, ...]:
    found = []
    for entry in zoo():
        family = "total" if entry.norm == "shift" else "linf"
        rest: dict[str, Any] = {"data": partial(_samples, entry.data), "loaded": partial(_entry, entry.name)}
        rest |= {"fixed": {family: entry.points[0].epsilon}}
        found.append(Subject(f"zoo {entry.name}", list, (), entry.num_steps, dtype=torch.float32, **rest))
    return tuple(found)


def _controller(hidden: int, _: bool) -> SpikingNetwork:
    """Return a controller of stairs, of what `asking` closes a loop with."""
    return controller(GIVEN, hidden)


ZOO = _zoo()
LOOPS = tuple(
    Subject(
        f"controller of {hidden}",
        list,
        (1,),
        1,
        dtype=torch.float32,
        data=partial(torch.zeros, 1, 1),
        loaded=partial(_controller, hidden),
        fixed={"linf": 1.0},
        asked=1,
    )
    for hidden in (8, 32)
)
DIGITS = tuple(
    Subject(
        f"{name}, {place}",
        list,
        (64,),
        STEPS,
        data=table,
        loaded=partial(of_digits, name),
        fixed={"linf": epsilon},
        asked=TABLE,
    )
    for name in TABLES
    for place, epsilon in EPSILONS.items()
)
