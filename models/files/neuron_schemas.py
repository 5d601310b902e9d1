"""What a file says of each neuron: one schema a type, read strictly, as those of other layers."""

from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, create_model
from torch import nn

from ..dynamics import FIRES_AT, RESETS
from ..elements.learned_decay import PLIF
from ..elements.neurons import DLIF, LIF
from ..elements.refractory import RefractoryLIF
from ..elements.varied import VariedLIF
from ..surrogates import SURROGATES, Surrogate, surrogate_name
from .layer_schemas import MOST_STEPS, LayerSchema, Positive, Real, Schema, Shapes, Size, Steps, UpToOne


class _SurrogateSchema(Schema):
    name: Literal[*SURROGATES]  # type: ignore[valid-type]
    width: Positive

    @staticmethod
    def arguments(surrogate: Surrogate) -> dict[str, Any]:
        """Return the fields of a surrogate."""
        return {"name": surrogate_name(surrogate), "width": surrogate.width}

    def build(self) -> Surrogate:
        """Return the surrogate."""
        return SURROGATES[self.name](self.width)


class _NeuronSchema(LayerSchema):
    decay: UpToOne
    threshold: Positive
    reset: Literal[*RESETS]  # type: ignore[valid-type]
    fires_at: Literal[*FIRES_AT]  # type: ignore[valid-type]
    surrogate: _SurrogateSchema
    reset_amount: Positive | None = None

    @classmethod
    def arguments(cls, layer: Any) -> dict[str, Any]:
        """Return the neuron's constants; the reset amount where it is not the threshold."""
        d = layer.dynamics
        surrogate = _SurrogateSchema.arguments(d.surrogate)
        amount = {} if d.reset_amount is None else {"reset_amount": d.reset_amount}
        names = ("decay", "threshold", "reset", "fires_at")
        own = {name: getattr(layer, name) for name in layer.holds if name in cls.model_fields}
        return {**{name: getattr(d, name) for name in names}, "surrogate": surrogate, **amount, **own}

    def build(self) -> nn.Module:
        """Return a new neuron."""
        surrogate = self.surrogate.build()
        return self.kind(**{**dict(self), "surrogate": surrogate})


def neuron(kind: type[LIF], **fields: Any) -> type[LayerSchema]:
    """Return the settings of a neuron of one λ and θ without tensors, and with numbers of its own that it `holds`.

    Args:
        kind: the neuron.
        fields: the type of each of its own.
    """
    forms: Any = {name: (form, ...) for name, form in fields.items()}
    made = create_model(kind.__name__, __base__=_NeuronSchema, **forms)
    made.kind = kind
    return made


class LIFSchema(_NeuronSchema):
    """Of `LIF`."""

    kind: ClassVar[type[nn.Module]] = LIF


class DLIFSchema(_NeuronSchema):
    """Of `DLIF`, whose input scale is a tensor."""

    kind: ClassVar[type[nn.Module]] = DLIF

    num_steps: Steps

    @classmethod
    def arguments(cls, layer: Any) -> dict[str, Any]:
        """Return the constants and T."""
        return {"num_steps": len(layer.input_scale), **super().arguments(layer)}

    def tensors(self) -> Shapes:
        """Return a (T,)."""
        return {"input_scale": (self.num_steps,)}


class PLIFSchema(_NeuronSchema):
    """Of `PLIF`, whose decay is a tensor, too: that is what counts."""

    kind: ClassVar[type[nn.Module]] = PLIF

    def tensors(self) -> Shapes:
        """Return w with λ = σ(w)."""
        return {"decay_logit": ()}


class RefractoryLIFSchema(LayerSchema):
    """Of `RefractoryLIF`, which resets to zero."""

    kind: ClassVar[type[nn.Module]] = RefractoryLIF

    decay: UpToOne
    threshold: Positive
    rest: Annotated[int, Field(ge=0, le=MOST_STEPS)] | None
    start: Real
    fires_at: Literal[*FIRES_AT]  # type: ignore[valid-type]
    surrogate: _SurrogateSchema

    @classmethod
    def arguments(cls, layer: Any) -> dict[str, Any]:
        """Return the neuron's constants."""
        d = layer.dynamics
        surrogate = _SurrogateSchema.arguments(d.surrogate)
        return {
            "decay": d.decay,
            "threshold": d.threshold,
            "rest": layer.rest,
            "start": layer.start,
            "fires_at": d.fires_at,
            "surrogate": surrogate,
        }

    def build(self) -> RefractoryLIF:
        """Return a new neuron."""
        surrogate = self.surrogate.build()
        return RefractoryLIF(self.decay, self.threshold, self.rest, self.fires_at, surrogate, self.start)


class VariedLIFSchema(LayerSchema):
    """Of `VariedLIF`, whose constants are tensors of one shape."""

    kind: ClassVar[type[nn.Module]] = VariedLIF

    shape: tuple[Size, ...]
    amounts: bool
    reset: Literal[*RESETS]  # type: ignore[valid-type]
    fires_at: Literal[*FIRES_AT]  # type: ignore[valid-type]
    surrogate: _SurrogateSchema

    @classmethod
    def arguments(cls, layer: Any) -> dict[str, Any]:
        """Return the shape, and what all neurons have in common."""
        return {
            "shape": tuple(layer.decay.shape),
            "amounts": layer.reset_amount is not None,
            "reset": layer.reset,
            "fires_at": layer.shared.fires_at,
            "surrogate": _SurrogateSchema.arguments(layer.surrogate),
        }

    def tensors(self) -> Shapes:
        """Return the decays, the thresholds and, where they are not those, what a spike takes away."""
        return dict.fromkeys(("decay", "threshold", *(["reset_amount"] * self.amounts)), self.shape)

    def build(self) -> VariedLIF:
        """Return a new neuron, without lists of as many numbers."""
        constant = torch.ones(self.shape)
        amount = constant if self.amounts else None
        return VariedLIF(constant, constant, self.reset, self.fires_at, self.surrogate.build(), amount)
