"""Hypothesis strategies of what enters networks: inputs, threat models, spike trains."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..certify.perturbations import L2, LInf, Perturbation, PixelBox, SpikeFlip
from ..models.networks import SpikingNetwork
from .networks import features_of
from .neurons import SEEDS, st

LEAST = 2.0**-100
"""Radii below are 0: no share of this one, down to 2^-24, is subnormal in float32, which no threat model takes."""


@st.composite
def inputs(
    draw: st.DrawFn,
    network: SpikingNetwork,
    batch: int = 4,
    shape: Sequence[int] | None = None,
    events: bool = False,
) -> Tensor:
    """Return a batch that fits `network`, with values in [0, 1], some of them on a grid or at the ends.

    Args:
        network: whose dtype, features and time axis are used.
        batch: the number of samples.
        shape: of one sample at one step; None: what the first layer takes, which must be linear.
        events: whether all values are 0 or 1.

    Raises:
        ValueError: for a network whose first layer is not linear, without `shape`.
    """
    features = tuple(shape) if shape is not None else features_of(network)
    steps = (network.num_steps,) if network.timed else ()
    drawn = torch.rand((batch, *steps, *features), generator=torch.Generator().manual_seed(draw(SEEDS)))
    kinds = {"plain": drawn, "grid": (drawn * 4).round() / 4, "ends": drawn.round()}
    return kinds["ends" if events else draw(st.sampled_from(sorted(kinds)))].to(network.dtype)


@st.composite
def perturbations(
    draw: st.DrawFn, kinds: Sequence[str] = ("linf", "l2"), most: float = 0.25, features: Sequence[int] = ()
) -> Perturbation:
    """Return a threat model on [0, 1].

    Args:
        kinds: what to choose from: "linf", "l2", "box" (a radius for each entry of a sample), "l0" (flips).
        most: the greatest radius.
        features: the shape of one sample, for "box".
    """
    kind = draw(st.sampled_from(tuple(kinds)))
    if kind == "l0":
        return SpikeFlip(draw(st.integers(0, 3)))
    radius = draw(st.sampled_from([0.0, most / 25, most / 5, most]) | st.floats(0.0, most))
    radius = radius if radius > LEAST else 0.0
    if kind == "box":
        share = torch.rand(tuple(features), generator=torch.Generator().manual_seed(draw(SEEDS)))
        return PixelBox(radius * share)
    return {"linf": LInf, "l2": L2}[kind](radius)


@st.composite
def spike_trains(draw: st.DrawFn, num_steps: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return spikes of 0 and 1, (num_steps, *shape); they shrink toward silence."""
    size = torch.Size((num_steps, *shape))
    bits = draw(st.lists(st.booleans(), min_size=size.numel(), max_size=size.numel()))
    return torch.tensor(bits, dtype=dtype).reshape(size)
