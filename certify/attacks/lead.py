"""The worst points that a search has seen, by its own account."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Target


@dataclass
class Lead:
    """Per sample, the point of least margin so far.

    A search notes each point whose margin it learns on the way, and yields `points` when `note` says that a
    sample fell: so that the base class re-evaluates a few batches, not one a step.
    """

    points: Tensor
    margins: Tensor

    @staticmethod
    def start(target: Target) -> "Lead":
        """Return the samples themselves, with margins that any point beats."""
        return Lead(target.inputs.clone(), torch.full_like(target.inputs.flatten(1)[:, 0], torch.inf))

    def note(self, index: Tensor, points: Tensor, margins: Tensor) -> bool:
        """Keep those of `points`, of samples `index`, with a lower margin; return whether one is misclassified."""
        lower = margins < self.margins[index]
        self.points[index[lower]], self.margins[index[lower]] = points[lower], margins[lower]
        return bool((margins <= 0).any())
