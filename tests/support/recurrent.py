"""Networks with layers that hear themselves, and the exact pieces of those with one input."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert.models import Recurrent, Residual, Share, SpikingNetwork, Synapse
from spikecert.testing import neurons
from support.oracles import least_margin

SEEDS = st.integers(0, 2**31)


@st.composite
def feedbacks(draw: st.DrawFn, width: int) -> nn.Module:
    """Return a map of a layer's own spikes: dense with or without a bias, or one number."""
    kind = draw(st.sampled_from(["dense", "dense", "plain", "share"]))
    return Share() if kind == "share" else nn.Linear(width, width, bias=kind == "dense")


@st.composite
def synapses(draw: st.DrawFn) -> Synapse | None:
    """Return what filters the currents of a loop: nothing, a synapse, a delay, or both; at the ends of κ, too."""
    kappas = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0.1, 0.95))
    return draw(st.one_of(st.none(), st.builds(Synapse, kappas, st.integers(0, 2))))


@st.composite
def recurrent_networks(
    draw: st.DrawFn,
    most_width: int = 5,
    most_steps: int = 5,
    features: int | None = None,
    dtypes: Sequence[torch.dtype] = (torch.float32, torch.float64),
    encodings: Sequence[str] = ("direct", "direct", "none"),
    readouts: Sequence[str] = ("mean", "mean", "spikes"),
    deep: bool = True,
) -> SpikingNetwork:
    """Return a dense network whose first, second or last spiking layer hears itself, or several of them.

    Args:
        most_width: neurons of a layer.
        most_steps: T.
        features: inputs; None: any.
        dtypes, encodings, readouts: what to choose from.
        deep: whether there may be more than one spiking layer.
    """
    steps, width = draw(st.integers(1, most_steps)), draw(st.integers(1, most_width))
    size = draw(st.integers(1, most_width)) if features is None else features

    def heard(count: int) -> nn.Module:
        return Recurrent(draw(neurons(steps)), draw(feedbacks(count)), draw(synapses()))

    plan = draw(st.sampled_from(["r", "r", "rr", "fr", "rf", "sum"] if deep else ["r"]))
    layers: list[nn.Module] = [nn.Linear(size, width)]
    if plan == "sum":
        layers += [heard(width), Residual([nn.Linear(width, width), heard(width)])]
    for index, kind in enumerate("" if plan == "sum" else plan):
        layers += [nn.Linear(width, width)] * bool(index) + [heard(width) if kind == "r" else draw(neurons(steps))]
    layers.append(nn.Linear(width, 3))
    if draw(st.sampled_from(tuple(readouts))) == "spikes":
        layers.append(heard(3))
    encoding = draw(st.sampled_from(tuple(encodings)))
    network = SpikingNetwork(*layers, num_steps=steps, encoding=encoding)
    fill(network, draw(st.booleans()), torch.Generator().manual_seed(draw(SEEDS)))
    return network.to(draw(st.sampled_from(tuple(dtypes)))).eval()


def fill(network: SpikingNetwork, grid: bool, generator: torch.Generator) -> None:
    """Draw all weights, on a grid of quarters if that is asked for: currents then lie on thresholds."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | Share):
            for parameter in layer.parameters():
                drawn = torch.randn(parameter.shape, generator=generator) * 1.5
                parameter.data = (drawn * 4).round() / 4 if grid else drawn


Affine = tuple[Fraction, ...]


@dataclass(frozen=True)
class _Piece:
    """Inputs x in [low, high] for which all spikes so far are the same, and u = slope·x + offset, (n,) each.

    Attributes:
        currents: the sums c of all steps, as slopes and offsets.
    """

    low: Fraction
    high: Fraction
    slopes: Affine
    offsets: Affine
    spikes: tuple[int, ...]
    currents: tuple[tuple[Affine, Affine], ...] = ()


def loop_margin(network: SpikingNetwork, low: float, high: float, label: int) -> float:
    """Return the exact least margin of Linear(1, n), Recurrent, Linear for an input in [low, high], float64.

    All neurons together: where the spikes so far are the same, each potential is affine in the input, so that a
    step cuts the piece where potentials cross the threshold. One input inside each piece decides it.
    """
    first, layer = network.layers[0], network.layers[1]
    assert isinstance(first, nn.Linear)
    assert isinstance(layer, Recurrent)
    count = first.out_features
    weight, bias = _exact(first.weight[:, 0]), _exact(first.bias)
    unit = torch.eye(count, dtype=torch.float64)
    with torch.no_grad():
        heard = [_exact(row) for row in (layer.feedback(unit) - layer.feedback(0 * unit)).T]
        constant = _exact(layer.feedback(0 * unit)[0])
    zeros = (Fraction(0),) * count
    pieces = [_Piece(Fraction(low), Fraction(high), zeros, zeros, (0,) * count)]
    scale = layer.neuron.scale(network.num_steps)
    factors = [1.0] * network.num_steps if scale is None else scale.tolist()
    for factor in map(Fraction, factors):
        driven = [_driven(p, layer, factor, (weight, bias), heard, constant) for p in pieces]
        pieces = [part for piece in driven for part in _cut(piece, layer)]
    middles = [float((p.low + p.high) / 2) for p in pieces if p.high - p.low > Fraction(1, 10**9)] or [low]
    return least_margin(network, torch.tensor(middles, dtype=torch.float64)[:, None], label)


def _exact(values: Tensor) -> list[Fraction]:
    return [Fraction(value) for value in values.tolist()]


def _driven(piece, layer, factor, current, heard, constant) -> _Piece:
    """Return the piece with potentials v in the place of u."""
    decay, (weight, bias) = Fraction(layer.dynamics.decay), current
    echo = [
        c + sum(v * s for v, s in zip(row, piece.spikes, strict=True))
        for row, c in zip(heard, constant, strict=True)
    ]
    currents = (*piece.currents, (tuple(weight), tuple(b + e for b, e in zip(bias, echo, strict=True))))
    rise, level = _filtered(currents, layer.synapse)
    slopes = tuple(decay * a + factor * w for a, w in zip(piece.slopes, rise, strict=True))
    offsets = tuple(decay * a + factor * c for a, c in zip(piece.offsets, level, strict=True))
    return _Piece(piece.low, piece.high, slopes, offsets, piece.spikes, currents)


def _filtered(currents: tuple[tuple[Affine, Affine], ...], synapse: Synapse | None) -> tuple[Affine, Affine]:
    """Return Σ_k κ^{t−d−k}·c[k] of the last step t."""
    kappa, delay = (Fraction(0), 0) if synapse is None else (Fraction(synapse.decay), synapse.delay)
    last = len(currents) - 1 - delay
    parts = [(kappa ** (last - k), currents[k]) for k in range(last + 1)]
    zeros = [(Fraction(0), currents[0])]
    return tuple(  # type: ignore[return-value]
        tuple(sum(share * c[end][j] for share, c in (*zeros, *parts)) for j in range(len(currents[0][end])))
        for end in (0, 1)
    )


def _cut(piece: _Piece, layer: Recurrent) -> list[_Piece]:
    """Return the parts of a piece between the crossings of the threshold, fired and reset."""
    theta = Fraction(layer.dynamics.threshold)
    lines = list(zip(piece.slopes, piece.offsets, strict=True))
    crossings = {(theta - offset) / slope for slope, offset in lines if slope != 0}
    ends = sorted({piece.low, piece.high} | {x for x in crossings if piece.low < x < piece.high})
    spans = list(itertools.pairwise(ends)) or [(piece.low, piece.high)]
    return [_fired(low, high, lines, piece, layer) for low, high in spans]


def _fired(
    low: Fraction, high: Fraction, lines: list[tuple[Fraction, Fraction]], piece: _Piece, layer: Recurrent
) -> _Piece:
    d, middle, currents = layer.dynamics, (low + high) / 2, piece.currents
    theta, drop = Fraction(d.threshold), Fraction(d.drop)
    values = [slope * middle + offset for slope, offset in lines]
    spikes = tuple(int(v >= theta if d.fires_at == ">=" else v > theta) for v in values)
    kept = [0 if s and d.reset == "zero" else 1 for s in spikes]
    slopes = tuple(slope * k for (slope, _), k in zip(lines, kept, strict=True))
    taken = [drop * s if d.reset == "subtract" else Fraction(0) for s in spikes]
    offsets = tuple(offset * k - t for (_, offset), k, t in zip(lines, kept, taken, strict=True))
    return _Piece(low, high, slopes, offsets, spikes, currents)
