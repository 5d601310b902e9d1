"""A network as plain data (JSON) and back: one table of layer types, each with the schema of its settings."""

import reprlib
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..circuit import check_code, runs_as
from ..elements.adaptive import AdaptiveLIF
from ..elements.layers import Residual
from ..elements.neurons import DLIF, LIF
from ..elements.recurrent import FEEDBACKS, Recurrent
from ..elements.synapses import Synapse
from ..networks import SpikingNetwork
from ..running.encoding import ENCODINGS, RateDraws
from ..running.readouts import READOUTS
from ..validation import one_line
from .image_schemas import (
    AdaptiveAverageSchema,
    ConvTranspose1dSchema,
    ConvTranspose2dSchema,
    UnflattenSchema,
    UpsampleSchema,
    ZeroPad1dSchema,
    ZeroPad2dSchema,
)
from .layer_schemas import (
    AtLeastZero,
    AvgPool1dSchema,
    AvgPool2dSchema,
    BatchNorm1dSchema,
    BatchNorm2dSchema,
    Conv1dSchema,
    Conv2dSchema,
    Extent,
    LayerSchema,
    LinearSchema,
    MaxPool1dSchema,
    MaxPool2dSchema,
    NormalizeSchema,
    Schema,
    Shapes,
    ShareSchema,
    Steps,
    SynapseSchema,
    UpToOne,
    Whole,
    plain,
)
from .neuron_schemas import DLIFSchema, LIFSchema, PLIFSchema, RefractoryLIFSchema, VariedLIFSchema, neuron

MOST_LAYERS = 10_000
"""Of a network, those of residual sums included: each takes some memory, whatever its size."""


class _NetworkSchema(Schema):
    """All of a description but what its layers say."""

    num_steps: Steps
    encoding: Literal[*ENCODINGS]  # type: ignore[valid-type]
    readout: Literal[*READOUTS]  # type: ignore[valid-type]
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    draws: tuple[Any, ...] | None = None
    layers: tuple[Any, ...]


@dataclass(frozen=True)
class _ResidualSum:
    """A `Residual`."""

    branch: tuple["Item", ...]
    shortcut: tuple["Item", ...]

    def tensors(self) -> Shapes:
        """Return the shapes of the tensors of both paths."""
        return _tensors("branch", self.branch) | _tensors("shortcut", self.shortcut)

    def build(self) -> Residual:
        """Return a new layer."""
        return Residual([layer.build() for layer in self.branch], [layer.build() for layer in self.shortcut])


@dataclass(frozen=True)
class _Heard:
    """A `Recurrent`."""

    neuron: LayerSchema
    feedback: LayerSchema
    synapse: LayerSchema | None = None

    @staticmethod
    def read(place: str, **given: Any) -> "_Heard":
        """Return a checked layer, whose parts are no loops themselves."""
        parts = {key: _read_layer(f"{place}.{key}", part) for key, part in given.items()}
        for key, part in parts.items():
            kinds = _PARTS[key]
            if not isinstance(part, LayerSchema) or part.kind not in kinds:
                known = ", ".join(kind.__name__ for kind in kinds)
                raise ValueError(f"{place}: got parts that no Recurrent has, expected one of {known}")
        return _Heard(**parts)  # type: ignore[arg-type]

    def tensors(self) -> Shapes:
        """Return the shapes of the tensors of both parts."""
        parts = {"neuron": self.neuron, "feedback": self.feedback}
        return {f"{key}.{name}": shape for key, part in parts.items() for name, shape in part.tensors().items()}

    def build(self) -> Recurrent:
        """Return a new layer."""
        neuron, synapse = self.neuron.build(), None if self.synapse is None else self.synapse.build()
        assert isinstance(neuron, LIF)
        assert synapse is None or isinstance(synapse, Synapse)
        return Recurrent(neuron, self.feedback.build(), synapse)


_PARTS: dict[str, tuple[type[nn.Module], ...]] = {
    "neuron": (LIF, DLIF),
    "feedback": FEEDBACKS,
    "synapse": (Synapse,),
}
"""What each part of a `Recurrent` may be."""
Item = LayerSchema | _ResidualSum | _Heard


@dataclass(frozen=True)
class Blueprint:
    """A network as a description has it: checked, and not built yet."""

    settings: _NetworkSchema
    draws: RateDraws | None
    layers: tuple[Item, ...]

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
        return Blueprint(settings, _read_draws(settings), _read("layers", settings.layers))

    def tensors(self) -> Shapes:
        """Return the shapes of the network's tensors by their names."""
        return _tensors("layers", self.layers)

    def build(self) -> SpikingNetwork:
        """Return the network, with fresh weights."""
        known = self.settings
        layers = [layer.build() for layer in self.layers]
        settings = {"num_steps": known.num_steps, "encoding": known.encoding, "readout": known.readout}
        return SpikingNetwork(*layers, **settings, draws=self.draws)


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
    return _KINDS[name].read(_KINDS[name].arguments(layer), name).build()


def _describe_layer(layer: nn.Module, num_steps: int) -> dict[str, Any]:
    if type(layer) is Residual:
        parts = {"branch": layer.branch, "shortcut": layer.shortcut}
        described = {key: [_describe_layer(inner, num_steps) for inner in part] for key, part in parts.items()}
        return {"type": "Residual", **described}
    if isinstance(layer, LIF) and runs_as(layer, num_steps, type(layer).__name__) is Recurrent:
        assert isinstance(layer, Recurrent)
        parts = {name: getattr(layer, name) for name in _PARTS}
        return {"type": "Recurrent"} | {
            name: _describe_layer(part, num_steps) for name, part in parts.items() if part is not None
        }
    kind = runs_as(layer, num_steps, type(layer).__name__) if isinstance(layer, LIF) else type(layer)
    for name, settings in _KINDS.items():
        if kind is settings.kind:
            return {"type": name, **settings.read(settings.arguments(layer), f"network: {name}").data()}
    known = ", ".join((*_KINDS, "Residual", "Recurrent"))
    raise TypeError(f"network: got a layer of type {type(layer).__name__}, expected one of {known}")


def _count(layers: Any) -> int:
    """Return how many layers are described, those of residual sums included; what is no layer is not counted."""
    count, parts = 0, [layers]
    while parts:
        part = parts.pop()
        found = [layer for layer in part if isinstance(layer, dict)] if isinstance(part, list | tuple) else []
        count += len(found)
        parts += [layer[key] for layer in found for key in ("branch", "shortcut") if key in layer]
        parts += [[layer[key]] for layer in found for key in _PARTS if key in layer]
    return count


def _read(place: str, layers: Any) -> tuple[Item, ...]:
    if not isinstance(layers, list | tuple):
        raise ValueError(f"{place}: got {reprlib.repr(layers)}, expected a list of layers")
    return tuple(_read_layer(f"{place}.{index}", layer) for index, layer in enumerate(layers))


def _read_layer(place: str, content: Any) -> Item:
    arguments = dict(content) if isinstance(content, dict) else {}
    name = arguments.pop("type", None)
    if name == "Residual" and arguments.keys() == {"branch", "shortcut"}:
        return _ResidualSum(**{key: _read(f"{place}.{key}", part) for key, part in arguments.items()})
    if name == "Recurrent" and {"neuron", "feedback"} <= arguments.keys() <= _PARTS.keys():
        return _Heard.read(place, **arguments)
    if not isinstance(name, str) or name not in _KINDS:
        raise ValueError(f"{place}: unknown layer type {reprlib.repr(name)}")
    return _KINDS[name].read(arguments, place)


def _tensors(place: str, layers: tuple[Item, ...]) -> Shapes:
    return {
        f"{place}.{index}.{name}": shape
        for index, layer in enumerate(layers)
        for name, shape in layer.tensors().items()
    }


_KINDS: dict[str, type[LayerSchema]] = {
    "Linear": LinearSchema,
    "Conv2d": Conv2dSchema,
    "Conv1d": Conv1dSchema,
    "ConvTranspose1d": ConvTranspose1dSchema,
    "ConvTranspose2d": ConvTranspose2dSchema,
    "AvgPool1d": AvgPool1dSchema,
    "AvgPool2d": AvgPool2dSchema,
    "MaxPool1d": MaxPool1dSchema,
    "MaxPool2d": MaxPool2dSchema,
    "AdaptiveAverage": AdaptiveAverageSchema,
    "ZeroPad1d": ZeroPad1dSchema,
    "ZeroPad2d": ZeroPad2dSchema,
    "Upsample": UpsampleSchema,
    "PixelShuffle": plain(nn.PixelShuffle, upscale_factor=Extent),
    "BatchNorm1d": BatchNorm1dSchema,
    "BatchNorm2d": BatchNorm2dSchema,
    "Normalize": NormalizeSchema,
    "Flatten": plain(nn.Flatten, start_dim=Whole, end_dim=Whole),
    "Unflatten": UnflattenSchema,
    "Share": ShareSchema,
    "Synapse": SynapseSchema,
    "LIF": LIFSchema,
    "DLIF": DLIFSchema,
    "PLIF": PLIFSchema,
    "VariedLIF": VariedLIFSchema,
    "RefractoryLIF": RefractoryLIFSchema,
    "AdaptiveLIF": neuron(AdaptiveLIF, adaptation=AtLeastZero, threshold_decay=UpToOne),
}
