"""What randomized smoothing says of a sample."""

from dataclasses import dataclass

STATUSES = ("certified", "abstained")


@dataclass(frozen=True)
class SmoothedVerdict:
    """One sample's probabilistic verdict: about a smoothed classifier, and wrong with probability up to `alpha`.

    It is no `Verdict`: nothing is verified about the network itself, and no sample is falsified.

    Attributes:
        status: "certified" (the smoothed classifier says `prediction` on the whole ball of `radius`) or
            "abstained".
        prediction: the certified class, or None.
        radius: of the ball around the sample, in `norm`; 0 if abstained.
        norm: "l2" or "l1".
        probability: the lower confidence bound of the class's probability that the radius follows from.
        alpha: the probability, over the draws, with which a statement like this is wrong.
        samples: how many draws the bound was computed from.
        noise: what was drawn, in words.

    Raises:
        ValueError: for a status without what it needs.
    """

    status: str
    prediction: int | None
    radius: float
    norm: str
    probability: float
    alpha: float
    samples: int
    noise: str

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status: got {self.status!r}, expected one of {', '.join(STATUSES)}")
        certified = self.status == "certified"
        if certified != (self.prediction is not None):
            raise ValueError(f"prediction: got {self.prediction!r}, which does not fit {self.status!r}")
        if not (self.radius > 0 if certified else self.radius == 0):
            raise ValueError(f"radius: got {self.radius!r}, which does not fit {self.status!r}")
