"""How a set is to be certified: the settings of `certify_set` that change no verdict."""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from ...models.constants import at_least, settle, unless_none
from ...models.deadline import Figures, Progress, no_figures, silent
from ...models.networks import SpikingNetwork
from ..network_sets.base import NetworkSet
from ..perturbations import Perturbation
from ..questions.forms import Property
from ..verdicts import Verdict
from .base import Engine
from .certification import certify_set


@dataclass(frozen=True)
class Fleet:
    """Who decides, and where finished batches are kept.

    Args:
        engine, workers, folder: as in `certify_set`.
    """

    engine: str | Engine = "local"
    workers: int | None = None
    folder: Path | None = None

    def __post_init__(self) -> None:
        settle(self, unless_none(at_least(1)), "workers")

    def within(self, name: str) -> "Fleet":
        """Return the fleet that keeps its batches in a folder of that name within this one's."""
        return self if self.folder is None else replace(self, folder=self.folder / name)

    def verify(
        self,
        network: SpikingNetwork,
        inputs: Tensor,
        labels: Tensor | Property,
        perturbation: Perturbation | NetworkSet,
        verifier: str,
        timeout: float | None = None,
        *,
        seed: int = 0,
        ties: str | None = None,
        memory: int | None = None,
        progress: Progress = silent,
        figures: Figures = no_figures,
    ) -> list[Verdict]:
        """Return what `certify_set` does, by the signature of `verify`; of `figures` nothing is told."""
        return certify_set(
            network,
            inputs,
            labels,
            perturbation,
            verifier,
            engine=self.engine,
            workers=self.workers,
            folder=self.folder,
            timeout=timeout,
            seed=seed,
            ties=ties,
            memory=memory,
            progress=progress,
        )
