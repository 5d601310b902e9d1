"""One certification problem: a batch of samples, the set around each, and how much time there is."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..models.circuit import Circuit, circuit
from ..models.constants import at_least, settle, unless_none, whole
from ..models.deadline import Expired, never, passed
from ..models.networks import SpikingNetwork
from .branching.nodes.frontier import Told, unheard
from .branching.workers import Crew
from .perturbations import Perturbation
from .questions.classes import ClassGoal
from .questions.rows import RowGoal
from .ties import STRICT


@dataclass(frozen=True)
class Problem:
    """Samples to decide.

    Attributes:
        network: in evaluation mode.
        inputs, labels: (batch, ...), (batch,).
        perturbation: the threat model.
        seed: for whatever draws random numbers.
        deadline: `time.perf_counter()` at which to stop, or None.
        made: the network's circuit, where it is there already.
        ties: what a tie between logits is, "argmax" or "strict"; see `settled_ties`.
        stopped: asked whether to stop, as the deadline is.
        memory: bytes that a search may take, or None.
        crew: who bounds the nodes of a search; None: this process.
        told: told how a search stands.
        rows: of a property that is asked in place of the class; `labels` then say which of its questions is each
            sample's.
    """

    network: SpikingNetwork
    inputs: Tensor
    labels: Tensor
    perturbation: Perturbation
    seed: int = 0
    deadline: float | None = None
    made: Circuit | None = field(default=None, repr=False)
    ties: str = STRICT
    stopped: Expired = never
    memory: int | None = None
    crew: Crew | None = None
    told: Told = unheard
    rows: RowGoal | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        settle(self, whole, "seed")
        settle(self, unless_none(at_least(1)), "memory")

    @property
    def circuit(self) -> Circuit:
        """Return the network's circuit."""
        return circuit(self.network) if self.made is None else self.made

    @property
    def goal(self) -> ClassGoal | RowGoal:
        """Return what must be proven."""
        return ClassGoal.of(self.circuit, self.ties) if self.rows is None else self.rows

    def subset(self, indices: Tensor) -> "Problem":
        """Return the problem of some samples only."""
        return replace(self, inputs=self.inputs[indices], labels=self.labels[indices])

    def expired(self) -> bool:
        """Return whether the time is up."""
        return self.stopped() or passed(self.deadline)

    def generator(self) -> torch.Generator:
        """Return a fresh generator with this problem's seed."""
        return torch.Generator().manual_seed(self.seed)
