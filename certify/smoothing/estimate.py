"""From votes to verdicts: select a class, bound its probability, turn the bound into a radius."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.constants import at_least, real, settle
from ...models.networks import SpikingNetwork
from .confidence import lower_confidence_bound
from .counting import Counter
from .verdict import SmoothedVerdict


def probability(name: str, value: object) -> float:
    """Return a number in (0, 1) as a Python float."""
    found = real(name, value, finite=False)
    if not 0.0 < found < 1.0:
        raise ValueError(f"{name}: got {found!r}, expected a probability between 0 and 1")
    return found


@dataclass(frozen=True)
class Estimator:
    """How a certificate is estimated.

    Attributes:
        selection: draws that choose the class; samples: further draws that bound its probability.
        alpha: the probability of being wrong, per sample.
        radius: from a lower bound of the class's probability (above ½) to the certified radius.
        norm, noise: for the verdict.
    """

    selection: int
    samples: int
    alpha: float
    radius: Callable[[float], float]
    norm: str
    noise: str

    def __post_init__(self) -> None:
        settle(self, at_least(1), "selection", "samples")
        settle(self, probability, "alpha")

    def decide(self, counter: Counter, sample: Tensor) -> SmoothedVerdict:
        """Return one sample's verdict: Cohen et al.'s CERTIFY.

        The class is chosen on draws of its own: a class chosen on the draws that bound it would be favoured.
        """
        label = int(counter.count(sample, self.selection).argmax())
        hits = int(counter.count(sample, self.samples)[label])
        bound = lower_confidence_bound(hits, self.samples, self.alpha)
        radius = self.radius(bound) if bound > 0.5 else 0.0
        certified = radius > 0.0
        return SmoothedVerdict(
            "certified" if certified else "abstained",
            label if certified else None,
            radius,
            self.norm,
            bound,
            self.alpha,
            self.samples,
            self.noise,
        )


def check_source(network: SpikingNetwork, generator: torch.Generator) -> None:
    """Raise TypeError unless these are a network and a source of draws."""
    if not isinstance(network, SpikingNetwork):
        raise TypeError(f"network: got {type(network).__name__}, expected a SpikingNetwork")
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator: got {type(generator).__name__}, expected a torch.Generator")
