"""The dense network of snnTorch's tutorial 5, 784-1000-10 over 25 steps, from training to the report.

python examples/published/snntorch_tutorial_5.py --data mnist --root FOLDER --train 60000 --epochs 1 --samples 100
"""

import time

import snntorch
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from walk import images, options, walk

from spikecert import from_snntorch


class Net(nn.Module):
    """Two layers of leaky neurons; spikes and potentials of the last one are recorded."""

    def __init__(self, hidden: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.fc1, self.lif1 = nn.Linear(784, hidden), snntorch.Leaky(beta=0.95)
        self.fc2, self.lif2 = nn.Linear(hidden, 10), snntorch.Leaky(beta=0.95)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return spikes and potentials, (T, batch, 10) each."""
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, potentials = [], []
        for _ in range(self.steps):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            potentials.append(mem2)
        return torch.stack(spikes), torch.stack(potentials)


def main() -> None:
    """Train as the tutorial does, by the cross-entropy of the potentials at each step, and walk on."""
    chosen, started = options(__doc__ or ""), time.perf_counter()
    train, test = images(chosen)
    net = Net(100 if chosen.small else 1000, 6 if chosen.small else 25)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-4, betas=(0.9, 0.999))
    for _ in range(chosen.epochs):
        for batch in torch.randperm(len(train)).split(128):
            _, potentials = net(train.inputs[batch].flatten(1))
            loss = sum(cross_entropy(potential, train.labels[batch]) for potential in potentials)
            optimizer.zero_grad()
            loss.backward()  # pyright: ignore
            optimizer.step()
    walk("snnTorch tutorial 5", from_snntorch(net, test.inputs[:64].flatten(1)), test, chosen, started)


if __name__ == "__main__":
    main()
