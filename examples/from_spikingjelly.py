"""A SpikingJelly network of convolutions, multi-step: trained there, then converted and certified (about 15 s).

python examples/from_spikingjelly.py [digits | fashion-mnist]    (needs: pip install '.[spikingjelly]')
"""

import sys
from pathlib import Path

import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

from spikecert import dataset, from_spikingjelly, gain, measure, record, render
from spikecert.reports import Data, Plan, Threat

STEPS, SAMPLES, EPSILON = 4, 30, 4 / 255


def convolutional(side: int) -> nn.Sequential:
    """Return a small network for images of side × side pixels, in SpikingJelly's multi-step mode."""
    stride = 1 if side < 16 else 3
    left = ((side - 3) // stride + 1) // 2
    network = nn.Sequential(
        *(layer.Conv2d(1, 6, 3, stride=stride), neuron.LIFNode(tau=2.0, surrogate_function=surrogate.ATan())),
        *(layer.AvgPool2d(2), layer.Flatten(), layer.Linear(6 * left**2, 10)),
    )
    functional.set_step_mode(network, "m")
    return network


def train(module: nn.Module, inputs: Tensor, labels: Tensor, epochs: int) -> None:
    """Train on the mean output over time."""
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    for _ in range(epochs):
        for batch in torch.randperm(len(inputs)).split(64):
            optimizer.zero_grad()
            outputs = module(inputs[batch].expand(STEPS, *inputs[batch].shape))
            nn.functional.cross_entropy(outputs.mean(0), labels[batch]).backward()
            optimizer.step()
            functional.reset_net(module)


def main() -> None:
    """Train, convert, examine, and write the report."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = dataset(sys.argv[1] if len(sys.argv) > 1 else "digits")
    side = int(data.train.inputs[0].numel() ** 0.5)
    images, tested = data.train.inputs.view(-1, 1, side, side), data.test.inputs.view(-1, 1, side, side)
    module = convolutional(side)
    train(module, images[:12_000], data.train.labels[:12_000], epochs=12 if len(images) < 5_000 else 3)

    network = from_spikingjelly(module, tested[:64], num_steps=STEPS)
    inputs, labels = tested[:SAMPLES], data.test.labels[:SAMPLES]
    plan = Plan(Threat.of("linf", EPSILON), attacks=("pgd",), verifiers=("auto",))
    found = measure(
        "SpikingJelly", network, inputs, labels, plan, gains=gain(network, input_shape=inputs.shape[1:])
    )
    samples = Data(name=data.name, split="test", samples=SAMPLES, classes=10, shape=tuple(inputs.shape[1:]))
    path = render(
        record([found], samples, plan.threat, title="A SpikingJelly network"), Path("runs/spikingjelly.html")
    )
    point = found.points[0]
    print(f"of {SAMPLES}: {point.clean} right, {point.certified_by_any} certified; {path}")


if __name__ == "__main__":
    main()
