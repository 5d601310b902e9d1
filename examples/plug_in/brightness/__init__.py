"""A package that adds to spikecert: images that become brighter or darker as a whole, and who decides that.

`pip install` it, and `spikecert certify MODEL --norm brightness:shift --verifier brightness:pieces` knows it.
"""

import json
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from spikecert.asking import Threat
from spikecert.certify import Attack, LInf, Perturbation, Property, Verdict, output
from spikecert.certify.attacks.base import Target
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.perturbations.base import round_up
from spikecert.certify.problem import Problem, Scale
from spikecert.certify.verifiers import TRAINS, Verifier
from spikecert.models import LIF, AdaptiveLIF, SpikingNetwork
from spikecert.models.chips.targets import FixedPoint

INSIDE = 1 - 1e-6
"""The share of the moves that is drawn: what is moved is rounded."""
SLACK = 1e-6
"""By how much pixels of one image may be moved apart: sums are rounded."""


@dataclass(frozen=True)
class Shifted(Perturbation):
    """All pixels of a sample, moved by one number from `least` to `most`, and cut to [0, 1]."""

    most: float
    darker: bool = True

    @property
    def least(self) -> float:
        """Return the least number: 0 where nothing becomes darker."""
        return -self.most if self.darker else 0.0

    @property
    def norm(self) -> str:
        """Return its name."""
        return "brightness:shift"

    def enclosure(self, inputs: Tensor) -> Box:
        """Return what each pixel may be, by itself: it holds all of them, rounded outward."""
        exact = inputs.double()
        ends = torch.nextafter(exact + self.least, exact - 1), torch.nextafter(exact + self.most, exact + 1)
        return Box(ends[0].clamp(0, 1), ends[1].clamp(0, 1))

    def moved(self, inputs: Tensor, by: Tensor) -> Tensor:
        """Return each sample moved by a number, (batch,)."""
        return (inputs + by.view(-1, *[1] * (inputs.dim() - 1)).to(inputs)).clamp(0, 1)

    def project(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return the samples moved by the mean of what candidates move them by."""
        by = (candidates - inputs).flatten(1).mean(1).clamp(self.least * INSIDE, self.most * INSIDE)
        return self.moved(inputs, by)

    def contains(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return whether a number b within `most` moves all pixels there, up to `SLACK`, which roundings need.

        A pixel strictly between 0 and 1 says what b is, one that was cut at 1 that it is no less, at 0 no more.
        """
        by, at = (candidates.double() - inputs.double()).flatten(1), candidates.flatten(1)
        least = torch.where(at > 0, by - SLACK, self.least).amax(1)
        greatest = torch.where(at < 1, by + SLACK, self.most).amin(1)
        within = (by.amin(1) >= self.least - SLACK * (not self.darker)) & (by.amax(1) <= self.most)
        return (least <= greatest) & within

    def sample(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return the samples, each moved by a number that is drawn."""
        drawn = torch.rand(len(inputs), generator=generator, dtype=torch.float64)
        by = (self.least + (self.most - self.least) * drawn) * INSIDE
        return self.moved(inputs, by)

    def check(self, inputs: Tensor) -> None:
        """Raise ValueError unless pixels lie in [0, 1]."""
        if not bool(((inputs >= 0) & (inputs <= 1)).all()):
            raise ValueError("inputs: got pixels outside of [0, 1], expected them within")


@dataclass(frozen=True)
class Shifts(Scale):
    """Moves of all sizes."""

    darker: bool = True

    def around(self, epsilon: float) -> Shifted:
        """Return those up to ε."""
        return Shifted(epsilon, self.darker)

    def reach(self, inputs: Tensor) -> float:
        """Return a size from which on all pixels are cut."""
        return 1.0

    def distance(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return by how much the pixel moved that moved most, rounded up."""
        apart = (candidates.double() - inputs.double()).abs().flatten(1).amax(1)
        return round_up(apart * (1 + 1e-12), torch.float64)


@dataclass(frozen=True, kw_only=True)
class Brighter(Threat):
    """All pixels move by one number of modulus at most ε.

    Attributes:
        darker: whether they may become darker, too: yes or no.
    """

    norm: ClassVar[str] = "brightness:shift"
    sign: ClassVar[str] = "brightness"

    darker: Literal["yes", "no"] = "yes"

    @property
    def scale(self) -> Scale:
        """Return the moves of all sizes."""
        return Shifts(self.darker == "yes")

    @property
    def change(self) -> str:
        """Return what may change, as a clause."""
        darker = " or darker" if self.darker == "yes" else ""
        return f"all pixels may become brighter{darker} by one number of at most ε"


class Pieces(Verifier):
    """Cuts the moves into pieces, and bounds each piece as a box of pixels by "trains"."""

    name = "pieces"

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return "verified" where all pieces are; other sets as "trains" has them."""
        if not isinstance(problem.perturbation, Shifted):
            return TRAINS.decide(problem)
        least, most, count = problem.perturbation.least, problem.perturbation.most, 16
        found = TRAINS.decide(problem)
        for place, verdict in enumerate(found):
            if verdict.status == "verified" or problem.expired():
                continue
            one, centres = problem.subset(torch.tensor([place])), torch.linspace(least, most, count).double()
            margins = [self._margin(one, float(centre), (most - least) / 2 / (count - 1)) for centre in centres]
            if min(margins) > 0:
                found[place] = replace(
                    verdict, status="verified", margin=min(margins), reason=f"{count} pieces are"
                )
        return found

    def _margin(self, one: Problem, centre: float, radius: float) -> float:
        """Return a bound of the margin where pixels move by centre ± radius: in the box around the moved."""
        moved = one.perturbation.moved(one.inputs, torch.tensor([centre]))  # type: ignore[attr-defined]
        around = LInf(radius * (1 + 1e-6) + 4 * SLACK)
        return float(TRAINS.margins(one.network, moved, one.labels, around, one.expired))


class Ends(Attack):
    """Tries the brightest and the darkest of a set."""

    name = "ends"
    accepts = (Perturbation,)
    by_gradient = False

    def propose(self, target: Target, generator: torch.Generator) -> Generator[Tensor, Tensor, None]:
        """Yield both, and eight draws."""
        yield target.perturbation.project(target.inputs + 1, target.inputs)
        yield target.perturbation.project(target.inputs - 1, target.inputs)
        for _ in range(8):
            yield target.perturbation.sample(target.inputs, generator)


def gap(most: float = 1.0) -> Property:
    """Return that the first two outputs differ by no more than a number."""
    return abs(output[0] - output[1]) <= most


def read_weights(path: Path) -> SpikingNetwork:
    """Return the network of a JSON file: weights of dense layers, λ, and T."""
    told = json.loads(path.read_text())
    layers: list[nn.Module] = []
    for rows in told["weights"]:
        layer = nn.Linear(len(rows[0]), len(rows), bias=False)
        layer.weight.data.copy_(torch.tensor(rows))
        layers += [layer, LIF(told["decay"])]
    return SpikingNetwork(*layers[:-1], num_steps=told["steps"])


def adapting(num_steps: int, decay: float, threshold: float, reset: str) -> LIF:
    """Return neurons whose threshold rises with each spike, by a half of what it is."""
    return AdaptiveLIF(decay, threshold, adaptation=threshold / 2, threshold_decay=0.9, reset=reset)


SMALL = FixedPoint("small", 6, 6)
