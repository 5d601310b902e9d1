"""What a graph's run would take, found without running it: a file of a few bytes may ask for any size."""

import math

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ...validation import one_line
from ..refusal import ConversionRefused
from ..sources import Source, restart

LEAST_VALUES = 2**18
"""Numbers that one sample's run may compute, of all nodes and steps, however small the file is."""
VALUES_A_BYTE = 16
"""How many more for each byte of the file: of dense layers each needs more bytes than that makes up for."""
VALUES_AN_INPUT = 4096
"""How many more for each number of a sample that the caller gives."""
MOST_CALLS = 2**12
"""Nodes times steps, where the file says how many steps."""


def check_calls(source: Source) -> None:
    """Raise ConversionRefused where a graph asks for so many steps that its run is none of a moment."""
    nodes = max(1, sum(1 for _ in source.module.modules()))
    if nodes * (source.num_steps or 1) > MOST_CALLS:
        told = f"{source.num_steps} steps of {nodes} modules"
        raise ConversionRefused(f"graph: asks for {told}, expected a product up to {MOST_CALLS}; give num_steps")


def check_values(source: Source, shape: tuple[int, ...], most: int) -> None:
    """Raise ConversionRefused where one sample's run computes too many numbers, or can't be run.

    Args:
        source: a graph.
        shape: of one sample.
        most: how many numbers, of all nodes and steps.
    """
    features = shape[1:] if source.timed else shape
    counts = [math.prod(features)]

    def count(node: nn.Module, given: object, gave: Tensor) -> None:
        counts.append(gave.numel())

    hooks = [node.register_forward_hook(count) for node in source.module.modules() if node is not source.module]
    try:
        _run_without_numbers(source, features)
    except (RuntimeError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise ConversionRefused(f"module: can't run on inputs of shape {features}: {one_line(error)}") from error
    finally:
        for hook in hooks:
            hook.remove()
        restart(source.module)
    values = sum(counts) * (source.num_steps or 1)
    if values > most:
        told = f"computes {values} numbers for one sample"
        raise ConversionRefused(f"graph: {told}, expected at most {most}, or more inputs as a sample")


def _run_without_numbers(source: Source, features: tuple[int, ...]) -> None:
    kind = next((weight.dtype for weight in source.module.parameters()), torch.float32)
    held = {name: torch.empty_like(weight, device="meta") for name, weight in source.module.state_dict().items()}
    with torch.no_grad():
        functional_call(source.module, held, (torch.empty(1, *features, dtype=kind, device="meta"),))
