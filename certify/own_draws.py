"""Codes whose samples are networks of their own: rate codes with draws of each sample, and latency codes.

Rate codes in which each sample has draws of its own: a network for each sample.

Latency-coded networks and their images, as the networks over time and the recordings that they come to.

With encoding "latency" each input fires once, at the step τ(x) = ⌊(1 − x)·(T − 1) + ½⌋. So the network is one of
encoding "none" on the recordings `latency_code` makes, and a set of moves of their events (`SpikeShift`, border
"stay") is a set of images: those whose events come at such steps. Attacks and verifiers answer for the recordings.

A recording with one event an input is the code of an image: x̃ = x where the event has not moved, and
x̃ = fl(1 − τ/(T − 1)) where it came to step τ. Proof that x̃ fires at τ. fl rounds a number in [0, 1] to the run's
dtype of ε, so (1 − x̃)·(T − 1) is within (T − 1)·ε/2 of τ, which is below ¼ where T·ε ≤ ½; float64 adds less than
T·2⁻⁵¹ < ¼ in computing it. With half a step more it lies in [τ, τ + 1), and its floor is τ. T = 1 moves no event.

Sets of brightness (balls, boxes) are refused: an interval of x is an interval of steps, of each input by itself,
which no budget of moves says. So are events that come or go: no image has none, or two, of one input.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..models.deadline import Progress
from ..models.networks import SpikingNetwork
from ..models.running.encoding import latency_code
from ..models.validation import check_inputs
from .perturbations import Perturbation, SpikeShift


def own_draws(network: SpikingNetwork, inputs: Tensor, labels: object = None) -> bool:
    """Return whether each sample of `inputs` has draws of its own.

    Raises:
        ValueError: for draws or labels of another number of samples.
    """
    if network.encoding != "rate" or not isinstance(inputs, Tensor):
        return False
    own = network.draws.apart(tuple(inputs.shape[1:]))
    if own is None:
        return False
    if len(own) != len(inputs):
        raise ValueError(f"draws: got those of {len(own)} samples, expected {len(inputs)}, one for each input")
    if isinstance(labels, Tensor) and tuple(labels.shape) != (len(inputs),):
        raise ValueError(f"labels: got shape {tuple(labels.shape)}, expected ({len(inputs)},)")
    return True


def sample_by_sample(
    network: SpikingNetwork, inputs: Tensor, progress: Progress
) -> Iterator[tuple[SpikingNetwork, slice, Progress]]:
    """Yield for each sample a view of the network with its draws, its place, and what tells of its progress."""
    for index, draws in enumerate(network.draws.apart(tuple(inputs.shape[1:])) or ()):
        view = copy.copy(network)
        view.draws = draws

        def of_all(task: str, done: int, total: int, before: int = index) -> None:
            """Tell the progress of all samples."""
            progress(task, before + done, len(inputs))

        yield view, slice(index, index + 1), of_all


@dataclass(frozen=True, eq=False)
class CodedImages:
    """Images as recordings.

    Attributes:
        network: a view of the latency-coded network that takes recordings.
        images: (batch, ...).
        events: their codes, (batch, T, ...).
    """

    network: SpikingNetwork
    images: Tensor
    events: Tensor

    def decoded(self, events: Tensor, images: Tensor) -> Tensor:
        """Return the images nearest `images` whose codes `events` are, (n, ...) of (n, T, ...)."""
        steps, here, before = events.shape[1], events.argmax(1), latency_code(images, events.shape[1]).argmax(1)
        moved = (1.0 - here.double() / max(1, steps - 1)).to(images.dtype)
        found = torch.where(here == before, images, moved)
        assert torch.equal(latency_code(found, steps), events)
        return found

    def image(self, events: Tensor | None, index: int) -> Tensor | None:
        """Return the image of one sample's recording, a counterexample, if there is one."""
        return None if events is None else self.decoded(events[None], self.images[index : index + 1])[0]


def coded(network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> CodedImages | None:
    """Return a latency-coded network and its images as recordings; None for a network of another encoding.

    Raises:
        TypeError, ValueError: for images outside [0, 1], another set than moves that stay within the T steps, or a
            dtype that can't tell T steps.
    """
    if not isinstance(network, SpikingNetwork) or network.encoding != "latency":
        return None
    check_inputs(network, inputs)
    if type(perturbation) is not SpikeShift:
        got = f'got {type(perturbation).__name__} for encoding "latency"'
        raise ValueError(f"perturbation: {got}, expected SpikeShift, which moves the events of its code")
    if perturbation.border != "stay":
        got = f"got {perturbation.border!r}"
        raise ValueError(f'border: {got} for encoding "latency", expected "stay": each input fires once')
    if 2 * network.num_steps * torch.finfo(network.dtype).eps > 1:
        raise ValueError(
            f"num_steps: got {network.num_steps}, more than {network.dtype} tells apart by brightness"
        )
    view = copy.copy(network)
    view.encoding = "none"
    images = inputs.detach()
    return CodedImages(view, images, latency_code(images, network.num_steps))
