"""Random shifts of recordings for batches of training events, without a loop over samples."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.constants import at_least, settle


@dataclass(frozen=True)
class EventAugmentation:
    """What is done afresh to each training recording: all of its events move together, over pixels and in time.

    Row, column and step of each move by whole numbers drawn alike from −reach to reach. What leaves the recording
    is gone, and nothing comes in.

    Args:
        pixels: how far rows and columns move at most; 0 for not at all, as recordings without pixels need it.
        steps: how far time moves at most.

    Raises:
        ValueError: for a negative number.

    >>> EventAugmentation(steps=1)(torch.ones(2, 5, 2, 34, 34), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 5, 2, 34, 34])
    """

    pixels: int = 2
    steps: int = 0

    def __post_init__(self) -> None:
        settle(self, at_least(0), "pixels", "steps")

    def __call__(self, events: Tensor, generator: torch.Generator) -> Tensor:
        """Return new recordings of the same shape.

        Args:
            events: (batch, T, ..., height, width), or (batch, T, ...) where no pixels move, on any device.
            generator: the source of all randomness; it draws on its own device: the same for events on any.

        Raises:
            ValueError: for a tensor that lacks an axis.
        """
        if events.dim() < (4 if self.pixels else 2):
            told = "recordings (T, ..., height, width)" if self.pixels else "recordings (T, ...)"
            raise ValueError(f"augmentation: got inputs {tuple(events.shape[1:])}, expected {told}")
        for axis, reach in ((1, self.steps), (events.dim() - 2, self.pixels), (events.dim() - 1, self.pixels)):
            if reach:
                events = _moved(events, axis, reach, generator)
        return events


def _moved(events: Tensor, axis: int, reach: int, generator: torch.Generator) -> Tensor:
    """Return events that moved along one axis, each sample by a number of its own."""
    drawn = torch.randint(2 * reach + 1, (len(events), 1), generator=generator, device=generator.device)
    source = torch.arange(events.shape[axis], device=events.device) + drawn.to(events.device) - reach
    inside = (source >= 0) & (source < events.shape[axis])
    ahead = events.movedim(axis, 1)
    batch = torch.arange(len(events), device=events.device)[:, None]
    found = ahead[batch, source.clamp(0, events.shape[axis] - 1)]
    kept = inside.view(*inside.shape, *[1] * (events.dim() - 2))
    return torch.where(kept, found, torch.zeros_like(found)).movedim(1, axis).contiguous()
