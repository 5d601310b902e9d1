"""An snnTorch network: trained with snnTorch, then converted, attacked, certified and reported (about 10 s).

python examples/from_snntorch.py [digits | fashion-mnist]    (needs: pip install '.[snn]')
"""

import sys
from pathlib import Path

import snntorch
import torch
from snntorch import functional
from torch import Tensor, nn

from spikecert import dataset, from_snntorch, gain, measure, record, render
from spikecert.reports import Data, Plan, Threat

STEPS, SAMPLES, EPSILON = 6, 20, 2 / 255


class Net(nn.Module):
    """A network as snnTorch's tutorials write it: it loops over time and hands states on."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(features, 32), snntorch.Leaky(beta=0.9)
        self.fc2, self.lif2 = nn.Linear(32, 10), snntorch.Leaky(beta=0.9)

    def forward(self, x: Tensor) -> Tensor:
        """Return output spikes, (T, batch, 10)."""
        first, second, spikes = self.lif1.reset_mem(), self.lif2.reset_mem(), []
        for _ in range(STEPS):
            spike, first = self.lif1(self.fc1(x.flatten(1)), first)
            spike, second = self.lif2(self.fc2(spike), second)
            spikes.append(spike)
        return torch.stack(spikes)


def train(module: nn.Module, inputs: Tensor, labels: Tensor, epochs: int) -> None:
    """Train with snnTorch's loss on spike rates."""
    loss, optimizer = functional.ce_rate_loss(), torch.optim.Adam(module.parameters(), lr=5e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(inputs)).split(64):
            optimizer.zero_grad()
            loss(module(inputs[batch]), labels[batch]).backward()
            optimizer.step()


def main() -> None:
    """Train, convert, examine, and write the report."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = dataset(sys.argv[1] if len(sys.argv) > 1 else "digits")
    module = Net(data.train.inputs[0].numel())
    train(
        module, data.train.inputs[:12_000], data.train.labels[:12_000], epochs=25 if len(data.train) < 5_000 else 3
    )

    network = from_snntorch(module, data.test.inputs[:64])  # matched spike for spike, or refused with the reason
    inputs, labels = data.test.inputs[:SAMPLES], data.test.labels[:SAMPLES]
    plan = Plan(Threat.of("linf", EPSILON), attacks=("pgd",), verifiers=("auto",))
    found = measure("snnTorch", network, inputs, labels, plan, gains=gain(network))
    samples = Data(name=data.name, split="test", samples=SAMPLES, classes=10, shape=tuple(inputs.shape[1:]))
    path = render(record([found], samples, plan.threat, title="An snnTorch network"), Path("runs/snntorch.html"))
    point = found.points[0]
    print(f"of {SAMPLES}: {point.clean} right, {point.certified_by_any} certified; {path}")


if __name__ == "__main__":
    main()
