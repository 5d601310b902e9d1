"""The worst points that a search has seen, by its own account."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import SearchNotes, Target


@dataclass
class Lead:
    """Per sample, the point of least margin so far.

    A search notes each point whose margin it learns on the way, and yields `points` when `note` says that a
    sample fell: so that the base class re-evaluates a few batches, not one a step.
    """

    points: Tensor
    margins: Tensor
    notes: SearchNotes

    @staticmethod
    def start(target: Target) -> "Lead":
        """Return the samples themselves, with margins that any point beats."""
        margins = torch.full_like(target.inputs.flatten(1)[:, 0], torch.inf)
        return Lead(target.inputs.clone(), margins, target.notes)

    def note(self, index: Tensor, points: Tensor, margins: Tensor) -> bool:
        """Keep those of `points`, of samples `index`, with a lower margin; return whether one is misclassified.

        A margin of NaN is none: that the network said nothing there is noted.
        """
        self.notes.unanswered.update(index[margins.isnan()].tolist())
        lower = margins < self.margins[index]
        self.points[index[lower]], self.margins[index[lower]] = points[lower], margins[lower]
        return bool((margins <= 0).any())
