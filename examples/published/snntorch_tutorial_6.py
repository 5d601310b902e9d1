"""The convolutional network of snnTorch's tutorial 6 over 50 steps, from training to the report.

python examples/published/snntorch_tutorial_6.py --data mnist --root FOLDER --train 60000 --epochs 1 --samples 20
"""

import time

import snntorch
import torch
from snntorch import functional, surrogate, utils
from torch import Tensor, nn
from walk import images, options, walk

from spikecert import from_snntorch


def network(channels: int) -> nn.Sequential:
    """Return 12C5-MP2-64C5-MP2-1024FC10, pools in front of neurons, states kept inside."""
    settings = {"beta": 0.5, "spike_grad": surrogate.fast_sigmoid(slope=25), "init_hidden": True}
    return nn.Sequential(
        nn.Conv2d(1, 12, 5),
        nn.MaxPool2d(2),
        snntorch.Leaky(**settings),
        nn.Conv2d(12, channels, 5),
        nn.MaxPool2d(2),
        snntorch.Leaky(**settings),
        nn.Flatten(),
        nn.Linear(channels * 4 * 4, 10),
        snntorch.Leaky(**settings, output=True),
    )


def run(net: nn.Module, x: Tensor, steps: int) -> Tensor:
    """Return output spikes, (T, batch, 10)."""
    utils.reset(net)
    return torch.stack([net(x)[0] for _ in range(steps)])


def main() -> None:
    """Train as the tutorial does, by the cross-entropy of spike rates, and walk on."""
    chosen, started = options(__doc__ or ""), time.perf_counter()
    train, test = images(chosen)
    steps = 4 if chosen.small else 50
    net = network(8 if chosen.small else 64)
    optimizer, loss = torch.optim.Adam(net.parameters(), lr=1e-2, betas=(0.9, 0.999)), functional.ce_rate_loss()
    for _ in range(chosen.epochs):
        for batch in torch.randperm(len(train)).split(128):
            optimizer.zero_grad()
            loss(run(net, train.inputs[batch], steps), train.labels[batch]).backward()
            optimizer.step()
    walk("snnTorch tutorial 6", from_snntorch(net, test.inputs[:16], num_steps=steps), test, chosen, started)


if __name__ == "__main__":
    main()
