"""The entry point `certify_set`.

The folder of a set that is being certified: what the problem is, and a file for each finished batch.

How a set is to be certified: the settings of `certify_set` that change no verdict.
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
from ...models.constants import at_least, settle, unless_none, whole
from ...models.deadline import Figures, Progress, checked_timeout, no_figures, silent
from ...models.files.storage import differences, digest_of, network_hash, read_tensors
from ...models.networks import SpikingNetwork
from ...models.validation import check_choice, one_line, plain
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
from ..verification import check_asks_rows, resolve
from .cluster import Ray
from .local import Local
from .work import VERDICTS, Batch, Decided, Engine, Job, batches

PROBLEM = "problem.json"
DESCRIBED = FileKind("folder", "the problem of a set", most=2**26)


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
        warnings.warn(f"folder: {self._place(index)} is decided again: {why}", Repeated, stacklevel=5)

    def _check(self) -> None:
        """Compare the problem with the folder's, and name what differs."""
        place = self.path / PROBLEM
        if not place.exists():
            write_atomically(place, json.dumps(self.identity, indent=1).encode())
        elif different := differences(_parsed(place), self.identity):
            raise ValueError(f"folder: {self.path} holds another problem: {different}")


def _parsed(place: Path) -> dict[str, Any]:
    found = DESCRIBED.json(place)
    if not isinstance(found, dict):
        raise ValueError(f"folder: {place} describes no problem")
    return found


BATCH = 16
"""Samples in a batch: what a killed run repeats, at most, for each worker."""

ENGINES: dict[str, Callable[[], Engine]] = {"local": Local, "ray": Ray}


def certify_set(
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor | Property,
    perturbation: Perturbation | NetworkSet,
    verifier: str = "auto",
    *,
    engine: str | Engine = "local",
    workers: int | None = None,
    folder: str | Path | None = None,
    batch: int = BATCH,
    timeout: float | None = None,
    seed: int = 0,
    ties: str | None = None,
    memory: int | None = None,
    progress: Progress = silent,
) -> list[Verdict]:
    """Decide a set of samples as `verify` does, in batches, by many processes or machines, resumably.

    The batches and their seeds depend on `batch` and `seed` alone. So the verdicts are the same for every engine
    and number of workers (with a time-out, as far as the machines are equally fast).

    Args:
        network, inputs, labels, perturbation: as in `verify`; a property is one of the library's, or made by &, |.
        verifier: a name, as other machines must know it.
        engine: "local" (processes of this machine), "ray" (the machines of a cluster), or an `Engine`, such as
            `Ray(address="auto")`.
        workers: batches decided at once; None for one on each processor.
        folder: where finished batches are kept, or None. A run that was killed goes on from there, and repeats no
            more than the batches that were being decided. A batch whose file is damaged is decided again, and a
            warning names it.
        batch: samples in a batch.
        timeout: seconds for a sample, on average over its batch; None for no limit.
        seed: for attacks.
        ties: what a tie between logits is, as in `verify`.
        memory: bytes that a search may take in each process, as in `verify`.
        progress: told the number of decided samples after each batch.

    Returns:
        One `Verdict` per sample, in order.

    Raises:
        TypeError, ValueError: for arguments that don't fit, a folder of another problem, and an engine that does
            not answer each of this problem's batches once; one line each.
        ImportError: for "ray" without the package.
        ConnectionError: if there is no cluster at the engine's address.
        ChildProcessError: if a batch can't be decided because whoever does dies; what is finished is kept.
        Unfinished: on Ctrl-C, with the verdicts of the batches that are finished.
    """
    chosen = _checked(engine, verifier)
    batch, workers = at_least(1)("batch", batch), unless_none(at_least(1))("workers", workers)
    inputs, labels = plain(inputs=inputs, labels=labels)
    prop, told_property = None, None
    if isinstance(perturbation, NetworkSet):
        check_choice("verifier", verifier, OF_NETWORKS)
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
    identity = _identity(network, inputs, labels, perturbation, verifier, timeout, seed, batch, ties, memory)
    identity |= {} if prop is None else {"property": told_property}
    job = Job(digest(identity), network, perturbation, verifier, timeout, str(network.device), ties, memory, prop)
    parts = {part.index: part for part in batches(inputs, labels, batch, seed)}
    store = None if folder is None else BatchStore(Path(folder), identity)
    done = {} if store is None else _restored(store, store.open(parts), job, inputs)

    def told() -> None:
        decided = sum(len(found.verdicts) for found in done.values())
        progress(f"certify ({verifier}, {chosen.name})", decided, len(labels))

    told()
    left = [part for index, part in parts.items() if index not in done]
    try:
        for content, found in _decided(chosen, job, left, workers):
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
    verifier: str,
    timeout: float | None,
    seed: int,
    batch: int,
    ties: str,
    memory: int | None,
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
        "verifier": verifier,
        "timeout": timeout,
        "seed": seed,
        "batch": batch,
        "ties": ties,
        "memory": memory,
    }


def _checked(engine: str | Engine, verifier: object) -> Engine:
    """Return the engine; raise TypeError or ValueError unless it and the verifier are known by name."""
    if not isinstance(verifier, str):
        raise TypeError(
            f"verifier: got {type(verifier).__name__}, expected a name, which other processes know too"
        )
    resolve(verifier)
    if isinstance(engine, Engine):
        return engine
    check_choice("engine", engine, ENGINES)
    return ENGINES[engine]()


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
