"""SpikingJelly's single layer for MNIST (lif_fc_mnist, T = 100) and its Poisson encoder, from training to report.

python examples/published/spikingjelly_lif_fc_mnist.py --data mnist --root FOLDER --train 60000

The encoder draws; a verdict is about given draws of these rates, those of the network's own encoding "rate".
"""

import time

import torch
from spikingjelly.activation_based import encoding, functional, layer, neuron, surrogate
from torch import Tensor, nn
from torch.nn.functional import mse_loss, one_hot
from walk import images, options, walk

from spikecert import SpikingNetwork, from_spikingjelly


class SNN(nn.Module):
    """One dense layer of leaky neurons."""

    def __init__(self, tau: float = 2.0) -> None:
        super().__init__()
        self.layer = nn.Sequential(
            layer.Flatten(),
            layer.Linear(28 * 28, 10, bias=False),
            neuron.LIFNode(tau=tau, surrogate_function=surrogate.ATan()),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes of one step, (batch, 10)."""
        return self.layer(x)


def main() -> None:
    """Train as the library's example does, by the squared error of rates, and walk on."""
    chosen, started = options(__doc__ or ""), time.perf_counter()
    train, test = images(chosen)
    steps, net, encoder = 8 if chosen.small else 100, SNN(), encoding.PoissonEncoder()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(chosen.epochs):
        for batch in torch.randperm(len(train)).split(64):
            rates = torch.stack([net(encoder(train.inputs[batch])) for _ in range(steps)]).mean(0)
            optimizer.zero_grad()
            mse_loss(rates, one_hot(train.labels[batch], 10).float()).backward()
            optimizer.step()
            functional.reset_net(net)
    drawn = torch.stack([encoder(test.inputs[:16]) for _ in range(steps)], 1)
    found = from_spikingjelly(net, drawn, num_steps=steps, encoding="none")
    network = SpikingNetwork(*found.layers, num_steps=steps, encoding="rate").eval()
    walk("SpikingJelly lif_fc_mnist", network, test, chosen, started)


if __name__ == "__main__":
    main()
