"""Counterexamples as a record keeps them: the input, and what the spiking layers did for it."""

import base64
import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...certify.network_sets.base import NetworkSet
from ...certify.network_sets.keeping import kept_member
from ...models import LIF, SpikingNetwork, Trace, latency_code
from ...models.files.storage import pack, unpack
from ...models.validation import one_line
from .schema import MOST_MEMBER, Counterexample, KeptMember, LayerActivity, NeuronActivity

HARDEST = 8
"""How many counterexamples a record keeps as inputs: those of the smallest ε."""
MEMBER = "spikecert.member/1"
MOST_OPENED = 2**26
"""Bytes of a member, unpacked."""
TRACED, RASTER = 4, 48
"""Of how many neurons of a layer potentials, and of how many trains are kept; those that changed come first."""


@dataclass(frozen=True)
class Found:
    """An input that breaks a sample: a size of the set that holds it, what found it, the input itself.

    Attributes:
        epsilon, found_by, perturbed: these three.
        member: of a set of networks the one that it breaks, None elsewhere.
        kept: what tells that one from the network.
    """

    epsilon: float
    found_by: str
    perturbed: Tensor
    member: SpikingNetwork | None = None
    kept: Mapping[str, Tensor] | None = None

    @staticmethod
    def of(
        epsilon: float,
        found_by: str,
        perturbed: Tensor,
        member: SpikingNetwork | None,
        networks: object,
    ) -> "Found":
        """Return what was found in a set of inputs, or of networks with the member."""
        if member is None or not isinstance(networks, NetworkSet):
            return Found(epsilon, found_by, perturbed)
        return Found(epsilon, found_by, perturbed, member, kept_member(networks, member))


def hardest(
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor,
    found: Mapping[int, Found],
    count: int = HARDEST,
    activity: bool = True,
    asked: bool = False,
) -> tuple[Counterexample, ...]:
    """Return the counterexamples of the smallest ε, with the activity of the spiking layers.

    Args:
        network: in evaluation mode.
        inputs, labels: all samples.
        found: by the place of the sample among them.
        count: how many at most.
        activity: False leaves the activity out.
        asked: whether they violate a property: then outputs are kept.
    """
    indices = sorted(found, key=lambda index: (found[index].epsilon, index))[:count]
    return tuple(
        _counterexample(network, index, inputs[index], int(labels[index]), found[index], activity, asked)
        for index in indices
    )


def first_broken(counterexamples: Iterable[Counterexample]) -> tuple[Counterexample, ...]:
    """Return the `HARDEST` counterexamples of the smallest ε."""
    return tuple(sorted(counterexamples, key=lambda case: (case.epsilon, case.index))[:HARDEST])


def _counterexample(
    network: SpikingNetwork, index: int, clean: Tensor, label: int, found: Found, activity: bool, asked: bool
) -> Counterexample:
    """Return one with class and activity as the network gives them for this sample alone.

    Of a latency-coded network the events of its code are kept, (T, ...), which are what moves.
    """
    with torch.no_grad():
        traces = network.trace(clean[None]), (found.member or network).trace(found.perturbed[None])
    pair = clean, found.perturbed
    if network.encoding == "latency":
        pair = tuple(latency_code(image[None], network.num_steps)[0] for image in pair)
    return Counterexample(
        index=index,
        label=label,
        **(_outputs(traces) if asked else _rival(traces[1].logits[0], label)),
        epsilon=found.epsilon,
        found_by=found.found_by,
        shape=tuple(pair[0].shape),
        clean=tuple(pair[0].flatten().tolist()),
        perturbed=tuple(pair[1].flatten().tolist()),
        activity=_activity(network, *traces) if activity else (),
        member=None if found.kept is None else packed_member(found.kept),
    )


def packed_member(kept: Mapping[str, Tensor]) -> KeptMember | None:
    """Return a member as a record keeps it; None for one that is too large."""
    content = base64.b64encode(zlib.compress(pack(MEMBER, "", dict(kept)))).decode()
    return KeptMember(content=content) if len(content) <= MOST_MEMBER else None


def unpacked_member(member: KeptMember) -> dict[str, Tensor]:
    """Return the tensors of `packed_member`.

    Raises:
        ValueError: for content that it did not write.
    """
    opened = zlib.decompressobj()
    try:
        content = opened.decompress(base64.b64decode(member.content, validate=True), MOST_OPENED)
        if opened.unconsumed_tail or not opened.eof:
            raise ValueError("it is cut, or larger than any network that is kept")
        return unpack(content, MEMBER)[1]
    except (ValueError, zlib.error) as error:
        raise ValueError(f"member: can't be read: {one_line(error)}") from error


def _activity(network: SpikingNetwork, clean: Trace, perturbed: Trace) -> tuple[LayerActivity, ...]:
    """Return what each spiking layer does for the sample and for its counterexample."""
    names = {module: name for name, module in network.named_modules()}
    return tuple(
        _layer(names[neuron], *_layer_of(neuron, k, clean, perturbed)) for k, neuron in enumerate(network.neurons)
    )


def _layer_of(neuron: LIF, k: int, *traces: Trace) -> tuple[float, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return the threshold of layer k, and potentials and spikes, (T, neurons), of two traces.

    Where thresholds differ, potentials are told in units of them.
    """
    unit, threshold = torch.ones(()), 1.0
    if "threshold" in neuron.holds:
        unit = neuron.get_buffer("threshold")
        steps = unit.shape[:1] if getattr(neuron, "steps", 0) else ()
        unit = unit.expand(*steps, *traces[0].spikes[k].shape[2:]).flatten(len(steps)).cpu()
    else:
        threshold = neuron.dynamics.threshold
    one, other = ((t.potentials[k].flatten(1).cpu() / unit, t.spikes[k].flatten(1).cpu()) for t in traces)
    return threshold, one, other


def _layer(
    name: str, threshold: float, clean: tuple[Tensor, Tensor], perturbed: tuple[Tensor, Tensor]
) -> LayerActivity:
    (before, fired), (after, fires) = clean, perturbed
    differing = (fired != fires).sum(0)
    activity = (fired + fires > 0).sum(0)
    # most steps that differ, then most spikes, then the first neuron
    order = sorted(range(len(differing)), key=lambda j: (-int(differing[j]), -int(activity[j]), j))
    changed = int((differing > 0).sum())
    traced = set(order[: min(TRACED, changed)])
    return LayerActivity(
        name=name,
        neurons=len(differing),
        changed=changed,
        threshold=threshold,
        shown=tuple(
            NeuronActivity(
                index=j,
                clean=_train(fired[:, j]),
                perturbed=_train(fires[:, j]),
                clean_potentials=tuple(before[:, j].tolist()) if j in traced else (),
                perturbed_potentials=tuple(after[:, j].tolist()) if j in traced else (),
            )
            for j in sorted(order[:RASTER])
        ),
    )


def _train(spikes: Tensor) -> str:
    return "".join("1" if spike else "0" for spike in spikes.tolist())


def _outputs(traces: tuple[Trace, Trace]) -> dict[str, Any]:
    """Return the outputs of both, and the greatest one that was found."""
    before, after = (trace.logits[0] for trace in traces)
    return {"predicted": int(after.argmax()), "outputs": (tuple(before.tolist()), tuple(after.tolist()))}


def _rival(logits: Tensor, label: int) -> dict[str, Any]:
    """Return the class that beats the label, or shares the greatest logit with it, and which of both it does."""
    others = logits.clone()
    others[label] = -math.inf
    rival = int(others.argmax())
    return {"predicted": rival, "tied": bool(logits[rival] == logits[label])}
