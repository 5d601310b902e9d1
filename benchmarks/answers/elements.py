"""Small networks, one for each element: each neuron and reset, what stands between layers, readouts, encodings."""

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from spikecert import (
    DLIF,
    LIF,
    PLIF,
    AdaptiveLIF,
    CoupledLIF,
    Delay,
    IntegerLIF,
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
from spikecert.models import WholeDecay

from .subjects import Subject

FEATURES, WIDTH, CLASSES, STEPS = 4, 5, 3, 4
SIDE = 4
"""Of images."""
MOST = 9
"""The greatest whole input."""
Neuron = Callable[[], nn.Module]


def first() -> nn.Module:
    """Return the first dense layer."""
    return nn.Linear(FEATURES, WIDTH)


def dense() -> nn.Module:
    """Return one between."""
    return nn.Linear(WIDTH, WIDTH)


def last(width: int = WIDTH) -> nn.Module:
    """Return the last one."""
    return nn.Linear(width, CLASSES)


def lif() -> nn.Module:
    """Return the neurons that stand where another element is asked about."""
    return LIF(0.9)


def element(name: str, layers: Callable[[], list[nn.Module]], **settings: object) -> Subject:
    """Return the network of an element."""
    return Subject(name, layers, (FEATURES,), STEPS, settings)


def twice(name: str, neuron: Neuron, **settings: object) -> Subject:
    """Return a network with two layers of a neuron."""
    return element(name, lambda: [first(), neuron(), dense(), neuron(), last()], **settings)


def between(name: str, *parts: Callable[[], nn.Module]) -> Subject:
    """Return a network with something between its first neurons and the last dense layer."""
    return element(name, lambda: [first(), lif(), *(part() for part in parts), last()])


def read(readout: str, ending: Neuron | None, neuron: Neuron = lif) -> Subject:
    """Return a network of a readout."""
    ends = list if ending is None else (lambda: [ending()])
    name = f"readout {readout}" if neuron is lif else f"readout {readout}, subtracting"
    settings = {} if readout in ("mean", "spikes") else {"readout": readout}
    return element(name, lambda: [first(), neuron(), dense(), neuron(), last(), *ends()], **settings)


def image(name: str, *layers: Callable[[], nn.Module]) -> Subject:
    """Return a network of images."""
    return Subject(name, lambda: [layer() for layer in layers], (1, SIDE, SIDE), 3, {})


def whole(name: str, first_neuron: Neuron, second: Neuron, **settings: object) -> Subject:
    """Return a network of whole numbers."""

    def layers() -> list[nn.Module]:
        return [WholeInput(0, MOST), first(), first_neuron(), dense(), second(), last(), LIF(1.0, reset="none")]

    return Subject(name, layers, (FEATURES,), STEPS, {"readout": "potential"} | settings, most=MOST)


def build(target: str, neuron: Neuron) -> Subject:
    """Return a build of a network for a chip."""
    source = twice(f"build for {target}", neuron)

    def loaded(timed: bool) -> SpikingNetwork:
        return quantize(source.network(timed), target, 4, levels=1 if timed else MOST)

    return replace(source, loaded=loaded, most=MOST)


def _scaled() -> nn.Module:
    neuron = DLIF(STEPS, 0.9)
    neuron.input_scale.data.copy_(neuron.input_scale.new_tensor([1.25, 1.0, 0.5, -0.5]))
    return neuron


def _norm(step: int) -> nn.Module:
    norm = nn.BatchNorm1d(WIDTH)
    nn.init.constant_(norm.weight, 1.0 - 0.25 * step)
    nn.init.constant_(norm.bias, 0.2 * step)
    return norm


def _coupled() -> nn.Module:
    return CoupledLIF(0.75, 1.0, 1.0, 0.5, 0.5, 0.25, drain=0.25)


def _rising() -> nn.Module:
    rise = [0.25, 0.5, 0.0, 1.0, 0.5]
    return CoupledLIF(0.5, 1.0, 2.0, 0.75, 0.5, rise=rise, reset_rise=0.5)


def _resting() -> nn.Module:
    return RefractoryLIF(0.9, rest=2)


def _subtracting() -> nn.Module:
    return LIF(0.9, 1.0, "subtract")


def _integer(reset: str, threshold: int, **rest: object) -> Neuron:
    return lambda: IntegerLIF(WholeDecay("truncate", 12, 3686), threshold, reset=reset, **rest)


NEURONS = (
    twice("LIF zero", lif),
    twice("LIF subtract", _subtracting),
    twice("LIF none", lambda: LIF(0.5, 1.0, "none")),
    twice("LIF zero, decay 1", lambda: LIF(1.0)),
    twice("LIF subtract, decay 1", lambda: LIF(1.0, 1.0, "subtract")),
    twice("LIF zero, decay 0", lambda: LIF(0.0)),
    twice("LIF subtract, amount", lambda: LIF(0.75, 1.0, "subtract", reset_amount=0.5)),
    twice("LIF zero, above", lambda: LIF(0.9, 0.75, fires_at=">")),
    twice("DLIF", _scaled),
    twice("PLIF", lambda: PLIF(0.8)),
    twice("PLIF subtract", lambda: PLIF(0.8, reset="subtract")),
    twice("VariedLIF zero", lambda: VariedLIF([0.5, 0.9, 0.9, 0.5, 1.0])),
    twice("VariedLIF subtract", lambda: VariedLIF(0.9, [1.0, 0.75, 1.25, 1.0, 0.5], "subtract")),
    twice("VariedLIF none", lambda: VariedLIF([0.5, 0.25, 0.5, 0.25, 0.0], reset="none")),
    twice("RefractoryLIF", lambda: RefractoryLIF(0.9)),
    twice("RefractoryLIF, two steps", _resting),
    twice("RefractoryLIF, initial potential", lambda: RefractoryLIF(0.9, start=0.25)),
    twice("OneSpikeLIF", lambda: OneSpikeLIF(0.9)),
    twice("OneSpikeLIF, initial potential", lambda: OneSpikeLIF(0.9, start=0.5)),
    twice("AdaptiveLIF zero", lambda: AdaptiveLIF(0.9, adaptation=0.5)),
    twice("AdaptiveLIF subtract", lambda: AdaptiveLIF(0.9, adaptation=0.5, reset="subtract")),
    twice("CoupledLIF, drain", _coupled),
    twice("CoupledLIF, rise", _rising),
    twice("CoupledLIF zero", lambda: CoupledLIF(0.75, 1.0, 1.0, 0.5, 0.5, drain=0.25, reset="zero")),
    whole("IntegerLIF zero", _integer("zero", 16), _integer("zero", 12)),
    whole("IntegerLIF subtract", _integer("subtract", 16), _integer("subtract", 12)),
    whole("IntegerLIF, several spikes", _integer("subtract", 16, most=3), _integer("subtract", 12)),
    whole("IntegerLIF, saturating", _integer("zero", 16, bits=7), _integer("zero", 12, bits=7)),
    whole("IntegerLIF, rests", _integer("zero", 16, rest=1), _integer("zero", 12, fires_at=">")),
)
BETWEEN = (
    between("Synapse", dense, lambda: Synapse(0.5), lif),
    between("Synapse, delayed", dense, lambda: Synapse(0.5, delay=1), lif),
    between("Delay", dense, lambda: Delay(1), lif),
    element("Synapse first", lambda: [first(), Synapse(0.5), lif(), dense(), lif(), last()]),
    element("Synapse in a first sum", lambda: [first(), Residual([Synapse(0.5)]), lif(), last()]),
    element("Recurrent", lambda: [first(), Recurrent(LIF(0.9), nn.Linear(WIDTH, WIDTH)), last()]),
    element(
        "Recurrent subtract",
        lambda: [first(), Recurrent(LIF(0.9, 1.0, "subtract"), nn.Linear(WIDTH, WIDTH)), last()],
    ),
    between("Recurrent second", dense, lambda: Recurrent(LIF(0.9), nn.Linear(WIDTH, WIDTH))),
    element(
        "Recurrent, synapse",
        lambda: [first(), Recurrent(LIF(0.9), nn.Linear(WIDTH, WIDTH), Synapse(0.5)), last()],
    ),
    element(
        "Recurrent, AdaptiveLIF",
        lambda: [first(), Recurrent(AdaptiveLIF(0.9, adaptation=0.5), nn.Linear(WIDTH, WIDTH)), last()],
    ),
    element(
        "Recurrent, RefractoryLIF",
        lambda: [first(), Recurrent(RefractoryLIF(0.9), nn.Linear(WIDTH, WIDTH)), last()],
    ),
    between("AvgPool1d", lambda: nn.AvgPool1d(2), lambda: nn.Linear(2, WIDTH), lif),
    between("MaxPool1d of spikes", lambda: nn.MaxPool1d(2), lambda: nn.Linear(2, WIDTH), lif),
    element("MaxPool1d of currents", lambda: [first(), nn.MaxPool1d(2, 1), lif(), last(WIDTH - 1)]),
    between("Residual", lambda: Residual([dense(), lif()]), dense, lif),
    element("Residual past the first spikes", lambda: [first(), Residual([lif(), dense()]), lif(), last()]),
    element("SpikeAnd", lambda: [first(), lif(), *SpikeAnd([dense(), lif()]), last()]),
    element("SpikeIand", lambda: [first(), lif(), *SpikeIand([dense(), lif()]), last()]),
    between("Share", dense, Share, lif),
    between("BatchNorm1d", dense, lambda: nn.BatchNorm1d(WIDTH), lif),
    between("PerStep", lambda: PerStep([dense() for _ in range(STEPS)]), lif),
    element("PerStep norms first", lambda: [first(), PerStep([_norm(t) for t in range(STEPS)]), lif(), last()]),
    image(
        "Conv2d",
        lambda: nn.Conv2d(1, 2, 3, padding=1),
        lif,
        lambda: nn.AvgPool2d(2),
        nn.Flatten,
        lambda: last(8),
    ),
    image(
        "Conv2d, BatchNorm2d, MaxPool2d",
        lambda: nn.Conv2d(1, 2, 3, padding=1),
        lambda: nn.BatchNorm2d(2),
        _subtracting,
        lambda: nn.MaxPool2d(2),
        nn.Flatten,
        lambda: last(8),
    ),
)
READOUTS = (
    read("spikes", lif),
    read("spikes", _subtracting, _subtracting),
    read("potential", lambda: LIF(0.9, reset="none")),
    read("summed", lambda: LIF(0.9, reset="none")),
    read("largest", lambda: LIF(0.9, reset="none")),
    read("first", lif),
    element("encoding rate", lambda: [first(), lif(), last()], encoding="rate", draws=RateDraws(1)),
    element("encoding latency", lambda: [first(), lif(), dense(), lif(), last()], encoding="latency"),
)
BUILDS = build("loihi", lif), build("q8.8", _subtracting)
ELEMENTS: tuple[Subject, ...] = NEURONS + BETWEEN + READOUTS + BUILDS
