"""A tiny network of each element: what readers answer on them is the table of docs/limits.md."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from spikecert import (
    DLIF,
    LIF,
    AdaptiveLIF,
    CoupledLIF,
    IntegerLIF,
    OneSpikeLIF,
    PerStep,
    RateDraws,
    Recurrent,
    RefractoryLIF,
    Residual,
    SpikingNetwork,
    Synapse,
    VariedLIF,
    WholeInput,
)
from spikecert.models import Neuron, WholeDecay

STEPS, FEATURES, WIDTH, CLASSES = 3, 3, 4, 3
RADIUS = 0.05
MOST, GRAIN = 9, 8
"""The greatest whole input, and how many units a weight of 1 is."""
Layers = Callable[[], list[nn.Module]]


@dataclass(frozen=True)
class Kind:
    """An element.

    Attributes:
        name: in the table.
        seed: of weights of which `RADIUS` leaves "trains" one or two of four samples open, and not all.
        layers: between the first dense layer and the last one.
        behind: behind that.
        settings: of the network.
        width: of what enters the last dense layer.
        whole: whether it is of whole numbers: weights, inputs and the radius are.
        decides: the verifier that decides all four samples.
    """

    name: str
    seed: int
    layers: Layers
    behind: Layers = list
    settings: dict[str, Any] = field(default_factory=dict)
    width: int = WIDTH
    whole: bool = False
    decides: str = "complete"

    @property
    def radius(self) -> float:
        """Return that of the set that verifiers are asked about."""
        return 1.0 if self.whole else RADIUS

    def network(self, seed: int | None = None, **settings: Any) -> SpikingNetwork:
        """Return the network with random weights, float64."""
        layers = [nn.Linear(FEATURES, WIDTH), *self.layers(), nn.Linear(self.width, CLASSES), *self.behind()]
        layers = [WholeInput(0, MOST), *layers] if self.whole else layers
        made = SpikingNetwork(*layers, num_steps=STEPS, **(self.settings | settings)).double().eval()
        generator = torch.Generator().manual_seed(self.seed if seed is None else seed)
        for module in made.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=2.0, generator=generator)
                nn.init.normal_(module.bias, std=0.3, generator=generator)
            if isinstance(module, nn.Linear) and self.whole:
                for part in (module.weight, module.bias):
                    part.data = (part.data * GRAIN).round()
        return made


def samples(network: SpikingNetwork, count: int = 4, events: bool = False) -> tuple[Tensor, Tensor]:
    """Return inputs and the network's own answers."""
    shape = (STEPS, FEATURES) if network.timed else (FEATURES,)
    inputs = torch.rand(count, *shape, generator=torch.Generator().manual_seed(1))
    inputs = ((inputs > 0.6) if events else inputs).to(network.dtype)
    if isinstance(network.layers[0], WholeInput) and not events:
        inputs = (inputs * MOST).round()
    with torch.no_grad():
        return inputs, network(inputs).argmax(1)


def _then(*last: Callable[[], nn.Module]) -> Layers:
    """Return what makes a layer of LIF and those that stand behind it."""
    return lambda: [LIF(0.9), *(made() for made in last)]


def dense() -> nn.Module:
    """Return a dense layer."""
    return nn.Linear(WIDTH, WIDTH)


def leaky() -> nn.Module:
    """Return a layer of LIF."""
    return LIF(0.9)


def _norm(step: int) -> nn.Module:
    """Return a batch norm of its own for a step."""
    norm = nn.BatchNorm1d(WIDTH)
    nn.init.constant_(norm.weight, 1.0 - 0.25 * step)
    nn.init.constant_(norm.bias, 0.2 * step)
    return norm


def _integers() -> list[nn.Module]:
    leak = WholeDecay("truncate", 12, 3686)
    return [IntegerLIF(leak, 60, fires_at=">"), dense(), IntegerLIF(leak, 12, fires_at=">")]


def _sums() -> list[nn.Module]:
    return [LIF(1.0, reset="none")]


def _silent() -> list[nn.Module]:
    return [LIF(0.9, reset="none")]


DEEP = _then(dense, leaky)
KINDS = (
    Kind("LIF", 16, DEEP),
    Kind("LIF, subtracting", 37, lambda: [LIF(0.9, 1.0, "subtract"), dense(), LIF(0.9, 1.0, "subtract")]),
    Kind("DLIF", 2, lambda: [DLIF(STEPS), dense(), leaky()]),
    Kind("VariedLIF", 16, lambda: [VariedLIF([0.5, 0.9, 0.9, 0.5]), dense(), leaky()]),
    Kind("RefractoryLIF", 16, lambda: [RefractoryLIF(0.9), dense(), RefractoryLIF(0.9, start=0.25)]),
    Kind("OneSpikeLIF", 4, lambda: [OneSpikeLIF(0.9), dense(), OneSpikeLIF(0.9)]),
    Kind(
        "AdaptiveLIF",
        2,
        lambda: [AdaptiveLIF(0.9, adaptation=0.5, reset="subtract"), dense(), AdaptiveLIF(0.9)],
    ),
    Kind(
        "CoupledLIF",
        2,
        lambda: [
            CoupledLIF(0.75, 1.0, 1.0, 0.5, 0.5, 0.25, drain=0.25),
            dense(),
            CoupledLIF(0.5, 1.0, 2.0, 0.75, 0.5, rise=[0.25, 0.5, 0.0, 1.0], reset_rise=0.5),
        ],
    ),
    Kind("Neuron, floor and start", 3, lambda: [Neuron(0.9, floor=-0.25, start=0.25, reset="subtract")]),
    Kind(
        "Neuron, constants a step",
        3,
        lambda: [Neuron(0.9, [1.5, 1.0, 0.5], reset="subtract", steps=STEPS, input_scale=[1.0, 1.0, 2.0])],
    ),
    Kind("Neuron, several spikes", 3, lambda: [Neuron(0.9, 0.5, reset="subtract", most=3)]),
    Kind("Recurrent", 1, lambda: [Recurrent(LIF(0.9), dense())]),
    Kind("Recurrent, synapse", 1, lambda: [Recurrent(LIF(0.9), dense(), Synapse(0.5))]),
    Kind(
        "Recurrent, AdaptiveLIF",
        1,
        lambda: [Recurrent(AdaptiveLIF(0.9, adaptation=0.5), dense())],
    ),
    Kind(
        "Recurrent, CoupledLIF",
        1,
        lambda: [Recurrent(CoupledLIF(0.75, 1.0, 1.0, 0.5, 0.5, 0.25, drain=0.25), dense(), Synapse(0.5))],
    ),
    Kind(
        "Recurrent, RefractoryLIF",
        11,
        lambda: [Recurrent(RefractoryLIF(0.9, rest=2), dense())],
    ),
    Kind(
        "Recurrent, VariedLIF",
        1,
        lambda: [Recurrent(VariedLIF([0.5, 0.9, 0.9, 0.5]), dense())],
    ),
    Kind("Synapse", 16, _then(dense, lambda: Synapse(0.5, delay=1), leaky)),
    Kind("Synapse in a first sum", 0, lambda: [Residual([Synapse(0.5)]), leaky()]),
    Kind("PerStep", 16, _then(lambda: PerStep([dense() for _ in range(STEPS)]), leaky)),
    Kind("PerStep first", 13, lambda: [PerStep([_norm(t) for t in range(STEPS)]), leaky()]),
    Kind("Residual", 7, _then(lambda: Residual([dense(), leaky()]))),
    Kind("Residual past the first spikes", 16, lambda: [Residual([leaky(), dense()]), leaky()]),
    Kind("MaxPool1d of spikes", 12, _then(lambda: nn.MaxPool1d(2)), width=WIDTH // 2),
    Kind("MaxPool1d of currents", 12, lambda: [nn.MaxPool1d(2), leaky()], width=WIDTH // 2),
    Kind('readout "spikes"', 3, DEEP, lambda: [leaky()]),
    Kind('readout "potential"', 16, DEEP, _silent, {"readout": "potential"}),
    Kind('readout "summed"', 16, DEEP, _silent, {"readout": "summed"}),
    Kind('readout "largest"', 7, DEEP, _silent, {"readout": "largest"}),
    Kind('readout "largest", no neuron', 4, DEEP, settings={"readout": "largest"}),
    Kind('readout "first"', 3, DEEP, lambda: [leaky()], {"readout": "first"}),
    Kind("IntegerLIF", 8, _integers, _sums, {"readout": "potential"}, whole=True, decides="enumeration"),
    Kind('encoding "rate"', 16, DEEP, settings={"encoding": "rate", "draws": RateDraws(1)}),
)
