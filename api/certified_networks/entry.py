"""What is said of a network in the zoo."""

from typing import Literal

from pydantic import Field

from spikecert.certify import L2, LInf, Perturbation
from spikecert.reports.pages.norms import NORMS
from spikecert.reports.records.event_rules import EventRules
from spikecert.reports.records.part import Part

BALLS: dict[str, type[LInf] | type[L2]] = {"linf": LInf, "l2": L2}


class Proven(Part):
    """What was proved of a network at one ε.

    Attributes:
        epsilon: the radius.
        certified: samples that are proved.
        attacked: samples that are right under the attack.
    """

    epsilon: float = Field(ge=0)
    certified: int = Field(ge=0)
    attacked: int | None = Field(None, ge=0)


class Ablated(Part):
    """What is left of a network without a part of its time.

    Attributes:
        name: what was taken away, as `temporal_ablation` and `spikecert ablate` call it.
        right: samples that are still right.
    """

    name: str
    right: int = Field(ge=0)


class Entry(Part):
    """A network in the zoo, with figures of the file as it is stored: all test samples, none chosen.

    Attributes:
        name: as in `load_zoo(name)`.
        title: one line.
        data: the data set.
        norm: of the balls, or the kind of the sets of events, as `spikecert certify --norm` names them.
        events: which events change, and how, of such sets.
        num_steps: T.
        samples, clean: test samples, and those that are right without a perturbation.
        verifier: by which `points` are certified.
        attack: what `attacked` was found by, or None.
        points: by rising ε.
        spikes: mean spikes of a neuron and step, layer by layer, on test samples.
        trained: the command that trained it.
        bits: of each stored weight.
        ablation: what is left of it on all test samples without parts of its time and its memory; empty for T = 1.
        ablated: the command that gives these figures.
    """

    name: str
    title: str
    data: str
    norm: Literal["linf", "l2", "flips", "shift", "flips+shift"] = "linf"
    events: EventRules | None = None
    num_steps: int = Field(ge=1)
    samples: int = Field(ge=1)
    clean: int = Field(ge=0)
    verifier: str
    attack: str | None = None
    points: tuple[Proven, ...]
    spikes: tuple[float, ...]
    trained: str
    bits: int = 8
    ablation: tuple[Ablated, ...] = ()
    ablated: str | None = None

    @property
    def shares(self) -> dict[float, float]:
        """Return the share of test samples that is certified at each ε, by rising ε."""
        return {point.epsilon: point.certified / self.samples for point in self.points}

    def around(self, epsilon: float) -> Perturbation:
        """Return the ball, or the set of events, of a size.

        Raises:
            ValueError: for a budget of events that is no whole number.
        """
        if self.norm in BALLS:
            return BALLS[self.norm](epsilon)
        return (self.events or EventRules()).scale(NORMS[self.norm]).around(epsilon)

    def without(self, part: str) -> float | None:
        """Return the share of samples that is right without a part of its time; None where not measured."""
        return next((one.right / self.samples for one in self.ablation if one.name == part), None)
