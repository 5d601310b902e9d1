"""The network of a model file: alternating affine layers and neurons, as exact numbers.

The run that a proof is about: at every step the same input enters (direct coding), the first current is computed
once, u = v·(1 − s) is exact under a hard reset, and logits are the last affine layer of the mean over time.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .exact import Dyadic, Refused
from .files import Content, read

FORMAT = "spikecert.network/1"
MOST_STEPS = 256
STEEPEST = Fraction(1, 2**20)
"""The least λ^(T−1) behind the first layer: prices are given over that."""


FIELDS = {"type", "num_steps", "decay", "threshold", "reset", "reset_amount", "fires_at", "surrogate"}
"""What a neuron's description may hold: what this checker does not know, it must not pass over."""


@dataclass(frozen=True)
class Arithmetic:
    """IEEE arithmetic of the run: |fl(x∘y) − x∘y| ≤ unit·|x∘y| + tiny, without overflow below `largest`."""

    unit: Fraction
    tiny: Fraction
    largest: Fraction

    def gamma(self, terms: int) -> Fraction:
        """Return a bound of n·u/(1 − n·u), the relative error of a sum of n products in any order, fused or not.

        With n·u ≤ 1/2 it is at most n·u·(1 + 2n·u).
        """
        product = terms * self.unit
        if 2 * product > 1:
            raise Refused(f"unknown: a sum of {terms} terms has no useful error bound in this dtype")
        return product * (1 + 2 * product)


ARITHMETIC = {
    np.dtype("<f4"): Arithmetic(Fraction(1, 2**24), Fraction(1, 2**126), Fraction(2**120)),
    np.dtype("<f8"): Arithmetic(Fraction(1, 2**53), Fraction(1, 2**1022), Fraction(2**1000)),
}


@dataclass(frozen=True)
class Affine:
    """x ↦ W·x + b, W (n, m), b (n,)."""

    weight: Dyadic
    bias: Dyadic


@dataclass(frozen=True)
class Neuron:
    """v[t] = λ·u[t−1] + a[t]·I[t], fires at θ; a subtracting reset takes `drop`; `scale` is a, T numbers."""

    decay: Fraction
    threshold: Fraction
    reset: str
    drop: Fraction
    scale: tuple[Fraction, ...]


@dataclass(frozen=True)
class Network:
    """affine[0], neurons[0], affine[1], …, affine[D], and the mean over `steps`."""

    digest: str
    steps: int
    arithmetic: Arithmetic
    affine: tuple[Affine, ...]
    neurons: tuple[Neuron, ...]


def read_network(path: Path) -> Network:
    """Return the network of a file.

    Raises:
        Refused: for a damaged file, or a network that has no proof form here.
    """
    content = read(path, FORMAT)
    try:
        return _network(content)
    except Refused as error:
        raise Refused(f"{path.name}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refused(f"{path.name}: describes no network that is known here") from error


def _network(content: Content) -> Network:
    steps, layers = content.text["num_steps"], content.text["layers"]
    if not isinstance(steps, int) or not 1 <= steps <= MOST_STEPS:
        raise Refused(f"num_steps: got {steps!r}, expected 1 to {MOST_STEPS}")
    for key, expected in (("encoding", "direct"), ("readout", "mean")):
        if content.text[key] != expected:
            raise Refused(f"unknown: no proof form for {key} {content.text[key]!r}")
    kinds = {tensor.dtype for tensor in content.tensors.values()}
    if len(kinds) != 1 or not kinds <= ARITHMETIC.keys():
        raise Refused("unknown: no proof form for weights that are not all float32 or all float64")
    kept = [(f"layers.{index}", layer) for index, layer in enumerate(layers) if not _flattens(layer)]
    wanted = [("Linear",) if index % 2 == 0 else ("LIF", "DLIF") for index in range(len(kept))]
    for (_, layer), known in zip(kept, wanted, strict=True):
        if layer["type"] not in known:
            raise Refused(f"unknown: no proof form for a {layer['type']} where {' or '.join(known)} is expected")
    if len(kept) < 3 or len(kept) % 2 == 0:
        raise Refused("unknown: no proof form for a network that is not Linear, neuron, …, Linear")
    affine = tuple(_affine(content.tensors, *pair) for pair in kept[::2])
    neurons = tuple(_neuron(content.tensors, *pair, steps) for pair in kept[1::2])
    for neuron in neurons[1:]:
        if neuron.reset != "zero":
            raise Refused(f'unknown: no proof form for reset "{neuron.reset}" behind the first layer')
        if neuron.decay ** (steps - 1) < STEEPEST:
            raise Refused(f"unknown: no proof form for a decay of {float(neuron.decay):g} behind the first layer")
    for one, two in pairwise(affine):
        if one.weight.shape[0] != two.weight.shape[1]:
            raise Refused("has layers of sizes that do not fit")
    return Network(content.digest, steps, ARITHMETIC[kinds.pop()], affine, neurons)


def _flattens(layer: dict[str, Any]) -> bool:
    return layer["type"] == "Flatten" and layer["start_dim"] == 1 and layer["end_dim"] == -1


def _affine(tensors: dict[str, np.ndarray], name: str, layer: dict[str, Any]) -> Affine:
    weight = tensors[f"{name}.weight"]
    bias = tensors[f"{name}.bias"] if layer["bias"] else np.zeros(len(weight))
    if weight.ndim != 2 or bias.shape != weight.shape[:1]:
        raise Refused(f"{name}: has a weight and a bias of sizes that do not fit")
    return Affine(Dyadic.of(weight, f"{name}.weight"), Dyadic.of(bias, f"{name}.bias"))


def _neuron(tensors: dict[str, np.ndarray], name: str, layer: dict[str, Any], steps: int) -> Neuron:
    if not layer.keys() <= FIELDS:
        raise Refused(f"unknown: no proof form for a neuron with {', '.join(sorted(layer.keys() - FIELDS))}")
    decay, threshold = float(layer["decay"]), float(layer["threshold"])
    drop = float(layer.get("reset_amount", threshold))
    if not (0.0 <= decay <= 1.0 and 0.0 < threshold < 1e30 and layer["reset"] in ("zero", "subtract", "none")):
        raise Refused(f"{name}: has constants outside their range")
    if not 0.0 < drop < 1e30 or ("reset_amount" in layer and layer["reset"] != "subtract"):
        raise Refused(f"{name}: has a reset_amount that does not fit")
    scale = tensors[f"{name}.input_scale"] if layer["type"] == "DLIF" else np.ones(steps)
    if scale.shape != (steps,) or not np.isfinite(scale).all():
        raise Refused(f"{name}: has an input scale that does not fit")
    factors = tuple(map(Fraction, scale.tolist()))
    return Neuron(Fraction(decay), Fraction(threshold), layer["reset"], Fraction(drop), factors)
