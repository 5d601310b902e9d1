"""The folder of a set that is being certified: what the problem is, and a file for each finished batch."""

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...files import FileKind, NotAFile, sweep, write_atomically
from ...models.files.storage import differences, read_tensors
from ..verdicts import SoundnessError
from .work import VERDICTS, Batch, Decided

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
