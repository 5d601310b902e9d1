"""What a file may say of a layer: the types of its fields, and how far each may go.

A description comes from a stranger. So nothing reaches a layer's constructor that its element does not list with
one of these types, and all of them are read strictly (`files/description.py`).
"""

from typing import Annotated, Any

from annotated_types import Ge, Gt, Interval

MOST_STEPS = 2**16
"""The longest simulation that a file may ask for."""
FURTHEST = 2**16
"""The largest kernel, stride, padding, dilation or number of an axis."""

Size = Annotated[int, Interval(ge=1, le=2**40)]
Steps = Annotated[int, Interval(ge=1, le=MOST_STEPS)]
Wait = Annotated[int, Interval(ge=0, le=MOST_STEPS)]
Whole = Annotated[int, Interval(ge=-FURTHEST, le=FURTHEST)]
Count = Annotated[int, Interval(ge=1, le=2**31)]
Extent = Annotated[int, Interval(ge=1, le=FURTHEST)]
Padding = Annotated[int, Interval(ge=0, le=FURTHEST)]
UpToOne = Annotated[float, Interval(ge=0, le=1)]
Positive = Annotated[float, Gt(0)]
Real = int | float
"""A number that is written back as it was read, 1 as 1."""
Nonnegative = Annotated[Real, Ge(0)]
Shapes = dict[str, tuple[int, ...]]
"""Of tensors, by their names."""
COUNTER = "num_batches_tracked"
"""A batch norm's only tensor of integers."""


def each(form: Any, axes: int) -> Any:
    """Return the type of a setting that has one number for each axis."""
    return tuple[(form,) * axes]


def one_or_each(form: Any, axes: int) -> Any:
    """Return the type of a setting that has one number for all axes, or one for each."""
    return form | each(form, axes)


def or_none(form: Any) -> Any:
    """Return the type of a setting that may be left open."""
    return form | None


def weights(weight: tuple[int, ...], outputs: int, bias: bool) -> Shapes:
    """Return the shapes of a weight and, where there is one, a bias."""
    return {"weight": weight, **({"bias": (outputs,)} if bias else {})}


def has_bias(layer: Any) -> dict[str, bool]:
    """Return the field "bias" of a layer, in which it is a tensor or None."""
    return {"bias": layer.bias is not None}
