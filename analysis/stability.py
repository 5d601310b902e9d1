"""A network's stability report: gains, pattern-preserving radii, threshold margins, and measured growth.

One LMI for the surrogate network of a dense spiking network, or a sentence on why there is none.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..models import SpikingNetwork, Trace
from ..models.circuit import circuit, leaky_rules
from ..models.rules import plain
from ..models.validation import check_inputs, check_repeatable
from .arithmetic import multiply_up
from .gains.gains import GainReport, LayerGain, gain
from .lmi import LARGEST_CHAIN, ChainCertificate, SolverError, chain_gain, chain_rows
from .operators import INPUT
from .patterns import Perturbation, pattern_radius, trace_mppd

NOT_ASKED = "The LMI of the surrogate network was not asked for (surrogate=True)."


def surrogate_chain(
    network: SpikingNetwork, gains: GainReport, largest: int = LARGEST_CHAIN
) -> tuple[ChainCertificate | None, str]:
    """Return a checked certificate of the surrogate network's ℓ2 gain, and "", or None and why there is none.

    Args:
        network: any network.
        gains: its ℓ2 gains over any horizon.
        largest: the most rows that the LMI may have.
    """
    if (why := _obstacle(gains, largest)) is not None:
        return None, f"No LMI for the surrogate network: {why}."
    dense = [item.dense for item in gains.operators]
    weights = [item.weight.cpu().numpy() for item in dense if item is not None]
    slopes = surrogate_slopes(network)
    decays, scales = zip(*((layer.decay, layer.input_scale) for layer in gains.layers), strict=True)
    try:
        return chain_gain(decays, weights, slopes, gains.horizon, scales), ""
    except (SolverError, ImportError) as error:
        return None, f"No LMI for the surrogate network: {error}."


def surrogate_slopes(network: SpikingNetwork) -> list[float]:
    """Return L of each spiking layer's surrogate, in order of execution."""
    return [node.layer.surrogate.steepest for node in circuit(network).spiking]


def _obstacle(gains: GainReport, largest: int) -> str | None:
    if gains.readout is None or any(layer.sources != (k - 1,) for k, layer in enumerate(gains.layers)):
        return "it is for a chain of layers with an affine readout, and this network is none"
    if any(item.filters for item in gains.operators):
        return "it is for neurons without synapses, and this network has some"
    if any(item.dense is None or item.dense.roundings for item in gains.operators):
        return "it is for dense layers, and this network has others"
    if any(item.peaks for item in gains.operators):
        return "it is for linear maps between layers, and this network has max pools"
    if any(item.rule is not None and not plain(item.rule) for item in gains.operators):
        return "it is for layers of one λ each, and this network has neurons that differ"
    rows = chain_rows(gains.operators[0].columns, [item.rows for item in gains.operators[:-1]])
    if rows > largest:
        return f"it would have {rows} rows, and the solver is given at most {largest}"
    if any(layer.gain in (0.0, float("inf")) for layer in gains.layers):
        return "a layer's gain is 0 or infinite"
    return None


@dataclass(frozen=True)
class Growth:
    """What one perturbation did to one spiking layer, sample by sample; 0/0 counts as 0.

    Attributes:
        source: the name of the perturbation.
        layer: the path of the layer.
        simplified: ‖ε‖₂/‖Δs‖₂, (batch,): never above `gain`.
        exact: ‖ϑ‖₂/‖Δs‖₂, (batch,): may be above `gain` where trains differ.
        agrees: whether the layer's trains agree, (batch,): where True, exact ≤ gain too.
        gain: the proven bound.
    """

    source: str
    layer: str
    simplified: Tensor
    exact: Tensor
    agrees: Tensor
    gain: float

    @property
    def tightness(self) -> float:
        """Return the greatest simplified ratio over the bound."""
        return float(self.simplified.max()) / self.gain if self.gain > 0 else 0.0


@dataclass(frozen=True)
class StabilityReport:
    """Stability of a network on samples.

    Attributes:
        gains: ℓ2 gains of the simplified dynamics, not of the spiking network.
        surrogate_product: an ℓ2 bound, end to end, of the *surrogate network* (slopes up to the surrogate's
            steepest in place of thresholds), from the input sequence to the readout's; None for residual
            networks. It is not about the spiking network.
        surrogate: one LMI, tighter than the product: a certificate about the *surrogate network*, where it was
            asked for and possible.
        surrogate_note: a sentence on why `surrogate` is None.
        radius_linf, radius_l2: per sample, how far an input may move before a first-layer train changes; about the
            spiking network; None without direct coding, and behind a synapse.
        margins: per spiking layer, min over time and neurons of |v − θ|, (batch,); about the spiking network.
        growth: measured, per perturbation and layer.
    """

    gains: GainReport
    surrogate_product: float | None
    surrogate: ChainCertificate | None
    surrogate_note: str
    radius_linf: Tensor | None
    radius_l2: Tensor | None
    margins: tuple[Tensor, ...]
    growth: tuple[Growth, ...]


def stability(
    network: SpikingNetwork,
    inputs: Tensor,
    perturbed: Mapping[str, Tensor] | None = None,
    surrogate: bool = False,
) -> StabilityReport:
    """Return the stability report of `network` on samples.

    Args:
        network: any network; it runs in the mode that it is in, in evaluation mode under a rate code.
        inputs: clean samples, (batch, ...).
        perturbed: named perturbed copies of them, such as {"noise": …, "PGD": …}.
        surrogate: also solve one LMI for the surrogate network of a dense network of up to some 200 hidden neurons
            (seconds); where that can't be, `surrogate_note` says why.

    Raises:
        TypeError, ValueError: for inputs that don't fit the network or each other.
    """
    check_inputs(network, inputs)
    check_repeatable(network)
    shape = tuple(inputs.shape[2 if network.timed else 1 :])
    gains = gain(network, input_shape=shape)
    constant = network.encoding == "direct" and not gains.layers[0].filters
    with torch.no_grad():
        clean = network.trace(inputs)
        growth = [
            item
            for name, other in (perturbed or {}).items()
            for item in _growth(network, gains, name, (inputs, clean), other)
        ]
    certificate, note = surrogate_chain(network, gains) if surrogate else (None, NOT_ASKED)
    return StabilityReport(
        gains=gains,
        surrogate_product=surrogate_product(network, gains),
        surrogate=certificate,
        surrogate_note=note,
        radius_linf=_radius(network, inputs, "linf") if constant else None,
        radius_l2=_radius(network, inputs, "l2") if constant else None,
        margins=threshold_margins(network, clean),
        growth=tuple(growth),
    )


def _radius(network: SpikingNetwork, inputs: Tensor, norm: str) -> Tensor | None:
    """Return pattern radii; None for a network whose first neurons read more than a linear map of the input."""
    try:
        return pattern_radius(network, inputs, norm)
    except ValueError:
        return None


def threshold_margins(network: SpikingNetwork, trace: Trace) -> tuple[Tensor, ...]:
    """Return per spiking layer the least |v − θ| over time and neurons, (batch,)."""
    return tuple(
        (potential - rule.threshold).abs().flatten(2).amin((0, 2))
        for potential, rule in zip(trace.potentials, leaky_rules(network), strict=True)
    )


def surrogate_product(network: SpikingNetwork, gains: GainReport) -> float | None:
    """Return the gain of the *surrogate network*, end to end, in the norms of `gains` (equal ones); None for
    residual networks. It is not about the spiking network."""
    chain = [(k - 1,) for k in range(len(gains.layers))]
    if gains.readout is None or [layer.sources for layer in gains.layers] != chain or not gains.layers:
        return None
    slopes = surrogate_slopes(network)
    return multiply_up(*(layer.gain for layer in gains.layers), *slopes, gains.readout.upper)


def _growth(
    network: SpikingNetwork, gains: GainReport, name: str, clean: tuple[Tensor, Trace], other: Tensor
) -> list[Growth]:
    inputs, trace = clean
    check_inputs(network, other)
    if other.shape != inputs.shape:
        raise ValueError(f"perturbed: got {name} of shape {tuple(other.shape)}, expected {tuple(inputs.shape)}")
    second = network.trace(other)
    found = trace_mppd(network, trace, second, include_input_scale=True)
    moved = {INPUT: _input_size(network, inputs, other)}
    moved |= {k: _size(trace.spikes[k] - second.spikes[k]) for k in range(len(network.neurons))}
    return [_layer_growth(name, k, layer_gain, found, moved) for k, layer_gain in enumerate(gains.layers)]


def _layer_growth(name: str, k: int, layer: LayerGain, found: Perturbation, moved: Mapping[int, Tensor]) -> Growth:
    drive = torch.stack([moved[index] ** 2 for index in layer.sources]).sum(0).sqrt()
    simplified, exact = (_ratio(_size(signal[k]), drive) for signal in (found.simplified, found.exact))
    return Growth(name, layer.name, simplified, exact, moved[k] == 0, layer.gain)


def _input_size(network: SpikingNetwork, clean: Tensor, other: Tensor) -> Tensor:
    size = _size(network.encode(clean).double() - network.encode(other).double())
    return size * math.sqrt(network.num_steps) if network.encoding == "direct" else size


def _size(signal: Tensor) -> Tensor:
    return signal.double().transpose(0, 1).flatten(1).norm(dim=1)


def _ratio(size: Tensor, drive: Tensor) -> Tensor:
    return torch.where(drive > 0, size / drive.clamp_min(1e-300), torch.where(size > 0, math.inf, 0.0))
