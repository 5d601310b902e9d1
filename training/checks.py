"""What `fit` checks before it starts: that network, data and objective fit together."""

import warnings
from collections.abc import Iterator

import torch

from ..certify.perturbations import takes_whole
from ..models.networks import SpikingNetwork
from ..models.validation import check_inputs, check_labels, check_rivals, check_weights
from .data import Dataset, Split
from .evaluation import on_network
from .objectives import MSE, MSMPPD, SIBP, CertifiedLoss, CrossEntropy, Huber, Objective
from .objectives.base import Scaled, parts
from .objectives.ms_mppd import firing_layers
from .objectives.schedules import peak
from .perturbations import evaluation_mode

FIRST_LAYER = (
    "objective: MSMPPD's layer is the network's first spiking layer, where its one-sided gradient mostly drives "
    "the currents up and costs accuracy; take a network with one more hidden layer, two_sided=True or rho=0"
)
ONE_RUN = (CrossEntropy, CertifiedLoss, SIBP, MSE, Huber)
"""Objectives whose parts may each draw afresh."""
CODED = (CrossEntropy, MSE, Huber)
"""Objectives of runs at inputs as they are."""


def check_task(network: SpikingNetwork, dataset: Dataset, objective: Objective) -> None:
    """Raise TypeError or ValueError unless network, data and objective fit together."""
    if not isinstance(objective, Objective):
        raise TypeError(f"objective: got {type(objective).__name__}, expected an Objective such as CrossEntropy()")
    if takes_whole(network) is not None:
        told = "expected the real network that it was built of"
        raise ValueError(f"network: got one of whole numbers, which has no gradients, {told}")
    if network.encoding == "rate" and any(not isinstance(term, ONE_RUN) for term in _terms(objective)):
        named = ", ".join(kind.__name__ for kind in ONE_RUN)
        raise ValueError(
            f'network: got encoding "rate", expected an objective of {named}: others compare two runs'
        )
    if network.encoding == "latency" and any(not isinstance(term, CODED) for term in _terms(objective)):
        told = "expected CrossEntropy, MSE or Huber: no gradient and no bound goes through its code"
        raise ValueError(f'network: got encoding "latency", {told}')
    check_weights(network)
    asked = "numbers" if dataset.train.real else "classes"
    for term in _terms(objective):
        if term.targets not in (asked, "any"):
            told = f"got {dataset.train.labels.dtype}, {asked}, and {type(term).__name__} learns {term.targets}"
            raise TypeError(
                f"labels: {told}; expected integers for classes, or floats for an objective such as MSE()"
            )
    for name in ("train", "validation"):
        split: Split = getattr(dataset, name)
        if len(split) == 0:
            raise ValueError(f"dataset: got an empty {name} split, expected at least one sample")
        if not split.real:
            check_labels(split.labels, len(split), dataset.classes)
        elif tuple(split.labels.shape) != (len(split), dataset.classes):
            got = f"targets of shape {tuple(split.labels.shape)}"
            raise ValueError(f"dataset: got {got}, expected ({len(split)}, {dataset.classes})")
        inputs, _ = on_network(network, split.take(torch.arange(1)))
        check_inputs(network, inputs)
        with evaluation_mode(network), torch.no_grad():
            width = network(inputs).shape[1]
        if not split.real:
            check_rivals(width)
        if width != dataset.classes:
            wanted = "numbers of a target" if split.real else "classes"
            raise ValueError(f"network: got {width} logits, expected the data set's {dataset.classes} {wanted}")


def warn_of_first_layer(network: SpikingNetwork, objective: Objective) -> None:
    """Warn where a one-sided L_MS is about the first spiking layer alone; the caller of `fit` is who is told."""
    terms = [term for term in _terms(objective) if isinstance(term, MSMPPD) and peak(term.rho) > 0]
    if any(not term.two_sided for term in terms) and len(firing_layers(network)) == 1:
        warnings.warn(FIRST_LAYER, stacklevel=3)


def _terms(objective: Objective) -> Iterator[Objective]:
    """Yield the summands of an objective, whatever weights stand before them."""
    for part in parts(objective):
        if isinstance(part, Scaled):
            yield from _terms(part.objective)
        else:
            yield part
