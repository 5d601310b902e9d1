"""What an attack found."""

from dataclasses import dataclass

from torch import Tensor

from ..detaching import detach


@dataclass(frozen=True)
class AttackResult:
    """Attacked inputs; none of the tensors requires a gradient.

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

    def __post_init__(self) -> None:
        detach(self, "inputs", "success", "logits")
