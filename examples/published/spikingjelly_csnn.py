"""SpikingJelly's convolutional network for Fashion-MNIST (CSNN, T = 4), from training to the report.

python examples/published/spikingjelly_csnn.py --data fashion-mnist --train 60000 --epochs 1 --samples 20
"""

import time

import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn
from torch.nn.functional import mse_loss, one_hot
from walk import images, options, walk

from spikecert import from_spikingjelly


class CSNN(nn.Module):
    """Two convolutions with norms, integrate-and-fire neurons and max pools of their spikes, two dense layers."""

    def __init__(self, steps: int, channels: int) -> None:
        super().__init__()
        self.steps = steps
        self.conv_fc = nn.Sequential(
            *self._block(1, channels),
            *self._block(channels, channels),
            layer.Flatten(),
            layer.Linear(channels * 7 * 7, channels * 4 * 4, bias=False),
            neuron.IFNode(surrogate_function=surrogate.ATan()),
            layer.Linear(channels * 4 * 4, 10, bias=False),
            neuron.IFNode(surrogate_function=surrogate.ATan()),
        )
        functional.set_step_mode(self, step_mode="m")

    def _block(self, before: int, channels: int) -> list[nn.Module]:
        return [
            layer.Conv2d(before, channels, kernel_size=3, padding=1, bias=False),
            layer.BatchNorm2d(channels),
            neuron.IFNode(surrogate_function=surrogate.ATan()),
            layer.MaxPool2d(2, 2),
        ]

    def forward(self, x: Tensor) -> Tensor:
        """Return firing rates, (batch, 10)."""
        return self.conv_fc(x.unsqueeze(0).repeat(self.steps, 1, 1, 1, 1)).mean(0)


def main() -> None:
    """Train as the library's example does, by the squared error of rates, and walk on."""
    chosen, started = options(__doc__ or ""), time.perf_counter()
    train, test = images(chosen)
    net = CSNN(4, 8 if chosen.small else 128)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(chosen.epochs):
        for batch in torch.randperm(len(train)).split(128):
            optimizer.zero_grad()
            mse_loss(net(train.inputs[batch]), one_hot(train.labels[batch], 10).float()).backward()
            optimizer.step()
            functional.reset_net(net)
    walk("SpikingJelly CSNN", from_spikingjelly(net, test.inputs[:16]), test, chosen, started)


if __name__ == "__main__":
    main()
