"""A folder of a set that is being certified, of which one file is changed: that batch counts as open."""

import json
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from spikecert.certify.engines.certification import PROBLEM, BatchStore, Repeated, digest
from spikecert.certify.engines.work import Batch, Decided
from spikecert.certify.verdicts import Verdict

IDENTITY: Mapping[str, Any] = {"network": "a", "samples": 5, "perturbation": {"type": "LInf", "epsilon": 0.1}}


def _batches() -> dict[int, Batch]:
    inputs = torch.rand(5, 3, generator=torch.Generator().manual_seed(0))
    parts = zip(inputs.split(3), torch.arange(5).split(3), strict=True)
    return {index: Batch(index, *part, seed=index) for index, part in enumerate(parts)}


BATCHES = _batches()


def _decided(batch: Batch) -> Decided:
    falsified = Verdict("falsified", None, batch.inputs[0] + 0.05, "auto", 0.1, "pgd found it")
    verified = Verdict("verified", 0.25, None, "linear", 0.2, "the margin's lower bound is positive")
    unknown = Verdict("unknown", -0.5, None, "trains", 0.0, "the bounds do not decide")
    return Decided(digest(IDENTITY), batch.index, (falsified, verified, unknown)[: len(batch.labels)])


def batch_files() -> list[bytes]:
    """Return the file of the first batch."""
    return [_decided(BATCHES[0]).pack()]


def problem_files() -> list[bytes]:
    """Return what the folder says of its problem."""
    return [json.dumps(IDENTITY, indent=1).encode()]


def read_batch(data: bytes) -> None:
    """Open a folder whose first batch has this file; raise what the warning says where it is decided again."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        store = BatchStore(Path(folder), IDENTITY)
        store.open({})
        for batch in BATCHES.values():
            store.keep(batch.index, _decided(batch).pack())
        (Path(folder) / "batch-000000.safetensors").write_bytes(data)
        found = store.open(BATCHES)
        _check(found, caught)


def _check(found: dict[int, Decided], caught: list[warnings.WarningMessage]) -> None:
    if found.keys() - {0} != BATCHES.keys() - {0}:
        raise AssertionError("a batch whose file was whole is lost")
    if 0 not in found:
        (warning,) = caught
        if warning.category is not Repeated:
            raise AssertionError(f"got {warning.category}, expected Repeated")
        raise ValueError(str(warning.message))
    if len(found[0].verdicts) != len(BATCHES[0].labels):
        raise AssertionError("a batch has verdicts of another number of samples")


def read_problem(data: bytes) -> None:
    """Open a folder that says this of its problem."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / PROBLEM).write_bytes(data)
        store = BatchStore(Path(folder), IDENTITY)
        store.keep(1, _decided(BATCHES[1]).pack())
        if store.open(BATCHES).keys() != {1}:
            raise AssertionError("the finished batch is lost")
