"""Networks of the libraries' tutorials, as these print them: they come in, spike for spike on inputs on a grid."""

from importlib import import_module
from typing import Any

import norse.torch as norse
import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

from spikecert import convert
from spikecert.models import check_conversion
from support.foreign import snntorch

STEPS = 5


def grid(*shape: int) -> Tensor:
    """Return inputs that are multiples of 1/16."""
    return torch.randint(17, shape, generator=torch.Generator().manual_seed(len(shape))) / 16.0


def strengthened(module: nn.Module, factor: float) -> Any:
    """Return a module with larger weights, on a grid of 1/64, so that its neurons fire."""
    with torch.no_grad():
        for weight in module.parameters():
            if weight.dim() > 1:
                weight.copy_((weight * factor * 64.0).round() / 64.0)
    return module


def comes_in(module: nn.Module, sample: Tensor, num_steps: int | None = None, encoding: str = "direct") -> None:
    made = convert(module, sample, num_steps, encoding)
    assert made.check.matches
    assert min(made.check.rates) > 0.0
    assert check_conversion(module, made.network, grid(*(200, *sample.shape[1:])), num_steps).matches


class Tutorial5(nn.Module):
    """snnTorch's "Training spiking neural networks with snntorch": a dense network, states by hand."""

    def __init__(self) -> None:
        super().__init__()
        num_inputs, num_hidden, num_outputs, beta = 28 * 28, 50, 10, 0.95
        self.fc1 = nn.Linear(num_inputs, num_hidden)
        self.lif1 = snntorch.Leaky(beta=beta)
        self.fc2 = nn.Linear(num_hidden, num_outputs)
        self.lif2 = snntorch.Leaky(beta=beta)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1 = self.lif1.init_leaky()
        mem2 = self.lif2.init_leaky()
        spk2_rec = []
        mem2_rec = []
        for _step in range(STEPS):
            cur1 = self.fc1(x)
            spk1, mem1 = self.lif1(cur1, mem1)
            cur2 = self.fc2(spk1)
            spk2, mem2 = self.lif2(cur2, mem2)
            spk2_rec.append(spk2)
            mem2_rec.append(mem2)
        return torch.stack(spk2_rec, dim=0), torch.stack(mem2_rec, dim=0)


class Tutorial6(nn.Module):
    """snnTorch's "Surrogate gradient descent in a convolutional network": its forward pass resets all neurons."""

    def __init__(self) -> None:
        super().__init__()
        leaky = {"beta": 0.5, "spike_grad": snntorch.surrogate.fast_sigmoid(slope=25), "init_hidden": True}
        self.net = nn.Sequential(
            nn.Conv2d(1, 12, 5),
            nn.MaxPool2d(2),
            snntorch.Leaky(**leaky),
            nn.Conv2d(12, 64, 5),
            nn.MaxPool2d(2),
            snntorch.Leaky(**leaky),
            nn.Flatten(),
            nn.Linear(64 * 4 * 4, 10),
            snntorch.Leaky(**leaky, output=True),
        )

    def forward(self, data: Tensor) -> tuple[Tensor, Tensor]:
        mem_rec = []
        spk_rec = []
        import_module("snntorch.utils").reset(self.net)
        for _step in range(2):
            spk_out, mem_out = self.net(data)
            spk_rec.append(spk_out)
            mem_rec.append(mem_out)
        return torch.stack(spk_rec), torch.stack(mem_rec)


class LifFcMnist(nn.Module):
    """SpikingJelly's lif_fc_mnist: one layer, driven by steps."""

    def __init__(self, tau: float = 2.0) -> None:
        super().__init__()
        self.layer = nn.Sequential(
            layer.Flatten(),
            layer.Linear(28 * 28, 10, bias=False),
            neuron.LIFNode(tau=tau, surrogate_function=surrogate.ATan()),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class NorseMnist(nn.Module):
    """Norse's MNIST example: a hidden layer of LIF cells, an integrating output, a loop over events in time."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(64, 30, bias=False)
        self.lif = norse.LIFCell(p=norse.LIFParameters(alpha=torch.tensor(100.0), v_th=torch.tensor(0.5)))
        self.fc_out = nn.Linear(30, 10, bias=False)
        self.out = norse.LICell()

    def forward(self, x: Tensor) -> Tensor:
        seq_length, batch_size = x.shape[:2]
        s1 = so = None
        voltages = torch.zeros(seq_length, batch_size, 10, device=x.device, dtype=x.dtype)
        for ts in range(seq_length):
            z = self.fc1(x[ts, :, :].view(-1, 64))
            z, s1 = self.lif(z, s1)
            z = self.fc_out(z)
            vo, so = self.out(z, so)
            voltages[ts, :, :] = vo
        return voltages


def test_snntorchs_tutorial_5():
    torch.manual_seed(0)
    comes_in(strengthened(Tutorial5(), 3.0), grid(4, 784))


def test_snntorchs_tutorial_6():
    torch.manual_seed(0)
    comes_in(strengthened(Tutorial6(), 4.0), grid(2, 1, 28, 28))


def test_spikingjellys_lif_fc_mnist():
    torch.manual_seed(0)
    module = strengthened(LifFcMnist(), 4.0)
    functional.reset_net(module)
    comes_in(module, grid(4, 1, 28, 28), STEPS)


def test_norses_mnist():
    torch.manual_seed(0)
    module, sample = strengthened(NorseMnist(), 6.0), grid(6, STEPS, 64)
    made = convert(module, sample, encoding="none")
    assert made.check.matches
    assert made.network.readout == "potential"
    assert check_conversion(module, made.network, grid(200, STEPS, 64)).matches


def test_a_listed_neuron_without_values_is_none_of_the_modules():
    """snnTorch resets all neurons that were ever made, those of others, too."""
    import snntorch

    other = snntorch.Leaky(0.5, init_hidden=True)
    other.mem = torch.zeros(0, device="meta")
    torch.manual_seed(0)
    comes_in(strengthened(Tutorial6(), 4.0), grid(2, 1, 28, 28))
    assert other.mem.is_meta
    snntorch.Leaky.instances.remove(other)
