"""The elements of networks, one entry a layer type: what all readers of layers know of them, they know from here.

An element's file registers it: one of this folder, or of `linear_maps` for an affine layer; it is found by being
there. A type that no file registers is refused wherever layers are read, and so is a subclass, but for one of a
neuron's that sets constants alone.

What a file may say of a layer: the types of its fields, and how far each may go.

A description comes from a stranger. So nothing reaches a layer's constructor that its element does not list with
one of these types, and all of them are read strictly (`files/description.py`).
"""

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Annotated, Any

from annotated_types import Ge, Gt, Interval
from torch import nn

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


@dataclass(frozen=True, eq=False)
class Element:
    """One layer type, as circuits and files have it.

    Attributes:
        kind: the type, whose name files know it by.
        node: the kind of node that it becomes in a circuit.
        lower: what makes that node's constants of a layer: its linear map, windows or filter.
        run: runs a layer without a state on a signal, (time, batch, ...); None where its `forward` does.
        rules: of a neuron, the rules of `models.rules` and of its own file that it may state.
        fields: what a file says of a layer, with types: a type, or a dictionary of them, or (type, default);
            None for what no file may hold.
        parts: attributes that are layers, and the types that they may have, NoneType for none; () for a list of
            layers of any type.
        said: makes, of a layer, those fields that are no attributes of it.
        tensors: makes, of fields, the shapes of the layer's own tensors.
        build: makes a layer of fields; None where its constructor takes them, and the parts, as they are.
    """

    kind: type[nn.Module]
    node: str = "fired"
    lower: Callable[[Any], Any] | None = None
    run: Callable[[Any, Any], Any] | None = None
    rules: tuple[type[Any], ...] = ()
    fields: Mapping[str, Any] | None = None
    parts: Mapping[str, tuple[type[Any], ...]] = field(default_factory=dict)
    said: Callable[[Any], dict[str, Any]] = lambda layer: {}
    tensors: Callable[[Any], Shapes] = lambda fields: {}
    build: Callable[[Any], nn.Module] | None = None

    @property
    def name(self) -> str:
        """Return what files call it."""
        return self.kind.__name__

    def told(self, layer: nn.Module) -> dict[str, Any]:
        """Return the fields of a layer: its attributes of these names, or what is said in their place."""
        said, fields = self.said(layer), self.fields or {}
        needed = (key for key, form in fields.items() if key in said or not isinstance(form, tuple))
        return {key: said[key] if key in said else getattr(layer, key) for key in needed}


ELEMENTS: dict[type[nn.Module], Element] = {}
"""All that networks are made of."""


def register(element: Element) -> None:
    """Add an element.

    Raises:
        TypeError: for a type, or a name, that another one has.
    """
    if any(element.name == other.name for other in ELEMENTS.values()):
        raise TypeError(f"element: {element.name} is registered already")
    ELEMENTS[element.kind] = element


def of_node(node: str) -> tuple[type[nn.Module], ...]:
    """Return the layer types that become nodes of one kind."""
    return tuple(kind for kind, element in ELEMENTS.items() if element.node == node)


def known() -> str:
    """Return the names of all elements, for a message."""
    return ", ".join(sorted(element.name for element in ELEMENTS.values()))


def files_of(folder: ModuleType) -> list[ModuleType]:
    """Return the files of a folder of this library, imported: what is there counts."""
    names = (file.name for file in pkgutil.iter_modules(folder.__path__, f"{folder.__name__}."))
    return [import_module(name) for name in names]
