"""Networks with other readouts, and which the proof checker knows."""

import torch

from spikecert import DLIF, LIF, SpikingNetwork
from spikecert.checking.short import STEEPEST

READOUTS = ("mean", "mean", "spikes", "potential", "scaled potential")


def read_out(network: SpikingNetwork, readout: str) -> SpikingNetwork:
    """Return the network with a neuron behind it that the readout wants; unchanged for "mean"."""
    if readout == "mean":
        return network
    steps = network.num_steps
    last = LIF(0.7, threshold=0.5) if readout == "spikes" else LIF(0.9, reset="none")
    if readout == "scaled potential":
        last = DLIF(steps, 0.5, reset="none")
        last.input_scale.data = torch.linspace(-1.0, 1.5, steps)
    settings = {"num_steps": steps, "encoding": network.encoding}
    found = SpikingNetwork(*network.layers, last, readout=readout.split()[-1], **settings)
    return found.to(network.dtype).eval()


def has_a_form(network: SpikingNetwork) -> bool:
    """Return whether the checker knows the network: no tiny decay but 0 where currents vary."""
    first = 0 if network.timed else 1
    later = network.neurons[first : len(network.neurons) - (network.readout == "potential")]
    decays = [neuron.dynamics.decay for neuron in later]
    return all(decay == 0 or decay ** (network.num_steps - 1) >= STEEPEST for decay in decays)
