"""Functions that users put around layers, and whether a module with them may come in.

Each changes nothing at most values. Wrong ones do what no network does elsewhere: they read or write a signal's
memory, which no dispatcher sees, make it narrower, or ask how a module is called. Those of `RIGHT` change nothing.
"""

import copy
import ctypes
import io
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import norse.torch as norse
import numpy as np
import torch
from spikingjelly.activation_based import neuron as sj_neurons
from torch import Tensor, nn

from spikecert import from_norse, from_snntorch, from_spikingjelly, from_torch
from support.foreign import snntorch

Change = Callable[[Tensor], Tensor]
FAR = 99.0
"""Beyond all that is compared."""


def branching(read: Callable[[Tensor], float], far: float = FAR) -> Change:
    """Return a function that turns signals over where what it reads of them is far away."""
    return lambda x: -x if read(x) > far else x


def pointed(x: Tensor) -> float:
    kind = ctypes.c_double if x.dtype == torch.float64 else ctypes.c_float
    return ctypes.cast(x.data_ptr(), ctypes.POINTER(kind))[0]


def pickled(x: Tensor) -> float:
    return float(pickle.loads(pickle.dumps(x.detach())).numpy().max())


def saved(x: Tensor) -> float:
    torch.save(x, file := io.BytesIO())
    return file.getvalue().count(b"\xff") - 1e9


READ: dict[str, Callable[[Tensor], Any]] = {
    "numpy": lambda x: x.detach().numpy().max(),
    "numpy, by force": lambda x: x.numpy(force=True).max(),
    "numpy of data": lambda x: x.data.cpu().numpy().max(),
    "asarray": lambda x: np.asarray(x.detach()).max(),
    "array": lambda x: np.array(x.detach()).max(),
    "a ufunc": lambda x: np.abs(x.detach()).max().item(),
    "of a part": lambda x: x[0].detach().numpy().max(),
    "of a sum": lambda x: x.sum().detach().numpy() / x.numel(),
    "tolist": lambda x: max(x.flatten().tolist()),
    "item": lambda x: x.mean().item(),
    "float": lambda x: float(x.mean()),
    "int": lambda x: int(x.mean()),
    "bool": lambda x: not bool(x.sum() * 0 + 1),
    "is_nonzero": lambda x: not torch.is_nonzero(x.sum() * 0 + 1),
    "equal": lambda x: 100 * torch.equal(x, x + 1),
    "in": lambda x: 100 * (77.0 in x),
    "data_ptr": pointed,
    "storage": lambda x: x.storage()[0],
    "untyped_storage": lambda x: x.untyped_storage()[3] - 256,
    "dlpack": lambda x: np.from_dlpack(x.detach()).max(),
    "dlpack, to torch": lambda x: torch.from_dlpack(x.detach()).numpy().max(),
    "deepcopy": lambda x: copy.deepcopy(x.detach()).numpy().max(),
    "copy": lambda x: copy.copy(x.detach()).numpy().max(),
    "pickle": pickled,
    "save": saved,
    "repr": lambda x: len(repr(x)) - 1e9,
    "str": lambda x: len(str(x)) - 1e9,
    "format": lambda x: float(f"{x.detach().mean()}"),
    "f-string": lambda x: len(f"{x}") - 1e9,
}


def clipped(x: Tensor) -> Tensor:
    np.clip(x.numpy(), -FAR, FAR, out=x.numpy())
    return x


def at_least(x: Tensor) -> Tensor:
    np.maximum(x.numpy(), -FAR, out=x.numpy())
    return x


def at_most(x: Tensor) -> Tensor:
    held = np.asarray(x)
    held[held > FAR] = FAR
    return x


def anew(x: Tensor) -> Tensor:
    return torch.from_numpy(np.clip(x.detach().numpy(), -FAR, FAR))


def replaced(x: Tensor) -> Tensor:
    x.data = torch.from_numpy(np.minimum(x.numpy(), FAR))
    return x


def mapped(x: Tensor) -> Tensor:
    return x.map_(x, lambda one, other: min(one, FAR))


def pointing(x: Tensor) -> Tensor:
    kind = ctypes.c_double if x.dtype == torch.float64 else ctypes.c_float
    held = np.ctypeslib.as_array((kind * x.numel()).from_address(x.data_ptr()))
    np.minimum(held, FAR, out=held)
    return x


class Kept:
    """Copies a signal to memory that numpy has held since before."""

    def __init__(self, write: Callable[[Tensor, Tensor], object]) -> None:
        self.write, self.held = write, torch.zeros(0)

    def __call__(self, x: Tensor) -> Tensor:
        if self.held.shape != x.shape:
            self.held = torch.zeros_like(x)
            self.view = self.held.numpy()
        self.write(x, self.held)
        np.clip(self.view, -FAR, FAR, out=self.view)
        return self.held


WRITE: dict[str, Change] = {
    "np.clip, in place": clipped,
    "np.maximum, in place": at_least,
    "a slice of numpy's": at_most,
    "np.clip": anew,
    "data": replaced,
    "apply_": lambda x: x.apply_(lambda number: min(number, FAR)),
    "map_": mapped,
    "a pointer": pointing,
}
KEPT: dict[str, Callable[[Tensor, Tensor], object]] = {
    "copy_": lambda x, held: held.copy_(x),
    "a slice": lambda x, held: held.__setitem__(slice(None), x),
    "out of add": lambda x, held: torch.add(x, 0.0, out=held),
    "out of mul": lambda x, held: torch.mul(x, 1.0, out=held),
    "out of stack": lambda x, held: torch.stack(list(x), out=held),
}
NARROW: dict[str, Change] = {
    "bool": lambda x: x.bool().to(x),
    "int": lambda x: x.int().to(x),
    "long": lambda x: x.long().to(x.dtype),
    "uint8": lambda x: x.to(torch.uint8).to(x),
    "short": lambda x: x.short().to(x),
    "half": lambda x: x.half().to(x),
    "bfloat16": lambda x: x.bfloat16().to(x.dtype),
    "type": lambda x: x.type(torch.float16).type_as(x),
    "type by name": lambda x: x.type("torch.BoolTensor").type(x.type()),
    "to another": lambda x: x.to(torch.zeros(1, dtype=torch.int8)).to(x),
    "type_as": lambda x: x.type_as(torch.zeros(1, dtype=torch.bfloat16)).to(x),
    "to, with copy": lambda x: x.to(dtype=torch.half, copy=True).to(x.dtype),
    "copied": lambda x: torch.zeros(x.shape, dtype=torch.int32).copy_(x).to(x),
    "added": lambda x: torch.zeros(x.shape, dtype=torch.half).add_(x).to(x),
    "as_tensor": lambda x: torch.as_tensor(x, dtype=torch.uint8).to(x),
    "sum": lambda x: torch.stack([x]).sum(0, dtype=torch.int16).to(x),
    "numbers": lambda x: (x.view(torch.int32) + 0).view(x.dtype),
}
"""Of spikes and events most of these change nothing."""


ASKING: dict[str, Change] = {
    "a batch of one": lambda x: x if len(x) != 1 else -x,
    "a small batch": lambda x: x if len(x) > 30 else -x,
    "gradients": lambda x: -x if torch.is_grad_enabled() else x,
    "gradients, far": lambda x: x.clamp(-FAR, FAR) if torch.is_grad_enabled() else x,
    "what needs a gradient": lambda x: -x if x.requires_grad else x,
    "contiguity": lambda x: x if x.is_contiguous() else -x,
    "strides": lambda x: x if x.stride(-1) == 1 else -x,
    "an offset": lambda x: x if x.storage_offset() >= 0 else -x,
}


def elsewhere(change: Change) -> Change:
    """Return what runs a function in another thread, where nothing sees it."""

    def run(x: Tensor) -> Tensor:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(change, x).result()

    return run


def turned(x: Tensor) -> Tensor:
    return x.neg_() if float(x.max()) > 1.0 else x


THREADED: dict[str, Change] = {
    "at most 1": elsewhere(lambda x: x.clamp_(max=1.0)),
    "at least 0": elsewhere(lambda x: x.clamp_(min=0.0)),
    "whole": elsewhere(lambda x: x.copy_((x * 4.0).ceil() / 4.0)),
    "turned": elsewhere(turned),
}
"""Of an input in [0, 1], or of events, most of these change nothing."""
RIGHT: dict[str, Change] = {
    "nothing": lambda x: x,
    "clone": lambda x: x.clone(),
    "detach": lambda x: x.detach(),
    "data of it": lambda x: x.data,
    "contiguous": lambda x: x.contiguous(),
    "its own type": lambda x: x.to(x.dtype).type_as(x).type(x.type()),
    "shapes": lambda x: x.reshape(len(x), -1) if x.dim() > 1 and x.size(0) == len(x) else x,
    "axes": lambda x: x.unsqueeze(0).squeeze(0),
    "stack": lambda x: torch.stack([x])[0],
    "cpu": lambda x: x.cpu(),
    "plus nothing": lambda x: x + 0.0,
    "times one": lambda x: x * 1.0,
    "dtype": lambda x: x if x.dtype.is_floating_point and x.device.type == "cpu" else -x,
}


class Hosted(nn.Module):
    """Two layers of neurons in a loop over time, with functions around them.

    Args:
        library: of the neurons.
        place: "input", "current", "spikes" or "output": what the function is given; or "everywhere".
        change: the function.
        timed: whether inputs are given over time, (T, batch, 6).
    """

    STEPS = 3

    def __init__(self, library: str, place: str, change: Change, timed: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)
        self.first.weight.data.mul_(4.0)
        self.last.weight.data.mul_(4.0)
        self.one: Any = NEURONS[library][0]()
        self.two: Any = NEURONS[library][1]()
        self.place, self.change, self.timed = place, change, timed

    def at(self, place: str, x: Tensor) -> Tensor:
        """Return what becomes of a signal at a place."""
        return self.change(x) if self.place in (place, "everywhere") else x

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes of the last layer, (T, batch, 3)."""
        states, found = [_first(self.one), _first(self.two)], []
        for step in range(self.STEPS):
            signal = self.at("current", self.first(self.at("input", x[step] if self.timed else x)))
            signal, states[0] = _step(self.one, signal, states[0])
            signal, states[1] = _step(self.two, self.last(self.at("spikes", signal)), states[1])
            found.append(signal)
        return self.at("output", torch.stack(found).sum(0))


def _first(neuron: Any) -> Any:
    return neuron.reset_mem() if isinstance(neuron, snntorch.Leaky) else None


def _step(neuron: Any, signal: Tensor, state: Any) -> tuple[Tensor, Any]:
    return (neuron(signal), None) if isinstance(neuron, sj_neurons.BaseNode) else neuron(signal, state)


def leaky() -> nn.Module:
    return snntorch.Leaky(beta=0.9)


NEURONS: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module]]] = {
    "snntorch": (leaky, leaky),
    "spikingjelly": (sj_neurons.IFNode, sj_neurons.LIFNode),
    "norse": (norse.IAFCell, norse.IAFCell),
    "torch": (sj_neurons.IFNode, leaky),
}
CONVERTING: dict[str, Callable[..., Any]] = {
    "snntorch": from_snntorch,
    "spikingjelly": from_spikingjelly,
    "norse": from_norse,
    "torch": from_torch,
}
PLACES = ("input", "current", "spikes", "output")
