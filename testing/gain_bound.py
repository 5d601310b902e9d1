"""Does a gain bound what it says it bounds?"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..analysis import GainReport, gain
from ..analysis.operators import INPUT, layer_operators
from ..analysis.patterns import trace_mppd
from ..models.networks import SpikingNetwork
from ..models.validation import check_inputs
from .claims.code import repeatable
from .refuted import Refuted
from .stated import as_stated

ORDERS = {"l1": 1.0, "l2": 2.0, "linf": math.inf}
SLACK = 1e-11
"""Rounding of the float64 runs, of the largest current, for each neuron and step."""


@dataclass(frozen=True)
class _LayerSizes:
    """One spiking layer of one pair of runs: sizes per sample, (batch,)."""

    incoming: Tensor
    simplified: Tensor
    exact: Tensor
    alike: Tensor
    rounding: float


@repeatable
@torch.no_grad()
def check_gain_bound(
    network: SpikingNetwork,
    clean: Tensor,
    perturbed: Tensor,
    gains: GainReport | Sequence[float] | None = None,
    *,
    input_norm: str = "l2",
    output_norm: str = "l2",
) -> tuple[float, ...]:
    """Check ‖ε‖_q ≤ gain·‖Δs‖_p of each spiking layer, and ‖ϑ‖_q ≤ gain·‖Δs‖_p where its trains agree.

    ε is the simplified dynamics, ϑ the true difference of potentials, Δs the difference of all signals that the
    layer reads. Where a layer's trains differ nothing is claimed of ϑ, and nothing is checked.

    Args:
        network: any network; it is run in float64.
        clean, perturbed: inputs of one shape, in the network's dtype.
        gains: a `GainReport`, which brings its own norms, or one number for each spiking layer; default: `gain`.
        input_norm, output_norm: p and q: "l1", "l2" or "linf", of whole signals (time and neurons).

    Returns:
        For each spiking layer the greatest ‖ε‖_q / ‖Δs‖_p that was seen: a lower end of the true gain.

    Raises:
        Refuted: with the layer and both numbers; its `witness` is the perturbed input.
        TypeError, ValueError: for inputs or gains that don't fit.

    References: theorem "layer-gain"
    """
    check_inputs(network, clean)
    check_inputs(network, perturbed)
    features = tuple(clean.shape[2 if network.timed else 1 :])
    if gains is None:
        gains = gain(network, input_norm, output_norm, input_shape=features)
    if isinstance(gains, GainReport):
        input_norm, output_norm = gains.input_norm, gains.output_norm
        gains = [layer.gain for layer in gains.layers]
    if len(gains) != len(network.neurons):
        raise ValueError(f"gains: got {len(gains)}, expected {len(network.neurons)}, one for each spiking layer")
    layers = _layers(network, clean, perturbed, features, ORDERS[input_norm], ORDERS[output_norm])
    for index, (layer, bound) in enumerate(zip(layers, gains, strict=True)):
        _check(layer, float(bound), index, perturbed)
    return tuple(_ratio(layer) for layer in layers)


def _layers(
    network: SpikingNetwork, clean: Tensor, perturbed: Tensor, features: tuple[int, ...], p: float, q: float
) -> list[_LayerSizes]:
    double = copy.deepcopy(network).double().eval()
    stated = as_stated(double)
    pair = clean.double(), perturbed.double()
    one, two = (double.trace(batch) for batch in pair)
    mppd = trace_mppd(stated, one, two, include_input_scale=True)
    signals = {INPUT: double.encode(pair[0]) - double.encode(pair[1])}
    signals |= {k: one.spikes[k] - two.spikes[k] for k in range(len(double.neurons))}
    read = [
        tuple(item.signals) for item in layer_operators(stated, features, filters=True) if item.rule is not None
    ]
    return [
        _LayerSizes(
            torch.cat([_rows(signals[source], double.num_steps) for source in read[k]], 1).norm(p, dim=1),
            _rows(mppd.simplified[k]).norm(q, dim=1),
            _rows(mppd.exact[k]).norm(q, dim=1),
            ~_rows(signals[k]).any(1),
            SLACK * one.potentials[k][:, 0].numel() * _largest(double, k, one.currents[k], two.currents[k]),
        )
        for k in range(len(double.neurons))
    ]


def _rows(signal: Tensor, steps: int | None = None) -> Tensor:
    """Return (T, batch, ...) as (batch, T·...), a constant signal repeated."""
    repeated = signal if steps is None else signal.expand(steps, *signal.shape[1:])
    return repeated.transpose(0, 1).flatten(1)


def _largest(network: SpikingNetwork, layer: int, *currents: Tensor) -> float:
    """Return the size of the numbers whose difference is taken."""
    scale = network.neurons[layer].scale(network.num_steps)
    factor = 1.0 if scale is None else float(scale.abs().max())
    return network.num_steps * max(1.0, factor) * max(1.0, *(float(item.abs().max()) for item in currents))


def _check(layer: _LayerSizes, bound: float, index: int, perturbed: Tensor) -> None:
    allowed = bound * layer.incoming * (1 + SLACK) + layer.rounding
    claims = (("‖ε‖", layer.simplified), ("‖ϑ‖, trains alike,", torch.where(layer.alike, layer.exact, 0.0)))
    for name, size in claims:
        over = (size > allowed).nonzero().flatten().tolist()
        if over:
            numbers = f"{name} is {float(size[over[0]]):.6g}, ‖Δs‖ is {float(layer.incoming[over[0]]):.6g}"
            message = f"spiking layer {index}, sample {over[0]}: {numbers}, more than gain {bound:.6g}"
            raise Refuted(message, perturbed[over[0]])


def _ratio(layer: _LayerSizes) -> float:
    moved = layer.incoming > 0
    return float((layer.simplified[moved] / layer.incoming[moved]).max()) if bool(moved.any()) else 0.0
