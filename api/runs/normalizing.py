"""A network for inputs as they are, of one that was trained on normalised ones."""

from collections.abc import Sequence

import torch
from torch import nn

from spikecert.models import Normalize, SpikingNetwork
from spikecert.models.source import carry


def normalised(
    network: SpikingNetwork, shape: Sequence[int], mean: Sequence[float], std: Sequence[float]
) -> SpikingNetwork:
    """Return the network behind (x − mean)/std, which becomes its first layer: ε is then in units of x.

    Args:
        network: of encoding "direct" or "none".
        shape: of one sample at one step.
        mean, std: one number, or one a channel of images.

    Raises:
        ValueError: for numbers that do not fit, or a network that codes its inputs by rates or latencies.
    """
    if network.encoding == "rate":
        raise ValueError("mean: got it for a rate-coded network, whose inputs are probabilities, expected none")
    if network.encoding == "latency":
        raise ValueError("mean: got it for a latency-coded network, whose layers take its events, expected none")
    channels = shape[0] if len(shape) == 3 else 1
    for name, values in (("mean", mean), ("std", std)):
        if len(values) not in (1, channels):
            raise ValueError(
                f"{name}: got {len(values)} numbers, expected 1 or one for each of {channels} channels"
            )
    first = Normalize(*(tuple(values) * (channels // len(values)) for values in (mean, std)))
    settings = {"num_steps": network.num_steps, "encoding": network.encoding, "readout": network.readout}
    layer = first if len(shape) == 3 else _flat(first, shape)
    made = SpikingNetwork(layer.to(network.device, network.dtype), *network.layers, **settings).eval()
    least, largest = min(map(abs, std)), max(map(abs, mean))
    carry(network, made, lambda limit: limit * least - largest)
    return made


def flattening(network: SpikingNetwork) -> SpikingNetwork:
    """Return a network that makes one row of each sample first.

    Raises:
        ValueError: for one that does not take the same input at all steps.
    """
    if network.encoding != "direct":
        raise ValueError(f'flat: got it for a network of encoding {network.encoding!r}, expected "direct"')
    settings = {"num_steps": network.num_steps, "readout": network.readout}
    made = SpikingNetwork(nn.Flatten(), *network.layers, **settings).eval()
    carry(network, made)
    return made


def _flat(channel: Normalize, shape: Sequence[int]) -> nn.BatchNorm1d:
    """Return the same map of each feature of a flat input."""
    if len(shape) != 1:
        raise ValueError(f"mean: got it for inputs of shape {tuple(shape)}, expected flat ones or images")
    layer = nn.BatchNorm1d(shape[0], eps=0.0, affine=False)
    for name in ("running_mean", "running_var"):
        value = getattr(channel, name)
        assert isinstance(value, torch.Tensor)
        getattr(layer, name).copy_(value.expand(shape[0]))
    return layer.eval()
