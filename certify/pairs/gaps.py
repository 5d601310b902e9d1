"""How far two builds' margins may lie apart: by bounds of each alone, and of both on the same input."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.circuit import circuit
from ...models.deadline import TimeIsUp
from ...models.networks import SpikingNetwork
from ..bounds.propagation import known_margins, signals_of
from ..perturbations import Perturbation
from ..verifiers import TRAINS
from .joint import joint_gaps


@dataclass(frozen=True)
class Gaps:
    """Bounds over the sets around some samples of one class y each, (batch, classes).

    Attributes:
        lower: of the margins m_k = z_y − z_k of both builds, (2, batch, classes).
        naive: of |m_k − m'_k|, by bounds of each build; 0 at k = y.
        joint: the same, by pairs of trains, nowhere greater; `naive` where there are none.
    """

    lower: Tensor
    naive: Tensor
    joint: Tensor

    @staticmethod
    def of(
        a: SpikingNetwork, b: SpikingNetwork, inputs: Tensor, labels: Tensor, perturbation: Perturbation
    ) -> "Gaps | None":
        """Return what is known of two builds; None where nothing is.

        Args:
            a, b: in evaluation mode, of one form.
            inputs: (batch, ...).
            labels: y, (batch,).
            perturbation: the sets.
        """
        try:
            (low, high), (other_low, other_high) = (
                _margins(build, inputs, labels, perturbation) for build in (a, b)
            )
            naive = (high - other_low).maximum(other_high - low).scatter(1, labels[:, None], 0.0)
            joint = joint_gaps(a, b, inputs, labels, perturbation)
        except (OverflowError, TimeIsUp):
            return None
        joint = naive if joint is None else naive.minimum(joint)
        return Gaps(torch.stack((low, other_low)), naive, joint)

    def widest(self, labels: Tensor) -> list[float | None]:
        """Return max over k of `joint` for each sample, None where it is not finite."""
        found = self.joint.scatter(1, labels[:, None], -torch.inf).amax(1).tolist()
        return [gap if -torch.inf < gap < torch.inf else None for gap in found]

    def proven(self, labels: Tensor) -> Tensor:
        """Return where one build's margins are above the gap for each k: both then give y, (batch,)."""
        others = torch.ones_like(self.naive, dtype=torch.bool).scatter(1, labels[:, None], False)
        return ((self.lower > self.joint) | ~others).all(2).any(0)


@torch.no_grad()
def _margins(
    build: SpikingNetwork, inputs: Tensor, labels: Tensor, perturbation: Perturbation
) -> tuple[Tensor, Tensor]:
    """Return the ends of z_y − z_k for each class k, (batch, classes) each; at k = y they mean nothing."""
    box, made = perturbation.enclosure(inputs.to(build.dtype)), circuit(build)
    known = signals_of(made, box, TRAINS.stages_for(made)[-1])  # the tightest
    lower = known_margins(made, known, labels, box.lower)
    upper = [
        -known_margins(made, known, torch.full_like(labels, k), box.lower).gather(1, labels[:, None])
        for k in range(lower.shape[1])
    ]
    return lower, torch.cat(upper, 1)
