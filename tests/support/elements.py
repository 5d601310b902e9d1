"""The elements of networks that people train, each in a tiny network of every library that has it.

A row of the table is one entry in `element_rows.py`: how a tiny module with the element is made,
for the libraries that have it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import norse.torch as norse
import numpy as np
import torch
from spikingjelly.activation_based import neuron as sj_neurons
from torch import Tensor, nn

nir: Any = import_module("nir")
snntorch: Any = import_module("snntorch")

LIBRARIES = ("snnTorch", "SpikingJelly", "Norse", "NIR")
STEPS = 4
NEURONS: dict[str, Callable[[], nn.Module]] = {
    "snnTorch": lambda: snntorch.Leaky(beta=0.9, init_hidden=True),
    "SpikingJelly": lambda: sj_neurons.IFNode(),
    "Norse": lambda: norse.LIFBoxCell(norse.LIFBoxParameters(torch.tensor(500.0))),
}
Neuron = Callable[[], nn.Module]
Maker = Callable[[Neuron], Any]


@dataclass(frozen=True)
class Row:
    """An element.

    Attributes:
        name: in the table.
        shape: of one input.
        makers: for each library that has the element, what makes the source, given its usual neuron.
        settings: of `convert`.
        spellings: more makers of it, all of which must come in.
    """

    name: str
    shape: tuple[int, ...]
    makers: dict[str, Maker]
    settings: dict[str, Any] = field(default_factory=dict)
    spellings: tuple[Maker, ...] = ()

    def sources(self, library: str) -> list[Any]:
        """Return the module in each of its spellings."""
        return [_strong(make, library) for make in (self.makers[library], *self.spellings)]

    def source(self, library: str) -> Any:
        """Return the module, or the graph, with weights that make neurons fire."""
        return _strong(self.makers[library], library)

    def sample(self) -> Tensor:
        """Return inputs."""
        return torch.rand(6, *self.shape, generator=torch.Generator().manual_seed(1))

    def arguments(self) -> dict[str, Any]:
        """Return what `convert` is given besides source and sample."""
        return {"num_steps": STEPS, **self.settings}


def _strong(make: Maker, library: str) -> Any:
    torch.manual_seed(0)
    made = make(NEURONS.get(library, nn.Identity))
    if isinstance(made, list):
        made = norse.SequentialState(*made) if library == "Norse" else nn.Sequential(*made)
    for part in made.modules() if isinstance(made, nn.Module) else ():
        if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d):
            part.weight.data.mul_(4.0)
    return made


def chain(name: str, shape: tuple[int, ...], make: Maker, nodes: Callable[[], list[Any]] | None = None) -> Row:
    """Return the row of layers that are torch's own, in a chain with a library's neurons, and as nodes of NIR."""
    makers: dict[str, Maker] = dict.fromkeys(LIBRARIES[:3], make)
    return Row(name, shape, makers | ({} if nodes is None else {"NIR": lambda neuron: graph(nodes(), shape)}))


def only(library: str, name: str, shape: tuple[int, ...], make: Maker, **settings: Any) -> Row:
    """Return the row of what one library has."""
    return Row(name, shape, {library: make}, settings)


def graph(nodes: list[Any], shape: tuple[int, ...]) -> Any:
    """Return nodes in a row as a NIR graph."""
    ends = nir.Input(np.array(shape)), nir.Output(np.array([3]))
    return nir.NIRGraph.from_list(ends[0], *nodes, ends[1], type_check=False)


def array(*shape: int, size: float = 1.0) -> np.ndarray:
    """Return random numbers."""
    return (torch.randn(shape) * size).numpy().astype(np.float32)


def full(value: float, *shape: int) -> np.ndarray:
    """Return one number, over and over."""
    return np.full(shape, value, dtype=np.float32)


def nir_lif(*shape: int) -> Any:
    """Return LIF nodes of λ = ½ and gain 1, reset to 0."""
    return nir.LIF(tau=full(2e-4, *shape), r=full(2, *shape), v_leak=full(0, *shape), **nir_ends(*shape))


def nir_ends(*shape: int) -> dict[str, Any]:
    """Return threshold and reset of NIR nodes, to zero, as their metadata say."""
    return {"v_threshold": full(1, *shape), "v_reset": full(0, *shape), "metadata": {"reset": "zero"}}


def cuba(kind: Any, *shape: int) -> Any:
    """Return CubaLIF or CubaLI nodes."""
    ends = nir_ends(*shape) if kind is nir.CubaLIF else {}
    taus = {"tau_syn": full(2e-4, *shape), "tau_mem": full(2e-4, *shape)}
    return kind(**taus, r=full(2, *shape), v_leak=full(0, *shape), w_in=full(2, *shape), **ends)


def head(size: int) -> list[nn.Module]:
    """Return a flat dense layer."""
    return [nn.Flatten(), nn.Linear(size, 3)]


def nir_conv(*shape: int, padding: int = 0) -> Any:
    """Return a convolution of images 6×6, (out, in, height, width)."""
    return nir.Conv2d((6, 6), array(*shape), 1, padding, 1, 1, full(0, shape[0]))


def nir_head(*shape: int) -> list[Any]:
    """Return Flatten and Affine nodes for signals of a shape."""
    size = int(np.prod(shape))
    return [nir.Flatten({"input": np.array(shape)}, 0, -1), nir.Affine(array(3, size), full(0, 3))]


def images(layers: list[nn.Module], neuron: Neuron, shape: tuple[int, ...] = (1, 6, 6)) -> list[nn.Module]:
    """Return layers behind a convolution and its neuron, and a dense layer of what they make."""
    axes = len(shape) - 1
    first = (nn.Conv1d if axes == 1 else nn.Conv2d)(1, 4, 3)
    made = nn.Sequential(first, *layers).eval()(torch.zeros(2, *shape))
    return [first, neuron(), *layers, *head(made[0].numel())]


class Summed(nn.Module):
    """Two paths that meet."""

    def __init__(self, neuron: Neuron, meet: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.one, self.last, self.meet = nn.Linear(5, 8), nn.Linear(8, 8), nn.Linear(8, 3), meet
        self.neurons = nn.ModuleList([neuron(), neuron(), neuron()])

    def forward(self, x: Tensor) -> Tensor:
        x = self.neurons[0](self.first(x))
        return self.neurons[2](self.last(self.meet(x, self.neurons[1](self.one(x)))))


class Currents(nn.Module):
    """MS-ResNet's order: sums of currents, and neurons in front of each convolution."""

    def __init__(self, neuron: Neuron) -> None:
        super().__init__()
        self.first, self.one, self.last = nn.Linear(5, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.neurons = nn.ModuleList([neuron(), neuron()])

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.last(self.neurons[1](x + self.one(self.neurons[0](x))))


class Around(nn.Module):
    """Layers with code around them."""

    def __init__(
        self, neuron: Neuron, first: nn.Module, last: nn.Module, front: Any = None, middle: Any = None
    ) -> None:
        super().__init__()
        self.first, self.neuron, self.last, self.front, self.middle = first, neuron(), last, front, middle

    def forward(self, x: Tensor) -> Any:
        x = self.neuron(self.first(x if self.front is None else self.front(x)))
        return self.last(x if self.middle is None else self.middle(x))


class Loop(nn.Module):
    """The usual loop over time, with states by hand, which returns what `told` makes of it."""

    def __init__(self, neuron: nn.Module, told: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.first, self.neuron, self.told = nn.Linear(5, 3), neuron, told

    def forward(self, x: Tensor) -> Any:
        state, spikes, potentials = self.neuron.reset_mem(), [], []  # type: ignore[operator]
        for _ in range(STEPS):
            spike, state = self.neuron(self.first(x), state)
            spikes.append(spike)
            potentials.append(state)
        return self.told(torch.stack(spikes), torch.stack(potentials))


def dense(neuron: Neuron, last: bool = False) -> list[nn.Module]:
    """Return two dense layers with a neuron between them, or behind both."""
    return [nn.Linear(5, 8), neuron(), nn.Linear(8, 3), *([neuron()] if last else [])]


def paths(name: str, meet: Callable[[Tensor, Tensor], Tensor]) -> Row:
    """Return the row of two paths that meet, for libraries whose neurons keep their states."""
    makers: dict[str, Maker] = dict.fromkeys(LIBRARIES[:2], lambda neuron: Summed(neuron, meet))
    return Row(name, (5,), makers)


def around(name: str, shape: tuple[int, ...], make: Callable[[Neuron], nn.Module]) -> Row:
    """Return the row of code around layers, for libraries whose neurons keep their states."""
    return Row(name, shape, dict.fromkeys(LIBRARIES[:2], make))


def leaky(name: str, **options: Any) -> Row:
    """Return the row of a setting of snnTorch's Leaky."""
    make = lambda neuron: dense(lambda: snntorch.Leaky(**({"beta": 0.9, "init_hidden": True} | options)))  # noqa: E731
    return only("snnTorch", f"snnTorch {name}", (5,), make)


def node(name: str, make: Neuron) -> Row:
    """Return the row of a neuron of SpikingJelly."""
    return only("SpikingJelly", f"SpikingJelly {name}", (5,), lambda neuron: dense(make))


def cell(name: str, make: Neuron, last: Neuron | None = None) -> Row:
    """Return the row of a neuron of Norse, or of the integrator behind it."""
    return only("Norse", f"Norse {name}", (5,), lambda neuron: [*dense(make), *([] if last is None else [last()])])


def box(**options: Any) -> norse.LIFBoxCell:
    """Return a cell of λ = ½ and of given parameters."""
    return norse.LIFBoxCell(norse.LIFBoxParameters(torch.tensor(500.0), **options))


def nodes(name: str, make: Callable[[], list[Any]]) -> Row:
    """Return the row of nodes of NIR, for vectors."""
    return only("NIR", f"NIR {name}", (5,), lambda neuron: graph(make(), (5,)))
