"""What is said of a network in the zoo."""

from typing import Literal

from pydantic import Field

from spikecert.reports.records.part import Part


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


class Entry(Part):
    """A network in the zoo, with figures of the file as it is stored: all test samples, none chosen.

    Attributes:
        name: as in `load_zoo(name)`.
        title: one line.
        data: the data set.
        norm: of the balls.
        samples, clean: test samples, and those that are right without a perturbation.
        verifier: by which `points` are certified.
        attack: what `attacked` was found by, or None.
        points: by rising ε.
        spikes: mean spikes of a neuron and step, layer by layer, on test samples.
        trained: the command that trained it.
        bits: of each stored weight.
    """

    name: str
    title: str
    data: str
    norm: Literal["linf", "l2"] = "linf"
    samples: int = Field(ge=1)
    clean: int = Field(ge=0)
    verifier: str
    attack: str | None = None
    points: tuple[Proven, ...]
    spikes: tuple[float, ...]
    trained: str
    bits: int = 8

    @property
    def shares(self) -> dict[float, float]:
        """Return the share of test samples that is certified at each ε, by rising ε."""
        return {point.epsilon: point.certified / self.samples for point in self.points}
