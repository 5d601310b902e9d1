"""Population codes: outputs that stand for one class in groups of neighbours."""

import torch
from torch import Tensor, nn

from ..networks import SpikingNetwork
from ..source import carry
from .refusal import ConversionRefused


def in_groups(
    network: SpikingNetwork, inputs: Tensor, classes: int | None, notes: tuple[str, ...]
) -> tuple[SpikingNetwork, tuple[str, ...]]:
    """Return the network that sums its outputs in `classes` groups of neighbours, and notes that say so.

    Raises:
        ConversionRefused: for a number of outputs that is no multiple, or potentials that are read.
    """
    if classes is None:
        return network, notes
    with torch.no_grad():
        count = network(inputs[:1]).shape[1]
    if count % classes:
        raise ConversionRefused(f"classes: got {classes} for {count} outputs, expected a divisor of their number")
    if count == classes:
        return network, notes
    if network.readout == "potential":
        raise ConversionRefused(f"classes: got {classes} for {count} potentials, expected spikes or currents")
    layer = nn.Linear(count, classes, bias=False)
    layer.weight.data = torch.eye(classes).repeat_interleave(count // classes, 1)  # sums of spikes are exact
    coding = {"encoding": network.encoding, "draws": network.draws if network.encoding == "rate" else None}
    made = SpikingNetwork(*network.layers, layer, num_steps=network.num_steps, **coding)  # type: ignore[arg-type]
    made = made.to(network.dtype).eval()
    carry(network, made, outputs=count // classes)
    note = f"outputs are summed in groups of {count // classes} neighbours, one a class"
    return made, (*notes, note)


def grouped(output: Tensor, classes: int) -> Tensor:
    """Return an output, (..., count), summed in groups if its number is another multiple of `classes`."""
    count = output.shape[-1] if output.dim() > 1 else classes
    return output if count == classes or count % classes else output.unflatten(-1, (classes, -1)).sum(-1)
