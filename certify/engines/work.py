"""The unit of work: a job that all batches share, a batch, its verdicts; each as bytes that any machine can read.

The bytes are those of a safetensors file with JSON in its header: nothing is pickled, and nothing is executed.

What a file of verdicts must hold before anything in it is believed: it may be damaged, or someone else's.

What an engine does: have batches decided elsewhere.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.metadata import version
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from torch import Tensor

from ...models.files.storage import from_bytes, pack, to_bytes, unpack
from ...models.networks import SpikingNetwork
from ..answering import answers
from ..network_sets.base import NetworkSet
from ..network_sets.keeping import build_any, describe_any, kept_member, restored_member
from ..perturbations import Perturbation
from ..questions.described import build_property, describe_property
from ..questions.forms import Property
from ..verdicts import Verdict

JOB, BATCH, VERDICTS = "spikecert.job/1", "spikecert.batch/1", "spikecert.verdicts/1"


@dataclass(frozen=True)
class Job:
    """What all batches of a problem share.

    Attributes:
        problem: the problem's digest, which its verdicts carry.
        network, perturbation, timeout: as in `verify`.
        verifier: by name.
        device: where to decide.
        ties: what a tie between logits is, "argmax" or "strict".
        memory: as in `verify`.
        prop: the property that is asked in place of labels, or None.
    """

    problem: str
    network: SpikingNetwork
    perturbation: Perturbation | NetworkSet
    verifier: str
    timeout: float | None
    device: str
    ties: str
    memory: int | None = None
    prop: Property | None = None

    def pack(self) -> bytes:
        """Return the job as bytes."""
        told, tensors = describe_any(self.perturbation)
        content = {
            "problem": self.problem,
            "perturbation": told,
            "verifier": self.verifier,
            "timeout": self.timeout,
            "device": self.device,
            "ties": self.ties,
            "memory": self.memory,
            "property": None if self.prop is None else describe_property(self.prop),
            "version": version("spikecert"),
        }
        network = torch.frombuffer(bytearray(to_bytes(self.network)), dtype=torch.uint8)
        return pack(JOB, json.dumps(content), {"network": network, **tensors})

    @staticmethod
    def unpack(content: bytes) -> "Job":
        """Return the job of `pack`.

        Raises:
            ValueError: if it comes from another version of spikecert, which may decide otherwise.
        """
        text, tensors = unpack(content, JOB)
        told = json.loads(text)
        here, there = version("spikecert"), told["version"]
        if here != there:
            raise ValueError(f"version: got a job of spikecert {there}, expected {here}, which this worker runs")
        network = from_bytes(tensors.pop("network").numpy().tobytes()).to(told["device"])
        perturbation = build_any(told["perturbation"], tensors)
        names = ("verifier", "timeout", "device", "ties", "memory")
        prop = None if told["property"] is None else build_property(told["property"])
        return Job(told["problem"], network, perturbation, *(told[name] for name in names), prop=prop)


@dataclass(frozen=True)
class Batch:
    """Some samples: their place among the batches, inputs, labels and seed."""

    index: int
    inputs: Tensor
    labels: Tensor
    seed: int

    def pack(self) -> bytes:
        """Return the batch as bytes."""
        text = json.dumps({"index": self.index, "seed": self.seed})
        return pack(BATCH, text, {"inputs": self.inputs, "labels": self.labels})

    @staticmethod
    def unpack(content: bytes) -> "Batch":
        """Return the batch of `pack`."""
        text, tensors = unpack(content, BATCH)
        told = json.loads(text)
        return Batch(told["index"], tensors["inputs"], tensors["labels"], told["seed"])


@dataclass(frozen=True)
class Decided:
    """A batch's verdicts, with the digest of the problem that they are about.

    Attributes:
        problem, index: the digest, and the place of the batch.
        verdicts: without the members of sets of networks that they are of.
        members: what tells these from the network, by the place of the verdict.
    """

    problem: str
    index: int
    verdicts: tuple[Verdict, ...]
    members: Mapping[int, dict[str, Tensor]] = field(default_factory=dict)

    @staticmethod
    def of(job: Job, index: int, verdicts: Sequence[Verdict]) -> "Decided":
        """Return the verdicts of a batch of a job, members told apart from them."""
        members, sets = dict[int, dict[str, Tensor]](), job.perturbation
        if isinstance(sets, NetworkSet):
            for place, verdict in enumerate(verdicts):
                if verdict.member is not None:
                    members[place] = kept_member(sets, verdict.member)
        return Decided(job.problem, index, tuple(replace(verdict, member=None) for verdict in verdicts), members)

    def restored(self, job: Job, inputs: Tensor) -> "Decided":
        """Return the verdicts with their members.

        Raises:
            ValueError: for members that the job's set does not have.
        """
        sets = job.perturbation
        if not isinstance(sets, NetworkSet):
            return self
        falsified = {place for place, verdict in enumerate(self.verdicts) if verdict.status == "falsified"}
        if falsified != self.members.keys():
            raise ValueError("members: are not those of the falsified samples")
        found = list(self.verdicts)
        for place, kept in self.members.items():
            found[place] = replace(found[place], member=restored_member(sets, job.network, inputs, kept))
        return replace(self, verdicts=tuple(found))

    def pack(self) -> bytes:
        """Return the verdicts as bytes."""
        rows = [{name: getattr(verdict, name) for name in _PLAIN} for verdict in self.verdicts]
        counterexamples = {str(place): verdict.counterexample for place, verdict in enumerate(self.verdicts)}
        text = json.dumps({"problem": self.problem, "index": self.index, "verdicts": rows})
        tensors = {place: tensor for place, tensor in counterexamples.items() if tensor is not None}
        for place, kept in self.members.items():
            tensors |= {f"{place}.{name}": tensor for name, tensor in kept.items()}
        return pack(VERDICTS, text, tensors)

    @staticmethod
    def unpack(content: bytes) -> "Decided":
        """Return the verdicts of `pack`; counterexamples on the CPU."""
        return Decided.read(*unpack(content, VERDICTS))

    @staticmethod
    def read(text: str, tensors: dict[str, Tensor]) -> "Decided":
        """Return the verdicts of a file's text and tensors.

        Raises:
            ValueError, SoundnessError: for what no `pack` writes.
        """
        from .work import parsed

        told = parsed(text)
        verdicts = [
            Verdict(**dict(row), counterexample=tensors.get(str(place))) for place, row in enumerate(told.verdicts)
        ]
        falsified = {str(place) for place, row in enumerate(told.verdicts) if row.status == "falsified"}
        parts = {name: name.partition(".") for name in tensors}
        if falsified != {name for name, (_, dot, _) in parts.items() if not dot}:
            raise ValueError("counterexamples: are not those of the falsified samples")
        members: dict[int, dict[str, Tensor]] = {}
        for name, (place, dot, rest) in parts.items():
            if dot and place not in falsified:
                raise ValueError("members: are not those of the falsified samples")
            if dot:
                members.setdefault(int(place), {})[rest] = tensors[name]
        return Decided(told.problem, told.index, tuple(verdicts), members)

    def check(self, problem: str, batch: Batch) -> None:
        """Raise ValueError unless these are verdicts of this batch of the problem, about inputs like its own."""
        if (self.problem, self.index, len(self.verdicts)) != (problem, batch.index, len(batch.labels)):
            raise ValueError("holds verdicts of another problem or batch")
        sample = batch.inputs[0]
        kinds = (sample.dtype, torch.float32, torch.float64)
        for tensor in (verdict.counterexample for verdict in self.verdicts if verdict.counterexample is not None):
            if tensor.shape != sample.shape or tensor.dtype not in kinds or not bool(tensor.isfinite().all()):
                raise ValueError("holds a counterexample that is no input of this problem")


_PLAIN = ("status", "margin", "verifier", "seconds", "reason", "ties")


def decide(job: bytes, batch: bytes, workers: int | Callable[[], int] = 1) -> bytes:
    """Decide a packed batch of a packed job, and return the packed verdicts: what every worker runs.

    One thread, whatever the machine: the order of sums, and so each bit of a margin, is the same everywhere.

    Args:
        job, batch: packed.
        workers: processes that may share a hard sample, as in `verify`.
    """
    torch.set_num_threads(1)
    shared, samples = _job(job), Batch.unpack(batch)
    verdicts = answers(
        shared.network,
        samples.inputs.to(shared.device),
        samples.labels.to(shared.device) if shared.prop is None else shared.prop,
        shared.perturbation,
        shared.verifier,
        shared.timeout,
        seed=samples.seed,
        ties=shared.ties if shared.prop is None else None,
        memory=shared.memory,
        workers=workers,
    )
    return Decided.of(shared, samples.index, verdicts).pack()


@lru_cache(maxsize=1)
def _job(content: bytes) -> Job:
    """Unpack a job once for all its batches."""
    return Job.unpack(content)


def batches(inputs: Tensor, labels: Tensor, size: int, seed: int) -> Sequence[Batch]:
    """Return consecutive samples in batches, each with a seed of its own: no matter who decides them, and when."""
    parts = zip(inputs.split(size), labels.split(size), strict=True)
    return [Batch(index, *part, seed=_seed(seed, index)) for index, part in enumerate(parts)]


def _seed(seed: int, index: int) -> int:
    """Return 31 bits that depend on both numbers."""
    return int.from_bytes(hashlib.sha256(f"{seed} {index}".encode()).digest()[:4]) >> 1


class _Strict(BaseModel):
    """No field is converted, and one that is not known is an error."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", strict=True)


class WrittenVerdict(_Strict):
    """A `Verdict` but for its counterexample."""

    status: Literal["verified", "falsified", "unknown"]
    margin: float | None
    verifier: str
    seconds: Annotated[FiniteFloat, Field(ge=0)]
    reason: str
    ties: Literal["argmax", "strict"]


class WrittenBatch(_Strict):
    """The verdicts of one batch, in the order of its samples, and whose they are."""

    problem: str
    index: Annotated[int, Field(ge=0)]
    verdicts: tuple[WrittenVerdict, ...]


def parsed(text: str) -> WrittenBatch:
    """Return the answer of a file's text.

    Raises:
        ValueError: for anything else, in one line.
    """
    try:
        return WrittenBatch.model_validate_json(text)
    except ValidationError as error:
        first, more = error.errors(include_url=False)[0], error.error_count() - 1
        place = ".".join(map(str, first["loc"])) or "text"
        others = f" (and {more} more)" if more else ""
        raise ValueError(f"{place}: {' '.join(first['msg'].split())}{others}") from None


class Engine(ABC):
    """Has batches decided by `work.decide` in other processes; which engine it is changes no result."""

    name: str

    @abstractmethod
    def run(self, job: bytes, batches: Sequence[Batch], workers: int | None) -> Generator[bytes, None, None]:
        """Yield each batch's packed verdicts, each exactly once, as they are finished: they are compared.

        A batch whose process or machine was lost is decided again.

        Args:
            job: a packed `Job`.
            batches: what to decide.
            workers: how many batches at once; None for what there is.

        Raises:
            ChildProcessError: if a batch can't be decided because whoever does dies.
            Exception: what deciding a batch raises.
        """
