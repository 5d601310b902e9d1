"""What is asked about: a network made from a seed, in one of several forms, and a pool of samples."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from spikecert import SpikingNetwork

from .drawing import digest, fill, level, uniform

PICKED = 4
"""Samples of a question."""
POOL = 12
"""Samples that four are picked from."""
FIRES = 0.6
"""Above this a number of a pool is an event."""


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
        kernel: "eager" or "compiled".
        of: whose weights and sets it has; "": its own.
        data: the pool of samples; None: they are drawn.
        loaded: the network itself, with weights that were trained; None: it is made of `layers`.
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
    kernel: str = "eager"
    of: str = ""
    data: Callable[[], Tensor] | None = None
    loaded: Callable[[], SpikingNetwork] | None = None
    fixed: dict[str, float] = field(default_factory=dict)
    asked: int = PICKED

    @property
    def origin(self) -> str:
        """Return the name that weights and sets go by."""
        return self.of or self.name

    def network(self, timed: bool = False) -> SpikingNetwork:
        """Return the network; `timed`: the one of the same weights that takes recordings."""
        if self.loaded is not None:
            return _running_by(self.loaded().eval(), self.kernel)
        settings = {"encoding": "none", **self.settings} if timed else self.settings
        made = SpikingNetwork(*self.layers(), num_steps=self.steps, **settings).double().eval()
        fill(made, self.origin, self.gain, self.most is not None)
        level(made, self.samples(timed).double())
        return _running_by(made.to(self.dtype), self.kernel)

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
        """Return what sets are chosen for: of a form of another subject that one, in float64 and eager."""
        return replace(self, name=self.of, dtype=torch.float64, kernel="eager", of="") if self.of else self


def _running_by(network: SpikingNetwork, kernel: str) -> SpikingNetwork:
    """Return a network that runs by a kernel."""
    if kernel == "compiled":
        from spikecert.models.kernels import use_kernel

        if (found := use_kernel(network, kernel)).name != kernel:
            raise RuntimeError(f"kernel: no compiled one: {found.reason}")
    return network


def variant(subject: Subject, suffix: str, **changes: Any) -> Subject:
    """Return a subject of the same weights and sets in another form."""
    return replace(subject, name=f"{subject.name}, {suffix}", of=subject.name, **changes)
