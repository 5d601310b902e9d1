"""WholeInput: what a chip takes, whole numbers between two ends, as they are."""

from dataclasses import dataclass

from torch import Tensor, nn

from ..constants import whole
from ..elements.fields import Whole
from .base import lowers
from .flattening import ReshapeMap


class WholeInput(nn.Module):
    """y = x for whole numbers least ≤ x ≤ most; the first layer of a network of whole numbers, and its mark.

    Args:
        least, most: what the chip takes, such as 0 and 255.

    Raises:
        TypeError, ValueError: for ends that are no whole numbers, or in another order.

    >>> import torch
    >>> WholeInput(0, 15)(torch.tensor([[3.0, 15.0]]))
    tensor([[ 3., 15.]])
    """

    def __init__(self, least: int = 0, most: int = 255) -> None:
        super().__init__()
        self.least: int = whole("least", least)
        self.most: int = whole("most", most)
        if self.least > self.most:
            raise ValueError(f"least, most: got {self.least}, {self.most}, expected least ≤ most")

    def forward(self, signal: Tensor) -> Tensor:
        """Return the signal; a network that is run checks it before."""
        return signal

    def extra_repr(self) -> str:
        """Return the ends."""
        return f"least={self.least}, most={self.most}"


@dataclass(frozen=True, eq=False)
class WholeInputMap(ReshapeMap):
    """The same numbers; whole ones from `least` to `most`."""

    least: int
    most: int

    def linear(self, x: Tensor) -> Tensor:
        """Return x."""
        return x

    def __repr__(self) -> str:
        """Return name and ends."""
        return f"WholeInput({self.least}, {self.most})"


def taken(layer: WholeInput, signal: Tensor) -> Tensor:
    """Return the signal as a network runs on it.

    Raises:
        ValueError: unless all of it is whole and within the ends.
    """
    signal = signal.detach()
    fits = (signal == signal.round()) & (signal >= layer.least) & (signal <= layer.most)
    if not bool(fits.all()):
        other = float(signal[~fits].flatten()[0])
        told = f"expected whole numbers from {layer.least} to {layer.most}, which the chip takes"
        raise ValueError(f"inputs: got {other:g}, {told}")
    return signal


@lowers(WholeInput, fields={"least": Whole, "most": Whole}, run=taken)
def whole_input(layer: WholeInput) -> WholeInputMap:
    """Return the map of a WholeInput."""
    return WholeInputMap(whole("least", layer.least), whole("most", layer.most))
