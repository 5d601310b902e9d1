"""Threat models: the sets around each sample, of every size that is asked about, and what must hold in them.

One class for each kind of set. Its fields are the options, the TOML keys and the record's; its methods are what
engines and reports know of it: the sets themselves, and the words for them.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

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
    number,
    plain,
    read,
    read_field,
    read_one,
    real,
    table_fields,
    text,
    whole,
    written,
    written_one,
)

if TYPE_CHECKING:
    from ..certify.network_sets.base import NetworkSet
    from ..certify.perturbations import EventRegion, Perturbation
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
        raise Mistake((), raw, str(error).partition(", expected ")[2] or EXPECTED_PROPERTY) from None
    return raw


PROPERTY = Notation(_property, EXPECTED_PROPERTY, schema={"type": "string"})
Sizes = Annotated[
    tuple[Numeral, ...],
    many(real("a number above 0, such as 8/255", above=0.0)),
    Naming("epsilon", always=True),
]
Range = Annotated[
    tuple[Numeral, ...], many(real(), 2, 2, "the least and the greatest value, as in 0,1"), Naming("range")
]
ZERO, ONE = Numeral(0, "0"), Numeral(1, "1")


@dataclass(frozen=True, kw_only=True)
class Threat:
    """What may be done to each sample, and what must hold then.

    Attributes:
        epsilons: size of the sets, such as 8/255; several: with commas.
        range: least and greatest value of the inputs.
        asked: what must hold in place of the class: moves=.1, top-k=3, targeted=7, robust, abstains=.2, or as in
            "Y0 - 2*Y1 <= 0.3" (Y outputs, X inputs, S the sample's own outputs).
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

    >>> short(8 / 255), short(number("0.03")), short(number(".5/255"))
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


MOST_FEATURES = 4096


@dataclass(frozen=True)
class Feature:
    """One feature of a sample, in the unit of the data.

    Attributes:
        name: of it.
        unit: that its numbers are in; empty for none.
        range: between which ends it stays.
        epsilon: how far it may move where ε = 1; 0: not at all.
    """

    name: Annotated[str, text(longest=200)]
    unit: Annotated[str, text(least=0, longest=40)] = ""
    range: Range = (ZERO, ONE)
    epsilon: Annotated[Numeral, real("a number from 0 on", 0.0)] = ZERO

    def __post_init__(self) -> None:
        if not self.range[0] < self.range[1]:
            told = [float(end) for end in self.range]
            raise Mistake(("range",), Saying(f"{told} of {self.name}"), "lower < upper")

    @property
    def told(self) -> str:
        """Return how far it moves, such as "temperature by 2 degC"."""
        return f"{self.name} by {self.epsilon:g}{f' {self.unit}' if self.unit else ''}"


class OwnFeatures(tuple[Feature, ...]):
    """OwnFeatures in the order of the data; `source` is the file that told them, if one did."""

    source: str = ""


def _features(raw: Any) -> OwnFeatures:
    """Return the features of a table for each, or of a TOML file that holds these."""
    source, tables = ("", raw) if isinstance(raw, Mapping) else (str(raw), load_features(raw))
    if not tables:
        raise Mistake((), Saying(f"none of {source}" if source else "none"), "a table for each feature")
    if len(tables) > MOST_FEATURES:
        raise Mistake((), Saying(f"{len(tables)} of them"), f"at most {MOST_FEATURES}")
    found = []
    for name, told in tables.items():
        if not isinstance(told, Mapping):
            raise Mistake((str(name),), told, "a table")
        found.append(read(Feature, {"name": name, **told}, (str(name),)))
    made = OwnFeatures(found)
    made.source = source
    return made


def load_features(path: Any) -> Mapping[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        FileNotFoundError: where there is no such file.
        Mistake: for what is no TOML file.
    """
    from ..files import FileKind
    from ..files.texts import LONGEST_TEXT, read_toml

    if not isinstance(path, str | Path):
        raise ValueError
    content = FileKind("features", "a TOML file", most=4 * LONGEST_TEXT).text(Path(path))
    try:
        return read_toml(content)
    except ValueError as error:
        raise Mistake((), Saying(f"{path}, which is no TOML file: {str(error)[:200]}"), "a TOML file") from None


def _feature_tables(features: OwnFeatures) -> dict[str, Any]:
    told = ((one.name, written(one, full=True)) for one in features)
    return {name: {key: value for key, value in rest.items() if key != "name"} for name, rest in told}


FEATURES = Notation(
    _features,
    "a TOML file with a table for each feature",
    "FILE",
    write=_feature_tables,
    text=lambda features: features.source,
    schema={"type": "object"},
)
SIZED = re.compile(r"\s*([0-9.eE+-]{1,40}(?:/[0-9.eE+-]{1,40})?)\s*([^:\d]*?)\s*:\s*(.+?)\s*")
"""A number, maybe a fraction, its unit if any, and the feature's name behind a colon."""


def _factor(raw: Any) -> Numeral:
    """Return a factor of the features' sizes, or for a size with its feature 1, in these words."""
    found = Numeral(1.0, "".join(raw.split())) if isinstance(raw, str) and ":" in raw else number(raw)
    return found if found > 0 else _none()


def _none() -> Numeral:
    raise ValueError


FACTOR = Notation(
    _factor,
    "factors of the features' own epsilons, such as .5,1,2, or 2degC:temperature,.5kPa:pressure",
    "X",
    write=lambda value: value.text if ":" in value.text else real().write(value),
    text=lambda value: value.text,
    schema={"type": ["number", "string"]},
)


@dataclass(frozen=True, kw_only=True)
class BoxThreat(Threat):
    """Each feature moves by at most ε times its own size, within its own ends.

    Attributes:
        epsilons: factors of the features' own epsilons, or 2degC:temperature,.5kPa:pressure.
        features: a TOML file with a table for each feature of your own data: its unit, range and epsilon. ε is
            then 2degC:temperature,.5kPa:pressure, or factors of the file's epsilons, such as .5,1,2.
    """

    norm: ClassVar[str] = "box"
    sign: ClassVar[str] = "units of each feature"

    epsilons: Annotated[tuple[Numeral, ...], many(FACTOR), Naming("epsilon", always=True)] = field()
    features: Annotated[OwnFeatures, FEATURES]

    def __post_init__(self) -> None:
        ends = [end for one in self.features for end in one.range]
        spanned = min(ends), max(ends)
        if self.range not in ((0.0, 1.0), spanned):
            raise Mistake(
                ("range",),
                Saying(f"{','.join(end.text for end in self.range)} beside features"),
                "none: the features tell it",
            )
        object.__setattr__(self, "range", spanned)
        parts = [part for size in self.epsilons if ":" in size.text for part in size.text.split(",")]
        if parts:
            object.__setattr__(self, "features", self._moved(parts))
            object.__setattr__(self, "epsilons", (Numeral(1.0, ",".join(parts)),))
        super().__post_init__()
        if not any(one.epsilon > 0 for one in self.features):
            raise Mistake(("features",), Saying("0 as the size of each"), "one that moves")

    def _moved(self, parts: list[str]) -> OwnFeatures:
        """Return the features with the sizes that are written, 0 for those that are not named."""
        units, sizes = {one.name: one.unit for one in self.features}, dict[str, Numeral]()
        for part in parts:
            found = SIZED.fullmatch(part)
            if found is None:
                raise Mistake(("epsilon",), part, "a size and its feature, as in 2degC:temperature")
            size, unit, name = found.groups()
            if name not in units:
                raise Mistake(("epsilon",), part, f"one of the features {', '.join(units)}")
            if unit and unit != units[name]:
                raise Mistake(("epsilon",), part, f"{units[name] or 'no unit'}, the unit of {name}")
            if name in sizes:
                raise Mistake(("epsilon",), Saying(f"{name} twice"), "each feature once")
            try:
                sizes[name] = number(size)
            except ValueError:
                raise Mistake(("epsilon",), part, "a size and its feature, as in 2degC:temperature") from None
            if sizes[name] < 0:
                raise Mistake(("epsilon",), part, "a size from 0 on")
        made = OwnFeatures(replace(one, epsilon=sizes.get(one.name, ZERO)) for one in self.features)
        made.source = self.features.source
        return made

    @property
    def scale(self) -> "Scale":
        """Return the boxes of all factors."""
        import torch

        from ..certify.problem import BoxScale

        columns = zip(*((one.epsilon, *one.range) for one in self.features), strict=True)
        return BoxScale(*(torch.tensor(list(map(float, column)), dtype=torch.float64) for column in columns))

    @property
    def beside(self) -> tuple[str, ...]:
        """Return how far each feature moves, and how many do not."""
        moving = [one.told for one in self.features if one.epsilon > 0]
        still = len(self.features) - len(moving)
        return (*moving, *([f"{still} not at all"] if still else []))

    @property
    def change(self) -> str:
        """Return what may change, as a clause."""
        return f"each feature may move by ε times its own size: {', '.join(self.beside)}"

    @property
    def ends(self) -> str:
        """Return between which ends each feature stays."""
        told = (f"{one.name} in [{one.range[0]:g}, {one.range[1]:g}] {one.unit}".rstrip() for one in self.features)
        return f"their ranges ({', '.join(told)})"


AXES = ("steps", "polarities", "rows", "columns")


class EventBlock(dict[str, tuple[int, int]]):
    """The entries of a recording that lie, along each axis that is named, from first to last − 1."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(sorted(self.items())))

    @property
    def region(self) -> "EventRegion":
        """Return the block as engines take it."""
        from ..certify.perturbations import EventRegion

        return EventRegion(**self)

    @property
    def told(self) -> tuple[str, ...]:
        """Return each interval, both ends included."""
        return tuple(f"{name} {first} to {last - 1}" for name, (first, last) in self.items())


def _block(raw: Any) -> EventBlock:
    if not isinstance(raw, Mapping | str):
        raise ValueError
    pairs = raw.items() if isinstance(raw, Mapping) else [part.split("=") for part in raw.split(",")]
    found = EventBlock()
    for name, ends in pairs:
        axis, parts = name.strip(), ends.split(":") if isinstance(ends, str) else ends
        first, last = (whole(0, 2**31).read(part) for part in parts)
        if axis not in AXES or axis in found or not first < last:
            raise ValueError
        found[axis] = first, last
    return found if found else _no_block()


def _no_block() -> EventBlock:
    raise ValueError


BLOCK = Notation(
    _block,
    "intervals such as steps=0:3,rows=2:5, first below last, each axis once",
    "AXIS=FIRST:LAST,…",
    write=lambda block: {axis: list(ends) for axis, ends in block.items()},
    text=lambda block: ",".join(f"{axis}={first}:{last}" for axis, (first, last) in block.items()),
    schema={"type": "object"},
)
Limit = Annotated[int, whole(0, 2**31)]
Kind = Literal["flip", "insert", "delete"]
Border = Literal["stay", "leave"]
FLIPS = {"flip": "inserted or deleted", "insert": "inserted", "delete": "deleted"}
SHIFTS = {
    "total": "events may come earlier or later, by ε steps in all",
    "count": "at most ε events may come earlier or later",
    "jitter": "each event may come up to ε steps earlier or later",
}
LIMITS = {
    "count": "at most {} of them",
    "jitter": "each by at most {} steps",
    "total": "by at most {} steps in all",
}
MERGED = {"add": "two in one entry are two", "refuse": "none onto another one"}


@dataclass(frozen=True, kw_only=True)
class OfEvents(Threat):
    """Events change.

    Attributes:
        where: the events that may change, such as steps=0:3,polarities=1:2,rows=5:10,columns=5:10; the last of
            each is excluded; default: all.
    """

    counts: ClassVar[str] = "events"
    of_events: ClassVar[bool] = True

    epsilons: Sizes = (ONE,)
    where: Annotated[EventBlock, BLOCK] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.range != (0.0, 1.0):
            raise Mistake(("range",), Saying(self.ends), f"[0, 1] for {self.counts}")

    @property
    def region(self) -> "EventRegion | None":
        """Return the block in which events may change."""
        return None if self.where is None else self.where.region

    @property
    def beside(self) -> tuple[str, ...]:
        """Return in a few words each what is not as usual."""
        asked = table_fields(type(self))
        told = ((one, getattr(self, one.name)) for one in asked if one.name not in OF_ALL)
        plain = (f"{one.name} {value}" for one, value in told if value != one.default)
        return (*plain, *(self.where.told if self.where is not None else ()))

    @property
    def _where(self) -> str:
        return "" if self.where is None else f" in {', '.join(self.where.told)}"


OF_ALL = {"epsilons", "range", "asked", "where"}


def _flips(kind: str, where: str) -> str:
    return f"at most ε events{where} may be {FLIPS[kind]}, over all steps together"


@dataclass(frozen=True, kw_only=True)
class FlipThreat(OfEvents):
    """At most ε events come or go.

    Attributes:
        kind: flip (events come or go), insert or delete.
    """

    norm: ClassVar[str] = "flips"
    sign: ClassVar[str] = "flipped events"

    kind: Kind = "flip"

    @property
    def scale(self) -> "Scale":
        """Return the flips of all budgets."""
        from ..certify.perturbations import SpikeFlip
        from ..certify.problem import FlipScale

        return FlipScale(SpikeFlip(0, self.kind, self.region))

    @property
    def change(self) -> str:
        """Return what may change, as a clause."""
        return _flips(self.kind, self._where)


@dataclass(frozen=True, kw_only=True)
class ShiftThreat(OfEvents):
    """Events come earlier or later.

    Attributes:
        budget: what ε is: total (steps in all), count (how many events move) or jitter (how far each does).
        jitter: how far an event moves at most.
        count: how many events move at most.
        total: the sum of all moves at most.
        merge: two events in one entry are one (or), two (add) or refused (refuse).
        border: at the border events stay in the recording, or may leave it.
    """

    norm: ClassVar[str] = "shift"
    sign: ClassVar[str] = "shifted events"
    counts: ClassVar[str] = "shifts"

    budget: Literal["total", "count", "jitter"] = "total"
    jitter: Limit | None = None
    count: Limit | None = None
    total: Limit | None = None
    merge: Literal["or", "add", "refuse"] = "or"
    border: Border = "stay"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (limit := getattr(self, self.budget)) is not None:
            raise Mistake((self.budget,), limit, "none: it is what ε is")

    @property
    def bracketed(self) -> bool:  # type: ignore[override]
        """Return whether samples have radii: a jitter has few values."""
        return self.budget != "jitter"

    @property
    def scale(self) -> "Scale":
        """Return the moves of all budgets."""
        from ..certify.perturbations import SpikeShift
        from ..certify.problem import ShiftScale

        moves = SpikeShift(self.jitter, self.count, self.total, self.merge, self.border, self.region)
        return ShiftScale(self.budget, moves)

    @property
    def change(self) -> str:
        """Return what may change, as a clause."""
        limits = {"count": self.count, "jitter": self.jitter, "total": self.total}
        return _moves(SHIFTS[self.budget], limits, self._where, self.border, MERGED.get(self.merge))


def _moves(what: str, limits: Mapping[str, int | None], where: str, border: str, merged: str | None) -> str:
    parts = [what, *(LIMITS[name].format(limit) for name, limit in limits.items() if limit is not None)]
    parts += [f"only those{where}"] if where else []
    parts += [merged] if merged else []
    parts += ["those at the border may leave"] if border == "leave" else []
    return ", ".join(parts)


@dataclass(frozen=True, kw_only=True)
class ChangeThreat(OfEvents):
    """At most ε events come or go, beside moves.

    Attributes:
        kind: flip (events come or go), insert or delete.
        jitter: how far an event moves at most.
        count: how many events move at most.
        border: at the border events stay in the recording, or may leave it.
    """

    norm: ClassVar[str] = "flips+shift"
    sign: ClassVar[str] = "flipped events beside moves"
    bracketed: ClassVar[bool] = False

    kind: Kind = "flip"
    jitter: Limit | None = None
    count: Limit | None = None
    border: Border = "stay"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.jitter is None and self.count is None:
            raise Mistake(("jitter",), Saying("neither it nor count"), "one, or both")

    @property
    def scale(self) -> "Scale":
        """Return the flips of all budgets, each beside all moves."""
        from ..certify.perturbations import EventChange, SpikeFlip, SpikeShift
        from ..certify.problem import ChangeScale

        moves = SpikeShift(self.jitter, self.count, None, border=self.border, where=self.region)
        return ChangeScale(EventChange(SpikeFlip(0, self.kind, self.region), moves))

    @property
    def change(self) -> str:
        """Return what may change, as a clause."""
        limits = {"count": self.count, "jitter": self.jitter}
        moves = _moves("events may come earlier or later", limits, self._where, self.border, None)
        return f"{moves}; and {_flips(self.kind, self._where)}"


Share = Annotated[Numeral, real("a share below 1, such as 2%", 0.0, below=1.0)]
PLURALS = {"weights": "weight and bias", "threshold": "threshold", "decay": "decay"}


def _percent(share: float) -> str:
    return f"{100 * share:.6g} %"


@dataclass(frozen=True, kw_only=True)
class OfNetworks(Threat):
    """The networks that one network may be, each on inputs around the sample.

    Attributes:
        with_epsilon: how far inputs move besides the networks, such as 8/255; default: not.
        with_norm: linf or l2, of with_epsilon.
    """

    of_networks: ClassVar[bool] = True

    with_epsilon: Annotated[Numeral, real("a number above 0, such as 8/255", above=0.0)] | None = None
    with_norm: Literal["linf", "l2"] = "linf"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.asked is not None:
            raise Mistake(("property",), Saying(f"one with norm {self.norm}"), "none: labels alone")
        if self.with_epsilon is None and self.with_norm != "linf":
            raise Mistake(("with_norm",), Saying(f"{self.with_norm!r} alone"), "it beside with-epsilon")

    @property
    def still(self) -> bool:  # type: ignore[override]
        """Return whether inputs stay as they are."""
        return self.with_epsilon is None

    @property
    def ball(self) -> "Perturbation | None":
        """Return the inputs around each sample; None for the sample alone."""
        from ..certify.problem import BALLS

        if self.with_epsilon is None:
            return None
        return BALLS[self.with_norm](float(self.with_epsilon), self.lower, self.upper)

    @property
    def scale(self) -> "Scale":
        """Raise ValueError: these are no sets of inputs."""
        raise ValueError(f"norm: got {self.norm}, a set of networks, expected a set of inputs, such as linf")

    def around(self, epsilon: float) -> "NetworkSet":
        """Return the set of one size."""
        raise NotImplementedError

    @property
    def sets(self) -> "NetworkSet":
        """Return one set, whose sizes are."""
        return self.around(self.epsilons[0])

    @property
    def change(self) -> str:
        """Return which networks there are, as a clause."""
        return self.members("ε")

    def members(self, size: str) -> str:
        """Return which networks a set of one size holds, and which inputs, as a clause."""
        if self.with_epsilon is None:
            return f"{self._members(size)}; inputs stay as they are"
        told = with_value(short(self.with_epsilon), self.with_epsilon)
        inputs = {"linf": LInfThreat, "l2": L2Threat}[self.with_norm]().change
        return f"{self._members(size)}; and {inputs.replace('ε', told)}"

    def _members(self, size: str) -> str:
        raise NotImplementedError

    def hardware(self, size: str) -> str:
        """Return which hardware a set of one size stands for, in words."""
        raise NotImplementedError

    @property
    def _ball(self) -> tuple[str, ...]:
        if self.with_epsilon is None:
            return ()
        told = with_value(short(self.with_epsilon), self.with_epsilon)
        return (f"with {THREATS[self.with_norm].sign} {told}",)


@dataclass(frozen=True, kw_only=True)
class ToleranceThreat(OfNetworks):
    """All networks whose numbers lie within a share of this one's.

    Attributes:
        varied: what ε is a share of: weights (and biases), threshold or decay.
        weight_tolerance: of weights, where ε is of something else, such as 5%.
        threshold_tolerance: of thresholds, beside ε of weights, such as 2%.
        decay_tolerance: of decays λ, beside ε of weights, such as 1%.
    """

    norm: ClassVar[str] = "tolerance"
    sign: ClassVar[str] = "tolerance"

    epsilons: Sizes = (Numeral(0.05, "5%"),)
    varied: Literal["weights", "threshold", "decay"] = "weights"
    weight_tolerance: Share | None = None
    threshold_tolerance: Share | None = None
    decay_tolerance: Share | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epsilons[-1] >= 1:
            raise Mistake(("epsilon",), Saying(self.epsilons[-1].text), "a share below 1, such as 5%")
        name = {"weights": "weight"}.get(self.varied, self.varied) + "_tolerance"
        if (share := self._shares[self.varied]) is not None:
            raise Mistake((name,), Saying(share.text), "none: it is what ε is")

    @property
    def _shares(self) -> dict[str, Numeral | None]:
        told = self.weight_tolerance, self.threshold_tolerance, self.decay_tolerance
        return dict(zip(PLURALS, told, strict=True))

    def around(self, epsilon: float) -> "NetworkSet":
        """Return the networks within a share ε."""
        from ..certify.network_sets.tolerance import Tolerance

        shares = {name: float(share or 0.0) for name, share in self._shares.items()}
        shares[self.varied] = float(epsilon)
        return Tolerance(**shares, around=self.ball, grows=self.varied)

    @property
    def beside(self) -> tuple[str, ...]:
        """Return in a few words each what ε is of, and what else strays."""
        told = (f"{name} {_percent(share)}" for name, share in self._shares.items() if share is not None)
        return (self.varied, *told, *self._ball)

    def _members(self, size: str) -> str:
        shares = {name: _percent(share) if share else "" for name, share in self._shares.items()}
        shares[self.varied] = size
        told = (f"every {PLURALS[name]} within {share} of itself" for name, share in shares.items() if share)
        return f"{', '.join(told)}, each number by itself"

    def hardware(self, size: str) -> str:
        """Return which hardware a set of one size stands for, in words."""
        of = {"weights": "weights", "threshold": "thresholds", "decay": "decays"}[self.varied]
        others = any(share is not None for share in self._shares.values())
        rest = ", and its other numbers as far as stated" if others else ""
        return f"any chip whose {of} are within {size} of this network's{rest}"


@dataclass(frozen=True, kw_only=True)
class StuckThreat(OfNetworks):
    """Networks of which up to ε neurons are stuck, each at silence or at firing.

    Attributes:
        stuck_layers: which spiking layers have stuck neurons, such as 0,1; default: all.
    """

    norm: ClassVar[str] = "stuck"
    sign: ClassVar[str] = "stuck neurons"
    counts: ClassVar[str] = "neurons"

    epsilons: Sizes = (ONE,)
    stuck_layers: Annotated[tuple[int, ...], many(whole(0, 10_000), expected="numbers such as 0,1")] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stuck_layers is not None and len(set(self.stuck_layers)) < len(self.stuck_layers):
            raise Mistake(("stuck_layers",), list(self.stuck_layers), "different numbers")

    def around(self, epsilon: float) -> "NetworkSet":
        """Return the networks of which up to ε neurons are stuck."""
        from ..certify.network_sets.stuck import StuckNeurons

        return StuckNeurons(int(epsilon), self.stuck_layers, self.ball)

    @property
    def beside(self) -> tuple[str, ...]:
        """Return in a few words each which layers, and what else moves."""
        layers = () if self.stuck_layers is None else (f"layers {' '.join(map(str, self.stuck_layers))}",)
        return (*layers, *self._ball) or ("any layer",)

    def _members(self, size: str) -> str:
        layers = ", ".join(map(str, self.stuck_layers or ()))
        where = f" of spiking layers {layers}" if layers else ""
        return f"up to {size} of all neurons that fire{where} may be stuck, each at silence or at firing"

    def hardware(self, size: str) -> str:
        """Return which hardware a set of one size stands for, in words."""
        return f"any chip on which no more than {size} of these neurons are broken"


THREATS: dict[str, type[Threat]] = {
    form.norm: form
    for form in (
        LInfThreat,
        L2Threat,
        BoxThreat,
        FlipThreat,
        ShiftThreat,
        ChangeThreat,
        ToleranceThreat,
        StuckThreat,
    )
}
"""Threat models by the name of their norm."""


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
        raise TypeError(f"a dataclass of spikecert.asking.Threat with norm = {norm!r}")
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
