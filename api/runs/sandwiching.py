"""Attack and certify several networks, each in a folder of its own, and put them between attack and proof."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spikecert.models import network_hash
from spikecert.models.deadline import Progress
from spikecert.reports import Plan, Record, load_record

from .building import described
from .examining import Subject, examine, standard_version, write

RECORD, VERSIONED = "record.json", "standard attack"


@dataclass(frozen=True)
class Contender:
    """One network to be measured, and how.

    Attributes:
        subject: the network and its samples; its name is what the leaderboard calls it.
        plan: the attack, the proofs, the ε.
        command: what to type to get its record again.
    """

    subject: Subject
    plan: Plan
    command: str

    def folder(self, out: Path) -> Path:
        """Return where its report lies."""
        written = ",".join(map(self.plan.threat.short, self.plan.threat.epsilons))
        return out / re.sub(r"[^A-Za-z0-9.]+", "-", f"{self.subject.name} {written}").strip("-.")

    def known(self, out: Path) -> Record | None:
        """Return the record of a run before this one, if it is about the same question."""
        path = self.folder(out) / RECORD
        if not path.is_file():
            return None
        found, data = load_record(path), described(self.subject.data, self.subject.samples)
        # a command names a file of features, the threat what it holds
        asked, network = (found.command, found.threat, found.data), found.models[0].architecture.sha256
        there = *asked, network, found.settings.get(VERSIONED)
        versions = standard_version(self.plan).get(VERSIONED)
        here = self.command, self.plan.threat, data, network_hash(self.subject.network), versions
        return found if there == here else None


def sandwiched(
    contenders: Sequence[Contender], out: Path | None, progress: Progress
) -> Iterator[tuple[Record, bool]]:
    """Yield each network's record, and whether Ctrl-C cut it short: then it is the last.

    With a folder what is finished is kept there, and the same call goes on from it: records, and parts of one that
    is under way.
    """
    for contender in contenders:
        known = None if out is None else contender.known(out)
        if known is not None:
            yield known, False
            continue
        folder = None if out is None else contender.folder(out)
        asked = {"command": contender.command, "progress": progress, "out": folder}
        examined = examine(contender.subject, contender.plan, **asked)
        if folder is not None:
            write(examined, folder)
        yield examined.record, examined.interrupted
        if examined.interrupted:
            return
