"""What a module of any known library does."""

from torch import Tensor, nn

from ..networks import SpikingNetwork
from .drawing import DrawnSpikes, drawing_encoder, in_place_of
from .observing import Observation, Source, observe
from .plain_torch import detect


def observed(module: nn.Module, network: SpikingNetwork, inputs: Tensor, num_steps: int | None) -> Observation:
    """Return what `module` does on the network's inputs."""
    encoder = drawing_encoder(module) if network.encoding == "rate" else None
    if encoder is None:
        return observe(Source.of(detect(module), module, network.encoding, num_steps), inputs)
    features, whole = tuple(inputs.shape[1:]), encoder.steps is not None
    with in_place_of(encoder, DrawnSpikes(network.draws, network.num_steps, features, whole)):
        return observe(Source.of(detect(module), module, "direct", num_steps), inputs)
