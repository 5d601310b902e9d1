"""One matrix of small networks, sets around a sample, readouts and questions, by public names alone.

A `Cell` is drawn from the name of an element and a seed, which say all of it: `cell("LIF zero", 7)` is the same
today and tomorrow. What is drawn lies where verifiers err: weights on a grid that puts currents exactly on
thresholds, on a grid of tenths that only rounding puts beside them, zeros, huge and tiny ones, ones that cancel;
decays of 0 and 1, one step, one neuron, both resets, both kinds of ties, float32 and float64.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from random import Random

import torch
from torch import Tensor, nn

from spikecert import (
    DLIF,
    LIF,
    PLIF,
    AdaptiveLIF,
    CoupledLIF,
    Delay,
    IntegerLIF,
    Normalize,
    OneSpikeLIF,
    PerStep,
    RateDraws,
    Recurrent,
    RefractoryLIF,
    Residual,
    Share,
    SpikeAnd,
    SpikeIand,
    SpikingNetwork,
    Synapse,
    VariedLIF,
    WholeInput,
    quantize,
)
from spikecert.models import Neuron, WholeDecay
from spikecert.models.dynamics import RESETS

VERIFIERS = ("interval", "trains", "linear", "gain", "lirpa", "milp", "enumeration", "complete", "auto")
QUICK = ("interval", "trains", "gain", "enumeration")
"""Those that take milliseconds."""
SLOW = tuple(name for name in VERIFIERS if name not in QUICK)
READOUTS = ("mean", "spikes", "potential", "summed", "first", "largest")
SPICES = ("quarters", "tenths", "normal", "zeros", "huge", "tiny", "cancelling")
TIES = ("argmax", "strict")
DTYPES = (torch.float32, torch.float64)
RANGES = ((0.0, 1.0), (-1.0, 2.0), (-torch.inf, torch.inf))
"""What inputs are valid."""
MOST = 5
"""The greatest whole input."""
UNITS = {"huge": 2.0**18, "tiny": 2.0**-18}
"""What weights and thresholds are multiples of, 1 elsewhere."""
TRIES = 6
"""Draws of a cell."""


@dataclass(frozen=True)
class Draw:
    """What a cell is drawn by.

    Attributes:
        random: for all choices.
        steps: T.
        width: of hidden layers.
        spice: of what kind weights, thresholds and inputs are.
    """

    random: Random
    steps: int
    width: int
    spice: str

    @property
    def unit(self) -> float:
        """Return what weights and thresholds are multiples of."""
        return UNITS.get(self.spice, 1.0)

    @property
    def decay(self) -> float:
        """Return λ."""
        return self.random.choice((0.0, 0.5, 0.75, 0.9, 1.0))

    @property
    def threshold(self) -> float:
        """Return θ."""
        tenths = self.spice == "tenths"
        return self.random.choice((0.3, 0.7, 1.0) if tenths else (0.25, 0.5, 1.0, 1.0, 1.5)) * self.unit

    @property
    def fires_at(self) -> str:
        """Return ">=" or ">"."""
        return self.random.choice((">=", ">=", ">"))

    def numbers(self, *shape: int) -> Tensor:
        """Return weights or inputs of a kind, float64, of about the size of `unit`."""
        made = torch.tensor([self._number() for _ in range(prod(shape))], dtype=torch.float64).view(shape)
        return made * self.unit

    def _number(self) -> float:
        draw = self.random
        if self.spice == "tenths":
            return draw.randint(-10, 14) / 10
        if self.spice == "zeros":
            return draw.choice((0.0, 0.0, draw.randint(-5, 7) / 4))
        if self.spice == "quarters":
            return draw.randint(-5, 7) / 4
        return draw.gauss(0.2, 1.2)

    def leaky(self, reset: str | None = None) -> LIF:
        """Return a layer of LIF; of any reset that fires and takes back, if none is named."""
        chosen = reset or self.random.choice(("zero", "subtract"))
        return LIF(self.decay, self.threshold, chosen, self.fires_at)

    def dense(self, width: int | None = None) -> nn.Linear:
        """Return a dense layer from hidden neurons to as many."""
        return nn.Linear(self.width, width or self.width)


Hidden = Iterable[nn.Module]


@dataclass(frozen=True)
class Element:
    """What stands between a first layer of weights and the last one.

    Attributes:
        layers: makes it; what it is fed has `width` features.
        entry: makes what stands in front, with a first layer of weights; None: a dense layer.
        shape: of a sample at one step; None: 1 to 3 features.
        kind: "real", "rate", or "whole" where inputs and weights are whole numbers.
        readouts: those that it is seen with.
    """

    layers: Callable[[Draw], Hidden]
    entry: Callable[[Draw], Hidden] | None = None
    shape: tuple[int, ...] | None = None
    kind: str = "real"
    readouts: tuple[str, ...] = READOUTS


def _dlif(d: Draw) -> Hidden:
    made = DLIF(d.steps, d.decay, d.threshold, d.random.choice(("zero", "subtract")), d.fires_at)
    made.input_scale.data = torch.tensor(
        [d.random.choice((-1.0, -0.5, 0.0, 0.5, 1.0, 1.0)) for _ in range(d.steps)]
    )
    return [made]


def _varied(d: Draw) -> Hidden:
    decays, thresholds = [d.decay for _ in range(d.width)], [d.threshold for _ in range(d.width)]
    return [VariedLIF(decays, thresholds, d.random.choice(("zero", "subtract")), d.fires_at)]


def _adaptive(d: Draw) -> AdaptiveLIF:
    reset = d.random.choice(("zero", "subtract"))
    return AdaptiveLIF(d.decay, d.threshold, d.random.choice((0.0, 0.5, 1.0)) * d.unit, d.decay, reset, d.fires_at)


def _coupled(d: Draw) -> CoupledLIF:
    factors = [d.random.choice((-0.5, 0.0, 0.25, 0.5, 1.0)) for _ in range(6)]
    jump, drive, carry, drain, rise, reset_rise = factors
    constants = d.decay, d.threshold, None, d.decay, jump * d.unit, drive, carry, drain, rise, reset_rise * d.unit
    return CoupledLIF(*constants, reset=d.random.choice(("zero", "subtract")), fires_at=d.fires_at)


def _declared(d: Draw) -> Neuron:
    floor, start = d.random.choice((None, 0.0, -0.5 * d.unit)), d.random.choice((0.0, 0.25, -1.0)) * d.unit
    own = {"others": d.random.choice((0, 1)), "rise": 0.5, "floor": floor, "start": start}
    return Neuron(d.decay, d.threshold, reset=d.random.choice(RESETS), fires_at=d.fires_at, **own)


def _refractory(d: Draw) -> RefractoryLIF:
    start = d.random.choice((0.0, 0.25)) * d.unit
    return RefractoryLIF(d.decay, d.threshold, d.random.choice((0, 1, 2)), d.fires_at, start=start)


def _norm(d: Draw, channels: int, kind: type[nn.BatchNorm1d] | type[nn.BatchNorm2d] = nn.BatchNorm1d) -> nn.Module:
    made = kind(channels)
    made.weight.data = torch.tensor([d.random.choice((-0.5, 0.5, 1.0, 1.5)) for _ in range(channels)])
    made.bias.data = torch.tensor([d.random.choice((-0.25, 0.0, 0.5)) for _ in range(channels)]) * d.unit
    made.running_mean = torch.tensor([d.random.choice((0.0, 0.25)) for _ in range(channels)]) * d.unit
    made.running_var = torch.tensor([d.random.choice((0.25, 1.0, 2.0)) for _ in range(channels)])
    return made


def _whole(d: Draw) -> Hidden:
    def neurons() -> IntegerLIF:
        """Return one layer."""
        leak = WholeDecay("truncate", 12, d.random.choice((0, 2048, 3686, 4096)))
        reset = d.random.choice(("zero", "subtract"))
        return IntegerLIF(leak, d.random.choice((3, 8, 20)), reset=reset, fires_at=d.fires_at)

    return [neurons(), d.dense(), neurons()] if d.random.random() < 0.5 else [neurons()]


def _image(d: Draw) -> Hidden:
    pool = d.random.choice((nn.AvgPool2d(2), nn.MaxPool2d(2)))
    return [
        nn.Conv2d(1, 2, 2, bias=d.random.random() < 0.5),
        _norm(d, 2, nn.BatchNorm2d),
        d.leaky(),
        pool,
        nn.Flatten(),
    ]


def _line(d: Draw) -> Hidden:
    return [nn.Conv1d(1, 2, 3, padding=1), d.leaky(), nn.MaxPool1d(2), nn.Conv1d(2, 2, 2), d.leaky(), nn.Flatten()]


def _steps(d: Draw, make: Callable[[], nn.Module]) -> PerStep:
    return PerStep([make() for _ in range(d.steps)])


def _loop(d: Draw, neuron: LIF, *rest: Synapse) -> Hidden:
    return [Recurrent(neuron, d.dense(), *rest)]


def _leaky_constants(d: Draw) -> tuple[float, float, str, str]:
    return d.decay, d.threshold, d.random.choice(("zero", "subtract")), d.fires_at


ELEMENTS: dict[str, Element] = {
    "LIF zero": Element(lambda d: [d.leaky("zero")]),
    "LIF subtract": Element(lambda d: [d.leaky("subtract")]),
    "LIF none": Element(lambda d: [d.leaky("none")]),
    "LIF reset_amount": Element(
        lambda d: [LIF(d.decay, d.threshold, "subtract", d.fires_at, reset_amount=d.threshold)]
    ),
    "two layers": Element(lambda d: [d.leaky(), d.dense(), d.leaky()]),
    "three layers": Element(lambda d: [d.leaky("zero"), d.dense(), d.leaky(), d.dense(), d.leaky()]),
    "DLIF": Element(_dlif),
    "PLIF": Element(lambda d: [PLIF(d.random.choice((0.25, 0.9)), *_leaky_constants(d)[1:])]),
    "VariedLIF": Element(_varied),
    "RefractoryLIF": Element(lambda d: [_refractory(d)]),
    "OneSpikeLIF": Element(lambda d: [OneSpikeLIF(d.decay, d.threshold, d.fires_at)]),
    "AdaptiveLIF": Element(lambda d: [_adaptive(d)]),
    "CoupledLIF": Element(lambda d: [_coupled(d)]),
    "Neuron": Element(lambda d: [_declared(d)]),
    "Synapse": Element(lambda d: [Synapse(d.decay, d.random.choice((0, 1))), d.leaky()]),
    "Synapse of spikes": Element(lambda d: [d.leaky(), d.dense(), Synapse(d.decay), d.leaky()]),
    "Delay": Element(lambda d: [d.leaky(), Delay(d.random.choice((0, 1, 2))), d.dense(), d.leaky()]),
    "Recurrent": Element(lambda d: _loop(d, d.leaky())),
    "Recurrent, synapse": Element(lambda d: _loop(d, d.leaky("zero"), Synapse(d.decay))),
    "Recurrent, AdaptiveLIF": Element(lambda d: _loop(d, _adaptive(d))),
    "Recurrent, RefractoryLIF": Element(lambda d: _loop(d, _refractory(d))),
    "Recurrent, CoupledLIF": Element(lambda d: _loop(d, _coupled(d))),
    "Residual of spikes": Element(lambda d: [d.leaky(), Residual([d.dense(), d.leaky()])]),
    "Residual of currents": Element(lambda d: [Residual([d.leaky(), d.dense()]), d.leaky()]),
    "Residual, Share": Element(lambda d: [d.leaky(), Residual([d.dense(), d.leaky(), Share(0.5)], [Share(-1.0)])]),
    "SpikeAnd": Element(lambda d: [d.leaky(), SpikeAnd([d.dense(), d.leaky()])]),
    "SpikeIand": Element(lambda d: [d.leaky(), SpikeIand([d.dense(), d.leaky()])]),
    "PerStep": Element(lambda d: [d.leaky(), _steps(d, d.dense), d.leaky()]),
    "PerStep, norms": Element(lambda d: [_steps(d, lambda: _norm(d, d.width)), d.leaky()]),
    "BatchNorm1d": Element(lambda d: [_norm(d, d.width), d.leaky(), d.dense(), _norm(d, d.width), d.leaky()]),
    "MaxPool1d of spikes": Element(lambda d: [d.leaky(), nn.MaxPool1d(1 + d.width // 2, 1)]),
    "MaxPool1d of currents": Element(lambda d: [nn.MaxPool1d(1 + d.width // 2, 1), d.leaky()]),
    "AvgPool1d": Element(
        lambda d: [nn.Conv1d(1, 2, 1), d.leaky(), nn.AvgPool1d(2), nn.Flatten()], lambda d: [], (1, 4)
    ),
    "Conv1d": Element(_line, lambda d: [], (1, 4)),
    "ConvTranspose1d": Element(
        lambda d: [nn.ConvTranspose1d(1, 2, 2, stride=2), d.leaky(), nn.Flatten()],
        lambda d: [nn.Conv1d(1, 1, 1)],
        (1, 2),
    ),
    "Conv2d": Element(_image, lambda d: [Normalize((0.25,), (0.5,))], (1, 3, 3)),
    "IntegerLIF": Element(_whole, lambda d: [WholeInput(0, MOST)], kind="whole", readouts=("spikes", "potential")),
    "quantized": Element(lambda d: [d.leaky("zero")], kind="whole", readouts=("mean",)),
    "rate code": Element(lambda d: [d.leaky()], kind="rate"),
}
"""By name."""


@dataclass(frozen=True)
class Cell:
    """A network, a sample, and what is asked of them besides.

    Attributes:
        element, seed: what it was drawn of.
        network: in evaluation mode.
        inputs: one sample, (1, ...).
        label: the network's own class of it.
        kind: "real", "rate", "whole" or "events".
        ties: what a tie is.
        ends: of valid inputs.
        spice: of what kind numbers are.
        random: for what is drawn of it later.
    """

    element: str
    seed: int
    network: SpikingNetwork = field(repr=False)
    inputs: Tensor = field(repr=False)
    label: int = field(repr=False)
    kind: str
    ties: str
    ends: tuple[float, float]
    spice: str
    random: Random = field(repr=False)

    @property
    def labels(self) -> Tensor:
        """Return the label, (1,)."""
        return torch.tensor([self.label])

    @property
    def generator(self) -> torch.Generator:
        """Return a generator that is drawn, too."""
        return torch.Generator().manual_seed(self.random.randrange(2**31))


def cell(element: str, seed: int) -> Cell:
    """Return the cell of an element and a seed: one of a few whose class is seen to change, if any of them is."""
    draw = Random(f"{element}: {seed}")
    tries = (_drawn(element, seed, draw) for _ in range(TRIES))
    changes = (one for one in tries if len(first_maximum(runs(one.network, anywhere(one, 32))).unique()) > 1)
    return next(changes, None) or _drawn(element, seed, draw)


def _drawn(element: str, seed: int, draw: Random) -> Cell:
    kind = ELEMENTS[element].kind
    spice = draw.choice(SPICES) if kind != "whole" else "quarters"
    d = Draw(draw, draw.choice((1, 2, 3, 3, 4)), draw.choice((1, 2, 3, 4)), spice)
    dtype = torch.float64 if kind == "whole" else draw.choice(DTYPES)
    encoding = {"rate": "rate", "whole": "direct"}.get(kind) or draw.choice(("direct", "none", "none"))
    readout = draw.choice(ELEMENTS[element].readouts)
    network = _network(d, ELEMENTS[element], encoding, readout).to(dtype).eval()
    if element == "quantized":
        network = quantize(network, draw.choice(("loihi", "q4.4")), 4, levels=MOST)
    kind = "events" if encoding == "none" and draw.random() < 0.7 else kind
    inputs = _sample(d, ELEMENTS[element], network, kind)
    label = int(first_maximum(runs(network, inputs)))
    ends = (0.0, float(MOST)) if kind == "whole" else RANGES[0] if kind != "real" else draw.choice(RANGES)
    return Cell(element, seed, network, inputs, label, kind, draw.choice(TIES), ends, spice, draw)


def anywhere(one: Cell, count: int) -> Tensor:
    """Return valid inputs of a cell, (count, ...): corners, a grid, and others; of events such, or whole."""
    low, high = max(one.ends[0], -1.0), min(one.ends[1], 2.0 if one.kind != "whole" else MOST)
    share = torch.rand(count, *one.inputs.shape[1:], generator=one.generator, dtype=torch.float64)
    share[::4] = share[::4].round()
    share[1::4] = (share[1::4] * 8).round() / 8
    found = low + (high - low) * share
    return (found.round() if one.kind in ("events", "whole") else found).to(one.network.dtype)


def _network(d: Draw, element: Element, encoding: str, readout: str) -> SpikingNetwork:
    """Return an element with weights in front, an output behind, and numbers of a kind."""
    features = 2 if element.shape is None else prod(element.shape)
    entry = [] if element.entry is None else list(element.entry(d))
    first = [] if element.shape is not None else [nn.Linear(features, d.width)]
    hidden, classes = [*entry, *first, *element.layers(d)], d.random.choice((2, 2, 3))
    shape = element.shape or (features,)
    whole = any(isinstance(layer, WholeInput) for layer in entry)
    width = _width(SpikingNetwork(*hidden, num_steps=d.steps).eval(), shape, whole)
    settings = {"draws": RateDraws(d.random.randrange(100))} if element.kind == "rate" else {}
    layers = [*hidden, nn.Linear(width, classes), *_output(d, readout, whole)]
    made = SpikingNetwork(*layers, num_steps=d.steps, encoding=encoding, readout=readout, **settings)
    _fill(made, d, whole)
    return made


def _width(hidden: SpikingNetwork, shape: Sequence[int], whole: bool) -> int:
    """Return how many features an element has behind it."""
    with torch.no_grad():
        zeros = torch.zeros(1, *shape, dtype=torch.float64)
        if whole:
            for part in hidden.parameters():
                part.data.zero_()
        return hidden.double()(zeros).shape[1]


def _output(d: Draw, readout: str, whole: bool) -> list[nn.Module]:
    """Return what is read, behind the last weights."""
    if readout == "mean" or (readout == "largest" and d.random.random() < 0.5):
        return []
    if whole and readout == "potential":
        return [LIF(1.0, reset="none")]
    if readout in ("spikes", "first"):
        return [*_whole_output(d)] if whole else [d.leaky()]
    return [LIF(d.decay, d.unit, "none")]


def _whole_output(d: Draw) -> Hidden:
    return [IntegerLIF(WholeDecay("truncate", 12, 3686), d.random.choice((3, 8)), fires_at=d.fires_at)]


def _fill(network: SpikingNetwork, d: Draw, whole: bool) -> None:
    """Set weights and biases; the first ones only give numbers of the size of `unit`, the others read spikes."""
    for layer in network.modules():
        if not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d):
            continue
        for name, part in layer.named_parameters():
            made = d.numbers(*part.shape) * (0.5 if name == "bias" else 1.0)
            part.data = (made * 4).round() if whole else made
        if d.spice == "cancelling" and layer.weight.dim() == 2 and layer.weight.shape[1] > 1:
            layer.weight.data[:, 0] += 4096.0
            layer.weight.data[:, 1] -= 4096.0


def _sample(d: Draw, element: Element, network: SpikingNetwork, kind: str) -> Tensor:
    """Return one sample, of events, of whole numbers, or on the grid of the weights."""
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d))
    shape = element.shape or (first.in_features if isinstance(first, nn.Linear) else 1,)
    shape = (1, network.num_steps, *shape) if network.timed else (1, *shape)
    count, draw = prod(shape), d.random
    if kind == "events":
        values = [float(draw.random() < 0.5) for _ in range(count)]
    elif kind == "whole":
        values = [float(draw.randint(0, MOST)) for _ in range(count)]
    else:
        grid = {"tenths": 10, "normal": 0, "cancelling": 0}.get(d.spice, 4)
        values = [draw.randint(0, grid) / grid if grid else draw.random() for _ in range(count)]
    return torch.tensor(values, dtype=torch.float64).view(shape).to(network.dtype)


def first_maximum(logits: Tensor) -> Tensor:
    """Return the lowest index that attains the maximum, (batch,)."""
    places = torch.arange(logits.shape[1])
    return torch.where(logits == logits.amax(1, keepdim=True), places, logits.shape[1]).amin(1)


def wrong(logits: Tensor, label: int, ties: str) -> Tensor:
    """Return whether each run has another class, (batch,) of bool."""
    if ties == "argmax":
        return first_maximum(logits) != label
    others = torch.cat([logits[:, :label], logits[:, label + 1 :]], 1)
    return logits[:, label] <= others.amax(1)


@torch.no_grad()
def runs(network: SpikingNetwork, points: Tensor) -> Tensor:
    """Return the logits of inputs, (n, classes)."""
    return network(points)


@torch.no_grad()
def flips(network: SpikingNetwork, point: Tensor, label: int, ties: str) -> bool:
    """Return whether one input, (...), has another class, run alone or among copies of itself.

    What is verified holds in any order of summation: either of them contradicts it.
    """
    alone, together = network(point[None]), network(point.expand(16, *point.shape))
    return bool(wrong(alone, label, ties).any() or wrong(together, label, ties).any())
