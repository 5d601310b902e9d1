"""Products of spikes, as SEW's AND and IAND: a sum and neurons without memory, which every reader knows already.

    a·b = 1[a + b ≥ 3/2],      b·(1 − a) = 1[b − a ≥ 1/2],      a, b ∈ {0, 1},

and sums of such numbers are exact in floats. Thresholds lie halfway between two sums, so that bounds, which pay
for rounding, leave no spike open that a and b decide.
"""

from collections.abc import Sequence

from torch import nn

from ..linear_maps import affine_types, linear_map
from ..linear_maps.entrywise import Share
from .layers import Composite, Residual, in_row
from .max_pooling import MAX_POOLS
from .neurons import LIF


def _passes(layer: nn.Module) -> bool:
    """Return whether a layer makes spikes of spikes: the greatest entry of a window is their OR."""
    return type(layer) in MAX_POOLS or (type(layer) in affine_types() and linear_map(layer).reshapes)


class _Product(Composite):
    """Neurons that fire where the sum of two paths reaches θ; `last` stands behind the first path's spikes."""

    def __init__(
        self,
        branch: Sequence[nn.Module],
        shortcut: Sequence[nn.Module],
        threshold: float,
        last: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__(Residual([*branch, *last], list(shortcut)), LIF(0.0, threshold, reset="none"))
        self.paths: dict[str, list[nn.Module]] = {"branch": in_row(branch), "shortcut": in_row(shortcut)}

    def check_behind(self, before: Sequence[nn.Module]) -> None:
        """Raise ValueError unless both paths give spikes: an empty one those of what stands before the gate."""
        for name, path in self.paths.items():
            made = [layer for layer in (*before, *path) if not _passes(layer)]
            if not made or not isinstance(made[-1], LIF):
                found = f"what {type(made[-1]).__name__} gives" if made else "what stands before its list"
                raise ValueError(f"{name}: got {found} in a {type(self).__name__}, expected the spikes of neurons")


class SpikeAnd(_Product):
    """The product branch(x)·shortcut(x) of two layers' spikes, SEW's AND.

    A network holds what it is made of, a `Residual` and a `LIF` without memory, and files name these.

    Args:
        branch, shortcut: modules of both paths, neurons last, or max pools behind them; none means x itself, which
            must then be the spikes of neurons that stand before.

    Raises:
        ValueError: where it is put into a network, for a path that gives no spikes.

    >>> [type(part).__name__ for part in SpikeAnd([nn.Linear(3, 3), LIF()])]
    ['Residual', 'LIF']

    References: fang2021deep
    """

    def __init__(self, branch: Sequence[nn.Module], shortcut: Sequence[nn.Module] = ()) -> None:
        super().__init__(branch, shortcut, 1.5)


class SpikeIand(_Product):
    """The product shortcut(x)·(1 − branch(x)) of two layers' spikes, SEW's IAND.

    Args:
        branch, shortcut: as in `SpikeAnd`. The branch's spikes are taken away by a `Share` of −1, which no
            training moves before it is saved and loaded; at any share below −1/2 it is the same gate.

    References: fang2021deep
    """

    def __init__(self, branch: Sequence[nn.Module], shortcut: Sequence[nn.Module] = ()) -> None:
        super().__init__(branch, shortcut, 0.5, [Share(-1.0).requires_grad_(False)])
