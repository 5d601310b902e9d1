"""Count what a network says of many noisy copies of each sample, in batches."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...models.networks import SpikingNetwork
from ...models.progress import Progress, silent
from ...models.validation import check_rivals

Noise = Callable[[Tensor, torch.Generator], Tensor]
"""Takes copies (copies, ...) of one sample, returns what the network is run on."""


@dataclass
class Counter:
    """Counts votes, and reports how many draws are done.

    Attributes:
        network: in evaluation mode.
        noise: draws the network's inputs.
        votes: network runs whose logits are averaged for one decision.
        batch_size: network runs at once, at most (at least one decision's).
        total: decisions in all, for `progress`.
    """

    network: SpikingNetwork
    noise: Noise
    generator: torch.Generator
    votes: int = 1
    batch_size: int = 1000
    total: int = 0
    progress: Progress = silent
    done: int = field(default=0, init=False)

    @torch.no_grad()
    def count(self, sample: Tensor, decisions: int) -> Tensor:
        """Return how many decisions fall on each class, (classes,); a tie between logits counts for none."""
        counts: Tensor | int = 0
        most = max(1, self.batch_size // self.votes)
        for size in [min(most, decisions - start) for start in range(0, decisions, most)]:
            copies = sample.expand(size * self.votes, *sample.shape)
            logits = self.network(self.noise(copies, self.generator)).unflatten(0, (size, self.votes)).mean(1)
            check_rivals(logits.shape[1])
            greatest = logits == logits.amax(1, keepdim=True)
            counts = counts + (greatest & (greatest.sum(1, keepdim=True) == 1)).sum(0)  # the single greatest
            self.done += size
            self.progress("smooth", self.done, self.total)
        assert isinstance(counts, Tensor)
        return counts
