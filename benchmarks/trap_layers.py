"""Random layers of every kind for benchmarks/traps.py, over vectors, lines and images."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn
from trap_draw import Draw

from spikecert import LIF, Normalize, Residual, Share, Synapse
from spikecert.models import AdaptiveAverage
from spikecert.testing.networks import MOVES, moving

Shape = tuple[int, ...]
CONVOLUTIONS: dict[int, type[nn.Conv1d | nn.Conv2d]] = {2: nn.Conv1d, 3: nn.Conv2d}
SAME = (LIF, Synapse, Residual, Share, nn.BatchNorm1d, nn.BatchNorm2d)
"""Layers whose outputs are of the shape of their inputs."""
BRANCHES = ("w", "ws", "wsw", "wy", "yw", "p", "a", "a", "as", "y", "s", "ps", "wc", "wps", "ys", "wl", "l")
SHORTCUTS = ("", "", "", "w", "ws", "c", "y", "p", "s")


@dataclass
class Stack:
    """Layers so far: `shape` is of a sample at one step, `features` of what the layers make of it."""

    draw: Draw
    shape: Shape
    features: Shape
    layers: list[nn.Module] = field(default_factory=list)

    def add(self, *layers: nn.Module) -> None:
        """Put layers behind the others."""
        for layer in layers:
            self.layers.append(layer)
            if not isinstance(layer, SAME):
                with torch.no_grad():
                    self.features = tuple(layer(torch.zeros(1, *self.features)).shape[1:])

    def chance(self, share: float) -> bool:
        """Return True now and then."""
        return self.draw.random.random() < share

    def fire(self) -> None:
        """Add neurons."""
        self.add(self.draw.spiking(self.features))

    def weighted(self) -> None:
        """Add weights that change the shape."""
        r, axes = self.draw.random, len(self.features)
        size = r.randint(3 if self.draw.listed else 1, 6) if axes == 1 else r.choice((1, 2))
        if axes == 1:
            self.add(nn.Linear(self.features[0], size, bias=self.chance(0.8)))
            return
        mode = r.choice(("zeros", "zeros", "circular", "replicate", "reflect"))
        stride = r.choice((1, 2)) if self.features[-1] > 2 else 1
        padding = 1 if self.features[-1] > 1 else 0
        kernel = r.choice((2, 3)) if padding else 1
        mode = mode if padding else "zeros"
        self.add(CONVOLUTIONS[axes](self.features[0], size, kernel, stride, padding, padding_mode=mode))

    def currents(self) -> None:
        """Add what stands between weights and neurons: batch norm, a max pool, a synapse."""
        axes = len(self.features)
        if self.chance(0.25):
            self.add((nn.BatchNorm2d if axes == 3 else nn.BatchNorm1d)(self.features[0]))
        if self.chance(0.15):
            self.pool(nn.MaxPool2d if axes == 3 else nn.MaxPool1d)
        if self.chance(0.15):
            self.add(self.draw.synapse())

    def pool(self, kind: type[nn.Module]) -> None:
        """Add a pool of two entries an axis, where there are two."""
        if self.features[-1] > 1:
            self.add(kind(2, self.draw.random.choice((1, 2)), self.draw.random.choice((0, 1))))

    def sum(self) -> None:
        """Add a sum of two paths that hold anything."""
        plans = self.draw.random.choice(BRANCHES), self.draw.random.choice(SHORTCUTS)
        self.add(Residual(*([self._kept(letter) for letter in plan] for plan in plans)))

    def _kept(self, letter: str) -> nn.Module:
        """Return a layer that keeps the shape: weights, neurons, a synapse, a pool, a share, or a loop."""
        size, axes, draw = self.features[0], len(self.features), self.draw
        if letter == "p" or (letter == "a" and axes == 1):
            return (nn.MaxPool2d if axes == 3 else nn.MaxPool1d)(3, 1, 1)
        if letter == "a":
            return (nn.AvgPool2d if axes == 3 else nn.AvgPool1d)(3, 1, 1)
        if letter == "w":
            return nn.Linear(size, size) if axes == 1 else CONVOLUTIONS[axes](size, size, 3, padding=1)
        made: dict[str, Callable[[], nn.Module]] = {
            "s": lambda: draw.spiking(self.features),
            "l": lambda: draw.looping(self.features),
            "y": draw.synapse,
            "c": Share,
        }
        return made[letter]()

    def move(self) -> None:
        """Add layers that move and average entries: pads, transposes, upsampling, shuffles."""
        if len(self.features) == 2:
            length = self.features[-1]
            kept = nn.ConvTranspose1d(self.features[0], self.features[0], 3, padding=1)
            averages = AdaptiveAverage((length,), (max(1, length - 1),))
            self.add(self.draw.random.choice((kept, nn.ZeroPad1d((1, -1)), averages)))
        elif len(self.features) == 3 and self.features[1] == self.features[2]:
            channels, side = self.features[:2]
            fitting = MOVES if side % 2 == 0 else ("zeros", "transposed")
            self.add(*moving(self.draw.random.choice(fitting), channels, side))

    def element(self) -> None:
        """Add one element behind spikes, and weights and neurons behind it now and then."""
        axes, several = len(self.features), len(self.features) > 1
        pools = (nn.MaxPool2d, nn.AvgPool2d) if axes == 3 else (nn.MaxPool1d, nn.AvgPool1d)
        makers: list[Callable[[], object]] = [self.sum, self.sum, self.sum, lambda: self.add(self.draw.synapse())]
        makers += [
            lambda: self.pool(pools[0]),
            *([lambda: self.pool(pools[1]), self.move, self.move, self.move] * several),
        ]
        self.draw.random.choice(makers)()
        if self.chance(0.6):
            if self.chance(0.6):
                self.weighted()
                self.currents()
            self.fire()


def body(draw: Draw) -> Stack:
    """Return layers up to the last hidden neurons, flat at the end."""
    size = draw.random.choice((2, 3)) if draw.listed else draw.random.randint(1, 7)
    side = draw.random.choice((3, 4, 4))
    long = draw.random.randint(2, 3) if draw.listed else draw.random.randint(3, 6)
    shapes: list[Shape] = [(size,)] * 3 + [(1, long)] * 2 + ([(1, side, side)] * 2) * (not draw.listed)
    shape = draw.random.choice(shapes)
    stack = Stack(draw, shape, shape)
    if len(stack.features) == 3 and stack.chance(0.3):
        stack.layers.append(Normalize((draw.number((0.5, 0.3)),), (draw.number((0.5, 0.25)),)))
    stack.weighted()
    stack.currents()
    stack.fire()
    for _ in range(draw.random.choice((0, 1, 1, 1 if draw.listed else 2))):
        stack.element()
    if len(stack.features) == 1 and stack.chance(0.3):
        stack.weighted()
        stack.fire()
    if len(stack.features) > 1:
        stack.add(nn.Flatten())
    return stack
