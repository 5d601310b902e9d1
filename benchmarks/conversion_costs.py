"""Time conversions of networks written by hand: wide, long, recurrent and deep ones, and of several states.

    python benchmarks/conversion_costs.py [--steps 25,100,300] [--layers 20,70,300] [--images 32,64]

CPU seconds of `convert` on four samples, one thread. With `--images`, whose files need torchvision, SpikingJelly's
own CSNN (its tutorial's, 128 channels) and sew_resnet18 (64 to 512 channels, images of these sizes), too, T = 4.
"""

import argparse
import resource
import time
from itertools import pairwise

import torch
from torch import Tensor, nn

from spikecert import ConversionRefused, convert


class ByHand(nn.Module):
    """Dense layers with leaky neurons between them, over T steps; the mean of the last layer."""

    def __init__(self, sizes: list[int], steps: int, reset: str = "zero", loops: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(sizes))
        self.loops = nn.ModuleList(nn.Linear(size, size, bias=False) for size in sizes[1:-1]) if loops else None
        self.steps, self.reset = steps, reset

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over time."""
        count = len(self.layers) - 1
        potentials = [torch.zeros(len(x), self.layers[place].out_features) for place in range(count)]  # pyright: ignore
        spikes, total = [torch.zeros_like(each) for each in potentials], torch.zeros(())
        for _ in range(self.steps):
            signal = x
            for place in range(count):
                current = self.layers[place](signal)
                current = current if self.loops is None else current + self.loops[place](spikes[place])
                v = 0.9 * potentials[place] + current
                spikes[place] = signal = (v >= 1.0).to(x)
                potentials[place] = v - signal if self.reset == "subtract" else v * (1.0 - signal)
            total = total + self.layers[-1](signal)
        return total / self.steps


class OfStates(ByHand):
    """Dense layers with neurons between them that keep a second number."""

    def __init__(self, sizes: list[int], steps: int, neuron: str) -> None:
        super().__init__(sizes, steps)
        self.neuron = getattr(self, neuron)

    @staticmethod
    def alif(i: Tensor, v: Tensor, w: Tensor, s: Tensor) -> tuple[Tensor, ...]:
        """Return v, w and s of a threshold that rises by spikes."""
        w, v = 0.95 * w + s, 0.9 * v * (1.0 - s) + i
        return v, w, (v >= 1.0 + 0.3 * w).to(i)

    @staticmethod
    def adlif(i: Tensor, v: Tensor, w: Tensor, s: Tensor) -> tuple[Tensor, ...]:
        """Return v, w and s of a second number that the potential and spikes drive."""
        w = 0.9 * w + 0.1 * v + 0.3 * s
        v = 0.9 * (v - s) + 0.1 * (8.0 * i - w)
        return v, w, (v >= 1.0).to(i)

    @staticmethod
    def tclif(i: Tensor, v: Tensor, w: Tensor, s: Tensor) -> tuple[Tensor, ...]:
        """Return v, w and s of a dendrite and a soma."""
        v, w = v - s, w - 0.5 * s
        w = w - 0.25 * v + i
        v = v + 0.5 * w
        return v, w, (v >= 1.0).to(i)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over time."""
        count, total = len(self.layers) - 1, torch.zeros(())
        states = [(torch.zeros(len(x), layer.out_features),) * 3 for layer in self.layers]  # pyright: ignore
        for _ in range(self.steps):
            signal = x
            for place in range(count):
                states[place] = self.neuron(self.layers[place](signal), *states[place])
                signal = states[place][2]
            total = total + self.layers[-1](signal)
        return total / self.steps


def seconds(sizes: list[int], steps: int, neuron: str = "", **settings: object) -> float:
    """Return the CPU seconds of one conversion, of the first weights of which no spike is decided by rounding."""
    for seed in range(9):
        torch.manual_seed(seed)
        module: nn.Module = OfStates(sizes, steps, neuron) if neuron else ByHand(sizes, steps, **settings)  # pyright: ignore
        sample = torch.rand(4, sizes[0])
        start = time.process_time()
        try:
            convert(module, sample)
        except ConversionRefused as error:
            if "within rounding" not in str(error):
                raise
        else:
            return time.process_time() - start
    raise RuntimeError("rounding decides spikes for all weights that were tried")


def of_images(name: str, size: int) -> str:
    """Return the CPU seconds, the most memory so far and the spikes of one of SpikingJelly's networks."""
    from spikingjelly.activation_based import functional, neuron

    torch.manual_seed(0)
    if name == "CSNN":
        from spikingjelly.activation_based.examples.conv_fashion_mnist import CSNN

        net, sample, steps = CSNN(4, 128), torch.rand(2, 1, size, size), None
    else:
        from spikingjelly.activation_based.model.sew_resnet import sew_resnet18

        net, sample, steps = sew_resnet18(cnf="ADD", spiking_neuron=neuron.IFNode), torch.rand(2, 3, size, size), 4
        functional.set_step_mode(net, "m")
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.weight.data.mul_(3.0)  # so that all layers fire
    start = time.process_time()
    check = convert(net.eval(), sample, steps).check
    taken, most = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return f"{taken:.1f} s, {most} MiB, {check.spikes} spikes in {check.layers} layers"


def main() -> None:
    """Print a line for each network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", default="25,100,300")
    parser.add_argument("--layers", default="20,70,300")
    parser.add_argument("--images", default="", help="sizes of sew_resnet18's images; none: neither network")
    given = parser.parse_args()
    torch.set_num_threads(1)
    seconds([4, 5, 3], 3)  # what torch loads for the first one
    print(f"784-1000-10, T = 25: {seconds([784, 1000, 10], 25):.2f} s")
    for size in filter(None, given.images.split(",")):
        print(f"sew_resnet18, T = 4, {size} x {size}: {of_images('sew_resnet18', int(size))}")
    if given.images:
        print(f"CSNN, T = 4, 28 x 28: {of_images('CSNN', 28)}")
    for steps in map(int, filter(None, given.steps.split(","))):
        hard, soft = (seconds([784, 100, 10], steps, reset=reset) for reset in ("zero", "subtract"))
        loops = seconds([784, 100, 10], steps, loops=True)
        print(f"784-100-10, T = {steps}: {hard:.2f} s, subtracting {soft:.2f} s, recurrent {loops:.2f} s")
    for steps in map(int, filter(None, given.steps.split(","))):
        plain = seconds([64, 64, 10], steps)
        told = (f"{each} {seconds([64, 64, 10], steps, each):.2f} s" for each in ("alif", "adlif", "tclif"))
        print(f"64-64-10, T = {steps}: {plain:.2f} s, {', '.join(told)}")
    for layers in map(int, filter(None, given.layers.split(","))):
        print(f"{layers} layers of 6, T = 4: {seconds([6] * layers + [3], 4):.2f} s")


if __name__ == "__main__":
    main()
