"""Measure a set of samples part by part, so that Ctrl-C or a crash costs no more than the part under way."""

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar, cast

from pydantic import ValidationError
from torch import Tensor

from ...asking.threats import plain_threat
from ...certify.engines import Repeated
from ...files import FileKind, write_atomically
from ...models import SpikingNetwork, network_hash
from ...models.deadline import Figures, Progress, no_figures, silent
from ...models.files.storage import digest_of
from ..records.evidence import first_broken, hardest
from ..records.radii import RadiusTable
from ..records.records import ModelRecord
from ..records.rows import Part, merged_signs, tally
from ..records.schema import Counterexample, Training
from .measuring import CutShort, measure, measure_radii
from .plans import Plan, name_of

ATTACKED, DECIDED = 256, 64
"""Samples in a part, without and with proofs. Attacks work on a whole part at once and lose by small ones."""
FINENESS = 1000
PART = FileKind("part", "finished samples", most=2**28)
T = TypeVar("T", bound=Part)


class Interrupted(KeyboardInterrupt, Generic[T]):
    """Ctrl-C between parts: `finished` is what the finished parts say together, None without any."""

    def __init__(self, finished: T | None, samples: int) -> None:
        super().__init__(f"{samples} samples are finished")
        self.finished = finished
        self.samples = samples


class Radii(Part):
    """Radii of a set, with the hardest counterexamples in full."""

    table: RadiusTable
    counterexamples: tuple[Counterexample, ...]


@dataclass(frozen=True)
class PartStore:
    """A folder that keeps finished parts of one problem; without a folder nothing is kept.

    Parts of another problem lie in another sub-folder, so that they are never mixed.
    """

    folder: Path | None

    @staticmethod
    def of(
        folder: Path | None, kind: str, network: SpikingNetwork, inputs: Tensor, labels: Tensor, plan: Plan
    ) -> "PartStore":
        """Return the store of one problem: network, samples and plan."""
        if folder is None:
            return PartStore(None)
        radii = None if plan.radii is None else {**vars(plan.radii), "workers": None}
        names = [*map(name_of, plan.attacks)], plan.verifiers
        told = [
            kind,
            plain_threat(plan.threat),
            names,
            plan.timeout,
            plan.seed,
            radii,
            size_of(plan),
            plan.ties,
            plan.memory,
        ]
        told += [str(network.device), network_hash(network), digest_of("", {"inputs": inputs, "labels": labels})]
        key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
        return PartStore(folder / f"{kind}-{key}")

    def load(self, start: int, stop: int, form: type[T]) -> T | None:
        """Return the part of these samples if it is finished; a warning names a file that holds no such part."""
        path = self._path(start)
        if path is None or not path.exists():
            return None
        content = PART.content(path)
        try:
            found = form.model_validate_json(content)
        except ValidationError as error:
            return _repeated(path, f"it holds no part of a record ({error.error_count()} errors)")
        return found if _samples(found) <= {*range(start, stop)} else _repeated(path, "it is about other samples")

    def keep(self, start: int, part: Part) -> None:
        """Write a finished part."""
        path = self._path(start)
        if path is not None:
            write_atomically(path, part.model_dump_json(by_alias=True).encode())

    def clear(self) -> None:
        """Remove all parts: what they say together is written elsewhere."""
        if self.folder is not None and self.folder.is_dir():
            shutil.rmtree(self.folder)
            if not any(self.folder.parent.iterdir()):
                self.folder.parent.rmdir()

    def _path(self, start: int) -> Path | None:
        return None if self.folder is None else self.folder / f"part-{start:06d}.json"


def _repeated(path: Path, why: str) -> None:
    warnings.warn(f"folder: {path} is measured again: {why}", Repeated, stacklevel=5)


def _samples(part: Part) -> set[int]:
    """Return the numbers of the samples that a part is about."""
    if isinstance(part, Radii):
        found = [*part.table.samples, *part.counterexamples]
    else:
        assert isinstance(part, ModelRecord)
        found = [*part.rows, *part.counterexamples, *(part.radii.samples if part.radii is not None else ())]
    return {item.index for item in found}


def size_of(plan: Plan) -> int:
    """Return how many samples a part of this plan has."""
    return DECIDED if plan.verifiers or plan.radii is not None else ATTACKED


def measure_in_parts(
    name: str,
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor,
    plan: Plan,
    *,
    training: Training | None = None,
    store: PartStore | None = None,
    progress: Progress = silent,
    figures: Figures = no_figures,
) -> ModelRecord:
    """Return what `measure` does, from parts that `store` keeps until its `clear` is called.

    The parts depend on the plan alone, and each has a seed of its own (`plan.seed` plus its first sample): however
    often a run was interrupted, it finds the same. A set that fits one part gives what `measure` gives.

    Raises:
        Interrupted: on Ctrl-C, with the model as measured on the finished parts; without any, on the one that was
            under way if its last ε was being certified.
        SoundnessError, ValueError, TypeError: as `measure`.
    """

    def work(start: int, part: slice, told: Progress) -> ModelRecord:
        """Measure one part, samples counted from the set's start."""
        chosen = inputs[part], labels[part], _part_of(plan, start)
        try:
            return _shifted(measure(name, network, *chosen, progress=told, figures=figures), start)
        except CutShort as error:
            raise CutShort(_shifted(error.found, start)) from error

    def whole(parts: Sequence[ModelRecord]) -> ModelRecord:
        """Return the model that all parts make."""
        return merged(parts).model_copy(update={"training": training})

    network.eval()
    size = size_of(plan)
    if plan.fleet is not None:  # it cuts batches by itself, and keeps them where it has a folder
        size = ATTACKED if plan.fleet.resume is None else len(labels)
    return _run(store or PartStore(None), len(labels), size, ModelRecord, work, whole, progress)


def radii_in_parts(
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor,
    plan: Plan,
    *,
    store: PartStore | None = None,
    progress: Progress = silent,
    figures: Figures = no_figures,
) -> Radii:
    """Return radii as `measure_radii` does, in parts as `measure_in_parts`, with every counterexample.

    Raises:
        Interrupted: on Ctrl-C, with the radii of the finished parts.
        SoundnessError, ValueError, TypeError: as `certified_radius`.
    """

    def work(start: int, part: slice, told: Progress) -> Radii:
        """Bracket the radii of one part, samples counted from the set's start."""
        chosen = network, inputs[part], labels[part]
        table, found = measure_radii(*chosen, _part_of(plan, start), told, figures)
        return Radii(
            table=_moved(table, start),
            counterexamples=_at(hardest(*chosen, found, len(found), False, plan.threat.asked is not None), start),
        )

    def whole(parts: Sequence[Radii]) -> Radii:
        """Join the tables, and order the counterexamples by sample."""
        cases = [case for part in parts for case in part.counterexamples]
        ordered = tuple(sorted(cases, key=lambda case: case.index))
        return Radii(table=_joined([part.table for part in parts]), counterexamples=ordered)

    network.eval()
    return _run(store or PartStore(None), len(labels), size_of(plan), Radii, work, whole, progress)


def _run(
    store: PartStore,
    count: int,
    size: int,
    form: type[T],
    work: Callable[[int, slice, Progress], T],
    whole: Callable[[Sequence[T]], T],
    progress: Progress,
) -> T:
    parts: list[T] = []
    for start in range(0, max(count, 1), max(size, 1)):
        stop = min(start + size, count)
        try:
            found = store.load(start, stop, form)
            if found is None:
                found = work(start, slice(start, stop), _scaled(progress, start, stop, count))
                store.keep(start, found)
        except KeyboardInterrupt as error:
            if not parts and isinstance(error, CutShort):
                raise Interrupted(whole([cast("T", error.found)]), stop) from error
            raise Interrupted(whole(parts) if parts else None, start) from error
        parts.append(found)
    return whole(parts)


def _scaled(progress: Progress, start: int, stop: int, count: int) -> Progress:
    """Return the progress of a part as progress of the whole; alone it is told as it is."""
    if stop - start == count:
        return progress

    def told(label: str, done: int, total: int) -> None:
        share = start * FINENESS + (stop - start) * FINENESS * done // max(total, 1)
        progress(label, share, count * FINENESS)

    return told


def _part_of(plan: Plan, start: int) -> Plan:
    """Return the plan of the part that starts at this sample."""
    radii = plan.radii
    if radii is not None and radii.samples is not None:
        left = radii.samples - start
        radii = replace(radii, samples=left) if left > 0 else None
    return replace(plan, seed=plan.seed + start, radii=radii)


def _shifted(model: ModelRecord, start: int) -> ModelRecord:
    return model.model_copy(
        update={
            "rows": tuple(row.model_copy(update={"index": row.index + start}) for row in model.rows),
            "counterexamples": _at(model.counterexamples, start),
            "radii": None if model.radii is None else _moved(model.radii, start),
        }
    )


def _at(cases: Sequence[Counterexample], start: int) -> tuple[Counterexample, ...]:
    return tuple(case.model_copy(update={"index": case.index + start}) for case in cases)


def _moved(table: RadiusTable, start: int) -> RadiusTable:
    samples = tuple(item.model_copy(update={"index": item.index + start}) for item in table.samples)
    return table.model_copy(update={"samples": samples, "seed": table.seed - start})


def _joined(tables: Sequence[RadiusTable]) -> RadiusTable:
    samples = tuple(item for table in tables for item in table.samples)
    return tables[0].model_copy(update={"samples": samples})


def merged(parts: Sequence[ModelRecord]) -> ModelRecord:
    """Return the parts of one network's measurement as one."""
    rows = sorted((row for part in parts for row in part.rows), key=lambda row: (row.epsilon, row.index))
    tables = [part.radii for part in parts if part.radii is not None]
    seconds: dict[str, float] = {}
    for part in parts:
        for name, spent in part.seconds.items():
            seconds[name] = seconds.get(name, 0.0) + spent
    changed = {
        "rows": tuple(rows),
        "points": tally(rows),
        "seconds": seconds,
        "counterexamples": first_broken(case for part in parts for case in part.counterexamples),
        "radii": _joined(tables) if tables else None,
        "signs": merged_signs(row for part in parts for row in part.signs),
    }
    return ModelRecord.model_validate({**dict(parts[0]), **changed})
