"""What was found for one sample at one ε, and the accuracies that follow from all such rows.

What all parts of a run record are made of: frozen data that refuse what they don't know.

What an attack at one ε says of itself: why the samples that it left may be less robust than they seem.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    GetCoreSchemaHandler,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema

from ...asking.threats import ANY, THREATS, Threat, read_threat, threat_form, write_threat
from ...asking.values import schema_of_one
from ...certify.attacks.base import Signs, summed

MOST_KEYS = 100
"""More than any part has."""

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[FiniteFloat, Field(ge=0)]
Scalar = bool | int | FiniteFloat | str | None
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Ties = Literal["argmax", "strict"]
"""What a tie between logits is: the lowest index wins, or a failure."""
Train = Annotated[str, Field(pattern=r"^[01]+$")]
"""Spikes of one neuron, one digit for each step."""


def _norm(name: str) -> str:
    threat_form(name)
    return name


KNOWN_NORMS = {"anyOf": [{"enum": list(THREATS)}, {"type": "string", "pattern": ":"}]}
Norm = Annotated[str, AfterValidator(_norm), WithJsonSchema(KNOWN_NORMS)]
"""The name of a kind of set."""
Sets = Annotated[
    Threat, PlainValidator(read_threat), PlainSerializer(write_threat), WithJsonSchema(schema_of_one(ANY))
]
"""A threat model, as TOML and options tell it."""


def _fail_fast(node: Any) -> None:
    """Let all lists and mappings of a schema end at their first error, in place."""
    for item in node.values() if isinstance(node, dict) else node:
        if isinstance(item, dict) and item.get("type") in ("tuple", "dict"):
            item["fail_fast"] = True
        if isinstance(item, dict | list):
            _fail_fast(item)


class Part(BaseModel):
    """Base of all parts of a record: frozen, and a field that is not known is an error.

    A list or a mapping is left at its first wrong item, and an object of very many keys at once: each error takes
    far more memory than what is wrong.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the usual schema, in which lists and mappings fail fast."""
        schema = handler(source)
        _fail_fast(schema)
        return schema

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, content: Any) -> Any:
        if isinstance(content, dict) and len(content) > MOST_KEYS:
            raise ValueError(f"got {len(content)} keys, expected at most {MOST_KEYS}")
        return content

    def to_json(self) -> str:
        """Return it as JSON text, which is read back to an equal one."""
        return self.model_dump_json(by_alias=True, indent=1)


Status = Literal["verified", "falsified", "unknown"]


class Finding(Part):
    """One verifier's answer for one sample at one ε."""

    status: Status
    margin: FiniteFloat | None = None
    decided_by: str = ""
    seconds: Seconds
    reason: str = ""


class SampleRow(Part):
    """One sample at one ε: for each attack whether it succeeded, for each verifier what it answered.

    `correct` and `tied` are about the unperturbed sample: whether its label is predicted, as the record's `ties`
    says, and whether it shares the greatest logit with another class. `predicted` is the argmax. Where a property
    is asked about, `correct` says whether it holds there, and `label` is the argmax as well.
    """

    index: Count
    label: Count
    predicted: Count
    correct: bool
    tied: bool = False
    epsilon: FiniteFloat
    attacks: dict[str, bool]
    verdicts: dict[str, Finding]

    @property
    def verified(self) -> bool:
        """Return whether any verifier proved the sample at this ε."""
        return any(verdict.status == "verified" for verdict in self.verdicts.values())

    @property
    def falsified(self) -> bool:
        """Return whether the sample is misclassified as it is, or was broken at this ε by any means."""
        refuted = any(verdict.status == "falsified" for verdict in self.verdicts.values())
        return not self.correct or refuted or any(self.attacks.values())


class Tally(Part):
    """Counts of samples at one ε: certified_by_any + undecided + broken + lost + misclassified = samples.

    Attributes:
        falsified: samples that fail as they are, and those that were broken at this ε: the last three together.
        tied: samples whose label shares the greatest logit with another class, unperturbed.
        kept: those of them that argmax, which takes the lowest index, gives to the label.
        lost: those of them that count as failures: all where a tie is one, else those that argmax gives elsewhere.
    """

    epsilon: FiniteFloat
    samples: Positive
    clean: Count
    robust: dict[str, Count]
    certified: dict[str, Count]
    certified_by_any: Count
    falsified: Count
    undecided: Count
    tied: Count = 0
    kept: Count = 0
    lost: Count = 0

    @property
    def failing(self) -> int:
        """Return how many samples fail as they are, misclassified or by a tie: no perturbation is needed."""
        return self.samples - self.clean

    @property
    def misclassified(self) -> int:
        """Return how many samples are misclassified as they are, ties left out."""
        return self.failing - self.lost

    @property
    def broken(self) -> int:
        """Return how many samples are classified right as they are, and were broken by a perturbation."""
        return self.falsified - self.failing

    @property
    def unbroken(self) -> int:
        """Return how many samples nothing broke: the upper end of what can be robust."""
        return self.samples - self.falsified


def tally(rows: Iterable[SampleRow]) -> tuple[Tally, ...]:
    """Return one `Tally` for each ε in `rows`, by rising ε."""
    by_epsilon: dict[float, list[SampleRow]] = {}
    for row in rows:
        by_epsilon.setdefault(row.epsilon, []).append(row)
    return tuple(_tally(epsilon, by_epsilon[epsilon]) for epsilon in sorted(by_epsilon))


def _tally(epsilon: float, rows: Sequence[SampleRow]) -> Tally:
    verified = sum(row.verified for row in rows)
    falsified = sum(row.falsified for row in rows)
    return Tally(
        epsilon=epsilon,
        samples=len(rows),
        clean=sum(row.correct for row in rows),
        robust={name: sum(row.correct and not row.attacks[name] for row in rows) for name in rows[0].attacks},
        certified={name: _verified_by(name, rows) for name in rows[0].verdicts},
        certified_by_any=verified,
        falsified=falsified,
        undecided=len(rows) - verified - falsified,
        tied=sum(row.tied for row in rows),
        kept=sum(row.tied and row.predicted == row.label for row in rows),
        lost=sum(row.tied and not row.correct for row in rows),
    )


def _verified_by(verifier: str, rows: Sequence[SampleRow]) -> int:
    return sum(row.verdicts[verifier].status == "verified" for row in rows)


def contradiction(rows: Iterable[SampleRow]) -> str | None:
    """Return one line on the first sample that is proved at one ε and broken at that or a smaller ε, or None."""
    proved: dict[int, float] = {}
    broken: dict[int, float] = {}
    for row in rows:
        if row.verified:
            proved[row.index] = max(row.epsilon, proved.get(row.index, 0.0))
        if row.falsified:
            broken[row.index] = min(row.epsilon, broken.get(row.index, row.epsilon))
    for index in sorted(proved.keys() & broken.keys()):
        if broken[index] <= proved[index]:
            return f"sample {index} is verified at ε = {proved[index]:g} and broken at ε = {broken[index]:g}"
    return None


class SignRow(Part):
    """The signs of one attack at one ε, as counts: see `certify.attacks.signs.Signs`."""

    attack: str
    epsilon: FiniteFloat
    samples: Count
    wrong: Count = 0
    still: Count = 0
    vanished: Count | None = None
    odd: Count = 0
    unanswered: Count = 0
    blind: Count = 0
    alike: Count = 0
    late: Count = 0

    @property
    def signs(self) -> Signs:
        """Return the counts alone."""
        return Signs(**self.model_dump(exclude={"attack", "epsilon"}))


def sign_row(attack: str, epsilon: float, signs: Signs) -> SignRow:
    """Return what an attack at ε says of itself."""
    return SignRow(attack=attack, epsilon=epsilon, **asdict(signs))


def merged_signs(rows: Iterable[SignRow]) -> tuple[SignRow, ...]:
    """Return the counts of all parts of a set together, by rising ε."""
    found: dict[tuple[float, str], list[Signs]] = {}
    for row in rows:
        found.setdefault((row.epsilon, row.attack), []).append(row.signs)
    return tuple(sign_row(attack, epsilon, summed(parts)) for (epsilon, attack), parts in sorted(found.items()))
