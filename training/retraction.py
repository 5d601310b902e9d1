"""The regulariser of "AT+Reg": after each step of the optimiser, the weights step towards orthogonality."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from ..models.constants import real, settle
from ..models.elements.layers import WEIGHTED, Residual
from ..models.linear_maps.entrywise import Share

MANY_ROWS = 200
"""A dense layer with as many rows is one of which only a share may move."""


@dataclass(frozen=True)
class Retraction:
    """W ← (1+β)·W − β·W·Wᵀ·W for each dense and convolutional layer, its weight flattened to a matrix.

    Each singular value moves by σ ← σ + β·σ·(1 − σ²): those in (0, √((1+β)/β)) go to 1, so that orthonormal rows
    (or columns, where there are fewer) are the fixed points. In the paper it stands in for weight decay, which
    `fit` must then be told to leave out. Where both paths of a residual sum end with a `Share`, the two numbers
    are put back on the simplex, to the nearest pair that is not negative and adds up to 1.

    Args:
        beta: β in (0, 1/2]; the authors' script has 5e-4.
        share: of the rows of each dense layer with at least `MANY_ROWS` rows, drawn afresh at each step: those are
            moved, W being these rows alone, and the others stay. The authors' code has .3.

    Raises:
        ValueError: for a β or a share out of range.

    >>> layer = nn.Linear(2, 2)
    >>> _ = nn.init.eye_(layer.weight)
    >>> Retraction(0.1)(layer)
    >>> torch.equal(layer.weight, torch.eye(2))
    True

    References: ding2024robust, cisse2017parseval
    """

    beta: float = 0.002
    share: float = 1.0

    def __post_init__(self) -> None:
        settle(self, partial(real, finite=False), "beta", "share")
        if not 0.0 < self.share <= 1.0:
            raise ValueError(f"share: got {self.share!r}, expected a number in (0, 1]")
        if not 0.0 < self.beta <= 0.5:
            raise ValueError(f"beta: got {self.beta!r}, expected a number above 0 and up to 1/2")

    @torch.no_grad()
    def __call__(self, network: nn.Module, generator: torch.Generator | None = None) -> None:
        """Move the weights of `network` in place; biases, batch norms and neurons stay.

        Args:
            network: the network under training.
            generator: draws the rows, where `share` is below 1; None for torch's global one.
        """
        for module in network.modules():
            if isinstance(module, WEIGHTED):
                rows = self._rows(module, generator)
                weight = module.weight.flatten(1)
                moved = _retracted(weight if rows is None else weight[rows], self.beta)
                module.weight[slice(None) if rows is None else rows] = moved.unflatten(1, module.weight.shape[1:])
            elif isinstance(module, Residual):
                _on_simplex(module)

    def _rows(self, module: nn.Module, generator: torch.Generator | None) -> Tensor | None:
        """Return the rows that move, or None for all."""
        weight = module.weight
        assert isinstance(weight, Tensor)
        if self.share == 1.0 or not isinstance(module, nn.Linear) or len(weight) < MANY_ROWS:
            return None
        device = "cpu" if generator is None else generator.device
        order = torch.randperm(len(weight), generator=generator, device=device)
        return order[: int(self.share * len(weight))].to(weight.device)


def _retracted(weight: Tensor, beta: float) -> Tensor:
    """Return the moved matrix; the smaller of both Gram matrices is the one that is formed."""
    rows, columns = weight.shape
    cubed = (weight @ weight.T) @ weight if rows <= columns else weight @ (weight.T @ weight)
    return (1.0 + beta) * weight - beta * cubed


def _on_simplex(residual: Residual) -> None:
    """Put the shares of both paths on the simplex: of two numbers (a, b), a moves to clip((1 + a − b)/2, 0, 1)."""
    paths = residual.branch, residual.shortcut
    ends = [path[-1] for path in paths if len(path)]
    shares = [end.share for end in ends if isinstance(end, Share)]
    if len(shares) == len(paths):
        branch, shortcut = shares
        part = ((1.0 + branch - shortcut) / 2.0).clamp(0.0, 1.0)
        branch.copy_(part)
        shortcut.copy_(1.0 - part)
