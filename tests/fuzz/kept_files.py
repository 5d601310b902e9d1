"""What runs leave in their folders and go on from: checkpoints of training, finished parts, results, radii."""

import base64
import json
import tempfile
import warnings
import zlib
from pathlib import Path

import torch

from spikecert import LIF, SpikingNetwork, StuckNeurons, Tolerance, mlp
from spikecert.asking import Threat
from spikecert.certify.engines import Repeated
from spikecert.certify.network_sets.base import NetworkSet
from spikecert.certify.network_sets.keeping import kept_member, restored_member
from spikecert.models.files.storage import pack
from spikecert.protocols.results import RunResult, load_run
from spikecert.reports.making.combining import load_radii
from spikecert.reports.making.parts import PartStore, Radii
from spikecert.reports.pages.safety_case import load_checked
from spikecert.reports.records.evidence import MEMBER, unpacked_member
from spikecert.reports.records.rows import Tally
from spikecert.reports.records.schema import Environment, KeptMember
from spikecert.training import Dataset, fit, own_dataset
from spikecert.training.state import CHECKPOINT


def _nominal() -> SpikingNetwork:
    torch.manual_seed(0)
    return mlp((3, 4, 2), 2, LIF(0.9)).eval()


MEMBERS: tuple[tuple[NetworkSet, dict[str, torch.Tensor]], ...] = (
    (Tolerance(0.5, 0.5, 0.5), kept_member(Tolerance(0.5), _nominal())),
    (StuckNeurons(2), {"faults": torch.tensor([[0, 1, 1], [0, 3, 0]])}),
)


def members() -> list[bytes]:
    """Return what records keep of members of sets of networks, unpacked."""
    return [pack(MEMBER, "", kept) for _, kept in MEMBERS]


def read_member(data: bytes) -> None:
    """Read a member of each set, and run it."""
    kept = unpacked_member(KeptMember(content=base64.b64encode(zlib.compress(data)).decode()))
    sets = MEMBERS["faults" in kept][0]
    member = restored_member(sets, _nominal(), torch.zeros(1, 3), kept)
    if not bool(member(torch.rand(2, 3)).isfinite().all()):
        raise AssertionError("a member of a small set gives what is not finite")


def _data() -> Dataset:
    inputs = torch.rand(20, 3, generator=torch.Generator().manual_seed(0))
    return own_dataset("mine", (inputs, torch.arange(20) % 2))


def _fit(folder: Path) -> None:
    torch.manual_seed(0)
    fit(mlp((3, 4, 2), 2, LIF(0.9)), _data(), epochs=1, batch_size=20, optimizer="adam", folder=folder)


def checkpoints() -> list[bytes]:
    """Return what a run of one epoch leaves."""
    with tempfile.TemporaryDirectory() as folder:
        _fit(Path(folder))
        return [(Path(folder) / CHECKPOINT).read_bytes()]


def read_checkpoint(data: bytes) -> None:
    """Go on from a checkpoint, and train what it says is left."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / CHECKPOINT).write_bytes(data)
        _fit(Path(folder))


def radii() -> list[bytes]:
    """Return a file of two radii."""
    row = {
        "index": 0,
        "label": 1,
        "lower": 0.1,
        "upper": 0.2,
        "exact": False,
        "attacked": True,
        "verifier": "trains",
    }
    content = {
        "schema": "spikecert.radii/2",
        "sha256": "0" * 64,
        "data": "digits",
        "threat": {"norm": "shift", "epsilon": ["2"], "jitter": 1, "where": {"steps": [0, 2]}},
        "verifier": "trains",
        "tolerance": 0.01,
        "timeout": None,
        "seed": 0,
        "radii": [row, {**row, "index": 3, "verifier": None, "lower": 0.0}],
    }
    return [json.dumps(content).encode()]


def read_radii(data: bytes) -> None:
    """Read a file of radii."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "radii.json"
        path.write_bytes(data)
        load_radii(path)


def checks() -> list[bytes]:
    """Return what a check of proofs prints."""
    proof = {"accepted": True, "label": 3, "norm": "linf", "epsilon": 0.1, "lower": 0.0, "upper": 1.0}
    proof |= {"ties": "strict", "point_sha256": "cd" * 32}
    told = {"network": "ab" * 32, "accepted": 2, "samples": 2, "copies": 0, "refused": 1}
    refused = {"accepted": False, "file": "b.proof", "reason": "is cut short"}
    return [json.dumps(told | {"proofs": [proof, refused]}).encode()]


def read_checks(data: bytes) -> None:
    """Read what a check of proofs printed, and tell it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checked.json"
        path.write_bytes(data)
        found = load_checked(path)
        threat = Threat.of("linf", 0.1)
        assert found.told
        assert found.covered(threat, 0.1, "strict") <= len(found.proofs)


def parts() -> list[bytes]:
    """Return a finished part of radii."""
    (content,) = radii()
    table = {
        key: value
        for key, value in json.loads(content).items()
        if key not in ("schema", "sha256", "data", "threat", "radii")
    }
    rows = [{**row, "verifier": row["verifier"] or ""} for row in json.loads(content)["radii"]]
    return [json.dumps({"table": {**table, "norm": "shift", "samples": rows}, "counterexamples": []}).encode()]


def read_part(data: bytes) -> None:
    """Look for a finished part; raise what the warning says where its samples are measured again."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (Path(folder) / "part-000000.json").write_bytes(data)
        found = PartStore(Path(folder)).load(0, 4, Radii)
    if found is None:
        (warning,) = caught
        assert warning.category is Repeated
        raise ValueError(str(warning.message))


def results() -> list[bytes]:
    """Return the result of a run of a protocol."""
    point = Tally(
        epsilon=0.1,
        samples=3,
        clean=2,
        robust={"pgd": 1},
        certified={},
        certified_by_any=0,
        falsified=2,
        undecided=1,
    )
    environment = Environment(python="3", platform="Linux", device="cpu", torch_threads=1, packages={"torch": "2"})
    names = {"row": "row", "variant": "variant", "neuron": "LIF", "key": "key", "network": "0" * 64, "seed": 0}
    figures = {"points": (point,), "seconds": {"pgd": 0.5}, "epochs": 1, "best_epoch": 1, "training_seconds": 2.0}
    return [RunResult(**names, **figures, environment=environment).model_dump_json().encode()]


def read_result(data: bytes) -> None:
    """Read the result of a run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.json"
        path.write_bytes(data)
        load_run(path, "key")
