"""Convert random networks of each library: how many come in, how many spikes differ, and why the rest is refused.

    PYTHONPATH=tests python benchmarks/conversions.py [--networks 200] [--fresh 64]

Each accepted network is compared again on fresh random inputs.
"""

import argparse
import re
import sys
import warnings
from collections import Counter
from dataclasses import dataclass, field

import torch
from torch import nn

from spikecert import Conversion, ConversionRefused, check_conversion, convert
from spikecert.models.conversion.converting import random_like

warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated")
warnings.filterwarnings("ignore", message="Inhibition is an unstable feature")
from support.foreign import FOREIGN, Foreign  # noqa: E402
from support.foreign_loops import LOOPS  # noqa: E402
from support.state_loops import from_states  # noqa: E402

SOURCES = FOREIGN | LOOPS | {"states by hand": from_states}

KINDS = ("graded spikes", "inhibition", "beta 0", "state_quant", "passes 2θ", "dynamics of its own")
KINDS += (
    "synaptic currents",
    "one step late",
    "no linear filter",
    "no layer of SpikingNetwork",
    "resets to",
    "within rounding",
    "output:",
)
KINDS += (
    "a state that it did not give",
    "no sum of its",
    "loses its input",
    "not given",
    "does not reach",
    "cross",
)


@dataclass
class Tally:
    """What became of the networks of one library."""

    accepted: int = 0
    unexpected: int = 0
    spikes: int = 0
    differ: int = 0
    fresh: int = 0
    fresh_differ: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def kind_of(reason: str) -> str:
    """Return the reason of a refusal in a word or two."""
    return next((kind for kind in KINDS if kind in reason), reason)


def tally(library: str, networks: int, fresh: int) -> Tally:
    """Convert the networks of seeds 0, 1, …"""
    found = Tally()
    for seed in range(networks):
        made = SOURCES[library](seed)
        try:
            conversion = convert(made.source, made.sample, made.num_steps, made.encoding)
        except ConversionRefused as error:
            found.refused[kind_of(str(error))] += 1
            expected = (made.refusal, "within rounding")
            found.unexpected += not any(reason and re.search(reason, str(error)) for reason in expected)
            continue
        found.accepted += 1
        found.unexpected += made.refusal is not None
        found.spikes += conversion.check.spikes
        found.differ += sum(conversion.check.mismatches)
        again(made, conversion, fresh, seed, found)
    return found


def again(made: Foreign, conversion: Conversion, count: int, seed: int, found: Tally) -> None:
    """Compare on inputs that the conversion has not seen."""
    inputs = random_like(made.sample, count, seed + 10_000, made.encoding == "none")
    steps = made.num_steps if isinstance(made.source, nn.Module) else None
    check = check_conversion(made.source, conversion.network, inputs, steps)
    found.fresh += check.spikes
    found.fresh_differ += sum(check.mismatches)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--fresh", type=int, default=64, help="random inputs for each accepted network")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| library | networks | accepted | spikes compared | differ | on fresh inputs | differ | unexpected |")
    print("|---|---|---|---|---|---|---|---|")
    reasons = []
    for library in SOURCES:
        found = tally(library, arguments.networks, arguments.fresh)
        numbers = (found.accepted, found.spikes, found.differ, found.fresh, found.fresh_differ, found.unexpected)
        print(f"| {library} | {arguments.networks} | {' | '.join(map(str, numbers))} |")
        sys.stdout.flush()
        reasons.append(
            f"* {library}: {', '.join(f'{count} {kind}' for kind, count in found.refused.most_common())}"
        )
    print("\nRefused:", *reasons, sep="\n")


if __name__ == "__main__":
    main()
