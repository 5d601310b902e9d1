"""Rate codes in which each sample has draws of its own: a network for each sample."""

import copy
from collections.abc import Iterator

from torch import Tensor

from ..models.networks import SpikingNetwork
from ..models.progress import Progress


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
