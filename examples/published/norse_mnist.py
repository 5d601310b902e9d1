"""Norse's network for MNIST, a recurrent layer behind an encoder (784-100-10, T = 32), from training to report.

python examples/published/norse_mnist.py --data mnist --root FOLDER --train 60000 --epochs 1 --samples 20

The encoder is a layer of neurons that the converted network holds; classes are told by the greatest potential. It
is examined in double precision: a loop over 32 steps makes so much of the rounding of single precision that next
to nothing would be proven.
"""

import time

import norse.torch as norse
import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, nll_loss
from walk import images, options, walk

from spikecert import from_norse
from spikecert.training import Split


class SNN(nn.Module):
    """Spikes of constant currents, a layer of neurons that hear each other, and integrators that are read."""

    def __init__(self, steps: int, hidden: int) -> None:
        super().__init__()
        self.encoder = norse.ConstantCurrentLIFEncoder(steps)
        parameters = norse.LIFParameters(alpha=torch.as_tensor(100.0), v_th=torch.as_tensor(0.5))
        self.recurrent = norse.LIFRecurrentCell(784, hidden, parameters)
        self.out = norse.LILinearCell(hidden, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return potentials, (T, batch, 10)."""
        trains = self.encoder((x.flatten(1) - 0.1307) / 0.3081)
        heard = read = None
        potentials = []
        for spikes in trains:
            spikes, heard = self.recurrent(spikes, heard)
            potential, read = self.out(spikes, read)
            potentials.append(potential)
        return torch.stack(potentials)


def main() -> None:
    """Train as the library's tutorial does, by the likelihood of the greatest potential, and walk on."""
    chosen, started = options(__doc__ or "", epsilon=1 / 2550), time.perf_counter()
    train, test = images(chosen)
    net = SNN(8, 30) if chosen.small else SNN(32, 100)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    for _ in range(chosen.epochs):
        for batch in torch.randperm(len(train)).split(256):
            optimizer.zero_grad()
            greatest = net(train.inputs[batch]).amax(0)
            nll_loss(log_softmax(greatest, 1), train.labels[batch]).backward()
            optimizer.step()
    network = from_norse(net, test.inputs[:16].flatten(1), readout="largest")
    walk("Norse MNIST", network.double(), Split(test.inputs.double(), test.labels), chosen, started)


if __name__ == "__main__":
    main()
