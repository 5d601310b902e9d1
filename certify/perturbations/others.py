"""Sets of inputs that another package makes: held against their own promise before one is asked about."""

import torch
from torch import Tensor

from .base import Perturbation

DRAWN = 32
"""Members, and projected points, of each sample."""


def of_others(perturbation: Perturbation) -> bool:
    """Return whether a set is none of spikecert's."""
    return type(perturbation).__module__.partition(".")[0] != "spikecert"


def projected(perturbation: Perturbation, candidates: Tensor, inputs: Tensor) -> Tensor:
    """Return members of the sets near candidates; of another package members stay: its `project` may move them."""
    found = perturbation.project(candidates, inputs)
    if not of_others(perturbation):
        return found
    member = perturbation.contains(candidates, inputs).view(-1, *[1] * (inputs.dim() - 1))
    return torch.where(member, candidates, found)


def confirm_set(perturbation: Perturbation, inputs: Tensor, always: bool = False) -> None:
    """Draw from a set that is none of spikecert's, and look whether it contains and encloses what it gives.

    That refutes a set which breaks the promise of `Perturbation`; it proves none. `always` looks at any set.

    Raises:
        ValueError: where it does not.
    """
    if not (always or of_others(perturbation)) or not len(inputs):
        return
    generator, box = torch.Generator().manual_seed(0), perturbation.enclosure(inputs)
    least, greatest = inputs.min().item(), inputs.max().item()
    for place in range(DRAWN + 1):
        members = [inputs] if place == 0 else [perturbation.sample(inputs, generator)]
        if place:
            wide = torch.rand(inputs.shape, generator=generator).to(inputs) * (greatest - least + 2) + least - 1
            members.append(perturbation.project(wide, inputs))
        for found in members:
            held = perturbation.contains(found, inputs)
            inside = ((found.double() >= box.lower) & (found.double() <= box.upper)).flatten(1).all(1)
            if not bool(held.all()) or not bool(inside.all()):
                what = "contains" if not bool(held.all()) else "enclosure"
                told = "the sample itself" if place == 0 else "an input that it gives"
                name = type(perturbation).__name__
                raise ValueError(
                    f"perturbation: got {name}, whose `{what}` leaves {told} out, expected all inputs of it"
                )
