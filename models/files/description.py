"""A network as plain data (JSON) and back; what a file says of a layer its element tells (`elements.registry`).

How files are read: strictly. Nothing is converted, nothing else is let through, what is wrong is one line.
"""

import reprlib
from dataclasses import asdict, dataclass
from functools import lru_cache
from types import NoneType
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from annotated_types import Interval
from pydantic import BaseModel, ConfigDict, ValidationError, create_model, field_validator
from torch import Tensor, nn

from ..circuit import check_code, runs_as
from ..elements.neurons import LIF
from ..elements.registry import ELEMENTS, Element, Shapes, Steps, known
from ..networks import SpikingNetwork
from ..running.encoding import ENCODINGS, READOUTS, RateDraws
from ..source import SourceArithmetic, SourceBox
from ..validation import one_line


class Schema(BaseModel):
    """Data with a type for each field."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value  # JSON has no tuples

    @classmethod
    def read(cls, content: Any, place: str) -> Self:
        """Return checked content.

        Raises:
            ValueError: in one line, for what is missing, unknown, of another type or out of range.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise ValueError(f"{place}.{_told(error)}") from None


@lru_cache(None)
def schema_of(element: Element) -> type[Schema]:
    """Return the schema of an element's fields."""
    return _schema(element.name, dict(element.fields or {}))


def _schema(name: str, fields: dict[str, Any]) -> type[Schema]:
    """Return a schema of fields: a type, a dictionary of the fields inside, or (type, default)."""
    forms: dict[str, Any] = {}
    for key, form in fields.items():
        form = _schema(f"_{key.title()}Schema", form) if isinstance(form, dict) else form
        forms[key] = form if isinstance(form, tuple) else (form, ...)
    return create_model(name, __base__=Schema, **forms)


def _told(error: ValidationError) -> str:
    """Return the first error in one line: the field, what came, what was expected."""
    first = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(map(str, first["loc"]))[:80]
    if first["type"] in ("extra_forbidden", "missing"):
        return f"{field}: {'unknown key' if first['type'] == 'extra_forbidden' else 'missing'}"
    return f"{field}: got {reprlib.repr(first['input'])}, expected {first['msg'].removeprefix('Input should be ')}"


MOST_LAYERS = 10_000
"""Of a network, those of residual sums included: each takes some memory, whatever its size."""


class _BoxSchema(Schema):
    """What a source may stray by."""

    limit: float
    factor: float
    stray: float
    least: float
    counts: bool = False


class _SourceSchema(Schema):
    """What a network carries of its source."""

    boxes: tuple[_BoxSchema, ...]
    weights: str


class _NetworkSchema(Schema):
    """All of a description but what its layers say."""

    num_steps: Steps
    encoding: Literal[*ENCODINGS]  # type: ignore[valid-type]
    readout: Literal[*READOUTS]  # type: ignore[valid-type]
    seed: Annotated[int, Interval(ge=0, lt=2**63)] | None = None
    draws: tuple[Any, ...] | None = None
    layers: tuple[Any, ...]
    source: _SourceSchema | None = None
    unconfirmed: bool = False


@dataclass(frozen=True)
class _Item:
    """A layer as a description has it: what it is, its fields, and the layers within it."""

    element: Element
    fields: Schema
    parts: dict[str, "_Item | _Items"]

    @staticmethod
    def read(place: str, content: Any) -> "_Item":
        """Return a checked layer."""
        given = dict(content) if isinstance(content, dict) else {}
        name = given.pop("type", None)
        element = next((each for each in _described() if each.name == name and _has_parts(each, given)), None)
        if element is None:
            raise ValueError(f"{place}: unknown layer type {reprlib.repr(name)}")
        parts = {
            key: _read_part(element, f"{place}.{key}", place, kinds, given.pop(key))
            for key, kinds in element.parts.items()
            if key in given
        }
        return _Item(element, schema_of(element).read(given, place), parts)

    def tensors(self) -> Shapes:
        """Return the shapes of its tensors, and of those of its parts."""
        inner = (
            (f"{key}.{name}", shape) for key, part in self.parts.items() for name, shape in part.tensors().items()
        )
        return self.element.tensors(self.fields) | dict(inner)

    def build(self) -> nn.Module:
        """Return a new layer."""
        if self.element.build is not None:
            return self.element.build(self.fields)
        return self.element.kind(**dict(self.fields), **{key: part.build() for key, part in self.parts.items()})


@dataclass(frozen=True)
class _Items:
    """Layers in order."""

    layers: tuple[_Item, ...]

    @staticmethod
    def read(place: str, content: Any) -> "_Items":
        """Return checked layers."""
        if not isinstance(content, list | tuple):
            raise ValueError(f"{place}: got {reprlib.repr(content)}, expected a list of layers")
        return _Items(tuple(_Item.read(f"{place}.{index}", layer) for index, layer in enumerate(content)))

    def tensors(self) -> Shapes:
        """Return the shapes of the tensors of all layers."""
        every = enumerate(layer.tensors() for layer in self.layers)
        return {f"{index}.{name}": shape for index, found in every for name, shape in found.items()}

    def build(self) -> list[nn.Module]:
        """Return new layers."""
        return [layer.build() for layer in self.layers]


@dataclass(frozen=True)
class Blueprint:
    """A network as a description has it: checked, and not built yet."""

    settings: _NetworkSchema
    draws: RateDraws | None
    layers: _Items
    source: SourceArithmetic | None = None

    @staticmethod
    def read(content: Any) -> "Blueprint":
        """Return what `describe` returned, checked.

        Raises:
            ValueError: in one line, for a layer that is not known, or a setting that is missing, unknown, of
                another type or out of range.
        """
        settings = _NetworkSchema.read(content, "network")
        if (count := _count(settings.layers)) > MOST_LAYERS:
            raise ValueError(f"layers: got {count}, expected at most {MOST_LAYERS}")
        source = settings.source
        if source is not None:
            boxes = tuple(SourceBox(**dict(box)) for box in source.boxes)
            source = SourceArithmetic(boxes, source.weights)
        return Blueprint(settings, _read_draws(settings), _Items.read("layers", settings.layers), source)

    def tensors(self) -> Shapes:
        """Return the shapes of the network's tensors by their names."""
        return {f"layers.{name}": shape for name, shape in self.layers.tensors().items()}

    def build(self) -> SpikingNetwork:
        """Return the network, with fresh weights."""
        known = self.settings
        settings = {"num_steps": known.num_steps, "encoding": known.encoding, "readout": known.readout}
        made = SpikingNetwork(*self.layers.build(), **settings, draws=self.draws)
        made.source, made.unconfirmed = self.source, known.unconfirmed
        return made


def describe(network: SpikingNetwork) -> dict[str, Any]:
    """Return everything about `network` but its weights, as JSON-ready data.

    Raises:
        TypeError, ValueError: for a network that runs otherwise than this data tells.
    """
    check_code(network)
    return {
        "num_steps": network.num_steps,
        "encoding": network.encoding,
        **(_describe_draws(network.draws) if network.encoding == "rate" else {}),
        "readout": network.readout,
        "layers": [_describe_layer(layer, network.num_steps) for layer in network.layers],
        **({} if network.source is None else {"source": asdict(network.source)}),
        **({"unconfirmed": True} if network.unconfirmed else {}),
    }


def build(description: dict[str, Any]) -> SpikingNetwork:
    """Return the network, with fresh weights, that `describe` described.

    Raises:
        ValueError: as `Blueprint.read`.
    """
    return Blueprint.read(description).build()


def _describe_draws(draws: RateDraws) -> dict[str, Any]:
    return {"draws": draws.seed.tolist()} if isinstance(draws.seed, Tensor) else {"seed": draws.seed}


def _read_draws(settings: _NetworkSchema) -> RateDraws | None:
    """Return the draws of a rate code, by their seed or one by one; None for another encoding."""
    given = [value for value in (settings.seed, settings.draws) if value is not None]
    if len(given) != (settings.encoding == "rate"):
        raise ValueError('seed: expected one, or draws, with encoding "rate", and neither with another')
    if settings.draws is None:
        return None if settings.seed is None else RateDraws(settings.seed)
    try:
        return RateDraws(torch.tensor(settings.draws, dtype=torch.float64, device="cpu"))
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"draws: expected numbers in lists of one length: {one_line(error)}") from error


def fresh(name: str, layer: nn.Module) -> nn.Module:
    """Return a new layer of the type that files call `name`, with the settings of `layer`.

    Raises:
        ValueError: for settings that no file may have.
    """
    element = next(each for each in _described() if each.name == name)
    return _Item(element, schema_of(element).read(element.told(layer), name), {}).build()


def _described() -> list[Element]:
    """Return the elements that files know."""
    return [element for element in ELEMENTS.values() if element.fields is not None]


def _describe_layer(layer: nn.Module, num_steps: int) -> dict[str, Any]:
    kind = runs_as(layer, num_steps, type(layer).__name__) if isinstance(layer, LIF) else type(layer)
    element = ELEMENTS.get(kind)
    if element is None or element.fields is None:
        expected = f"expected one of {known()}"
        raise TypeError(f"network: got a layer of type {type(layer).__name__}, {expected}")
    fields = schema_of(element).read(element.told(layer), f"network: {element.name}")
    parts = {key: getattr(layer, key) for key in element.parts}
    inner = {key: _describe_part(part, num_steps) for key, part in parts.items() if part is not None}
    return {"type": element.name, **fields.model_dump(exclude_unset=True), **inner}


def _describe_part(part: Any, num_steps: int) -> Any:
    if isinstance(part, nn.ModuleList):
        return [_describe_layer(layer, num_steps) for layer in part]
    return _describe_layer(part, num_steps)


def _has_parts(element: Element, given: dict[str, Any]) -> bool:
    """Return whether what is given has the parts of an element; one with parts has no other fields."""
    needed = {key for key, kinds in element.parts.items() if NoneType not in kinds}
    return not element.parts or needed <= given.keys() <= element.parts.keys()


def _read_part(
    element: Element, place: str, owner: str, kinds: tuple[type[Any], ...], content: Any
) -> _Item | _Items:
    """Return a layer of one of some types, or a list of layers of any."""
    if not kinds:
        return _Items.read(place, content)
    part = _Item.read(place, content)
    if part.element.kind not in kinds:
        expected = ", ".join(kind.__name__ for kind in kinds if kind is not NoneType)
        raise ValueError(f"{owner}: got parts that no {element.name} has, expected one of {expected}")
    return part


def _count(layers: Any) -> int:
    """Return how many layers are described, those within others included; what is no layer is not counted."""
    count, lists = 0, [layers]
    names = {name for element in ELEMENTS.values() for name in element.parts}
    while lists:
        part = lists.pop()
        found = [layer for layer in part if isinstance(layer, dict)] if isinstance(part, list | tuple) else []
        count += len(found)
        inner = [layer[name] for layer in found for name in names if name in layer]
        lists += [[part] if isinstance(part, dict) else part for part in inner]
    return count
