"""A Norse network with second-order neurons: trained with Norse, then converted and certified (about 10 s).

python examples/from_norse.py [digits | fashion-mnist]    (needs: pip install '.[snn]')
"""

import sys
from pathlib import Path

import norse.torch as norse
import torch
from torch import Tensor, nn

from spikecert import dataset, from_norse, gain, measure, record, render
from spikecert.reports import Data, Plan, Threat

STEPS, SAMPLES, EPSILON = 8, 30, 4 / 255


def run(module: nn.Module, inputs: Tensor) -> Tensor:
    """Return the last potential of the leaky integrator, (batch, 10)."""
    state, potential = None, inputs
    for _ in range(STEPS):
        potential, state = module(inputs, state)
    return potential


def train(module: nn.Module, inputs: Tensor, labels: Tensor, epochs: int) -> None:
    """Train on that potential."""
    optimizer = torch.optim.Adam(module.parameters(), lr=5e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(inputs)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(run(module, inputs[batch]), labels[batch]).backward()
            optimizer.step()


def main() -> None:
    """Train, convert, examine, and write the report."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = dataset(sys.argv[1] if len(sys.argv) > 1 else "digits")
    features = data.train.inputs[0].numel()
    inputs, tested = data.train.inputs.flatten(1), data.test.inputs.flatten(1)
    cells = norse.LIFCell(norse.LIFParameters(alpha=torch.as_tensor(10.0))), norse.LICell()
    first = nn.Linear(features, 32)
    first.weight.data.mul_(4.0)
    module = norse.SequentialState(first, cells[0], nn.Linear(32, 10), cells[1])
    train(module, inputs[:12_000], data.train.labels[:12_000], epochs=20 if len(inputs) < 5_000 else 3)

    network = from_norse(module, tested[:64], num_steps=STEPS)  # its synapses become input scales
    inputs, labels = tested[:SAMPLES], data.test.labels[:SAMPLES]
    plan = Plan(Threat.of("linf", EPSILON), attacks=("pgd",), verifiers=("auto",))
    found = measure("Norse", network, inputs, labels, plan, gains=gain(network))
    samples = Data(name=data.name, split="test", samples=SAMPLES, classes=10, shape=(features,))
    path = render(record([found], samples, plan.threat, title="A Norse network"), Path("runs/norse.html"))
    point = found.points[0]
    print(f"of {SAMPLES}: {point.clean} right, {point.certified_by_any} certified; {path}")


if __name__ == "__main__":
    main()
