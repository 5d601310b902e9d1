"""What an attack found."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class AttackResult:
    """Attacked inputs.

    Attributes:
        inputs: the worst allowed input found for each sample, (batch, ...); the sample itself if none is worse.
        success: whether it is misclassified (ties count), (batch,) of bool.
        logits: the network's logits there, (batch, classes).
        method: the attack's name.
    """

    inputs: Tensor
    success: Tensor
    logits: Tensor
    method: str
