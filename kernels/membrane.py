"""membrane.c and what it includes: the membrane recursion, its gradients, and ends of spikes for training."""

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor

from .loading import INT, POINTER, REAL, WHOLE, address, fields, pointers

FIRES = {">=": 0, ">": 1}
TRIANGLE, ARCTAN = 0, 1
"""The numbers that stand for surrogates."""


class MembraneLayer(ctypes.Structure):
    """The struct Layer in membrane.c."""

    _fields_ = fields(REAL, "decay threshold drop width", INT, "reset fires surrogate threads") + fields(
        WHOLE, "steps size current_stride"
    )


class _MembraneGradients(ctypes.Structure):
    _fields_ = fields(POINTER, "potentials spikes final", WHOLE, "potential_stride spike_stride") + fields(
        POINTER, "current initial"
    )


class _WindowCurrents(ctypes.Structure):
    """The struct Windows in windows.c."""

    _fields_ = fields(POINTER, "currents cuts weights spans", WHOLE, "rows")


@dataclass(frozen=True)
class CompiledMembrane:
    """membrane.c, loaded for one floating-point type. All tensors are contiguous."""

    functions: ctypes.CDLL

    def forward(
        self,
        layer: MembraneLayer,
        current: Tensor,
        input_scale: Tensor | None,
        initial: Tensor | None,
        potentials: Tensor | None,
        spikes: Tensor | None,
        final: Tensor | None,
        counts: Tensor | None = None,
    ) -> None:
        """Fill what of these there is: `counts`, (batch, ...), are the spikes of all steps."""
        pointers = map(address, (current, input_scale, initial, potentials, spikes, counts, final))
        self.functions.forward(ctypes.byref(layer), *pointers)

    def backward(
        self,
        layer: MembraneLayer,
        current: Tensor,
        input_scale: Tensor | None,
        initial: Tensor | None,
        incoming: tuple[Tensor | None, Tensor | None, Tensor | None],
        outgoing: tuple[Tensor, Tensor | None, Tensor | None],
    ) -> None:
        """Fill the gradients of current and initial residue, and add to that of the input scale.

        Args:
            layer, current, input_scale, initial: as in the forward pass.
            incoming: the gradients of potentials, spikes and final residue, of any layout.
            outgoing: those of current, initial residue and input scale.
        """
        potentials, spikes, final = incoming
        potentials, spikes = (None if g is None else _by_steps(g) for g in (potentials, spikes))
        final = None if final is None else final.contiguous()
        gradients = _MembraneGradients(
            *map(address, (potentials, spikes, final)),
            *(0 if g is None else g.stride(0) for g in (potentials, spikes)),
            *map(address, outgoing[:2]),
        )
        pointers = map(address, (current, input_scale, initial))
        failed = self.functions.backward(
            ctypes.byref(layer), *pointers, ctypes.byref(gradients), address(outgoing[2])
        )
        if failed:
            raise MemoryError("membrane: the backward pass got no memory for its potentials")

    def ends_forward(
        self, layer: MembraneLayer, currents: Tensor, input_scale: Tensor | None, spikes: Tensor
    ) -> None:
        """Fill the ends of spikes, (2, T, batch, ...), for those of currents."""
        self.functions.ends_forward(ctypes.byref(layer), *map(address, (currents, input_scale, spikes)))

    def ends_backward(
        self,
        layer: MembraneLayer,
        currents: Tensor,
        input_scale: Tensor | None,
        grad: Tensor,
        outgoing: tuple[Tensor, Tensor | None],
    ) -> None:
        """Fill the gradient of the currents, and add to that of the input scale, for that of the spikes' ends."""
        pointers = map(address, (currents, input_scale, grad, *outgoing))
        if self.functions.ends_backward(ctypes.byref(layer), *pointers):
            raise MemoryError("membrane: the backward pass of the ends got no memory for its potentials")

    def coupled_forward(self, layer: MembraneLayer, currents: Tensor, spikes: Tensor) -> None:
        """Fill the ends of spikes, (2, T, batch, ...), of two runs that pay for each other's spikes."""
        self.functions.coupled_forward(ctypes.byref(layer), *map(address, (currents, spikes)))

    def coupled_backward(self, layer: MembraneLayer, currents: Tensor, grad: Tensor, outgoing: Tensor) -> None:
        """Fill the gradient of the currents for that of the spikes' ends."""
        if self.functions.coupled_backward(ctypes.byref(layer), *map(address, (currents, grad, outgoing))):
            raise MemoryError("membrane: the backward pass of coupled runs got no memory for its potentials")

    def window_ends(
        self, layer: MembraneLayer, given: tuple[Tensor, ...], found: tuple[Tensor, Tensor, Tensor]
    ) -> None:
        """Fill what `training.bounds.window_spikes.eager_windows` returns.

        Args:
            layer: of a hard reset.
            given: windows' currents (2, T(T+1)/2, ...), θ·λ^j (T + 1,), rows (R, T), and their spans (R, 2).
            found: the rows' ends, the potentials, and the starts of their windows.
        """
        asked = _WindowCurrents(*map(address, given), len(given[2]))
        if self.functions.window_ends(ctypes.byref(layer), ctypes.byref(asked), pointers(found)):
            raise MemoryError("membrane: the paths of windows got no memory")


def membrane_layer(
    current: Tensor, constants: tuple[float, float, float, float], kinds: tuple[int, int, int], steps: int
) -> MembraneLayer:
    """Return the constants of a layer whose current is (T or 1, batch, ...).

    Args:
        current: I.
        constants: λ, θ, d and the surrogate's width.
        kinds: the numbers of the reset, of the firing rule and of the surrogate.
        steps: T.
    """
    size = current[0].numel()
    stride = 0 if len(current) == 1 else size
    return MembraneLayer(*constants, *kinds, torch.get_num_threads(), steps, size, stride)


def _by_steps(gradient: Tensor) -> Tensor:
    """Return a gradient whose steps are contiguous each; one that is the same at all steps stays a view."""
    return gradient if gradient[0].is_contiguous() else gradient.contiguous()
