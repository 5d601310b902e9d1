"""Where NaN or inf came from: the first layer, in the order of execution, whose numbers are not finite."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from ..models.linear_maps import affine_types
from ..models.networks import SpikingNetwork


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Return whether no tensor holds NaN or inf; one look at their common norm where that is finite."""
    tensors = list(tensors)
    return bool(torch.isfinite(get_total_norm(tensors))) or all(bool(torch.isfinite(t).all()) for t in tensors)


def broken_gradient(network: SpikingNetwork) -> str | None:
    """Return the name of the first parameter whose gradient holds NaN or inf, or None."""
    named = ((name, p.grad) for name, p in network.named_parameters() if p.grad is not None)
    return next((name for name, grad in named if not all_finite([grad])), None)


def broken_parameter(network: SpikingNetwork) -> str | None:
    """Return the name of the first parameter that holds NaN or inf, or None."""
    named = ((name, parameter.detach()) for name, parameter in network.named_parameters())
    return next((name for name, parameter in named if not all_finite([parameter])), None)


def origin(network: SpikingNetwork, inputs: Tensor, again: Callable[[], object]) -> str:
    """Return in words which layer first had a current or potential that is NaN or inf.

    Args:
        network: with the weights that failed.
        inputs: of the batch that failed.
        again: repeats what failed, such as the loss of that batch.
    """
    layer = _first_current(network, again)
    if layer is not None:
        return f"the current out of {layer} is the first that holds NaN or inf"
    layer = _first_potential(network, inputs)
    if layer is not None:
        return f"the potentials of {layer} are the first that hold NaN or inf"
    return "the currents and potentials of all layers are finite"


def _first_current(network: SpikingNetwork, again: Callable[[], object]) -> str | None:
    found: list[str] = []

    def watch(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        """Return a hook that notes the first layer whose output is not finite."""

        def hook(module: nn.Module, arguments: Any, output: Tensor) -> None:
            if not found and not all_finite([output.detach()]):
                found.append(f"{name} ({type(module).__name__})")

        return hook

    layers = [(name, module) for name, module in network.named_modules() if isinstance(module, affine_types())]
    handles = [module.register_forward_hook(watch(name)) for name, module in layers]
    try:
        with suppress(ValueError, FloatingPointError):  # it failed before; what counts is what the hooks saw
            again()
    finally:
        for handle in handles:
            handle.remove()
    return next(iter(found), None)


def _first_potential(network: SpikingNetwork, inputs: Tensor) -> str | None:
    with torch.no_grad():
        trace = network.trace(inputs)
    names = {module: name for name, module in network.named_modules()}
    pairs = zip(network.neurons, trace.potentials, strict=True)
    broken = (neuron for neuron, potentials in pairs if not all_finite([potentials]))
    return next((f"{names[neuron]} ({type(neuron).__name__})" for neuron in broken), None)
