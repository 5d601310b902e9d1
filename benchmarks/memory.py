"""Peak memory and time of a training step that keeps all T steps, or a few at once (time-checkpointing).

Run `python benchmarks/memory.py`. 784-512-256-10, LIF, direct coding; each row is a process of its own, whose peak
is read from the system, less what it was before the first step. Time is CPU time of one thread.
"""

import argparse
import resource
import subprocess
import sys
import time

import torch
from torch.nn.functional import cross_entropy

from spikecert import LIF, mlp

SIZES = (784, 512, 256, 10)
WAYS = ("all", "16", "8", "4", "2")
REPETITIONS = 3


def peak() -> float:
    """Return the process's greatest use of memory so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB


def row(num_steps: int, batch: int, way: str) -> str:
    """Measure one row in this process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = mlp(SIZES, num_steps, LIF(0.99))
    network.steps_at_once = None if way == "all" else int(way)
    images, labels = torch.rand(batch, SIZES[0]), torch.randint(10, (batch,))
    network(images[:1]).sum().backward()  # what torch itself needs once
    before, start = peak(), time.process_time()
    for _ in range(REPETITIONS):
        network.zero_grad()
        cross_entropy(network(images), labels).backward()
    seconds = (time.process_time() - start) / REPETITIONS
    return f"| {way} | {peak() - before:.0f} | {seconds:.2f} |"


def main() -> None:
    """Print a Markdown table, or with --way one row of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-steps", type=int, default=64)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--way")
    arguments = parser.parse_args()
    if arguments.way is not None:
        print(row(arguments.num_steps, arguments.batch, arguments.way))
        return
    print(f"{'-'.join(map(str, SIZES))}, T={arguments.num_steps}, batch {arguments.batch}, float32\n")
    print("| steps at once | peak of a training step, MiB | CPU seconds |\n|---|---|---|", flush=True)
    for way in WAYS:
        options = ["--num-steps", str(arguments.num_steps), "--batch", str(arguments.batch), "--way", way]
        subprocess.run([sys.executable, __file__, *options], check=True)


if __name__ == "__main__":
    main()
