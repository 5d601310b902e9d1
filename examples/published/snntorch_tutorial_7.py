"""The convolutional network of snnTorch's tutorial 7 on event frames, from training to the report.

python examples/published/snntorch_tutorial_7.py --data nmnist --root FOLDER --train 6400 --epochs 1 --samples 10
"""

import time

import snntorch
import torch
from snntorch import functional, surrogate, utils
from torch import Tensor, nn
from walk import options, recordings, walk_events

from spikecert import from_snntorch


def network(channels: int) -> nn.Sequential:
    """Return the network, which does one step a call."""
    settings = {"beta": 0.5, "spike_grad": surrogate.atan(), "init_hidden": True}
    return nn.Sequential(
        nn.Conv2d(2, 12, 5),
        nn.MaxPool2d(2),
        snntorch.Leaky(**settings),
        nn.Conv2d(12, channels, 5),
        nn.MaxPool2d(2),
        snntorch.Leaky(**settings),
        nn.Flatten(),
        nn.Linear(channels * 5 * 5, 10),
        snntorch.Leaky(**settings, output=True),
    )


def run(net: nn.Module, frames: Tensor) -> Tensor:
    """Return output spikes, (T, batch, 10), of frames (batch, T, ...)."""
    utils.reset(net)
    return torch.stack([net(frame)[0] for frame in frames.transpose(0, 1)])


def main() -> None:
    """Train as the tutorial does, by the squared error of spike counts, and walk on."""
    chosen, started = options(__doc__ or ""), time.perf_counter()
    steps = 3 if chosen.small else 10
    train, test = recordings(chosen, steps)
    net = network(4 if chosen.small else 32)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-2, betas=(0.9, 0.999))
    loss = functional.mse_count_loss(correct_rate=0.8, incorrect_rate=0.2)  # pyright: ignore
    for _ in range(chosen.epochs):
        for batch in torch.randperm(len(train)).split(128):
            optimizer.zero_grad()
            loss(run(net, train.inputs[batch]), train.labels[batch]).backward()
            optimizer.step()
    made = from_snntorch(net, test.inputs[:8], num_steps=steps, encoding="none")
    few = slice(chosen.samples)
    walk_events("snnTorch tutorial 7", made, test.inputs[few], test.labels[few], chosen, started)


if __name__ == "__main__":
    main()
