"""What a file says of each layer, and of a network: one schema a type, read strictly.

A description comes from a stranger. So nothing reaches a layer's constructor that is not listed here, with its
type and range, and each schema tells the shapes of the layer's tensors: a file that does not hold these is refused
before anything is built.
"""

import reprlib
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, field_validator
from torch import nn

from ..elements.layers import Share
from ..elements.normalization import Normalize
from ..elements.synapses import Synapse

MOST_STEPS = 2**16
"""The longest simulation that a file may ask for."""
FURTHEST = 2**16
"""The largest kernel, stride, padding, dilation or number of an axis."""

Size = Annotated[int, Field(ge=1, le=2**40)]
Steps = Annotated[int, Field(ge=1, le=MOST_STEPS)]
Whole = Annotated[int, Field(ge=-FURTHEST, le=FURTHEST)]
Extent = Annotated[int, Field(ge=1, le=FURTHEST)]
Padding = Annotated[int, Field(ge=0, le=FURTHEST)]
UpToOne = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
AtLeastZero = Annotated[float, Field(ge=0)]
Real = int | float
"""A number that is written back as it was read, 1 as 1."""
Shapes = dict[str, tuple[int, ...]]
COUNTER = "num_batches_tracked"
"""A batch norm's only tensor of integers."""


class Schema(BaseModel):
    """Data with a type for each field: nothing is converted, and nothing else is let through."""

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


class LayerSchema(Schema):
    """The constructor's arguments of one layer type, as fields.

    Attributes:
        kind: the layer type.
    """

    kind: ClassVar[type[nn.Module]]

    @classmethod
    def arguments(cls, layer: Any) -> dict[str, Any]:
        """Return the fields of a layer: its attributes of these names."""
        return {name: getattr(layer, name) for name in cls.model_fields}

    def data(self) -> dict[str, Any]:
        """Return the settings as JSON-ready data."""
        return self.model_dump(exclude_unset=True)

    def tensors(self) -> Shapes:
        """Return the shapes of the layer's tensors by their names."""
        return {}

    def build(self) -> nn.Module:
        """Return a new layer."""
        return self.kind(**dict(self))


def plain(kind: type[nn.Module], **fields: Any) -> type[LayerSchema]:
    """Return the settings of a layer type without tensors, whose constructor takes what its attributes say.

    Args:
        kind: the layer type.
        fields: the type of each attribute.
    """
    forms: Any = {name: (form, ...) for name, form in fields.items()}
    made = create_model(kind.__name__, __base__=LayerSchema, **forms)
    made.kind = kind
    return made


def _told(error: ValidationError) -> str:
    """Return the first error in one line: the field, what came, what was expected."""
    first = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(map(str, first["loc"]))[:80]
    if first["type"] in ("extra_forbidden", "missing"):
        return f"{field}: {'unknown key' if first['type'] == 'extra_forbidden' else 'missing'}"
    return f"{field}: got {reprlib.repr(first['input'])}, expected {first['msg'].removeprefix('Input should be ')}"


def _weights(weight: tuple[int, ...], bias: bool) -> Shapes:
    return {"weight": weight, **({"bias": weight[:1]} if bias else {})}


class WeightedSchema(LayerSchema):
    """Of a layer with weights, and perhaps a bias."""

    bias: bool

    @classmethod
    def arguments(cls, layer: Any) -> dict[str, Any]:
        """Return the fields, of which the bias is a tensor in the layer."""
        return {**super().arguments(layer), "bias": layer.bias is not None}


class LinearSchema(WeightedSchema):
    """Of nn.Linear."""

    kind: ClassVar[type[nn.Module]] = nn.Linear

    in_features: Size
    out_features: Size

    def tensors(self) -> Shapes:
        """Return W (out, in) and b."""
        return _weights((self.out_features, self.in_features), self.bias)


class _ConvolutionSchema(WeightedSchema):
    in_channels: Size
    out_channels: Size
    groups: Size
    padding_mode: Literal["zeros", "reflect", "replicate", "circular"]
    kernel_size: tuple[Extent, ...]

    def tensors(self) -> Shapes:
        """Return K (out, in/groups, *size) and b."""
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(f"groups: got {self.groups}, expected a divisor of both numbers of channels")
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        return _weights(shape, self.bias)


class Conv1dSchema(_ConvolutionSchema):
    """Of nn.Conv1d."""

    kind: ClassVar[type[nn.Module]] = nn.Conv1d

    kernel_size: tuple[Extent]
    stride: tuple[Extent]
    padding: Literal["same", "valid"] | tuple[Padding]
    dilation: tuple[Extent]


class Conv2dSchema(_ConvolutionSchema):
    """Of nn.Conv2d."""

    kind: ClassVar[type[nn.Module]] = nn.Conv2d

    kernel_size: tuple[Extent, Extent]
    stride: tuple[Extent, Extent]
    padding: Literal["same", "valid"] | tuple[Padding, Padding]
    dilation: tuple[Extent, Extent]


class _AveragePoolSchema(LayerSchema):
    ceil_mode: bool
    count_include_pad: bool

    @classmethod
    def arguments(cls, layer: Any) -> dict[str, Any]:
        """Return the fields of a pool that divides by its windows' size."""
        if getattr(layer, "divisor_override", None) is not None:
            raise ValueError(
                f"network: got {layer} with divisor_override, expected an average pool that divides by size"
            )
        return super().arguments(layer)


class AvgPool1dSchema(_AveragePoolSchema):
    """Of nn.AvgPool1d."""

    kind: ClassVar[type[nn.Module]] = nn.AvgPool1d

    kernel_size: Extent | tuple[Extent]
    stride: Extent | tuple[Extent]
    padding: Padding | tuple[Padding]


class AvgPool2dSchema(_AveragePoolSchema):
    """Of nn.AvgPool2d."""

    kind: ClassVar[type[nn.Module]] = nn.AvgPool2d

    kernel_size: Extent | tuple[Extent, Extent]
    stride: Extent | tuple[Extent, Extent]
    padding: Padding | tuple[Padding, Padding]


class _MaxPoolSchema(LayerSchema):
    ceil_mode: bool

    @classmethod
    def arguments(cls, layer: Any) -> dict[str, Any]:
        """Return the fields of a pool that returns the maxima alone."""
        if layer.return_indices:
            raise ValueError(f"network: got {layer} with return_indices, expected a max pool of maxima alone")
        return super().arguments(layer)


class MaxPool1dSchema(_MaxPoolSchema):
    """Of nn.MaxPool1d."""

    kind: ClassVar[type[nn.Module]] = nn.MaxPool1d

    kernel_size: Extent | tuple[Extent]
    stride: Extent | tuple[Extent]
    padding: Padding | tuple[Padding]
    dilation: Extent | tuple[Extent]


class MaxPool2dSchema(_MaxPoolSchema):
    """Of nn.MaxPool2d."""

    kind: ClassVar[type[nn.Module]] = nn.MaxPool2d

    kernel_size: Extent | tuple[Extent, Extent]
    stride: Extent | tuple[Extent, Extent]
    padding: Padding | tuple[Padding, Padding]
    dilation: Extent | tuple[Extent, Extent]


def _statistics(channels: int) -> Shapes:
    return {"running_mean": (channels,), "running_var": (channels,), COUNTER: ()}


class BatchNorm1dSchema(LayerSchema):
    """Of nn.BatchNorm1d."""

    kind: ClassVar[type[nn.Module]] = nn.BatchNorm1d

    num_features: Size
    eps: Annotated[Real, Field(ge=0)]
    momentum: Real | None
    affine: bool

    def tensors(self) -> Shapes:
        """Return the statistics, the weight and the bias."""
        return _statistics(self.num_features) | (_weights((self.num_features,), True) if self.affine else {})


class BatchNorm2dSchema(BatchNorm1dSchema):
    """Of nn.BatchNorm2d."""

    kind: ClassVar[type[nn.Module]] = nn.BatchNorm2d


class NormalizeSchema(LayerSchema):
    """Of `Normalize`, whose means and deviations are in its statistics."""

    kind: ClassVar[type[nn.Module]] = Normalize

    channels: Size

    @classmethod
    def arguments(cls, layer: Any) -> dict[str, Any]:
        """Return the number of channels."""
        return {"channels": layer.num_features}

    def tensors(self) -> Shapes:
        """Return the statistics."""
        return _statistics(self.channels)

    def build(self) -> Normalize:
        """Return one of mean 0 and deviation 1, without a list of as many numbers."""
        layer = Normalize((0.0,), (1.0,))
        nn.BatchNorm2d.__init__(layer, self.channels, eps=0.0, affine=False)
        return layer.eval()


class ShareSchema(LayerSchema):
    """Of `Share`, whose factor is a tensor."""

    kind: ClassVar[type[nn.Module]] = Share

    def tensors(self) -> Shapes:
        """Return the factor."""
        return {"share": (1,)}


class SynapseSchema(LayerSchema):
    """Of `Synapse`."""

    kind: ClassVar[type[nn.Module]] = Synapse

    decay: UpToOne
    delay: Annotated[int, Field(ge=0, le=MOST_STEPS)]
