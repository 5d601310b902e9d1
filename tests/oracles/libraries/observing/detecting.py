"""What a module of any known library does."""

from torch import Tensor, nn

from spikecert.models.conversion.refusal import ConversionRefused
from spikecert.models.networks import SpikingNetwork

from ..readers.plain_torch import detect
from .drawing import DrawnSpikes, Encoder, drawing_encoder, in_place_of
from .observing import Observation, Source, observe


def observed(module: nn.Module, network: SpikingNetwork, inputs: Tensor, num_steps: int | None) -> Observation:
    """Return what `module` does on the network's inputs."""
    library = detect(module)
    encoder = drawing_encoder(module) if network.encoding == "rate" else None
    if encoder is None:
        return observe(Source.of(library, module, network.encoding, num_steps), inputs)
    stand_in = _standing_in(encoder, network, tuple(inputs.shape[1:]))
    with in_place_of(encoder, stand_in):
        return observe(Source.of(library, module, "direct", num_steps), inputs)


def _standing_in(encoder: Encoder, network: SpikingNetwork, features: tuple[int, ...]) -> DrawnSpikes:
    """Return what fires by a network's draws.

    Raises:
        ConversionRefused: where these can't be the encoder's: of other steps, or of another share of the input.
    """
    if encoder.steps not in (None, network.num_steps):
        steps = f"makes {encoder.steps} steps, expected those of the network, {network.num_steps}"
        raise ConversionRefused(f"{encoder.name}: {steps}")
    if encoder.share != 1.0 and isinstance(network.draws.seed, int):
        share = f"fires by {encoder.share:g} of its input, and the network's draws, of a seed, by all of it"
        raise ConversionRefused(f"{encoder.name}: {share}; expected draws that are as much greater")
    return DrawnSpikes(encoder, network.draws, network.num_steps, features)
