"""Why a sample is not proved: what bounds leave open, layer by layer, and what would help.

Why a sample is proved, broken or neither: the margin by rung, by size and by layer, and what would help.
"""

import math
from contextlib import suppress
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..models.circuit import Circuit, Fired, Recurred, circuit
from ..models.constants import at_least, positive
from ..models.deadline import LATE, Progress, TimeIsUp, ending, passed, share, silent, until
from ..models.networks import SpikingNetwork
from .attacks import attack
from .bounds.propagation import signals_of
from .bounds.signals.signals import SpikeBound
from .bounds.trains.trains import step_spikes
from .perturbations import Perturbation, takes_whole
from .posed import check_attacked
from .problem import EventScale, Scale
from .radii import Radius, certified_radius
from .replay import evaluating
from .ties import settled_ties
from .verdicts import SoundnessError, Verdict
from .verification import verify

__all__ = ["LayerOpenness", "Rung", "SampleExplained", "explain"]


@dataclass(frozen=True)
class LayerOpenness:
    """One spiking layer over the set around a sample.

    Attributes:
        name: of the module.
        neurons: how many there are.
        open: by step, the share of neurons of which the bound doesn't know whether they fire.
        changed: by step, the share of neurons that fired in some of the runs and in others did not.
    """

    name: str
    neurons: int
    open: tuple[float, ...]
    changed: tuple[float, ...]

    @property
    def mean_open(self) -> float:
        """Return the share of all (neuron, step) pairs that are open."""
        return sum(self.open) / len(self.open)

    @property
    def mean_changed(self) -> float:
        """Return the share of all (neuron, step) pairs that were seen to change."""
        return sum(self.changed) / len(self.changed)

    @property
    def unseen(self) -> float:
        """Return how much of what is open no run showed: what the bound may have lost in this layer or before."""
        return self.mean_open - self.mean_changed


@torch.no_grad()
def openness(
    network: SpikingNetwork, sample: Tensor, perturbation: Perturbation, runs: Tensor, spikes: SpikeBound
) -> tuple[LayerOpenness, ...]:
    """Return what `spikes` leaves open of each spiking layer, in the order in which they run.

    Args:
        network: in evaluation mode.
        sample: (1, ...).
        perturbation: the set around it.
        runs: members of the set, (N, ...).
        spikes: how spikes are bounded.

    Raises:
        SoundnessError: if a run leaves the bound.
    """
    made, trace = circuit(network), network.trace(runs)
    known = signals_of(made, perturbation.enclosure(sample), spikes)
    firing = network.neurons[: -1 if network.reads_potentials else None]  # a neuron that is read never fires
    found = []
    for neuron, fired in zip(firing, trace.spikes, strict=False):
        place = _place(made, neuron)
        ends, name = known[place].steps(), made.nodes[place].name
        low, high = (end.flatten(2).cpu() for end in (ends.lower, ends.upper))
        seen = fired.flatten(2).cpu()
        if ((seen < low) | (seen > high)).any():
            raise SoundnessError(f"a run leaves what is known of {name}")
        changed = seen.amin(1) < seen.amax(1)
        found.append(
            LayerOpenness(
                name,
                seen.shape[2],
                tuple((low < high)[:, 0].double().mean(1).tolist()),
                tuple(changed.double().mean(1).tolist()),
            )
        )
    return tuple(found)


def _place(made: Circuit, neuron: torch.nn.Module) -> int:
    """Return the place of the node in which a layer of neurons fires."""
    for place, node in enumerate(made.nodes):
        if isinstance(node, Fired | Recurred) and neuron in (node.layer, getattr(node.layer, "neuron", None)):
            return place
    raise ValueError(f"network: no node of its circuit is {type(neuron).__name__}")


RUNGS = ("interval", "trains", "linear")
"""Verifiers that are asked before "complete"; their limit, half of what is left of the time, is not told."""
SHARES = (1 / 8, 3 / 8)
"""Shares of the time that "complete" is given, one after another, if that is no more than half of what is left."""
SMALLER = (1 / 4, 1 / 2, 3 / 4, 1.0)
"""Shares of the set's size at which "trains" is asked again."""
ATTACKED = 32
"""Copies of the sample that are attacked."""
LOOSE = 0.05
"""From this share of unseen openness on, a layer's bound is said to be loose."""


@dataclass(frozen=True)
class Rung:
    """What one verifier says of the sample.

    Attributes:
        verifier: its name.
        status: as in `Verdict`, or "refused".
        margin: proven lower bound of the lead, or None.
        limit: seconds that it was to be given, or None.
        reason: one sentence.
        took: what it took, or of several in turn each of them, in seconds.
    """

    verifier: str
    status: str
    margin: float | None
    limit: float | None
    reason: str
    took: tuple[tuple[str, float], ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class SampleExplained:
    """Why a sample stands where it stands.

    Attributes:
        label: the class that is asked for.
        epsilon: the size of the set.
        lead: logit_y − max over k ≠ y of logit_k at the sample itself.
        seen: the least lead of the runs that were tried, members of the set.
        runs: how many.
        rungs: what each verifier proves, cheapest first.
        sizes: pairs of a smaller size and the lead that "trains" proves there.
        layers: what "trains" leaves open of each layer, and what runs showed to change.
        radius: the size up to which "trains" proves, and that from which on an attack breaks the sample.
        late: whether the time was up before all was asked: sizes and layers may be missing then, and the rungs and
            the radius say less.
    """

    label: int
    epsilon: float
    lead: float
    seen: float
    runs: int
    rungs: tuple[Rung, ...]
    sizes: tuple[tuple[float, float], ...]
    layers: tuple[LayerOpenness, ...]
    radius: Radius
    late: bool = False

    @property
    def status(self) -> str:
        """Return "verified", "falsified" or "unknown": what the first rung that decided says."""
        decided = [rung.status for rung in self.rungs if rung.status in ("verified", "falsified")]
        return decided[0] if decided else "unknown"

    @property
    def loosest(self) -> LayerOpenness | None:
        """Return the layer of which most is open that runs do not show to change; None where that is little."""
        worst = max(self.layers, key=lambda layer: layer.unseen, default=None)
        return worst if worst is not None and worst.unseen >= LOOSE else None


def explain(
    network: SpikingNetwork,
    sample: Tensor,
    label: int,
    sets: Scale,
    epsilon: float,
    *,
    timeout: float = 30.0,
    runs: int = 256,
    seed: int = 0,
    ties: str | None = None,
    progress: Progress = silent,
) -> SampleExplained:
    """Return why a sample is proved, broken or neither.

    What is seen comes from runs of random members and of those that an attack reaches: it proves nothing, and says
    how much of what a bound leaves open is likely to be the bound's own. A run that leaves the bound is an error.

    Args:
        network: any spiking network; it is taken in evaluation mode.
        sample: (...), one input.
        label: its class.
        sets: the threat model of all sizes, as in `Plan.sets`.
        epsilon: the size that is asked about.
        timeout: seconds in all; "complete" is given an eighth of them, and then three eighths.
        runs: random members of the set that are tried, beside what an attack reaches.
        seed: of the runs and the verifiers.
        ties: as in `verify`.
        progress: told about "explain".

    Raises:
        SoundnessError: if a run contradicts a bound.
        TypeError, ValueError: as `verify` does.
    """
    if network.encoding == "latency":
        raise ValueError("network: got one with latency coding, expected another: its events are not its inputs")
    if takes_whole(network) is not None:
        raise ValueError('network: got one of whole numbers, expected another: its search is no "complete" one')
    one, labels, ties = sample[None], torch.tensor([label], device=sample.device), settled_ties(network, ties)
    check_attacked(network, one, labels, sets.around(epsilon))
    timeout, runs = positive("timeout", timeout), at_least(1)("runs", runs)
    deadline = until(timeout)
    asked = _RungsAsked(network, one, labels, sets.around(epsilon), seed, ties, deadline)
    limits = [*((name, None) for name in RUNGS), *(("complete", share * timeout) for share in SHARES)]
    steps, rungs = len(limits) + 3, list[Rung]()
    with evaluating(network), torch.no_grad():
        lead = float(_leads(network(one), labels))
        for name, limit in limits:
            rungs.append(asked.rung(name, limit))
            progress("explain", len(rungs), steps)
        members = _members(asked, runs)
        outputs, layers = network(members), tuple[LayerOpenness, ...]()
        with suppress(TimeIsUp), ending(until(share(deadline, 2))):
            layers = openness(network, one, asked.threat, members, step_spikes)
        progress("explain", steps - 2, steps)
        parts = (share * epsilon for share in SMALLER)
        smaller = sorted({float(int(size)) if isinstance(sets, EventScale) else size for size in parts} - {0.0})
        sizes = tuple((size, asked.margin(sets.around(size))) for size in smaller if not passed(deadline))
        progress("explain", steps - 1, steps)
    width = sets.tolerance(epsilon / 50)
    rest = {"timeout": share(deadline), "seed": seed, "ties": ties}
    radius = certified_radius(network, one, labels, sets, "trains", width, **rest)[0]
    progress("explain", steps, steps)
    seen = float(_leads(outputs, labels.expand(len(members))).min())
    told = tuple(rungs), sizes, layers, radius, passed(deadline)
    return SampleExplained(label, epsilon, lead, seen, len(members), *told)


@dataclass(frozen=True)
class _RungsAsked:
    """One question, to be put to several verifiers."""

    network: SpikingNetwork
    sample: Tensor
    labels: Tensor
    threat: Perturbation
    seed: int
    ties: str
    deadline: float | None

    def answer(self, threat: Perturbation, name: str, limit: float | None = None) -> Verdict:
        """Return what a verifier says within half of what is left of the time."""
        seconds = min(each for each in (limit, share(self.deadline, 2)) if each is not None)
        rest = {"seed": self.seed, "ties": self.ties}
        return verify(self.network, self.sample, self.labels, threat, name, seconds, **rest)[0]

    def rung(self, name: str, limit: float | None) -> Rung:
        """Return what a verifier says; one that does not answer such a question says why."""
        if passed(self.deadline):
            return Rung(name, "unknown", None, limit, LATE)
        try:
            found = self.answer(self.threat, name, limit)
        except (TypeError, ValueError) as refusal:
            return Rung(name, "refused", None, limit, str(refusal))
        took = found.took or ((found.verifier, found.seconds),)
        return Rung(name, found.status, found.margin, limit, found.reason, took)

    def margin(self, threat: Perturbation) -> float:
        """Return the lead that "trains" proves in another set; nan where it proves none."""
        margin = self.answer(threat, "trains").margin
        return math.nan if margin is None else margin


def _members(asked: _RungsAsked, runs: int) -> Tensor:
    """Return the sample, random members of its set, and what attacks from several starts reach."""
    generator = torch.Generator().manual_seed(asked.seed)
    many = asked.sample.expand(runs, *asked.sample.shape[1:])
    drawn = asked.threat.sample(many, generator)
    some = many[:ATTACKED]
    rest = {"seed": asked.seed, "ties": asked.ties, "timeout": share(asked.deadline, 2 * len(some))}
    with torch.enable_grad():
        reached = attack(
            asked.network, some, asked.labels.expand(len(some)), asked.threat, "ensemble-fast", **rest
        )
    return torch.cat([asked.sample, drawn, reached.inputs])


def _leads(logits: Tensor, labels: Tensor) -> Tensor:
    """Return logit_y − max over k ≠ y of logit_k, (batch,)."""
    own = logits.gather(1, labels[:, None])
    return (own - logits.scatter(1, labels[:, None], -torch.inf).amax(1, keepdim=True)).squeeze(1)
