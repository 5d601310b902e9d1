"""What people ask, as what engines answer: checks, whole numbers, codes, draws, properties, ties; the way back.

`verify`, `bounds`, `attack`, `certified_radius` and `output_range` pose a question here, once. A
rate code in which each sample has draws of its own is a network for each sample. Latency-coded networks and their
images are the networks over time and the recordings that they come to.

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

from ..models.circuit import Circuit
from ..models.deadline import Progress, silent
from ..models.networks import SpikingNetwork, check_network
from ..models.running.encoding import latency_code
from ..models.validation import check_inputs, check_labels, check_logits, check_rivals, check_weights, plain
from .arithmetic import check_arithmetic
from .perturbations import Perturbation, SpikeShift, settled_set
from .perturbations.base import check_perturbation
from .perturbations.others import confirm_set
from .questions.classes import as_labels, check_coded, check_property_ties, property_goal
from .questions.forms import Property
from .questions.rows import RowGoal
from .replay import evaluating
from .ties import STRICT, settled_ties


class OutputsAlone:
    """What stands in place of labels where outputs are asked for, and no class."""


OUTPUTS = OutputsAlone()


@dataclass(frozen=True, eq=False)
class Posed:
    """Samples that one engine answers at once, and the way back to what was asked.

    Attributes:
        network: what runs: of draws of a sample's own, or of recordings, a view of the network that was asked.
        inputs: (batch, ...).
        labels: (batch,); of a property, or where nothing is asked of classes, the samples' numbers.
        prop: what is asked in place of the class, or None.
        perturbation: the set that is meant.
        known: the network's circuit; None where it need not be known.
        ties: "argmax" or "strict".
        first: the first sample's logits, (1, classes).
        progress: told of these samples.
        codes: the images that the inputs are recordings of, or None.
    """

    network: SpikingNetwork
    inputs: Tensor
    labels: Tensor
    prop: Property | None
    perturbation: Perturbation
    known: Circuit | None
    ties: str
    first: Tensor
    progress: Progress
    codes: "CodedImages | None" = None

    @property
    def made(self) -> Circuit:
        """Return the circuit that is known."""
        assert self.known is not None
        return self.known

    def rows(self, part: slice = slice(None)) -> RowGoal | None:
        """Return the rows of the property for some samples; None where the class is asked."""
        return None if self.prop is None else property_goal(self.network, self.inputs[part], self.prop)

    def back(self, point: Tensor, index: int) -> Tensor:
        """Return an input of one sample's set as what people asked about."""
        return point if self.codes is None else self.codes.image(point, index)

    def counterexample(self, point: Tensor | None, index: int) -> Tensor | None:
        """Return such an input if there is one."""
        return None if point is None else self.back(point, index)


def posed(
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor | Property | OutputsAlone,
    perturbation: Perturbation,
    ties: str | None = None,
    progress: Progress = silent,
    *,
    exactly: bool = True,
) -> list[Posed]:
    """Return the parts of a question, in the order of their samples: one, or one for each sample's own draws.

    Args:
        network, inputs, perturbation, ties: as in `verify`.
        labels: as in `verify`, or `OUTPUTS`.
        progress: told of all parts.
        exactly: whether the network must be one that is known, code and arithmetic, or need only run.

    Raises:
        TypeError, ValueError: for arguments that don't belong together, one line each.
    """
    check_network(network)
    inputs, labels = plain(inputs=inputs, labels=labels)
    if not own_draws(network, inputs, labels):
        return [_posed(network, inputs, labels, perturbation, ties, progress, exactly)]
    return [
        _posed(
            one,
            inputs[at],
            labels[at] if isinstance(labels, Tensor) else labels,
            perturbation,
            ties,
            told,
            exactly,
        )
        for one, at, told in sample_by_sample(network, inputs, progress)
    ]


def _posed(
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor | Property | OutputsAlone,
    perturbation: Perturbation,
    ties: str | None,
    progress: Progress,
    exactly: bool,
) -> Posed:
    if (codes := coded(network, inputs, perturbation)) is not None:
        check_coded(codes.network, codes.events, labels)
        network, inputs = codes.network, codes.events
    made = check_arithmetic(network) if exactly else None
    perturbation = settled_set(network, perturbation)
    prop = labels if isinstance(labels, Property) else None
    if prop is not None:
        check_property_ties(ties)
    first = first_logits(network, inputs, perturbation)
    asked: Tensor | Property | OutputsAlone | None = labels
    if prop is not None:
        asked = as_labels(network, inputs, prop)
        prop, ties = (prop, None) if asked is None else (None, STRICT)
    if prop is not None or isinstance(labels, OutputsAlone):
        asked = torch.arange(len(inputs), device=inputs.device)
    else:
        check_rivals(first.shape[1])
        check_labels(asked, len(inputs), first.shape[1])  # pyright: ignore[reportArgumentType]
    assert isinstance(asked, Tensor)
    told = settled_ties(network, ties)
    return Posed(network, inputs.detach(), asked, prop, perturbation, made, told, first, progress, codes)


def check_attacked(network: SpikingNetwork, inputs: Tensor, labels: Tensor, perturbation: Perturbation) -> None:
    """Raise TypeError or ValueError unless the four ask about a class."""
    logits = first_logits(network, inputs, perturbation)
    check_rivals(logits.shape[1])
    check_labels(labels, len(inputs), logits.shape[1])


def check_posed(network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> int:
    """Return a network's number of outputs; raise TypeError or ValueError unless the three belong together."""
    return first_logits(network, inputs, perturbation).shape[1]


def first_logits(network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> Tensor:
    """Return the first sample's logits, (1, classes); raise as `check_posed`."""
    check_perturbation(perturbation)
    if (codes := coded(network, inputs, perturbation)) is not None:
        network, inputs = codes.network, codes.events
    check_inputs(network, inputs)
    check_weights(network)
    perturbation.suits(network)
    perturbation.check(inputs)
    confirm_set(perturbation, inputs)
    with evaluating(network), torch.no_grad():
        logits = network(inputs[:1])
    check_logits(logits, 1)
    return logits


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

    def image(self, events: Tensor, index: int) -> Tensor:
        """Return the image of one sample's recording."""
        return self.decoded(events[None], self.images[index : index + 1])[0]


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
