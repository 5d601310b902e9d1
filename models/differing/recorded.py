"""What one run of a build showed: trains of the layers that fire, potentials where they are known, outputs."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..conversion.sources import Source, run_once, takes_all_steps
from ..elements.layers import Residual
from ..elements.neurons import LIF
from ..networks import SpikingNetwork


@dataclass(frozen=True)
class Recorded:
    """One batch.

    Attributes:
        spikes: of each layer that fires, (T, batch, neurons), bool.
        potentials, currents: of each of them, before the reset; None where they were not recorded.
        outputs: logits, or the tensors that a module returned.
        inputs: how many there were.
    """

    spikes: tuple[Tensor, ...]
    potentials: tuple[Tensor, ...] | None
    currents: tuple[Tensor, ...] | None
    outputs: tuple[Tensor, ...]
    inputs: int


def record_network(network: SpikingNetwork, inputs: Tensor) -> Recorded:
    """Return the run of a network, on inputs of any dtype."""
    with torch.no_grad():
        trace = network.trace(inputs.to(network.device, network.dtype))
    firing = len(trace.spikes) - network.reads_potentials
    potentials, currents = (
        tuple(each.flatten(2).cpu() for each in part[:firing]) for part in (trace.potentials, trace.currents)
    )
    spikes = tuple((each.flatten(2) > 0).cpu() for each in trace.spikes[:firing])
    return Recorded(spikes, potentials, currents, (trace.logits.cpu(),), len(inputs))


def firing_names(network: SpikingNetwork) -> tuple[str, ...]:
    """Return the names of the layers that fire, in order of execution."""
    found = tuple(_named(network.layers, "layers"))
    return found[: len(found) - network.reads_potentials]


def _named(layers: nn.ModuleList, path: str) -> Iterator[str]:
    for index, layer in enumerate(layers):
        name = f"{path}.{index}"
        if isinstance(layer, Residual):
            yield from _named(layer.branch, f"{name}.branch")
            yield from _named(layer.shortcut, f"{name}.shortcut")
        elif isinstance(layer, LIF):
            yield name


class _TrainWatch:
    """What calls of one part of a module returned, as long as it was spikes; `order` is that of first calls."""

    def __init__(self, name: str, order: "list[_TrainWatch]") -> None:
        self.name, self.order, self.calls, self.spikes = name, order, list[Tensor](), True

    def __call__(self, part: nn.Module, given: object, found: object) -> None:
        """Keep the first tensor of what was returned."""
        if self not in self.order:
            self.order.append(self)
        first = found[0] if isinstance(found, tuple | list) and found else found
        self.spikes = self.spikes and isinstance(first, Tensor) and bool(((first == 0) | (first == 1)).all())
        if self.spikes:
            self.calls.append(first.detach())  # pyright: ignore


def record_module(source: Source, inputs: Tensor, num_steps: int) -> tuple[Recorded, tuple[str, ...]]:
    """Return the run of a module as it is, and the names of the parts that fire.

    Those are the innermost parts, none of torch's own types, whose returns were 0 and 1 at every step. Their order
    is that of their first calls.
    """
    from ..tracing.tracing import copied, undisturbed  # torch's own takes long to import

    run = copied(source)
    order: list[_TrainWatch] = []
    for name, part in run.module.named_modules():
        if _may_fire(part):
            part.register_forward_hook(_TrainWatch(name, order))
    with undisturbed(), torch.no_grad():
        outputs = run_once(run, inputs)
    at_once = source.num_steps is None or takes_all_steps(source.module)
    laid = {watch.name: _over_time(watch, num_steps, len(inputs), at_once) for watch in order}
    found = {name: spikes for name, spikes in laid.items() if spikes is not None}
    inner = {name: spikes for name, spikes in found.items() if not any(_within(other, name) for other in found)}
    return Recorded(tuple(inner.values()), None, None, outputs, len(inputs)), tuple(inner)


def _may_fire(part: nn.Module) -> bool:
    home = type(part).__module__
    return not home.startswith("torch.") and "surrogate" not in home and "spikecert" not in home


def _within(name: str, outer: str) -> bool:
    return name != outer and (outer == "" or name.startswith(f"{outer}."))


def _over_time(watch: _TrainWatch, num_steps: int, batch: int, at_once: bool) -> Tensor | None:
    """Return what was watched as (T, batch, neurons); None for no trains of these steps."""
    if not watch.spikes or not watch.calls:
        return None
    calls = watch.calls
    if at_once and len(calls) == 1 and calls[0].shape[:2] == (num_steps, batch):
        return calls[0].flatten(2) > 0
    if len(calls) != num_steps or any(call.dim() < 2 or len(call) != batch for call in calls):
        return None
    return torch.stack(calls).flatten(2) > 0
