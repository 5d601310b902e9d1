"""A layer that hears its own spikes: c[t] = x[t] + (V·s[t−1] + b), s[0] = 0, the feedback's own sums first.

Let a box hold the layer's spikes of every run: then an affine image of it, a step later, and the box of x hold
its currents, and what is known of trains under those holds its spikes again. It starts from any spikes at all.
With prices μ on c, Σ μ[t]·c[t] = Σ μ[t]·(x[t] + b) + Σ (Vᵀμ[t+1])·s[t]: the last sum is about the layer's own
spikes, so its costs are A[t] + Vᵀμ[t+1] (F16).

Rounding: the error of x, that of the feedback, and of one sum, u of both sizes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..maps.affine import Affine
from ..maps.layers import Layer, Shape, read_layer
from ..numbers.arithmetic import Arithmetic
from ..numbers.exact import Dyadic, Refused, whole
from .neurons import Described

FEEDBACKS = ("Linear", "Conv1d", "Conv2d", "Share")


@dataclass(frozen=True)
class Loop:
    """The layer as the model file describes it."""

    neuron: Described
    feedback: Layer

    @staticmethod
    def read(
        tensors: dict[str, np.ndarray], name: str, layer: dict[str, Any], steps: int, arithmetic: Arithmetic
    ) -> "Loop":
        """Return the layer of a description.

        Raises:
            Refused: for parts that are not known.
        """
        own, feedback = layer["neuron"], layer["feedback"]
        known = own["type"] in ("LIF", "DLIF") and feedback["type"] in FEEDBACKS
        if layer.keys() != {"type", "neuron", "feedback"} or not known:
            raise Refused("unknown: no proof form for a Recurrent of such parts")
        neuron = Described.read(tensors, f"{name}.neuron", own, steps, arithmetic)
        return Loop(neuron, read_layer(tensors, f"{name}.feedback", feedback))

    def over(self, shape: Shape, arithmetic: Arithmetic) -> Affine:
        """Return the feedback of flat spikes of `shape`, which it keeps."""
        affine, made = self.feedback.over(shape, arithmetic)
        if affine is None or made != shape:
            raise Refused("a feedback does not keep the shape of its layer's spikes")
        return affine


def driven(feedback: Affine, size: Dyadic, error: Dyadic, arithmetic: Arithmetic) -> tuple[Dyadic, Dyadic]:
    """Return a bound of |ĉ|, and of how far it is from the exact c, for those of x̂, (n, 1) each.

    Raises:
        Refused: where the run may overflow.
    """
    ones = whole(np.ones((len(size.ints), 1), dtype=int))
    heard, own = feedback.measured(ones, arithmetic)
    size = size + heard
    rounding = arithmetic.rounded(size)
    return size + rounding, error + own + rounding
