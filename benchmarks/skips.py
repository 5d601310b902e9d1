"""What a skip costs "trains": a residual network against the same one without its skips, in turn in one process.

python -m benchmarks.skips
"""

import time
from statistics import median

import torch
from torch import nn

from spikecert import LIF, LInf, Residual, SpikingNetwork, verify

ROUNDS, BATCH, CHANNELS = 5, 16, 16


def network(skips: bool, reset: str) -> SpikingNetwork:
    """Return two blocks of a convolution and neurons, around which a skip goes or not."""
    torch.manual_seed(0)
    blocks: list[nn.Module] = []
    for _ in range(2):
        block = [nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), LIF(0.9, reset=reset)]
        blocks += [Residual(block)] if skips else block
    first, last = nn.Conv2d(1, CHANNELS, 4, stride=2, padding=1), nn.Linear(CHANNELS * 196, 10)
    made = SpikingNetwork(first, LIF(0.9, reset=reset), *blocks, nn.Flatten(), last, num_steps=4)
    for module in made.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data *= 3.0
    return made.eval()


def main() -> None:
    """Print the median of the ratios of CPU seconds, for both resets."""
    torch.set_num_threads(1)
    inputs = torch.rand(BATCH, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    for reset in ("zero", "subtract"):
        pair = [network(skips, reset) for skips in (False, True)]
        labels = [made(inputs).argmax(1) for made in pair]
        rounds = [[_seconds(*each, inputs) for each in zip(pair, labels, strict=True)] for _ in range(ROUNDS)]
        print(f"{reset}: {median(skip / plain for plain, skip in rounds):.2f} times the network without skips")


def _seconds(made: SpikingNetwork, labels: torch.Tensor, inputs: torch.Tensor) -> float:
    started = time.process_time()
    verify(made, inputs, labels, LInf(0.01), "trains")
    return time.process_time() - started


if __name__ == "__main__":
    main()
