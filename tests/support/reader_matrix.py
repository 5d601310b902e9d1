"""What each reader answers of each element: the table of docs/limits.md, every cell tried."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from spikecert import LInf, SpikeFlip, SpikingNetwork, Verdict, gain, verify
from spikecert.certify.proofs.proving import Prover, Unproven
from spikecert.certify.verifiers import VERIFIERS
from spikecert.training.bounds.interval_bounds import worst_logits
from support.element_kinds import KINDS, Kind, samples

START, END = "<!-- readers -->\n", "<!-- end of readers -->\n"
SECONDS = 5.0
SINGLE = tuple(name for name in VERIFIERS if name != "auto")
COLUMNS = ("element", *SINGLE, "gains", "certified training", "proofs")
DECIDES, BOUNDS, AS_TRAINS, NOTHING, NO = "decides", "bounds", "as trains", "unknown", "no"
REFUSALS = (ValueError, TypeError, Unproven)


@dataclass
class Reasons:
    """The lines that refusals give, numbered as they come, behind those that are numbered already."""

    known: list[str] = field(default_factory=list)

    @staticmethod
    def of(page: str) -> "Reasons":
        """Return those that a page lists."""
        return Reasons(re.findall(r"^\d+\. `(.*)`$", table_of(page), re.MULTILINE))

    def mark(self, cell: str, reason: str) -> str:
        """Return a cell with the number of its reason."""
        if reason not in self.known:
            self.known.append(reason)
        return f"{cell} [{self.known.index(reason) + 1}]"


def row(kind: Kind, reasons: Reasons) -> tuple[str, ...]:
    """Return the cells of an element."""
    network = kind.network()
    inputs, labels = samples(network)
    bounded = verify(network, inputs, labels, LInf(kind.radius), "trains")
    cells = [_verified(name, kind, bounded, reasons) for name in SINGLE]
    others: Sequence[Callable[[], object]] = (
        lambda: gain(network),
        lambda: _trained(network, inputs, labels, kind.radius),
        lambda: Prover.of(network),
    )
    return (kind.name, *cells, *(_tried(other, reasons) for other in others))


def line(cells: Sequence[str]) -> str:
    """Return a line of the table."""
    return f"| {' | '.join(cells)} |\n"


def table_of(page: str) -> str:
    """Return what stands between the two marks."""
    return page.partition(START)[2].partition(END)[0]


def written(page: str) -> str:
    """Return a page with the table, and the lines of what is refused, as they are."""
    reasons = Reasons()
    table = "".join(map(line, (COLUMNS, ("---",) * len(COLUMNS), *(row(kind, reasons) for kind in KINDS))))
    listed = "".join(f"{number}. `{reason}`\n" for number, reason in enumerate(reasons.known, 1))
    before, _, rest = page.partition(START)
    return f"{before}{START}{table}\n{listed}{END}{rest.partition(END)[2]}"


def _verified(name: str, kind: Kind, bounded: list[Verdict], reasons: Reasons) -> str:
    """Return what a verifier does of four samples; "enumeration" is asked about a flipped event."""
    listed = name == "enumeration" and "encoding" not in kind.settings
    network = kind.network(encoding="none") if listed else kind.network()
    asked = samples(network, events=listed)
    try:
        found = verify(network, *asked, SpikeFlip(1) if listed else LInf(kind.radius), name, timeout=SECONDS)
    except REFUSALS as error:
        return reasons.mark(NO, str(error))
    left = [verdict for verdict in found if verdict.status == "unknown"]
    if not left:
        return DECIDES
    if len(left) == len(found) and all(verdict.margin is None for verdict in left):
        return reasons.mark(NOTHING, left[0].reason)
    margins, others = ([verdict.margin for verdict in each] for each in (found, bounded))
    same = margins == pytest.approx(others, rel=1e-14, abs=1e-14)  # machines sum in other orders
    return AS_TRAINS if same and name != "trains" else BOUNDS


def _tried(reader: Callable[[], object], reasons: Reasons) -> str:
    """Return whether a reader takes a network."""
    try:
        reader()
    except REFUSALS as error:
        return reasons.mark(NO, str(error))
    return "yes"


@torch.no_grad()
def _trained(network: SpikingNetwork, inputs: Tensor, labels: Tensor, radius: float) -> Tensor:
    return worst_logits(network, inputs - radius, inputs + radius, labels)
