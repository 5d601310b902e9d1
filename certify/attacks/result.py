"""What an attack found."""

from dataclasses import dataclass

from torch import Tensor

from ..alike import Alike
from ..detaching import detach
from ..ties import STRICT


@dataclass(frozen=True, eq=False)
class AttackResult(Alike):
    """Attacked inputs; none of the tensors requires a gradient.

    Attributes:
        inputs: the worst allowed input found for each sample, (batch, ...); the sample itself if none is worse.
        success: whether it is misclassified, (batch,) of bool.
        logits: the network's logits there, (batch, classes).
        method: the attack's name.
        ties: what a tie between logits is, "argmax" or "strict".
    """

    inputs: Tensor
    success: Tensor
    logits: Tensor
    method: str
    ties: str = STRICT

    def __post_init__(self) -> None:
        detach(self, "inputs", "success", "logits")
