"""Run a counterexample of a record again, in a member of its set of networks where it is of one."""

from dataclasses import dataclass

import torch

from ...certify import Perturbation
from ...certify.network_sets.base import NetworkSet
from ...certify.network_sets.keeping import restored_member
from ...certify.questions.properties import property_goal
from ...certify.replay import replays
from ...models import SpikingNetwork
from ..records.evidence import unpacked_member
from ..records.schema import Counterexample, Threat


@dataclass(frozen=True)
class Replayed:
    """One counterexample that was run again.

    Attributes:
        index, label, epsilon: as the record says.
        predicted: the answer now.
        fails: whether it lies in its set, and fails.
        told: why not, or what was run.
        member: of a set of networks the one that was run.
    """

    index: int
    label: int
    epsilon: float
    predicted: int
    fails: bool
    told: str
    member: SpikingNetwork | None = None


def replayed(threat: Threat, network: SpikingNetwork, ties: str, case: Counterexample) -> Replayed:
    """Run one counterexample of a network's record.

    Raises:
        ValueError: for a member that can't be read, or that the set does not have.
    """
    clean, found = (
        torch.tensor(values, dtype=network.dtype).reshape(case.shape).to(network.device)
        for values in (case.clean, case.perturbed)
    )
    sets, member, told = threat.around(case.epsilon), None, ""
    if isinstance(sets, NetworkSet):
        if case.member is None:
            raise ValueError(f"record: sample {case.index} has no member, which was too large to be kept")
        kept = {name: tensor.to(network.device) for name, tensor in unpacked_member(case.member).items()}
        member, told = restored_member(sets, network, clean[None], kept), _changed(kept)
    run, prop = network if member is None else member, threat.prop
    inside = _inside(sets, found, clean)
    if prop is None:
        fails, held = replays(run, found, case.label, ties), "it is classified as the sample's label"
    else:
        fails, held = property_goal(network, clean[None], prop).replays(run, found, 0), "the property holds there"
    if not (inside and fails):
        told = held if inside else "the input lies outside the set"
    with torch.no_grad():
        outputs = run(found[None])[0]
    if prop is not None and not told:
        told = f"outputs {outputs.tolist()}"
    predicted = int(outputs.argmax())
    return Replayed(case.index, case.label, case.epsilon, predicted, inside and fails, told, member)


def _inside(sets: Perturbation | NetworkSet, found: torch.Tensor, clean: torch.Tensor) -> bool:
    around = sets.around if isinstance(sets, NetworkSet) else sets
    return bool(found.equal(clean)) if around is None else bool(around.contains(found[None], clean[None]))


def _changed(kept: dict[str, torch.Tensor]) -> str:
    """Return what a member is, in a few words."""
    if (faults := kept.get("faults")) is None:
        return f"{sum(tensor.numel() for tensor in kept.values())} numbers of its own"
    each = (
        f"layer {layer} neuron {neuron} {'fires' if fires else 'silent'}"
        for layer, neuron, fires in faults.tolist()
    )
    return ", ".join(each)
