"""What is asked about: a network made from a seed, in one of several forms, and a pool of samples.

Numbers are the same bit for bit on every machine: Python's generator, and sums of float64 in order.
"""

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from spikecert import Share, SpikingNetwork

PICKED = 4
"""Samples of a question."""
POOL = 12
"""Samples that four are picked from."""
FIRES = 0.6
"""Above this a number of a pool is an event."""
WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
GRAIN = 8
"""Of whole networks, how many units a weight of 1 is."""


@dataclass(frozen=True)
class Subject:
    """A network and its samples.

    Attributes:
        name: what questions call it.
        layers: makes them, weights to be drawn.
        features: the shape of a sample at one step.
        steps: T.
        settings: of the network.
        most: the greatest whole input; None: inputs are real numbers in [0, 1].
        gain: of weights.
        dtype: of weights and inputs.
        of: whose weights and sets it has; "": its own.
        data: the pool of samples; None: they are drawn.
        loaded: makes the network itself, told whether it takes recordings; None: it is made of `layers`.
        fixed: sizes of sets that are not to be chosen, by their families.
        asked: how many samples are picked.
    """

    name: str
    layers: Callable[[], list[nn.Module]]
    features: tuple[int, ...]
    steps: int
    settings: dict[str, Any] = field(default_factory=dict)
    most: int | None = None
    gain: float = 3.0
    dtype: torch.dtype = torch.float64
    of: str = ""
    data: Callable[[], Tensor] | None = None
    loaded: Callable[[bool], SpikingNetwork] | None = None
    fixed: dict[str, float] = field(default_factory=dict)
    asked: int = PICKED

    @property
    def origin(self) -> str:
        """Return the name that weights and sets go by."""
        return self.of or self.name

    def network(self, timed: bool = False) -> SpikingNetwork:
        """Return the network; `timed`: the one of the same weights that takes recordings."""
        if self.loaded is not None:
            return self.loaded(timed).eval()
        settings = {"encoding": "none", **self.settings} if timed else self.settings
        made = SpikingNetwork(*self.layers(), num_steps=self.steps, **settings).double().eval()
        fill(made, self.origin, self.gain, self.most is not None)
        level(made, self.samples(timed).double())
        return made.to(self.dtype)

    def samples(self, timed: bool = False, count: int = POOL) -> Tensor:
        """Return inputs; `timed`: recordings of events."""
        if self.data is not None:
            return self.data().to(self.dtype)
        draw = random.Random(f"{self.origin}, samples{' in time' * timed}")
        found = uniform(draw, (count, *(self.steps,) * timed, *self.features))
        if timed:
            return (found > FIRES).to(self.dtype)
        return (found if self.most is None else (found * self.most).round()).to(self.dtype)

    @property
    def digest(self) -> str:
        """Return the digest of weights and samples, as float64."""
        return digest(self.plain.network(), self.plain.samples())

    @property
    def plain(self) -> "Subject":
        """Return what sets are chosen for: of a form of another subject that one, in float64."""
        return replace(self, name=self.of, dtype=torch.float64, of="") if self.of else self


def variant(subject: Subject, suffix: str, **changes: Any) -> Subject:
    """Return a subject of the same weights and sets in another form."""
    return replace(subject, name=f"{subject.name}, {suffix}", of=subject.name, **changes)


def bells(draw: random.Random, shape: Sequence[int], spread: float) -> Tensor:
    """Return numbers of standard deviation `spread`: three uniform ones each, added up."""
    each = [spread * (2.0 * (draw.random() + draw.random() + draw.random()) - 3.0) for _ in range(prod(shape))]
    return torch.tensor(each, dtype=torch.float64).reshape(tuple(shape))


def uniform(draw: random.Random, shape: Sequence[int]) -> Tensor:
    """Return numbers in [0, 1), thousandths."""
    each = [draw.randrange(1000) / 1000 for _ in range(prod(shape))]
    return torch.tensor(each, dtype=torch.float64).reshape(tuple(shape))


def fill(network: SpikingNetwork, seed: str, gain: float, whole: bool) -> None:
    """Draw weights of standard deviation gain/√inputs, biases, and what batch norms counted, in order.

    Args:
        network: float64; changed in place.
        seed: what the numbers go by.
        gain: how large weights are.
        whole: whether they are rounded to whole numbers, `GRAIN` units each.
    """
    draw = random.Random(seed)
    for module in network.modules():
        if isinstance(module, WEIGHTED):
            fan = module.weight[0].numel()
            _set(module.weight, bells(draw, module.weight.shape, gain / fan**0.5), whole)
            if module.bias is not None:
                _set(module.bias, bells(draw, module.bias.shape, 0.2), whole)
        elif isinstance(module, NORMS) and module.running_var is not None:
            module.running_var.copy_(0.25 + uniform(draw, module.running_var.shape))
        elif isinstance(module, Share):
            module.share.data.fill_(0.75)


@torch.no_grad()
def level(network: SpikingNetwork, inputs: Tensor) -> None:
    """Move the last biases, in 64ths, so that no class is far ahead of the others on average over `inputs`."""
    ending = network.layers[-1]
    if isinstance(ending, nn.Linear) and ending.bias is not None:
        ending.bias -= (network(inputs).mean(0) * 64).round() / 64


def _set(parameter: Tensor, numbers: Tensor, whole: bool) -> None:
    parameter.data.copy_((numbers * GRAIN).round() if whole else numbers)


def digest(network: SpikingNetwork, *others: Tensor) -> str:
    """Return a digest of a network's numbers, and of tensors besides: half of what is kept depends on them."""
    found = hashlib.sha256()
    for name, tensor in (*sorted(network.state_dict().items()), *((str(k), x) for k, x in enumerate(others))):
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        found.update(tensor.detach().contiguous().numpy().tobytes())
    return found.hexdigest()[:12]
