"""Threat models: the sets around each sample, of every size that is asked about, and what must hold in them.

One class for each kind of set. Its fields are the options, the TOML keys and the record's; its methods are what
engines and reports know of it: the sets themselves, and the words for them.
"""

import math
import reprlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from ..files.plugged import is_plugged, plugged
from .values import (
    Mistake,
    Naming,
    Notation,
    Numeral,
    OneOf,
    Saying,
    is_table,
    many,
    plain,
    read_field,
    read_one,
    real,
    table_fields,
    written_one,
)

if TYPE_CHECKING:
    from ..certify.network_sets.base import NetworkSet
    from ..certify.perturbations import Perturbation
    from ..certify.problem import Scale
    from ..certify.questions import Property

EXPECTED_PROPERTY = (
    'robust, moves=.1, top-k=3, targeted=7, abstains=.2, or inequalities such as "Y0 - 2*Y1 <= 0.3"'
)


def _property(raw: Any) -> str:
    from ..certify.questions.described import property_of

    if not isinstance(raw, str):
        raise ValueError
    try:
        property_of(raw)
    except ValueError as error:
        raise Mistake.of((), raw, error) from None
    return raw


PROPERTY = Notation(_property, EXPECTED_PROPERTY, schema={"type": "string"})
Sizes = Annotated[
    tuple[Numeral, ...],
    many(real("a number above 0, such as 8/255", above=0.0)),
    Naming("epsilon", always=True),
]
RANGE = many(real(), 2, 2, "the least and the greatest value, as in 0,1")
Range = Annotated[tuple[Numeral, ...], RANGE, Naming("range")]
ZERO, ONE = Numeral(0, "0"), Numeral(1, "1")


@dataclass(frozen=True, kw_only=True)
class Threat:
    """What may be done to each sample, and what must hold then.

    Attributes:
        epsilons: size of the sets; several: with commas.
        range: least and greatest input.
        asked: in place of the class: moves=.1, top-k=3, targeted=7, robust, abstains=.2 or "Y0 - 2*Y1 <= 0.3" (Y
            outputs, X inputs, S the sample's own).
    """

    norm: ClassVar[str]
    sign: ClassVar[str]
    """The kind of set in a word or two."""
    counts: ClassVar[str] = ""
    """What ε is a whole number of, where it is one."""
    of_networks: ClassVar[bool] = False
    of_events: ClassVar[bool] = False
    still: ClassVar[bool] = False
    """Whether inputs stay as they are: the network alone is another one."""
    bracketed: ClassVar[bool] = True
    """Whether samples have radii: ε is a distance from them."""

    epsilons: Sizes = (Numeral(8 / 255, "8/255"),)
    range: Range = (ZERO, ONE)
    asked: Annotated[str, PROPERTY, Naming("property")] | None = None

    def __post_init__(self) -> None:
        ordered = {size: size for size in reversed(self.epsilons)}
        object.__setattr__(self, "epsilons", tuple(ordered[size] for size in sorted(ordered)))
        if self.counts and (parts := [size for size in self.epsilons if not size.is_integer()]):
            raise Mistake(("epsilon",), Saying(parts[0].text), f"a whole number of {self.counts}")
        if not self.range[0] < self.range[1]:
            told = ",".join(end.text for end in self.range)
            raise Mistake(("range",), Saying(told), "the least and the greatest value, as in 0,1")

    @staticmethod
    def of(norm: str = "linf", epsilon: object = None, **beside: Any) -> "Threat":
        """Return the threat model of a norm.

        Args:
            norm: "linf", "l2", "box", "flips", "shift", "flips+shift", "tolerance" or "stuck".
            epsilon: one size, or several.
            beside: its other fields by name, such as `range=(-1, 1)`, `property="moves=.1"`, `jitter=2`.

        Raises:
            Mistake: a ValueError in one line.

        >>> Threat.of("shift", (1, 2), jitter=1).epsilons
        (1.0, 2.0)
        """
        return read_threat({"norm": norm, "epsilon": epsilon, **beside})

    @property
    def lower(self) -> float:
        """Return the least value of any input."""
        return float(self.range[0])

    @property
    def upper(self) -> float:
        """Return the greatest value of any input."""
        return float(self.range[1])

    @property
    def prop(self) -> "Property | None":
        """Return what must hold; None: inputs get their sample's label."""
        from ..certify.questions.described import property_of

        return None if self.asked is None else property_of(self.asked)

    @property
    def scale(self) -> "Scale":
        """Return the sets of inputs of all sizes.

        Raises:
            ValueError: for sets of networks.
        """
        raise NotImplementedError

    @property
    def sets(self) -> "Scale | NetworkSet":
        """Return the sets of all sizes; of networks one, whose sizes are."""
        return self.scale

    def around(self, epsilon: float) -> "Perturbation | NetworkSet":
        """Return the set of one size."""
        return self.scale.around(float(epsilon))

    def sized(self, *epsilons: float | str) -> "Threat":
        """Return the same sets in other sizes.

        Raises:
            Mistake: a ValueError in one line.
        """
        asked = next(one for one in table_fields(type(self)) if one.name == "epsilons")
        return replace(self, epsilons=read_field(asked, list(epsilons)))

    def differing(self, other: "Threat") -> str:
        """Return the first field, sizes aside, in which another threat model differs; empty where none does."""
        if type(self) is not type(other):
            return "norm"
        named = {one.name: one.place[-1] for one in table_fields(type(self)) if one.name != "epsilons"}
        return next((told for name, told in named.items() if getattr(self, name) != getattr(other, name)), "")

    def short(self, epsilon: float) -> str:
        """Return ε for an axis or a column, as it was written: "8/255", ".5/255" or "0.03"."""
        return short(next((size for size in self.epsilons if size == epsilon), epsilon))

    def text(self, epsilon: float) -> str:
        """Return ε with its value: ".5/255 = 0.001961", or "0.03"."""
        return with_value(self.short(epsilon), epsilon)

    @property
    def beside(self) -> tuple[str, ...]:
        """Return in a few words each what stands beside the norm."""
        return ()

    @property
    def details(self) -> tuple[tuple[str, ...], ...]:
        """Return a table, its head first, of what is too much for a sentence; empty where nothing is."""
        return ()

    @property
    def words(self) -> str:
        """Return the kind of set in a few words, such as "flipped events (kind insert, steps 0 to 2)"."""
        return self.sign + (f" ({', '.join(self.beside)})" if self.beside else "")

    @property
    def change(self) -> str:
        """Return what may change, as a clause."""
        raise NotImplementedError

    @property
    def ends(self) -> str:
        """Return between which ends inputs stay."""
        return f"[{self.lower:g}, {self.upper:g}]"


def short(epsilon: float) -> str:
    """Return ε for an axis or a column: as it was written, a whole number of grey levels, or in short.

    >>> short(8 / 255), short(0.03), short(Numeral(0.5 / 255, ".5/255"))
    ('8/255', '0.03', '.5/255')
    """
    told = epsilon.text if isinstance(epsilon, Numeral) else ""
    if told and told != repr(float(epsilon)) and ":" not in told:
        return told
    levels = epsilon * 255
    grey = math.isfinite(levels) and abs(levels - round(levels)) < 1e-9 and round(levels) > 0
    return f"{round(levels)}/255" if grey and not float(epsilon).is_integer() else f"{epsilon:.6g}"


def with_value(told: str, epsilon: float) -> str:
    """Return ε with its value, where it is written as a fraction.

    >>> with_value("8/255", 8 / 255), with_value("0.03", 0.03)
    ('8/255 = 0.03137', '0.03')
    """
    return f"{told} = {epsilon:.4g}" if "/" in told else told


@dataclass(frozen=True, kw_only=True)
class LInfThreat(Threat):
    """Every input value moves by at most ε, each by itself."""

    norm: ClassVar[str] = "linf"
    sign: ClassVar[str] = "ℓ∞"

    @property
    def scale(self) -> "Scale":
        """Return the balls of all radii."""
        from ..certify.problem import BallScale

        return BallScale(self.norm, self.lower, self.upper)

    @property
    def change(self) -> str:
        """Return what may change, as a clause."""
        return "every input value may move by at most ε, each independently"


@dataclass(frozen=True, kw_only=True)
class L2Threat(LInfThreat):
    """The Euclidean length of the whole change is at most ε."""

    norm: ClassVar[str] = "l2"
    sign: ClassVar[str] = "ℓ2"

    @property
    def change(self) -> str:
        """Return what may change, as a clause."""
        return "the Euclidean length of the whole change is at most ε"


THREATS: dict[str, type[Threat]] = {form.norm: form for form in (LInfThreat, L2Threat)}
"""Threat models by the name of their norm; each file of this folder adds its own."""


def threat_form(norm: str) -> type[Threat]:
    """Return the class of a norm, also of `package:name` of another package.

    Raises:
        ValueError: for a norm that is not known.
        TypeError: for what a package adds that is no threat model of its name.
    """
    if not is_plugged(norm):
        if norm not in THREATS:
            raise ValueError(f"norm: got {norm!r}, expected {', '.join(THREATS)}")
        return THREATS[norm]
    form = plugged("sets", norm).value
    if not (isinstance(form, type) and issubclass(form, Threat) and is_table(form) and form.norm == norm):
        expected = f"a dataclass of spikecert.asking.Threat with norm = {norm!r}"
        raise TypeError(f"{norm}: got {reprlib.repr(form)}, expected {expected}")
    return form


ANY = OneOf(THREATS, "norm", "linf", {"features": "box"}, threat_form)


def plain_threat(threat: Threat) -> dict[str, Any]:
    """Return what tells one threat model from another, however their numbers were written."""
    return {"norm": threat.norm, **plain(threat)}


def read_threat(told: Any) -> Threat:
    """Return the threat model that JSON or TOML tells.

    Raises:
        Mistake: a ValueError in one line.
    """
    return told if isinstance(told, Threat) else read_one(ANY, told)


def write_threat(threat: Threat) -> dict[str, Any]:
    """Return what `read_threat` takes, all fields of it."""
    return written_one(ANY, threat, full=True)
