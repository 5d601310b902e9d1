"""The worst mismatch that gradients find: their signs, of all samples together and of each by itself."""

from itertools import product

import torch
from torch import Tensor
from torch.func import functional_call

from ...models.merging import weights_and_biases
from ..attacks.losses import negative_margin
from .base import Question, Search, Trial
from .members import MemberPlaces, Shares, drawn, moved

CORNERS = 8
"""Random members that all samples are run on."""
STEPS = 6
"""Of a sample's own ascent."""


def search(shares: Shares, question: Question, generator: torch.Generator) -> Search:
    """Yield members of a tolerance, those for all samples first; each sample then has an ascent of its own."""
    everyone = torch.arange(len(question.labels), device=question.labels.device)
    standing, margins = torch.ones_like(everyone).bool(), torch.zeros_like(everyone)
    directions = _directions(shares, len(question.network.neurons))
    parameters = dict(question.network.named_parameters())
    start = {name: torch.zeros_like(parameters[name]) for name in weights_and_biases(question.network)}
    for direction in directions:
        places = _stepped(question, start, everyone[standing], shares, 1.0)
        member = moved(question.network, MemberPlaces(places, direction), shares)
        standing, margins = yield Trial(member, everyone)
    for _ in range(CORNERS):
        places = drawn(question.network, generator)
        standing, margins = yield Trial(moved(question.network, places, shares), everyone, close=False)
    for index in margins.argsort().tolist():  # each sample has a network of its own
        for direction in directions:
            places, one = start, everyone[index : index + 1]
            for step in range(STEPS):
                if not bool(standing[index]):
                    break
                last = step == STEPS - 1
                places = _stepped(question, places, one, shares, 1.0 if last else 0.5)
                member = moved(question.network, MemberPlaces(places, direction), shares)
                standing, margins = yield Trial(member, one, close=last)


def _directions(shares: Shares, layers: int) -> list[list[tuple[float, float]]]:
    """Return to which end all thresholds and all decays go, together."""
    thresholds = (-1.0, 1.0) if shares.threshold else (0.0,)
    decays = (-1.0, 1.0) if shares.decay else (0.0,)
    return [[pair] * layers for pair in product(thresholds, decays)]


def _stepped(
    question: Question, places: dict[str, Tensor], samples: Tensor, shares: Shares, length: float
) -> dict[str, Tensor]:
    """Return places one step up the margin's loss of some samples."""
    if not shares.weights or not len(samples):
        return places
    parameters = dict(question.network.named_parameters())
    with torch.enable_grad():
        leaves = {name: place.clone().requires_grad_() for name, place in places.items()}
        weights = {
            name: parameters[name].detach() * (1.0 + parameters[name].detach().sign() * shares.weights * leaf)
            for name, leaf in leaves.items()
        }
        logits = functional_call(question.network, weights, (question.inputs[samples],))
        loss = negative_margin(logits, question.labels[samples]).sum()
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    pairs = zip(places.items(), found, strict=True)
    return {name: (place + length * slope.sign()).clamp(-1.0, 1.0) for (name, place), slope in pairs}
