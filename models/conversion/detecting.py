"""What a module of any known library does."""

from torch import Tensor, nn

from ..networks import SpikingNetwork
from .observing import Observation, Source, observe
from .plain_torch import detect


def observed(module: nn.Module, network: SpikingNetwork, inputs: Tensor, num_steps: int | None) -> Observation:
    """Return what `module` does on the network's inputs."""
    return observe(Source.of(detect(module), module, network.encoding, num_steps), inputs)
