"""The folder of a set that is being certified: what the problem is, and a file for each finished batch."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...files import FileKind, sweep, write_atomically
from ...models.storage import differences, read_tensors
from .work import VERDICTS, Batch, Decided

PROBLEM = "problem.json"
DESCRIBED = FileKind("folder", "the problem of a set", most=2**26)


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

        Raises:
            ValueError: for a folder of another problem, or a file that was changed.
        """
        sweep(self.path)
        self._check()
        return {index: self._read(batch) for index, batch in batches.items() if self._place(index).exists()}

    def keep(self, index: int, content: bytes) -> None:
        """Write the packed verdicts of a batch."""
        write_atomically(self._place(index), content)

    def _place(self, index: int) -> Path:
        return self.path / f"batch-{index:06d}.safetensors"

    def _read(self, batch: Batch) -> Decided:
        place = self._place(batch.index)
        decided = Decided.read(*read_tensors(place, VERDICTS))
        owner = (decided.problem, decided.index, len(decided.verdicts))
        if owner != (digest(self.identity), batch.index, len(batch.labels)):
            raise ValueError(f"folder: {place} holds verdicts of another problem or batch")
        return decided

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
