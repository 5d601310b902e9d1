"""A record on one page, in the words of a safety case: claim, evidence, assumptions, residual risk."""

import math
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from ...asking import Threat
from ...certify.questions.described import in_words
from ...certify.smoothing import lower_confidence_bound
from ...files import FileKind, write_atomically
from ..records.categories import categories, slices
from ..records.radii import rounded_down
from ..records.records import ModelRecord, Record, first_error
from ..records.rows import Count, Sha256
from . import wording
from .claims import claims
from .html_page import page_of
from .markdown import category_lines
from .wording import markdown

CONFIDENCE = 0.95
UNDECIDED = "An undecided sample must be taken as one that can fail."
LIKE = (
    "Inputs like these: drawn independently as the samples were, which had no part in training; exact "
    f"binomial bound, {100 * CONFIDENCE:g} % confidence for each model. Where use is otherwise, it says nothing."
)
RENDERERS = (".html", ".md")
NO_PROOFS = "none were given to this page; `certify --proof` writes them, `check-proof --json` checks them"
USERS = (
    "Whoever runs these weights (by their SHA-256), on inputs that are measured and scaled as the samples were, "
    "and treats an undecided sample as one that fails.",
    "Nobody for another build, a network trained on, another preprocessing, or changes that are not assumed here: "
    "ask anew, or compare the builds (spikecert differ).",
)
BALLS = ("linf", "l2")
"""Norms of sets that proofs and records tell alike."""
MOST = 2**26
CHECKED = FileKind("checked", "the JSON that `spikecert check-proof --json` prints", most=MOST)


class CheckedProof(BaseModel):
    """What a check of proofs said of one file: of those that it refused, nothing else."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    accepted: bool
    norm: str = ""
    epsilon: FiniteFloat = 0.0
    lower: float = math.inf
    upper: float = -math.inf
    ties: str = ""
    label: int | None = None
    point_sha256: str = ""

    def covers(self, threat: Threat, epsilon: float, ties: str) -> bool:
        """Return whether it proves a class on all of a set of radius ε, and of ties as much as that asks."""
        of_class = self.label is not None and threat.asked is None
        ball = self.accepted and of_class and self.norm == threat.norm and self.epsilon >= epsilon
        ranged = self.lower <= threat.lower and self.upper >= threat.upper
        return ball and ranged and (self.ties == "strict" or self.ties == ties)


class Checked(BaseModel):
    """What a check of proofs found: of which network, how many it accepted and refused, and what each is about."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    network: Sha256
    accepted: Count
    refused: Count
    proofs: tuple[CheckedProof, ...]

    def covered(self, threat: Threat, epsilon: float, ties: str) -> int:
        """Return how many samples have a proof that covers such a set."""
        return len({proof.point_sha256 for proof in self.proofs if proof.covers(threat, epsilon, ties)})

    @property
    def told(self) -> str:
        """Return it as a sentence."""
        written = self.accepted + self.refused
        found = f"{self.accepted} accepted, {self.refused} refused"
        return f"{written} were written, and checked apart from the verifier: {found}"


def load_checked(path: str | Path) -> Checked:
    """Read what `spikecert check-proof --json` printed.

    Raises:
        FileNotFoundError, ValueError: in one line, for a file that is missing or no such text.
    """
    try:
        return Checked.model_validate(CHECKED.json(Path(path)))
    except ValidationError as error:
        raise ValueError(f"checked: {path} is no output of check-proof --json: {first_error(error)}") from None


@dataclass(frozen=True)
class SafetyCase:
    """The four parts of the summary, as sentences."""

    claims: tuple[str, ...]
    evidence: tuple[tuple[str, str], ...]
    assumptions: tuple[str, ...]
    risks: tuple[str, ...]
    users: tuple[str, ...] = USERS


def safety_case(record: Record, checked: Checked | None = None) -> SafetyCase:
    """Return what a safety case may take from a record at its focus ε, and what it may not.

    Raises:
        ValueError: for proofs of a network that is not in the record.
    """
    return SafetyCase(
        (*(_claim(record, model) for model in record.models), "Nothing is claimed of the others."),
        (*_evidence(record), ("Proofs", NO_PROOFS if checked is None else _proofs(record, checked))),
        (
            *wording.assumptions(record)[:3],
            dict(wording.meanings(record))["ties"],
            "Torch, and the code that bounds, are right; proofs that are checked apart need neither (spikecert "
            "check-proof).",
            *(f"What these say is right: {others}." for others in filter(None, [wording.word_of(record)])),
        ),
        (*(_risk(record, model) for model in record.models), UNDECIDED, LIKE, *claims(record.threat).uncovered),
    )


def _proofs(record: Record, checked: Checked) -> str:
    """Return what was checked, and of how many samples it covers what is claimed: less is no evidence of that."""
    found = [model for model in record.models if model.architecture.sha256 == checked.network]
    if not found:
        raise ValueError(f"checked: got proofs of network {checked.network[:12]}…, which is not in the record")
    threat, epsilon = record.threat, record.focus
    if threat.norm not in BALLS or threat.asked is not None:
        what = "on which sets" if threat.asked is None else "of which property (check-proof --property does)"
        return f"{checked.told}; {what} is not compared here"
    count = checked.covered(threat, epsilon, found[0].ties)
    what = f"ε = {threat.text(epsilon)} ({threat.words}) within {threat.ends}"
    return f"{checked.told}; different samples with one that covers {what}: {count}"


def _claim(record: Record, model: ModelRecord) -> str:
    point = model.at(record.focus)
    proved = slices(point, record.threat)[0]
    size = f"ε = {record.threat.text(record.focus)} ({record.threat.words})"
    if record.threat.of_networks:
        return (
            f"{model.name}: for {proved.count} of {point.samples} samples ({proved.percent}) no network of the "
            f"set of {size} gives another answer than the sample's label."
        )
    limits = record.threat.ends
    if (asked := record.threat.asked) is not None:
        return (
            f"{model.name}: for {proved.count} of {point.samples} samples ({proved.percent}) this holds of every "
            f"input in {limits} within {size}: {in_words(asked)}. It is no claim about labels."
        )
    return (
        f"{model.name}: for {proved.count} of {point.samples} samples ({proved.percent}) no input in {limits} "
        f"within {size} gets another answer than the sample's label."
    )


def _evidence(record: Record) -> tuple[tuple[str, str], ...]:
    data = record.data
    hashes = ((f"{model.name}, SHA-256", model.architecture.sha256) for model in record.models)
    return (
        *wording.sources(record),
        ("Samples", f"{data.samples}, {data.split} split of {data.name}; SHA-256 {data.sha256 or 'not kept'}"),
        *hashes,
        ("Results, fingerprint", record.fingerprint),
        ("Repeated by", record.command or "the record's configuration"),
        ("Made", f"{record.created}, spikecert {record.environment.packages.get('spikecert', '?')}"),
    )


def _risk(record: Record, model: ModelRecord) -> str:
    """Return what is not proved of a model, and what share of inputs like its samples would be."""
    point = model.at(record.focus)
    left = (f"{part.count} {part.category.name}" for part in slices(point, record.threat)[1:])
    share = lower_confidence_bound(point.certified_by_any, point.samples, 1 - CONFIDENCE)
    return (
        f"{model.name}: {', '.join(left)}; of inputs like these at least {rounded_down(100 * share, 1)} % proved."
    )


def to_html(record: Record, checked: Checked | None = None) -> str:
    """Return the summary as one self-contained page that prints on one sheet."""
    return page_of(
        "summary.html",
        record.threat,
        record=record,
        case=safety_case(record, checked),
        categories=categories(record.threat),
        norm=record.threat.words,
    )


def to_markdown(record: Record, checked: Checked | None = None) -> str:
    """Return the summary as GitHub-flavoured Markdown."""
    case = safety_case(record, checked)
    evidence = [f"{name}: {text}" for name, text in case.evidence]
    parts = (("Claim", case.claims), ("Evidence", evidence), ("Assumptions", case.assumptions))
    lines = [f"# Safety case summary: {markdown(record.title)}", "", *category_lines(record), ""]
    for head, texts in (*parts, ("Residual risk", case.risks), ("Who may rely on it", case.users)):
        lines += [f"## {head}", "", *(f"- {markdown(text)}" for text in texts), ""]
    return "\n".join(lines)


def render_summary(record: Record, path: str | Path, checked: Checked | None = None) -> Path:
    """Write the summary to `path`, as its suffix .html or .md says, and return the path.

    Args:
        record: what is summed up.
        path: the file.
        checked: what `load_checked` read; None where no proofs were checked.

    Raises:
        ValueError: for another suffix.
    """
    path = Path(path)
    if path.suffix not in RENDERERS:
        raise ValueError(f"path: got {path.name!r}, expected a name that ends in {', '.join(RENDERERS)}")
    write_atomically(path, (to_html if path.suffix == ".html" else to_markdown)(record, checked).encode())
    return path
