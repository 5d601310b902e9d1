"""What `fit` checks before it starts: that network, data and objective fit together."""

import torch

from ..models.networks import SpikingNetwork
from ..models.validation import check_inputs, check_labels, check_weights
from .data import Dataset, Split
from .evaluation import on_network
from .objectives import Objective
from .perturbations import evaluation_mode


def check_task(network: SpikingNetwork, dataset: Dataset, objective: Objective) -> None:
    """Raise TypeError or ValueError unless network, data and objective fit together."""
    if not isinstance(objective, Objective):
        raise TypeError(f"objective: got {type(objective).__name__}, expected an Objective such as CrossEntropy()")
    if network.encoding == "rate":  # two runs of one step would draw apart, and outside of the seed
        raise ValueError('network: got encoding "rate", which `fit` can\'t repeat; expected "direct" or "none"')
    check_weights(network)
    for name in ("train", "validation"):
        split: Split = getattr(dataset, name)
        if len(split) == 0:
            raise ValueError(f"dataset: got an empty {name} split, expected at least one sample")
        check_labels(split.labels, len(split), dataset.classes)
        inputs, _ = on_network(network, split.take(torch.arange(1)))
        check_inputs(network, inputs)
        with evaluation_mode(network), torch.no_grad():
            width = network(inputs).shape[1]
        if width != dataset.classes:
            raise ValueError(f"network: got {width} logits, expected the data set's {dataset.classes} classes")
