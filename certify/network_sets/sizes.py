"""How large a set of networks may be: sizes that are proven, and sizes at which a member fails.

Sets of networks and their members as JSON-ready data and tensors.

Members of sets of networks as tensors, beside the network that they lie around: what records and batches keep.

A member of a tolerance is all of its weights, thresholds and decays; one with stuck neurons says which are stuck.
Whoever reads one back has the network, and gets a member: what is outside the set is refused.
"""

import copy
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...models.deadline import Expired, Figures, Progress, passed, share, until
from ...models.elements.varied import VariedLIF
from ...models.networks import SpikingNetwork
from ..attacks.standard import quick_ensemble
from ..perturbations import Perturbation
from ..perturbations.described import build_set, describe_set
from ..verdicts import Verdict
from .base import Fault, NetworkSet, constants, faults_of, features_of, stuck_member
from .deciding import Asked, decide
from .stuck import StuckNeurons
from .tolerance import Tolerance

Answer = Callable[[Asked], list[Verdict]]


@dataclass
class SizeEnds:
    """What is known of one sample: proven up to `lower`, fails at `upper`, on a grid of whole numbers.

    Attributes:
        lower, upper: places on the grid.
        counterexample, member: what fails at `upper`; None where nothing was found.
        verifier: what proved `lower`; None for nothing.
    """

    lower: int
    upper: int
    counterexample: Tensor | None = None
    member: SpikingNetwork | None = None
    verifier: str | None = None


@dataclass(frozen=True)
class SizeGrid:
    """The sizes that are asked about: `count` steps of `step`."""

    step: float
    count: int

    @staticmethod
    def of(asked: Asked, tolerance: float) -> "SizeGrid":
        """Return a grid of steps no longer than `tolerance`, of whole numbers where sizes are."""
        reach, whole = asked.networks.reach(asked.network, asked.inputs), asked.networks.grid
        if whole:
            return SizeGrid(whole, int(reach / whole))
        count = 2 ** max(1, math.ceil(math.log2(reach / tolerance)))
        return SizeGrid(reach / count, count)


def bracketed(
    asked: Asked, verifier: str, grid: SizeGrid, timeout: float | None, progress: Progress, figures: Figures
) -> list[SizeEnds]:
    """Return each sample's ends: sets that grow hold the lesser ones, so both are found by bisection.

    Args:
        asked: the samples; the set's own size plays no part.
        verifier: what proves, as `decide` takes it.
        grid: of sizes.
        timeout: seconds for a sample, on average; what is not asked by then stays open.
        progress: told after each query.
        figures: told before each query, its size as "epsilon" and how many samples it asks about as "asked".
    """
    deadline = until(timeout, len(asked.labels))
    clean = decide(replace(asked, networks=asked.networks.sized(0.0)), "interval")
    ends = [
        SizeEnds(0, 0, verdict.counterexample, verdict.member)
        if verdict.status == "falsified"
        else SizeEnds(0, grid.count)
        for verdict in clean
    ]
    proof = "trains" if verifier == "auto" and not asked.networks.grid else verifier

    def proven(part: Asked) -> list[Verdict]:
        return decide(part, proof, share(deadline, len(part.labels)))

    _bisect(asked, ends, grid, proven, True, deadline, progress, figures)
    if verifier == "auto":
        searched = partial(_searched, expired=partial(passed, deadline))
        _bisect(asked, ends, grid, searched, False, deadline, progress, figures)
    return ends


def _searched(part: Asked, expired: Expired) -> list[Verdict]:
    result = part.attacked(quick_ensemble(), expired)
    found = zip(result.success.tolist(), result.inputs, result.networks, strict=True)
    reason = "searched"
    return [
        Verdict("falsified", None, candidate, "attack", 0.0, reason, part.ties, member)
        if fails
        else Verdict("unknown", None, None, "attack", 0.0, reason, part.ties)
        for fails, candidate, member in found
    ]


def _bisect(
    asked: Asked,
    ends: list[SizeEnds],
    grid: SizeGrid,
    answer: Answer,
    unknown_is_high: bool,
    deadline: float | None,
    progress: Progress,
    figures: Figures,
) -> None:
    """Narrow ends until no size is between them, or unknown ones alone."""
    brackets = [[end.lower, end.upper] for end in ends]
    for place, samples in _asked_at(brackets):
        if passed(deadline):
            return
        index = torch.tensor(samples, device=asked.labels.device)
        size = place * grid.step
        figures("radius (networks)", {"epsilon": size, "asked": float(len(samples))})
        part = replace(asked.part(index), networks=asked.networks.sized(size))
        for sample, verdict in zip(samples, answer(part), strict=True):
            if verdict.status == "verified":
                ends[sample].lower = brackets[sample][0] = place
                ends[sample].verifier = verdict.verifier
            elif verdict.status == "falsified":
                brackets[sample][1] = place
                found = {"counterexample": verdict.counterexample, "member": verdict.member}
                ends[sample] = replace(ends[sample], upper=place, **found)
            else:
                brackets[sample][1 if unknown_is_high else 0] = place
        progress("radius (networks)", sum(high - low <= 1 for low, high in brackets), len(ends))


def _asked_at(brackets: list[list[int]]) -> Iterator[tuple[int, list[int]]]:
    """Yield a place strictly between the ends of some samples, and which, until there is none."""
    while True:
        places: dict[int, list[int]] = defaultdict(list)
        for sample, (low, high) in enumerate(brackets):
            if high - low > 1:
                places[(low + high) // 2].append(sample)
        if not places:
            return
        yield max(places.items(), key=lambda item: len(item[1]))


NETWORKS: dict[str, type[NetworkSet]] = {kind.__name__: kind for kind in (Tolerance, StuckNeurons)}


def describe_any(asked: Perturbation | NetworkSet) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return a threat model as JSON-ready data and tensors.

    Raises:
        TypeError: for one that is not spikecert's own.
    """
    if not isinstance(asked, NetworkSet):
        return describe_set(asked)
    name = type(asked).__name__
    if NETWORKS.get(name) is not type(asked):
        raise TypeError(f"perturbation: got {name}, expected one of {', '.join(NETWORKS)}")
    told: dict[str, Any] = {field.name: getattr(asked, field.name) for field in fields(asked)}  # pyright: ignore[reportArgumentType]
    around, tensors = (None, {}) if asked.around is None else describe_set(asked.around)
    return {"type": name, **told, "around": around}, tensors


def build_any(told: dict[str, Any], tensors: dict[str, Tensor]) -> Perturbation | NetworkSet:
    """Return the threat model of `describe_any`."""
    kind = NETWORKS.get(told["type"])
    if kind is None:
        return build_set(told, tensors)
    around = None if told["around"] is None else build_set(told["around"], tensors)
    return kind(**{key: value for key, value in told.items() if key != "type"} | {"around": around})


FAULTS = "faults"
CONSTANTS = ("threshold", "decay")


def kept_member(networks: NetworkSet, member: SpikingNetwork) -> dict[str, Tensor]:
    """Return what tells a member of a set from the network that it lies around, on the CPU."""
    if isinstance(networks, StuckNeurons):
        rows = [[fault.layer, fault.neuron, int(fault.fires)] for fault in faults_of(member)]
        return {FAULTS: torch.tensor(rows, dtype=torch.int64).reshape(-1, 3)}
    return {name: tensor.detach().cpu().clone() for name, tensor in _numbers(member).items()}


def _numbers(network: SpikingNetwork) -> dict[str, Tensor]:
    """Return all that may vary in a tolerance, by name."""
    found: dict[str, Tensor] = {f"weights.{name}": one for name, one in network.named_parameters()}
    for place, neuron in enumerate(network.neurons):
        if isinstance(neuron, VariedLIF) or all(hasattr(neuron.dynamics, name) for name in CONSTANTS):
            found |= {f"neurons.{place}.{name}": value for name, value in constants(neuron).items()}
    return found


def restored_member(
    networks: NetworkSet, network: SpikingNetwork, inputs: Tensor, kept: dict[str, Tensor]
) -> SpikingNetwork:
    """Return the member of `kept_member`.

    Args:
        networks: the set.
        network: that it lies around.
        inputs: samples, which say how many neurons there are.
        kept: what tells the member.

    Raises:
        ValueError: for what is no member of the set.
    """
    nominal = networks.nominal(network).eval()
    if isinstance(networks, StuckNeurons):
        return _stuck(networks, nominal, inputs, kept)
    if not isinstance(networks, Tolerance):
        raise ValueError(f"member: got one of {type(networks).__name__}, expected Tolerance or StuckNeurons")
    member = _moved(nominal, kept)
    if not networks.contains(network, member):
        raise ValueError(f"member: got numbers outside the set {networks}, expected a member")
    return member


def _moved(nominal: SpikingNetwork, kept: dict[str, Tensor]) -> SpikingNetwork:
    """Return a copy with other weights, thresholds and decays."""
    found = copy.deepcopy(nominal)
    own = _numbers(found)
    alike = {name: (tensor.shape, tensor.dtype) for name, tensor in own.items()}
    if {name: (tensor.shape, tensor.dtype) for name, tensor in kept.items()} != alike:
        raise ValueError("member: got tensors of other names, shapes or dtypes than the network's")
    if not all(bool(tensor.isfinite().all()) for tensor in kept.values()):
        raise ValueError("member: got numbers that are not finite")
    with torch.no_grad():
        for name, parameter in found.named_parameters():
            parameter.copy_(kept[f"weights.{name}"])
    for place, neuron in enumerate(found.neurons):
        moved = {name: kept[f"neurons.{place}.{name}"] for name in CONSTANTS if f"neurons.{place}.{name}" in kept}
        if isinstance(neuron, VariedLIF):
            for name, value in moved.items():
                setattr(neuron, name, value.to(found.device))
        elif any(float(value) != getattr(neuron.dynamics, name) for name, value in moved.items()):
            neuron.dynamics = replace(neuron.dynamics, **{name: float(value) for name, value in moved.items()})
    return found


def _stuck(
    networks: StuckNeurons, nominal: SpikingNetwork, inputs: Tensor, kept: dict[str, Tensor]
) -> SpikingNetwork:
    rows = kept.get(FAULTS) if len(kept) == 1 else None
    if rows is None or rows.dtype != torch.int64 or rows.dim() != 2 or rows.shape[1] != 3:
        raise ValueError("member: got other tensors than which neurons are stuck")
    features = features_of(nominal, inputs)
    faults = [Fault(layer, neuron, bool(fires)) for layer, neuron, fires in rows.tolist()]
    places = {(fault.layer, fault.neuron) for fault in faults}
    known = all(
        0 <= layer < len(features) and networks.takes(layer) and 0 <= neuron < features[layer].numel()
        for layer, neuron in places
    )
    if not known or len(places) < len(faults) or len(faults) > networks.count:
        raise ValueError(f"member: got {len(faults)} stuck neurons that are not of {networks}, expected a member")
    return stuck_member(nominal, faults, features)
