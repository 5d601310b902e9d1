"""Verdicts of a set in batches, by many processes or machines, resumably.

The folder of a set that is being certified: what the problem is, and a file for each finished batch.
"""

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor

from ...files import FileKind, NotAFile, sweep, write_atomically
from ...files.plugged import is_plugged, plugged
from ...models.constants import at_least, settle, unless_none, whole
from ...models.deadline import Progress, checked_timeout
from ...models.files.storage import differences, digest_of, network_hash, read_tensors
from ...models.networks import SpikingNetwork
from ...models.validation import check_choice, one_line, plain
from ..answering import check_asks_rows, refuse_of_networks, resolve
from ..network_sets.base import NetworkSet
from ..network_sets.deciding import VERIFIERS as OF_NETWORKS
from ..network_sets.deciding import Asked
from ..network_sets.keeping import describe_any
from ..perturbations import Perturbation
from ..posed import posed
from ..questions.described import describe_property
from ..questions.forms import Property
from ..ties import settled_ties
from ..verdicts import SoundnessError, Unfinished, Verdict, left_open
from .cluster import Ray
from .local import Local
from .work import VERDICTS, Batch, Decided, Engine, Job, batches

PROBLEM = "problem.json"
DESCRIBED = FileKind("resume", "the problem of a set", most=2**26)


class Repeated(UserWarning):
    """A finished batch can't be read as such, and is decided again; the message names its file and says why."""


def digest(identity: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what makes a problem."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class BatchStore:
    """Finished batches, each written at once or not at all; so a killed run loses only what was being computed."""

    path: Path
    identity: Mapping[str, Any]

    def open(self, batches: Mapping[int, Batch]) -> dict[int, Decided]:
        """Return the batches that are finished; write down the problem in a new folder.

        A file that is damaged, or holds something else, counts as not finished: a `Repeated` warning names it.

        Raises:
            ValueError: for a folder of another problem, or a pipe, a device or a folder in a batch's place.
        """
        sweep(self.path)
        self._check()
        found = {index: self._read(batch) for index, batch in batches.items() if self._place(index).exists()}
        return {index: decided for index, decided in found.items() if decided is not None}

    def keep(self, index: int, content: bytes) -> None:
        """Write the packed verdicts of a batch."""
        write_atomically(self._place(index), content)

    def _place(self, index: int) -> Path:
        return self.path / f"batch-{index:06d}.safetensors"

    def _read(self, batch: Batch) -> Decided | None:
        place = self._place(batch.index)
        try:
            decided = Decided.read(*read_tensors(place, VERDICTS))
            decided.check(digest(self.identity), batch)
        except NotAFile:  # what is decided again could not be written in its place
            raise
        except (ValueError, SoundnessError) as error:
            return self.refuse(batch.index, str(error))
        return decided

    def refuse(self, index: int, why: str) -> None:
        """Warn that a batch is decided again."""
        warnings.warn(f"resume: {self._place(index)} is decided again: {why}", Repeated, stacklevel=5)

    def _check(self) -> None:
        """Compare the problem with the folder's, and name what differs."""
        place = self.path / PROBLEM
        if not place.exists():
            write_atomically(place, json.dumps(self.identity, indent=1).encode())
        elif different := differences(_parsed(place), self.identity):
            raise ValueError(f"resume: {self.path} holds another problem: {different}")


def _parsed(place: Path) -> dict[str, Any]:
    found = DESCRIBED.json(place)
    if not isinstance(found, dict):
        raise ValueError(f"resume: {place} describes no problem")
    return found


BATCH = 16
"""Samples in a batch: what a killed run repeats, at most, for each worker."""

ENGINES: dict[str, Callable[[], Engine]] = {"local": Local, "ray": Ray}


@dataclass(frozen=True)
class Fleet:
    """Who decides batches of samples, and where finished ones are kept.

    Args:
        engine, workers, resume, batch: as in `verify`.
    """

    engine: str | Engine = "local"
    workers: int | None = None
    resume: str | Path | None = None
    batch: int = BATCH

    def __post_init__(self) -> None:
        settle(self, unless_none(at_least(1)), "workers")
        settle(self, at_least(1), "batch")

    @property
    def told(self) -> dict[str, Any]:
        """Return the arguments of `verify` that say this."""
        return {"engine": self.engine, "workers": self.workers, "resume": self.resume, "batch": self.batch}

    def within(self, name: str) -> "Fleet":
        """Return the fleet that keeps its batches in a folder of that name within this one's."""
        return self if self.resume is None else replace(self, resume=Path(self.resume) / name)


def in_batches(
    fleet: Fleet,
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor | Property,
    perturbation: Perturbation | NetworkSet,
    verifier: object,
    timeout: float | None,
    *,
    seed: int,
    ties: str | None,
    memory: int | None,
    progress: Progress,
) -> list[Verdict]:
    """Return the verdicts of `verify`, found batch by batch by an engine, resumably.

    Args:
        fleet: who decides them, and where they are kept.
        network, inputs, labels, perturbation, timeout, seed, ties, memory: as there.
        verifier: a name.
        progress: told the number of decided samples after each batch.

    Raises:
        TypeError, ValueError, ImportError, ConnectionError, ChildProcessError, Unfinished: as there.
    """
    chosen, verifier = _checked(fleet.engine, verifier)
    inputs, labels = plain(inputs=inputs, labels=labels)
    prop, told_property = None, None
    if isinstance(perturbation, NetworkSet):
        check_choice("verifier", verifier, OF_NETWORKS)
        refuse_of_networks(memory=memory)
        labels = Asked.of(network, inputs, labels, perturbation, ties, seed).labels
    else:
        one, *others = posed(network, inputs, labels, perturbation, ties)
        if others:
            raise ValueError("draws: got those of each sample's own, expected draws that all samples share")
        if one.prop is not None:
            check_asks_rows(resolve(verifier))
            prop, told_property = one.prop, describe_property(one.prop)
        rows = one.rows(slice(0, 1))
        labels, ties = one.labels, one.ties if rows is None else rows.ties
    inputs = inputs.detach()
    timeout, seed, ties = checked_timeout(timeout), whole("seed", seed), settled_ties(network, ties)
    memory = unless_none(at_least(1))("memory", memory)
    how = {"verifier": verifier, "timeout": timeout, "seed": seed, "batch": fleet.batch, "ties": ties}
    identity = _identity(network, inputs, labels, perturbation, {**how, "memory": memory})
    identity |= {} if prop is None else {"property": told_property}
    identity |= {"package": plugged("verifiers", verifier).version} if is_plugged(verifier) else {}
    job = Job(digest(identity), network, perturbation, verifier, timeout, str(network.device), ties, memory, prop)
    parts = {part.index: part for part in batches(inputs, labels, fleet.batch, seed)}
    store = None if fleet.resume is None else BatchStore(Path(fleet.resume), identity)
    done = {} if store is None else _restored(store, store.open(parts), job, inputs)

    def told() -> None:
        decided = sum(len(found.verdicts) for found in done.values())
        progress(f"certify ({verifier}, {chosen.name})", decided, len(labels))

    told()
    left = [part for index, part in parts.items() if index not in done]
    try:
        for content, found in _decided(chosen, job, left, fleet.workers):
            if store is not None:
                store.keep(found.index, content)
            done[found.index] = found.restored(job, inputs)
            told()
    except KeyboardInterrupt as error:
        raise Unfinished(_verdicts(parts, done, inputs, left_open(verifier, ties))) from error
    return [_placed(verdict, inputs) for index in parts for verdict in done[index].verdicts]


def _restored(store: BatchStore, done: Mapping[int, Decided], job: Job, inputs: Tensor) -> dict[int, Decided]:
    """Return finished batches with the members of sets of networks; what holds none is decided again."""
    found = {}
    for index, decided in done.items():
        try:
            found[index] = decided.restored(job, inputs)
        except ValueError as error:
            store.refuse(index, one_line(error))
    return found


def _verdicts(
    parts: Mapping[int, Batch], done: Mapping[int, Decided], inputs: Tensor, unknown: Verdict
) -> list[Verdict]:
    """Return the verdicts of all samples, `unknown` for those of batches that are not finished."""
    found: list[Verdict] = []
    for index, part in parts.items():
        if index in done:
            found += [_placed(verdict, inputs) for verdict in done[index].verdicts]
        else:
            found += [unknown] * len(part.labels)
    return found


def _decided(engine: Engine, job: Job, left: list[Batch], workers: int | None) -> Iterator[tuple[bytes, Decided]]:
    """Yield (packed, unpacked) verdicts of each batch; close the engine whatever happens."""
    if not left:
        return
    open_batches = {part.index: part for part in left}
    with closing(engine.run(job.pack(), left, workers)) as answers:
        for content in answers:
            try:
                found = Decided.unpack(content)
                if found.index not in open_batches:
                    raise ValueError(f"holds verdicts of batch {found.index}, which is not open")
                found.check(job.problem, open_batches.pop(found.index))
            except ValueError as error:
                raise ValueError(f"engine: an answer of {engine.name!r} {one_line(error)}") from None
            yield content, found
    if open_batches:
        raise ValueError(
            f"engine: {engine.name!r} left batch {min(open_batches)} open, expected an answer to each"
        )


def _placed(verdict: Verdict, inputs: Tensor) -> Verdict:
    """Return a verdict whose counterexample is where the inputs are."""
    if verdict.counterexample is None:
        return verdict
    return replace(verdict, counterexample=verdict.counterexample.to(inputs.device))


def _identity(
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor,
    perturbation: Perturbation | NetworkSet,
    how: Mapping[str, Any],
) -> dict[str, Any]:
    """Return, as JSON-ready data, all that decides the verdicts."""
    told, tensors = describe_any(perturbation)
    return {
        "version": version("spikecert"),
        "network": network_hash(network),
        "device": network.device.type,
        "samples": len(labels),
        "inputs": digest_of("inputs", {"inputs": inputs}),
        "labels": digest_of("labels", {"labels": labels}),
        "perturbation": told,
        "radius": digest_of("perturbation", tensors) if tensors else None,
        **how,
    }


def _checked(engine: str | Engine, verifier: object) -> tuple[Engine, str]:
    """Return both; raise TypeError or ValueError unless it and the verifier are known by name."""
    if not isinstance(verifier, str):
        raise TypeError(
            f"verifier: got {type(verifier).__name__}, expected a name, which other processes know too"
        )
    resolve(verifier)
    if isinstance(engine, Engine):
        return engine, verifier
    check_choice("engine", engine, ENGINES)
    return ENGINES[engine](), verifier
