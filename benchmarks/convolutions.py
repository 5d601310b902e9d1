"""Peak memory and time of one sample of the paper's convolutional networks, by network and verifier.

    python benchmarks/convolutions.py [--networks vgg5:1/8 …] [--verifiers linear …] [--seconds 9]

Random weights as training starts from, one random image of 3×32×32, one thread. Each row is a process of its own,
whose peak is read from the system, less what torch and the network took before. A refusal is told as it is worded.
"""

import argparse
import resource
import subprocess
import sys
import time
from fractions import Fraction

import torch

from spikecert import LInf, SpikingNetwork, verify, vgg5, vgg11, wrn16_4

MAKERS = {"vgg5": vgg5, "vgg11": vgg11, "wrn16_4": wrn16_4}
NETWORKS = ("vgg5:1/8", "vgg11:1/8", "wrn16_4:1/4")
VERIFIERS = ("interval", "trains", "linear", "complete", "milp", "lirpa")


def peak() -> float:
    """Return the process's greatest use of memory so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB


def made(name: str) -> SpikingNetwork:
    """Return the network of a name such as vgg5:1/8."""
    maker, _, width = name.partition(":")
    torch.manual_seed(0)
    return MAKERS[maker](width=float(Fraction(width or "1"))).eval()


def row(name: str, verifier: str, epsilon: str, seconds: float) -> str:
    """Measure one row in this process."""
    torch.set_num_threads(1)
    network, image = made(name), torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        label = network(image).argmax(1)
    before, started = peak(), time.process_time()
    limit = seconds if verifier in ("complete", "milp", "lirpa") else None
    (found,) = verify(network, image, label, LInf(float(Fraction(epsilon))), verifier, limit)
    spent = time.process_time() - started
    cells = name, network.num_steps, verifier, f"{peak() - before:.0f}", f"{spent:.1f}", found.status, found.reason
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Print a Markdown table, or with --row one row of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="*", default=NETWORKS)
    parser.add_argument("--verifiers", nargs="*", choices=VERIFIERS, default=VERIFIERS)
    parser.add_argument("--epsilon", default="1/255")
    parser.add_argument("--seconds", type=float, default=60.0, help="limit of searches")
    parser.add_argument("--row", nargs=2, metavar=("NETWORK", "VERIFIER"))
    arguments = parser.parse_args()
    if arguments.row:
        name, verifier = arguments.row
        print(row(name, verifier, arguments.epsilon, arguments.seconds))
        return
    print("| network | T | verifier | MiB | CPU s | verdict | reason |\n|---|---|---|---|---|---|---|", flush=True)
    for name in arguments.networks:
        for verifier in arguments.verifiers:
            options = [
                "--epsilon",
                arguments.epsilon,
                "--seconds",
                str(arguments.seconds),
                "--row",
                name,
                verifier,
            ]
            subprocess.run([sys.executable, __file__, *options], check=False)


if __name__ == "__main__":
    main()
