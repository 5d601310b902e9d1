"""Convert random networks of each library: how many come in, how many spikes differ, and why the rest is refused.

    PYTHONPATH=tests python benchmarks/conversions.py [--networks 200] [--fresh 64] [--wrapped 250]

Each accepted network is compared again on fresh random inputs, spike for spike, and by its outputs on inputs far
outside of the sample's range, in other batches, called again, with gradients ("far": networks that differ there).
"Refused" counts those among the networks that were drawn to come in. Of those with a function around a layer
(`tests/support/wrapped.py`) the right ones must come in, and no wrong one that differs anywhere from the module as
it runs by itself.
"""

import argparse
import re
import sys
import warnings
from collections import Counter
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from spikecert.models import Conversion, ConversionRefused, SpikingNetwork, check_conversion, convert
from spikecert.models.conversion.checking import readings_of
from spikecert.models.conversion.converting import beyond, random_like
from spikecert.models.conversion.sources import Source, restart, run_once

warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated")
warnings.filterwarnings("ignore", message="Inhibition is an unstable feature")
from support.foreign import FOREIGN, Foreign  # noqa: E402
from support.foreign_loops import LOOPS  # noqa: E402
from support.state_loops import from_states  # noqa: E402
from support.wrapped import SOURCES as WRAPPED  # noqa: E402
from support.wrapped import wrapped  # noqa: E402

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
    wanted: int = 0
    spikes: int = 0
    differ: int = 0
    fresh: int = 0
    fresh_differ: int = 0
    far: list[str] = field(default_factory=list)
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
            found.wanted += made.refusal is None and not re.search("within rounding|never fires", str(error))
            continue
        found.accepted += 1
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
    if isinstance(made.source, nn.Module) and (reason := differs(made, conversion)):
        found.far.append(f"{seed}: {reason}")


@dataclass
class Around:
    """What became of networks with functions around a layer: a line for each that should not be."""

    accepted: int = 0
    differ: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def around(library: str, networks: int, is_right: bool) -> Around:
    """Convert the networks of seeds 0, 1, … with a function around a layer."""
    found = Around()
    for seed in range(networks):
        kind, place, made = wrapped(library, seed, is_right)
        told = f"{library} {seed}: {kind} {place}"
        try:
            conversion = convert(made.source, made.sample, made.num_steps, made.encoding)
        except (ConversionRefused, ValueError) as error:
            named = made.refusal and re.search(made.refusal, str(error))
            if is_right and not named and "within rounding" not in str(error):
                found.refused.append(f"{told}: {error}")
            continue
        found.accepted += 1
        if reason := differs(made, conversion):
            found.differ.append(f"{told}: {reason}")
    return found


def differs(made: Foreign, conversion: Conversion) -> str:
    """Return where a module, run by itself, gives something else than its network; "" for nowhere."""
    source = Source.of(made.source, made.encoding, made.num_steps)
    made.source.eval()
    for batch, scale, gradients in ((1, 1, False), (7, 1, True), (29, 1, False), (29, 10, False), (3, 1000, True)):
        for again in range(2):
            inputs = scale * beyond(made.sample, batch, 5 + batch, made.encoding == "none")
            with torch.set_grad_enabled(gradients):
                restart(source.module)
                outputs = run_once(source, inputs)
            with torch.no_grad():
                logits = conversion.network(inputs)
            if not any(alike(output, conversion.network, logits) for output in outputs):
                return f"in a batch of {batch}, at a scale of {scale}, call {again}"
    return ""


def alike(output: Tensor, network: SpikingNetwork, logits: Tensor) -> bool:
    """Return whether an output is one of the readings of logits, in other units and from another zero."""
    for reading in map(Tensor.double, readings_of(output, network, logits)):
        one, other = reading - reading.mean(), logits.double() - logits.double().mean()
        gain = (one * other).sum() / other.square().sum().clamp_min(1e-30)
        if bool(((one - gain * other).abs() <= 1e-4 * one.abs().max().clamp_min(1e-12)).all()):
            return True
    return False


def print_around(networks: int) -> None:
    """Print a Markdown table of networks with functions around a layer."""
    print("\n| library | function | networks | accepted | differ | refused, and should not be |")
    print("|---|---|---|---|---|---|")
    lines = []
    for library in WRAPPED:
        for is_right in (True, False):
            found = around(library, networks, is_right)
            numbers = (networks, found.accepted, len(found.differ), len(found.refused))
            print(f"| {library} | {'right' if is_right else 'wrong'} | {' | '.join(map(str, numbers))} |")
            sys.stdout.flush()
            lines += [f"* differs, {line}" for line in found.differ]
            lines += [f"* refused, {line}" for line in found.refused]
    print(*lines, sep="\n")


def main() -> None:
    """Print two Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--fresh", type=int, default=64, help="random inputs for each accepted network")
    parser.add_argument("--wrapped", type=int, default=170, help="networks with right, and with wrong functions")
    parser.add_argument("--libraries", default=";".join(SOURCES), help="names, as in " + ";".join(SOURCES))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| library | networks | accepted | spikes compared | differ | on fresh inputs | differ | far | refused |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    reasons = []
    for library in arguments.libraries.split(";"):
        found = tally(library, arguments.networks, arguments.fresh)
        compared = found.spikes, found.differ, found.fresh, found.fresh_differ
        numbers = found.accepted, *compared, len(found.far), found.wanted
        print(f"| {library} | {arguments.networks} | {' | '.join(map(str, numbers))} |")
        sys.stdout.flush()
        reasons += [f"* {library} differs, {line}" for line in found.far]
        reasons.append(
            f"* {library}: {', '.join(f'{count} {kind}' for kind, count in found.refused.most_common())}"
        )
    print("\nRefused:", *reasons, sep="\n")
    if arguments.wrapped:
        print_around(arguments.wrapped)


if __name__ == "__main__":
    main()
