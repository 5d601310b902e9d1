"""What a network is made of, in words and in LaTeX: layers, and neurons with their equations and constants."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..elements.layers import PerStep, walk
from ..elements.neuron import AdaptiveLIF, Neuron, RefractoryLIF
from ..elements.neurons import DLIF, LIF
from ..elements.recurrent import Recurrent
from ..elements.synapses import Synapse
from ..elements.varied import VariedLIF
from ..linear_maps.averaging import Share
from ..networks import SpikingNetwork
from .populations import every, told

RESETS = {
    "zero": ("starts from 0 again behind a spike", r"u[t] = v[t]\,(1 - s[t])"),
    "subtract": ("loses {drop} by a spike", r"u[t] = v[t] - {drop}\,s[t]"),
    "none": ("keeps its potential behind a spike", r"u[t] = v[t]"),
}
READOUTS = {
    "mean": ("the mean over time of the last layer", r"y = \frac{1}{T}\sum_t x[t]"),
    "spikes": ("the share of steps at which the last neurons fire", r"y = \frac{1}{T}\sum_t s[t]"),
    "potential": ("the last potential of neurons that never fire", r"y = v[T]"),
    "summed": ("the sum over time of potentials", r"y = \sum_t v[t]"),
    "largest": ("the maximum over time", r"y = \max_t x[t]"),
    "first": ("which output fires first", r"y = -\min\{t : s[t] = 1\}"),
}


@dataclass(frozen=True)
class LayerTold:
    """One layer.

    Attributes:
        name: its type.
        words: what it does.
        latex: its equations; "" for an affine layer or a pool.
    """

    name: str
    words: str
    latex: str = ""


def told_of(network: SpikingNetwork) -> tuple[LayerTold, ...]:
    """Return the layers of a network in order of execution, and its readout last.

    >>> network = SpikingNetwork(nn.Linear(4, 3), LIF(0.5), num_steps=5)
    >>> told_of(network)[1].words
    'keeps 0.5 of its potential in a step, fires at v >= 1, starts from 0 again behind a spike'
    """
    words, latex = READOUTS[network.readout]
    readout = LayerTold("readout", f"{words}, T = {network.num_steps}", latex)
    layers = [_layer(layer) for layer in walk(network.layers)]
    if network.reads_potentials:
        decay, name = network.neurons[-1].dynamics.decay, layers[-1].name
        equation = rf"v[t] = {decay:g}\,v[t-1] + I[t]"
        layers[-1] = LayerTold(name, f"keeps {decay:g} of its potential in a step, and never fires", equation)
    return (*layers, readout)


def _layer(layer: nn.Module) -> LayerTold:
    name = type(layer).__name__
    if isinstance(layer, Synapse):
        late = f", {layer.delay} steps late" if layer.delay else ""
        equation = rf"i[t] = {layer.decay:g}\,i[t-1] + x[t-{layer.delay}]"
        return LayerTold(name, f"keeps {layer.decay:g} of its current in a step{late}", equation)
    if isinstance(layer, Recurrent):
        inner, how = _neuron(layer.neuron), repr(layer.feedback)
        heard = rf"I[t] = x[t] + V\,s[t-1],\quad {inner.latex}"
        return LayerTold(name, f"hears its own spikes of one step before by {how}; {inner.words}", heard)
    if isinstance(layer, PerStep):
        own = dict.fromkeys(repr(each) for each in layer.steps)
        return LayerTold(
            name,
            f"a layer of its own at each of {len(layer.steps)} steps: {', '.join(own)}",
            r"y[t] = W[t]\,x[t] + b[t]",
        )
    if isinstance(layer, Share):
        return LayerTold(name, f"times {layer.share.item():g}", rf"y[t] = {layer.share.item():g}\,x[t]")
    return _neuron(layer) if isinstance(layer, LIF) else LayerTold(name, repr(layer))


def _declared(layer: Neuron) -> LayerTold:
    """Return the words and equations of neurons of several numbers, without terms that are 0."""
    c = {name: layer.get_buffer(name).detach().double() for name in layer.names}
    some = {name: told(value) for name, value in c.items() if bool(value.any())}

    def terms(*pairs: tuple[str, str]) -> str:
        """Return the terms whose constants are there."""
        return "".join(f"{form.format(some[name])}" for name, form in pairs if name in some)

    fires = layer.shared.fires_at
    words = f"keeps {told(c['decay'])} of its potential in a step, fires at v {fires} {told(c['threshold'])}"
    lost = terms(("reset_amount", ", loses {}"), ("reset_rise", " + {}·w")) + " by a spike"
    words += terms(("rise", " + {}·w"))
    words += {"subtract": lost, "zero": ", starts again from 0 behind a spike"}.get(
        layer.reset, ", is never reset"
    )
    words += f", starts from {layer.start:g}" * bool(layer.start)
    words += "" if layer.floor is None else f", never leaves less than {layer.floor:g}"
    words += f", up to {layer.most} times a step, each {told(c['reset_amount'])} higher" * (layer.most > 1)
    words += f", by constants of each of {layer.steps} steps" * bool(layer.steps)
    scale = None if layer.input_scale is None else told(layer.input_scale.detach().double())
    words += "" if scale is None else f", its input is scaled by {scale}, step by step"
    words += "; w keeps" if layer.others == 1 else f"; each of {layer.others} numbers w keeps" * bool(layer.others)
    words += terms(("fading", " {} of " + ("itself" if layer.others == 1 else "itself and of each other")))
    words += terms(
        ("jump", ", a spike adds {}"),
        ("drive", ", the potential {} of itself"),
        ("carry", ", the one left before {}"),
        ("hearing", ", what comes in {} of itself"),
        ("drain", ", and {}·w is taken from the potential"),
    )
    limit = told(c["threshold"]) + terms(("rise", r" + {}\,w[t-1]"))
    current = "I[t]" if scale is None else r"a[t]\,I[t]"
    potential = rf"v[t] = {told(c['decay'])}\,u[t-1] + {current}" + terms(("drain", r" - {}\,w[t-1]"))
    left = "u[t] = v[t] - (" + terms(("reset_amount", "{}"), ("reset_rise", r" + {}\,w[t-1]")) + r")\,s[t]"
    left = {"subtract": left, "zero": "u[t] = v[t](1 - s[t])"}.get(layer.reset, "u[t] = v[t]")
    left = left if layer.floor is None else rf"u[t] = \max({left[7:]}, {layer.floor:g})"
    adapted = terms(
        ("fading", r",\quad w[t] = {}\,w[t-1]"),
        ("drive", r" + {}\,v[t]"),
        ("carry", r" + {}\,u[t-1]"),
        ("hearing", r" + {}\,I[t]"),
        ("jump", r" + {}\,s[t]"),
    )
    sign, each = fires.replace(">=", r"\ge"), ""
    if layer.most > 1:
        each, limit = rf"\sum_{{n=1}}^{{{layer.most}}} ", rf"{limit} + (n-1)\,{told(c['reset_amount'])}"
    latex = rf"{potential},\quad s[t] = {each}[v[t] {sign} {limit}],\quad {left}{adapted}"
    return LayerTold(type(layer).__name__, words, latex.replace("…", r"\ldots "))


def _neuron(layer: LIF) -> LayerTold:
    if isinstance(layer, Neuron):
        return _declared(layer)
    decay, threshold, drop, fires = _constants(layer)
    words, left = (each.replace("{drop}", told(drop)) for each in RESETS[layer.reset])
    limit, current, extra, more = told(threshold), "I[t]", "", ""
    if isinstance(layer, DLIF):
        current, extra = (
            "a[t]\\,I[t]",
            f", its input is scaled by {told(layer.input_scale.detach().double())}, step by step",
        )
    if isinstance(layer, RefractoryLIF):
        how = {0: "", 1: "for 1 step", None: "for good"}.get(layer.rest, f"for {layer.rest} steps")
        extra = f", rests {how} behind a spike" if how else ""
        extra += f", starts from {layer.start:g}" if layer.start else ""
        more = rf",\quad v[t] = s[t] = 0 \text{{ {how} behind a spike}}" if how else ""
    if isinstance(layer, AdaptiveLIF):
        rise, kept = layer.adaptation, layer.threshold_decay
        extra = f", each spike raises its threshold by {rise:g}, of which {kept:g} is left a step later"
        limit, more = f"{limit} + {rise:g}\\,a[t]", rf",\quad a[t+1] = {kept:g}\,a[t] + s[t]"
    late = layer.reset == "subtract" and every(abs(drop * decay - threshold) <= 1e-6 * threshold)
    if late and not every(decay == 1.0):
        extra += f", as a reset of {told(threshold)} that comes a step late does"
    sign = fires.replace(">=", r"\ge")
    potential = rf"v[t] = {told(decay)}\,u[t-1] + {current}"
    latex = rf"{potential},\quad s[t] = [v[t] {sign} {limit}],\quad {left}{more}"
    start = f"keeps {told(decay)} of its potential in a step, fires at v {fires} {told(threshold)}"
    return LayerTold(type(layer).__name__, f"{start}, {words}{extra}", latex.replace("…", r"\ldots "))


def _constants(layer: LIF) -> tuple[Any, Any, Any, str]:
    """Return λ, θ, d and when it fires, arrays where neurons differ."""
    if isinstance(layer, VariedLIF):
        drop = layer.threshold if layer.reset_amount is None else layer.reset_amount
        arrays = (layer.decay, layer.threshold, drop)
        return *(torch.as_tensor(each).double() for each in arrays), layer.shared.fires_at  # pyright: ignore
    d = layer.dynamics
    return d.decay, d.threshold, d.drop, d.fires_at
