"""What is to be measured: every attack and every verifier at every ε, and radii.

Put measured models together to a record, with the circumstances of the run.
"""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from ...asking import Threat
from ...certify import Attack, Fleet, Perturbation
from ...certify.network_sets.base import NetworkSet
from ...certify.problem import Scale
from ...certify.questions.classes import check_property_ties
from ...certify.ties import TIES
from ...models.constants import at_least, positive, real, settle, unless_none, whole
from ...models.validation import check_choice
from ..records.records import ModelRecord, Record
from ..records.rows import Scalar
from ..records.schema import SCHEMA, Data, Environment


@dataclass(frozen=True)
class RadiusPlan:
    """Which radii to bracket.

    Args:
        verifier: as in `certified_radius`; it raises the proven end.
        tolerance: the width at which a bracket counts as exact.
        timeout: seconds for a sample, on average; None for no limit.
        samples: how many, from the first on; None for all.
        workers: processes that share a hard sample; None for one.
    """

    verifier: str = "auto"
    tolerance: float = 1e-3
    timeout: float | None = None
    samples: int | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        settle(self, positive, "tolerance")
        settle(self, unless_none(positive), "timeout")
        settle(self, unless_none(at_least(1)), "samples", "workers")


@dataclass(frozen=True)
class Plan:
    """What to run: every attack and every verifier at every ε of `threat`.

    Args:
        threat: norm, range of inputs, the ε.
        attacks: names as in `attack`, or attacks; each has a name of its own.
        verifiers: names as in `verify`.
        timeout: of each attack and each verifier, seconds for a sample, on average; None for no limit.
        seed: of attacks and verifiers.
        fleet: who decides; None for this process. Each verifier and ε has a folder of its own in the fleet's.
        radii: also bracket radii; None for none.
        ties: what a tie between logits is, as in `verify`.
        memory: bytes that a search may take, as in `verify`; None for about 2 GiB.
    """

    threat: Threat
    attacks: tuple[str | Attack, ...] = ("ensemble",)
    verifiers: tuple[str, ...] = ("interval", "trains", "auto")
    timeout: float | None = None
    seed: int = 0
    fleet: Fleet | None = None
    radii: RadiusPlan | None = None
    ties: str | None = None
    memory: int | None = None

    def __post_init__(self) -> None:
        settle(self, unless_none(positive), "timeout")
        settle(self, whole, "seed")
        settle(self, unless_none(at_least(1)), "memory")
        if self.ties is not None:
            check_choice("ties", self.ties, TIES)
        if not isinstance(self.threat, Threat):
            expected = "a Threat, whose sets grow with one number (ℓ∞, ℓ2, flipped or shifted events, networks)"
            raise TypeError(f"threat: got {type(self.threat).__name__}, expected {expected}")
        if self.threat.asked is not None:
            check_property_ties(self.ties)

    @property
    def sets(self) -> Scale | NetworkSet:
        """Return the threat models of all sizes."""
        return self.threat.sets

    def perturbation(self, epsilon: float) -> Perturbation | NetworkSet:
        """Return the threat model at one ε."""
        return self.threat.around(epsilon)

    @property
    def tolerance(self) -> float:
        """Return the width at which a bracket of radii counts as exact."""
        wanted = RadiusPlan() if self.radii is None else self.radii
        sets = self.sets
        if isinstance(sets, NetworkSet):
            return max(sets.grid, wanted.tolerance)
        return sets.tolerance(wanted.tolerance)

    @property
    def steps(self) -> int:
        """Return how often an attack or a verifier runs."""
        return len(self.threat.epsilons) * (len(self.attacks) + len(self.verifiers))


def name_of(source: str | Attack) -> str:
    """Return the name of an attack."""
    return source if isinstance(source, str) else source.name


PACKAGES = ("spikecert", "torch", "numpy", "scipy", "scikit-learn", "cvxpy", "pydantic", "safetensors")


def record(
    models: Sequence[ModelRecord],
    data: Data,
    threat: Threat,
    *,
    title: str = "Robustness report",
    command: str = "",
    seeds: Mapping[str, int] | None = None,
    settings: Mapping[str, Scalar] | None = None,
    configuration: Mapping[str, Any] | None = None,
    focus: float | None = None,
    device: str = "cpu",
) -> Record:
    """Return the record of a run: what `measure` found for each model, and under which circumstances.

    Args:
        models: at least one result of `measure`, with different names.
        data: the samples.
        threat: the threat model, as in the plan of `measure`.
        title: the headline of the report.
        command: what to type to get the same record again.
        seeds: every seed of the run by name.
        settings: what else the run depended on.
        configuration: the content of the file that `spikecert run` was given.
        focus: the ε that the verdict sentence is about; default: the middle one.
        device: where the networks ran.

    Raises:
        ValueError: if the parts do not fit together.
    """
    focus = threat.epsilons[len(threat.epsilons) // 2] if focus is None else real("focus", focus)
    return Record(
        schema=SCHEMA,
        title=title,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command=command,
        seeds={name: whole("seeds", seed) for name, seed in (seeds or {}).items()},
        settings=dict(settings or {}),
        configuration=None if configuration is None else dict(configuration),
        focus=focus,
        environment=environment(device),
        data=data,
        threat=threat,
        models=tuple(models),
    )


def environment(device: str = "cpu") -> Environment:
    """Return versions and platform of this process, without host or user name."""
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        device=device,
        torch_threads=torch.get_num_threads(),
        packages={name: found for name in PACKAGES if (found := _version(name)) is not None},
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
