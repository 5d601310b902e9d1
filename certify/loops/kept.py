"""Controllers whose membranes are kept between control steps: one integrate-and-fire neuron an input (F21c)."""

import numpy as np
import torch
from torch import Tensor, nn

from ...analysis.loops.kept import MOST_STEPS
from ...models.constants import at_least
from ...models.elements.neurons import LIF
from ...models.files.description import describe
from ...models.networks import SpikingNetwork

FORM = "integrator(inputs, num_steps): currents (1 + z)/2, a sum that each spike takes 1 of, outputs 2·mean − 1"


def integrator(inputs: int, num_steps: int = 16) -> SpikingNetwork:
    """Return the network whose membranes a loop may keep: y_j = 2·(spikes of neuron j)/T − 1, current (1 + z_j)/2.

    Its membranes start anew where it is called by itself; `ClosedLoop(…, membranes="kept")` carries them over.

    Args:
        inputs: of the plant, and of the network.
        num_steps: T, at most 65,536.

    >>> integrator(1, 4)(torch.tensor([[0.5]])).tolist()
    [[0.5]]
    """
    count = at_least(1)("inputs", inputs)
    first = nn.Linear(count, count)
    first.weight.data = 0.5 * torch.eye(count)
    first.bias.data.fill_(0.5)
    last = nn.Linear(count, count)
    last.weight.data = 2.0 * torch.eye(count)
    last.bias.data.fill_(-1.0)
    steps = at_least(1)("num_steps", num_steps)
    if steps > MOST_STEPS:
        raise ValueError(f"num_steps: got {steps}, expected at most {MOST_STEPS}")
    return SpikingNetwork(first, LIF(decay=1.0, reset="subtract"), last, num_steps=steps).eval()


def check_kept(network: SpikingNetwork, inputs: int) -> None:
    """Raise ValueError unless a network is that of `integrator`, layer by layer and weight by weight."""
    if network.num_steps <= MOST_STEPS and network.dtype == torch.float32:
        like, ours = integrator(inputs, network.num_steps), network.state_dict()
        alike = describe(network) == describe(like)
        if alike and all(torch.equal(ours[name].cpu(), value) for name, value in like.state_dict().items()):
            return
    raise ValueError(f'network: got another one with membranes "kept", expected {FORM}')


def kept_outputs(seen: np.ndarray, membranes: Tensor, num_steps: int) -> tuple[np.ndarray, Tensor]:
    """Return outputs of one control step, (batch, m), and the membranes behind it, in float32 as a network."""
    current = torch.from_numpy(seen).float() * 0.5 + 0.5
    spikes = torch.zeros_like(current)
    for _ in range(num_steps):
        potential = membranes + current
        fired = (potential >= 1.0).to(potential)
        membranes, spikes = potential - fired, spikes + fired
    return (spikes / num_steps * 2.0 - 1.0).double().numpy(), membranes
