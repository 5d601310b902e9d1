"""Input-output gains of each spiking layer's simplified dynamics, as proven upper ends.

For a layer ε = (H·diag(a) ⊗ W)Δs, with H·diag(a) the neuron's map over time and W the affine layers before it,

    ‖ε‖_q ≤ ‖H·diag(a)‖_{p→q} · ‖W‖_{p→q} · ‖Δs‖_p        for all p, q ∈ {1, 2, ∞}, and this is sharp.

Proof. H ≥ 0, and signs of a are absorbed by w. Let g = ‖W‖_{p→q}, ξ_k = ‖Δs[k]‖_p. By the triangle inequality
‖ε[t]‖_q ≤ Σ_k H_tk|a_k|·g·ξ_k, so ‖ε‖_q ≤ g·‖H·diag|a|·ξ‖_q ≤ g·‖H·diag(a)‖_{p→q}·‖ξ‖_p, and ‖ξ‖_p = ‖Δs‖_p.
Worst inputs of both factors, multiplied, attain it. ∎ Behind synapses F over time H·diag(a)·F takes the place of
H·diag(a), see `filter_gains`.

These numbers are about ε. They hold for the membrane of the spiking network only while clean and perturbed trains
agree, and no product of them bounds the network.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...models import SpikingNetwork, network_hash
from ...models.constants import unless_none, wholes
from ...models.elements.synapses import TemporalFilter
from ...models.linear_neuron import LinearNeuron
from ...models.networks import check_network
from ...models.rules import Leaky, plain
from ..arithmetic import Interval, multiply_up
from ..certificates.norm_certificates import OperatorNormCertificate, norm_certificate
from ..lmi import BoundedRealCertificate, TimeVaryingCertificate
from ..norms import operator_norm
from ..operators import LayerOperator, layer_operators
from .gain_methods import METHODS, filter_certificate, filtered_gain, lmi_certificate
from .neuron_gains import check_horizon, check_norm, neuron_bias

LayerCertificate = BoundedRealCertificate | TimeVaryingCertificate | OperatorNormCertificate


@dataclass(frozen=True)
class LayerGain:
    """The gain of one spiking layer's simplified dynamics: ‖ε‖_q ≤ gain·‖Δs‖_p + bias.

    Attributes:
        name: the path of the neuron in the network.
        operator_norm: ‖W‖_{p→q} of the affine layers in front of it, as proven ends.
        neuron_gain: a proven upper end of ‖H·diag(a)‖_{p→q}, behind its synapses of ‖H·diag(a)·F‖_{p→q}.
        gain: the product of the upper ends, rounded up; inf where there is no finite gain.
        bias: what an initial state adds; both runs start from 0, so 0.
        decay: λ.
        input_scale: a, or None for a = 1.
        sources: the signals that it reads: −1 the input, k the spikes of spiking layer k.
        filters: the synapses that each of these goes through.
    """

    name: str
    operator_norm: Interval
    neuron_gain: float
    gain: float
    bias: float
    decay: float
    input_scale: tuple[float, ...] | None
    sources: tuple[int, ...]
    filters: tuple[TemporalFilter, ...] = ()


@dataclass(frozen=True)
class GainReport:
    """The gains of a network's spiking layers, about the simplified dynamics ε only.

    Attributes:
        layers: one `LayerGain` a spiking layer, in execution order.
        readout: the norm of what is behind the last neuron, affine layers and synapses; None for nothing.
        input_norm, output_norm, horizon, method: what was asked for.
        certificates: with method "lmi", one a neuron and one for each dense layer's norm, for `save_certificates`.
        operators: what `check` proves the operator norms from.
        network: the SHA-256 of the network.
        simplified: True: the gains are about ε, and about the spiking network only while its trains agree.
    """

    layers: tuple[LayerGain, ...]
    readout: Interval | None
    input_norm: str
    output_norm: str
    horizon: float
    method: str
    certificates: tuple[LayerCertificate, ...] = field(default=(), repr=False)
    operators: tuple[LayerOperator, ...] = field(default=(), repr=False, compare=False)
    network: str = field(default="", repr=False)
    simplified: bool = True

    def check(self) -> bool:
        """Prove each number again, without the solver that found it.

        Each neuron gain is compared with the closed form (a Riccati recursion in directed rounding), each
        operator norm with a fresh proof from the weights, each gain with the product, λ and a with the neuron's.

        Returns:
            True if every upper end is proven; False for a report that was changed.
        """
        layers = [item for item in self.operators if item.rule is not None]
        if len(layers) != len(self.layers):
            return False
        held = all(self.holds(k) for k in range(len(layers))) and self.readout_holds()
        return held and all(item.check() for item in self.certificates)

    def holds(self, index: int) -> bool:
        """Return whether the numbers of one layer are proven."""
        layer, operator = self.layers[index], self.operators[index]
        if operator.rule is None or (layer.decay, layer.filters) != (operator.decay, operator.filters):
            return False
        if layer.input_scale != input_scale_of(operator.rule, self.horizon):
            return False
        ends = self.horizon, self.input_norm, self.output_norm
        proven = filtered_gain(layer.filters, layer.decay, *ends, layer.input_scale)
        product = multiply_up(layer.operator_norm.upper, layer.neuron_gain)
        if not (layer.neuron_gain >= proven and layer.gain >= product and layer.bias >= 0.0):
            return False
        return layer.operator_norm.upper >= operator_norm(operator, self.input_norm, self.output_norm).upper

    def readout_holds(self) -> bool:
        """Return whether the readout's norm is proven; True for a network without one."""
        last = self.operators[-1]
        if last.rule is not None or self.readout is None:
            return last.rule is not None and self.readout is None
        return self.readout.upper >= _readout_norm(last, self.input_norm, self.output_norm, self.horizon).upper


def gain(
    network: SpikingNetwork,
    input_norm: str = "l2",
    output_norm: str = "l2",
    horizon: float | None = None,
    method: str = "closed_form",
    input_shape: Sequence[int] | None = None,
) -> GainReport:
    """Return the proven gain of each spiking layer's simplified dynamics, ‖ε‖_q ≤ gain·‖Δs‖_p.

    Args:
        network: any network; batch norms count as in evaluation mode.
        input_norm, output_norm: "l1", "l2" or "linf", of whole signals (time and neurons).
        horizon: T ≥ 1 or math.inf; None: the network's num_steps.
        method: "closed_form"; "svd" (of the explicit T×T matrix; finite horizons); "lmi" (bounded real lemma).
            The last two are about ℓ2→ℓ2; other norms have closed forms, which they return.
        input_shape: of one sample at one step, where the layers leave a choice (images).

    Raises:
        ValueError: for an unknown norm or method, a horizon that does not fit, NaN or inf in the weights.

    References: theorem "layer-gain"

    >>> import torch
    >>> from spikecert.models import mlp
    >>> report = gain(mlp((4, 3, 2), num_steps=8))
    >>> report.layers[0].gain >= report.layers[0].operator_norm.upper, report.simplified
    (True, True)
    """
    check_network(network)
    check_norm("input_norm", input_norm)
    check_norm("output_norm", output_norm)
    if method not in METHODS:
        raise ValueError(f"method: got {method!r}, expected one of {', '.join(METHODS)}")
    steps = network.num_steps if horizon is None else horizon
    steps = check_horizon(steps) or math.inf
    operators = layer_operators(network, unless_none(wholes)("input_shape", input_shape), filters=True)
    layers = [item for item in operators if item.rule is not None]
    gains = [_layer_gain(item, input_norm, output_norm, steps, method) for item in layers]
    last = operators[-1]
    readout = _readout_norm(last, input_norm, output_norm, steps) if last.rule is None else None
    wanted = method == "lmi" and (input_norm, output_norm) == ("l2", "l2")
    found = _certificates(gains, readout, operators, steps) if wanted else ()
    return GainReport(
        tuple(gains), readout, input_norm, output_norm, steps, method, found, operators, network_hash(network)
    )


def _certificates(
    gains: Sequence[LayerGain], readout: Interval | None, operators: Sequence[LayerOperator], horizon: float
) -> tuple[LayerCertificate, ...]:
    neurons = [_certificate(g, horizon) for g in gains if math.isfinite(g.gain)]
    uppers = [*(item.operator_norm.upper for item in gains), *([] if readout is None else [readout.upper])]
    norms = [norm_certificate(item, up, "l2", "l2") for item, up in zip(operators, uppers, strict=True)]
    return tuple(item for item in (*neurons, *norms) if item is not None)


def _certificate(layer: LayerGain, horizon: float) -> BoundedRealCertificate | TimeVaryingCertificate | None:
    """Return the certificate of a neuron; None where it stands behind synapses that no lemma here is for."""
    if not layer.filters:
        return lmi_certificate(layer.decay, horizon, layer.input_scale)
    return filter_certificate(layer.filters, layer.decay, layer.input_scale)


def _readout_norm(last: LayerOperator, input_norm: str, output_norm: str, horizon: float) -> Interval:
    """Return the norm of affine layers, times the gain of synapses among them, whose lower end is not known."""
    norm = operator_norm(last, input_norm, output_norm)
    if not last.filters:
        return norm
    passing = filtered_gain(last.filters, 0.0, horizon, input_norm, output_norm, None)  # λ = 0 filters nothing
    return Interval(0.0, multiply_up(norm.upper, passing))


def _layer_gain(
    operator: LayerOperator, input_norm: str, output_norm: str, horizon: float, method: str
) -> LayerGain:
    assert operator.rule is not None
    decay, scale = operator.decay, input_scale_of(operator.rule, horizon)
    neuron = filtered_gain(operator.filters, decay, horizon, input_norm, output_norm, scale, method)
    norm = operator_norm(operator, input_norm, output_norm)
    return LayerGain(
        name=operator.name,
        operator_norm=norm,
        neuron_gain=neuron,
        gain=multiply_up(norm.upper, neuron),
        bias=neuron_bias(decay, horizon, output_norm, initial=0.0),
        decay=decay,
        input_scale=scale,
        sources=tuple(operator.signals),
        filters=operator.filters,
    )


def input_scale_of(rule: Leaky | LinearNeuron, horizon: float) -> tuple[float, ...] | None:
    """Return a over the horizon, or None for a = 1.

    Raises:
        ValueError: for a neuron with an input scale and a horizon that is not its length.
    """
    if not plain(rule):
        return None
    if rule.scale is not None and len(rule.scale) != horizon:
        expected = f"{len(rule.scale)}, for which a DLIF has its input scale"
        raise ValueError(f"horizon: got {horizon}, expected {expected}")
    return rule.scale
