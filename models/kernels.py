"""Which kernel runs the membranes of a network: torch's operations, or one that a C compiler made."""

from dataclasses import dataclass

from ..kernels import CompiledMembrane
from .networks import SpikingNetwork
from .rules import KERNELS as KERNELS
from .running.compiled import library
from .validation import check_choice


@dataclass(frozen=True)
class Kernel:
    """The kernel that runs, and why it is not the one that was asked for (empty if it is)."""

    name: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})" if self.reason else self.name


def use_kernel(network: SpikingNetwork, name: str) -> Kernel:
    """Let `network` run its membranes by the kernel `name`, in place; return what it then runs by.

    Potentials and spikes are bitwise the same by either, so verdicts do not depend on it. Where there is no C
    compiler, no CPU, or arithmetic that does not agree, "compiled" leaves "eager" and says why.

    Raises:
        ValueError: for an unknown name.
    """
    check_choice("kernel", name, KERNELS)
    kernel = _available(network) if name == "compiled" else Kernel("eager")
    for neuron in network.neurons:
        neuron.kernel = kernel.name
    return kernel


def kernel_of(network: SpikingNetwork) -> str:
    """Return the kernel that `use_kernel` set: "compiled" if any neuron has it."""
    return "compiled" if any(neuron.kernel == "compiled" for neuron in network.neurons) else "eager"


def _available(network: SpikingNetwork) -> Kernel:
    if network.device.type != "cpu":
        return Kernel("eager", f"the compiled kernel is for the CPU, not for {network.device.type}")
    found = library(network.dtype)
    return Kernel("compiled") if isinstance(found, CompiledMembrane) else Kernel("eager", found)
