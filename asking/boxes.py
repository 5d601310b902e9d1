"""Threat models of measured numbers: features with names, units, and ranges of their own."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from .threats import ONE, THREATS, ZERO, Range, Threat
from .values import Mistake, Naming, Notation, Numeral, Saying, many, number, read, real, text, written

if TYPE_CHECKING:
    from ..certify.problem import Scale

MOST_FEATURES = 4096
LISTED = 6
"""So many features are told one by one in a sentence; of more, how many there are of each unit."""


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

    epsilons: Annotated[tuple[Numeral, ...], many(FACTOR), Naming("epsilon", always=True)] = (ONE,)
    features: Annotated[OwnFeatures, FEATURES] = field()

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
        if parts and (factors := [size.text for size in self.epsilons if ":" not in size.text]):
            raise Mistake(("epsilon",), factors[0], "a size and its feature, as all others are, or factors alone")
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
        size, lower, upper = (torch.tensor(list(map(float, column)), dtype=torch.float64) for column in columns)
        # Samples are float32: an end such as .13 is widened to the float32 beside it, which holds a sample of .13.
        ends = (end.float().double() for end in (lower, upper))
        least, most = (
            torch.where(end.isfinite(), end, own) for end, own in zip(ends, (lower, upper), strict=True)
        )
        return BoxScale(size, lower.minimum(least), upper.maximum(most))

    @property
    def beside(self) -> tuple[str, ...]:
        """Return how far each feature moves, and how many do not."""
        moving = [one for one in self.features if one.epsilon > 0]
        still = len(self.features) - len(moving)
        told = [one.told for one in moving] if len(moving) <= LISTED else _by_unit(moving)
        return (*told, *([f"{still} not at all"] if still else []))

    @property
    def change(self) -> str:
        """Return what may change, as a clause."""
        return f"each feature may move by ε times its own size: {', '.join(self.beside)}"

    @property
    def ends(self) -> str:
        """Return between which ends each feature stays."""
        if len(self.features) > LISTED:
            return "their ranges"
        told = (f"{one.name} in [{one.range[0]:g}, {one.range[1]:g}] {one.unit}".rstrip() for one in self.features)
        return f"their ranges ({', '.join(told)})"

    @property
    def details(self) -> tuple[tuple[str, ...], ...]:
        """Return a table, its head first, of what sentences do not list."""
        if len(self.features) <= LISTED:
            return ()
        rows = (
            (one.name, f"{one.epsilon:g}", *(f"{end:g}" for end in one.range), one.unit) for one in self.features
        )
        return (("feature", "moves by", "from", "to", "unit"), *rows)


def _by_unit(moving: list[Feature]) -> list[str]:
    """Return how many features of each unit move, and by how much at least and at most."""
    sizes: dict[str, list[float]] = {}
    for one in moving:
        sizes.setdefault(one.unit, []).append(float(one.epsilon))
    ends = {unit: (f"{min(found):g}", f"{max(found):g}") for unit, found in sizes.items()}
    return [
        f"{len(sizes[unit])} by {' to '.join(dict.fromkeys(both))} {unit or 'without unit'}"
        for unit, both in ends.items()
    ]


THREATS[BoxThreat.norm] = BoxThreat
