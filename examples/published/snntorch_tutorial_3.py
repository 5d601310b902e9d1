"""The feedforward network of snnTorch's tutorial 3, 784-1000-10, as it stands: not trained, fed spikes.

With --synaptic its neurons are those of tutorial 4, which shows single `Synaptic` neurons (α = .9, β = .8).
Tutorial 2 shows single leaky neurons, which are those of this network.

python examples/published/snntorch_tutorial_3.py --data mnist --root FOLDER --samples 10
"""

import sys
import time

import snntorch
import torch
from snntorch import spikegen
from torch import Tensor, nn
from walk import images, options, walk_events

from spikecert import from_snntorch


class Net(nn.Module):
    """Two layers of neurons, one step of spikes after the other."""

    def __init__(self, hidden: int, synaptic: bool) -> None:
        super().__init__()
        self.fc1, self.fc2, self.synaptic = nn.Linear(784, hidden), nn.Linear(hidden, 10), synaptic
        if synaptic:
            self.lif1, self.lif2 = (snntorch.Synaptic(alpha=0.9, beta=0.8) for _ in range(2))
        else:
            self.lif1, self.lif2 = (snntorch.Leaky(beta=0.99) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Return output spikes, (T, batch, 10), of spikes (T, batch, 784)."""
        start = (lambda lif: lif.init_synaptic()) if self.synaptic else (lambda lif: (lif.init_leaky(),))
        one, two = start(self.lif1), start(self.lif2)
        spikes = []
        for step in range(len(x)):
            spk1, *one = self.lif1(self.fc1(x[step]), *one)
            spk2, *two = self.lif2(self.fc2(spk1), *two)
            spikes.append(spk2)
        return torch.stack(spikes)


def main() -> None:
    """Code images by rates as the tutorial does, take the network's own answers as labels, and walk on."""
    synaptic = "--synaptic" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--synaptic"]
    chosen, started = options(__doc__ or ""), time.perf_counter()
    _, test = images(chosen)
    steps = 6 if chosen.small else 25
    net = Net(100 if chosen.small else 1000, synaptic).eval()
    count = max(chosen.samples, 16)
    coded = spikegen.rate(test.inputs[:count].flatten(1).clamp(0, 1), num_steps=steps)  # pyright: ignore
    spikes = coded.transpose(0, 1).contiguous()
    made = from_snntorch(net, spikes[:16], encoding="none")
    events = spikes[: chosen.samples]
    with torch.no_grad():
        labels = made(events).argmax(1)
    name = "snnTorch tutorial 4" if synaptic else "snnTorch tutorial 3"
    walk_events(name, made, events, labels, chosen, started)


if __name__ == "__main__":
    main()
