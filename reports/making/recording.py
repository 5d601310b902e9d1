"""Put measured models together to a record, with the circumstances of the run."""

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from ...models.constants import real, whole
from ..records.part import Scalar
from ..records.records import ModelRecord, Record
from ..records.schema import SCHEMA, Data, Environment, Threat

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
