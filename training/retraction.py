"""The regulariser of "AT+Reg": after each step of the optimiser, the weights step towards orthogonality."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from ..models.constants import real, settle
from ..models.layers import WEIGHTED


@dataclass(frozen=True)
class Retraction:
    """W ← (1+β)·W − β·W·Wᵀ·W for each dense and convolutional layer, its weight flattened to a matrix.

    Each singular value moves by σ ← σ + β·σ·(1 − σ²): those in (0, √((1+β)/β)) go to 1, so that orthonormal rows
    (or columns, where there are fewer) are the fixed points. In the paper it stands in for weight decay, which
    `fit` must then be told to leave out. β is this library's choice.

    Args:
        beta: β in (0, 1/2].

    Raises:
        ValueError: for a β out of range.

    >>> layer = nn.Linear(2, 2)
    >>> _ = nn.init.eye_(layer.weight)
    >>> Retraction(0.1)(layer)
    >>> torch.equal(layer.weight, torch.eye(2))
    True

    References: ding2024robust, cisse2017parseval
    """

    beta: float = 0.002

    def __post_init__(self) -> None:
        settle(self, partial(real, finite=False), "beta")
        if not 0.0 < self.beta <= 0.5:
            raise ValueError(f"beta: got {self.beta!r}, expected a number above 0 and up to 1/2")

    @torch.no_grad()
    def __call__(self, network: nn.Module) -> None:
        """Move the weights of `network` in place; biases, batch norms and neurons stay."""
        for module in network.modules():
            if isinstance(module, WEIGHTED):
                weight = module.weight.flatten(1)
                module.weight.copy_(_retracted(weight, self.beta).view_as(module.weight))


def _retracted(weight: Tensor, beta: float) -> Tensor:
    """Return the moved matrix; the smaller of both Gram matrices is the one that is formed."""
    rows, columns = weight.shape
    cubed = (weight @ weight.T) @ weight if rows <= columns else weight @ (weight.T @ weight)
    return (1.0 + beta) * weight - beta * cubed
