"""A network as plain data (JSON) and back: one table of layer types, each with what its constructor needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from .circuit import check_code, runs_as
from .dynamics import Dynamics
from .encoding import RateDraws
from .layers import Residual, Share
from .learned_decay import PLIF
from .networks import SpikingNetwork
from .neurons import DLIF, LIF
from .normalization import Normalize
from .surrogates import SURROGATES, surrogate_name


@dataclass(frozen=True)
class _Kind:
    """How one layer type is written and built: constructor arguments out of a layer, a layer out of them."""

    type: type[nn.Module]
    arguments: Callable[[Any], dict[str, Any]]
    build: Callable[..., nn.Module]


def describe(network: SpikingNetwork) -> dict[str, Any]:
    """Return everything about `network` but its weights, as JSON-ready data.

    Raises:
        TypeError, ValueError: for a network that runs otherwise than this data tells.
    """
    check_code(network)
    return {
        "num_steps": network.num_steps,
        "encoding": network.encoding,
        **({"seed": network.draws.seed} if network.encoding == "rate" else {}),
        "readout": network.readout,
        "layers": [_describe_layer(layer, network.num_steps) for layer in network.layers],
    }


def build(description: dict[str, Any]) -> SpikingNetwork:
    """Return the network, with fresh weights, that `describe` described.

    Raises:
        ValueError, KeyError, TypeError: for a description that names an unknown layer or lacks a field.
    """
    layers = [_build_layer(layer) for layer in description["layers"]]
    settings = {key: description[key] for key in ("num_steps", "encoding", "readout")}
    draws = RateDraws(description["seed"]) if description["encoding"] == "rate" else None
    return SpikingNetwork(*layers, **settings, draws=draws)


def fresh(name: str, layer: nn.Module) -> nn.Module:
    """Return a new layer of the type that files call `name`, with the settings of `layer`."""
    return _KINDS[name].build(**_KINDS[name].arguments(layer))


def _describe_layer(layer: nn.Module, num_steps: int) -> dict[str, Any]:
    if type(layer) is Residual:
        parts = {"branch": layer.branch, "shortcut": layer.shortcut}
        described = {key: [_describe_layer(inner, num_steps) for inner in part] for key, part in parts.items()}
        return {"type": "Residual", **described}
    kind = runs_as(layer, num_steps, type(layer).__name__) if isinstance(layer, LIF) else type(layer)
    for name, known in _KINDS.items():
        if kind is known.type:
            return {"type": name, **known.arguments(layer)}
    raise TypeError(
        f"network: got a layer of type {type(layer).__name__}, expected one of {', '.join((*_KINDS, 'Residual'))}"
    )


def _build_layer(description: dict[str, Any]) -> nn.Module:
    arguments = dict(description)
    name = arguments.pop("type")
    if name == "Residual":
        return _build_residual(**arguments)
    if name not in _KINDS:
        raise ValueError(f"unknown layer type {name!r}")
    return _KINDS[name].build(**arguments)


def _linear(layer: nn.Linear) -> dict[str, Any]:
    return {
        "in_features": layer.in_features,
        "out_features": layer.out_features,
        "bias": layer.bias is not None,
    }


def _conv(layer: nn.Conv1d | nn.Conv2d) -> dict[str, Any]:
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
    return {
        **{name: getattr(layer, name) for name in names},
        "bias": layer.bias is not None,
        "padding_mode": layer.padding_mode,
    }


def _average_pool(layer: nn.AvgPool1d | nn.AvgPool2d) -> dict[str, Any]:
    names = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
    if getattr(layer, "divisor_override", None) is not None:
        raise ValueError(
            f"network: got {layer} with divisor_override, expected an average pool that divides by size"
        )
    return {name: getattr(layer, name) for name in names}


def _batch_norm(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> dict[str, Any]:
    return {name: getattr(layer, name) for name in ("num_features", "eps", "momentum", "affine")}


def _normalize(layer: Normalize) -> dict[str, Any]:
    return {"channels": layer.num_features}


def _build_normalize(channels: int) -> Normalize:
    return Normalize((0.0,) * channels, (1.0,) * channels)


def _flatten(layer: nn.Flatten) -> dict[str, Any]:
    return {"start_dim": layer.start_dim, "end_dim": layer.end_dim}


def _build_residual(branch: list[dict[str, Any]], shortcut: list[dict[str, Any]]) -> Residual:
    return Residual([_build_layer(inner) for inner in branch], [_build_layer(inner) for inner in shortcut])


def _neuron(layer: LIF) -> dict[str, Any]:
    d: Dynamics = layer.dynamics
    surrogate = {"name": surrogate_name(d.surrogate), "width": d.surrogate.width}
    amount = {} if d.reset_amount is None else {"reset_amount": d.reset_amount}
    return {
        "decay": d.decay,
        "threshold": d.threshold,
        "reset": d.reset,
        "fires_at": d.fires_at,
        "surrogate": surrogate,
        **amount,
    }


def _scaled_neuron(layer: DLIF) -> dict[str, Any]:
    return {"num_steps": len(layer.input_scale), **_neuron(layer)}


def _build_neuron(kind: type[LIF]) -> Callable[..., LIF]:
    def build_neuron(surrogate: dict[str, Any], **arguments: Any) -> LIF:
        return kind(surrogate=SURROGATES[surrogate["name"]](surrogate["width"]), **arguments)

    return build_neuron


_KINDS: dict[str, _Kind] = {
    "Linear": _Kind(nn.Linear, _linear, nn.Linear),
    "Conv2d": _Kind(nn.Conv2d, _conv, nn.Conv2d),
    "Conv1d": _Kind(nn.Conv1d, _conv, nn.Conv1d),
    "AvgPool1d": _Kind(nn.AvgPool1d, _average_pool, nn.AvgPool1d),
    "AvgPool2d": _Kind(nn.AvgPool2d, _average_pool, nn.AvgPool2d),
    "BatchNorm1d": _Kind(nn.BatchNorm1d, _batch_norm, nn.BatchNorm1d),
    "BatchNorm2d": _Kind(nn.BatchNorm2d, _batch_norm, nn.BatchNorm2d),
    "Normalize": _Kind(Normalize, _normalize, _build_normalize),
    "Flatten": _Kind(nn.Flatten, _flatten, nn.Flatten),
    "Share": _Kind(Share, lambda layer: {}, Share),
    "LIF": _Kind(LIF, _neuron, _build_neuron(LIF)),
    "DLIF": _Kind(DLIF, _scaled_neuron, _build_neuron(DLIF)),
    "PLIF": _Kind(PLIF, _neuron, _build_neuron(PLIF)),
}
