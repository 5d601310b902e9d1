"""What a module does besides calling its layers, which a comparison on some inputs can't rule out."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from spikecert.models.conversion.refusal import ConversionRefused

from ..constants import library_of
from .data_flow import INPUT, Gave, Origins, tensors_of
from .places import INSIDE, at, place
from .states import Held

MOVES = (
    "alias _reshape_alias _unsafe_view _to_copy as_strided cat chunk clone contiguous copy copy_ detach detach_ "
    "expand flatten flip index lift lift_fresh narrow permute repeat reshape resize_ select slice split "
    "split_with_sizes squeeze squeeze_ stack t transpose unbind unflatten unsqueeze unsqueeze_ view zero_ fill_"
)
"""Operations that only move values."""
MAKES = (
    "arange empty empty_like empty_strided full full_like new_empty new_empty_strided new_full new_ones new_zeros "
    "ones ones_like scalar_tensor zeros zeros_like _efficientzerotensor"
)
SUMS = "add add_ div div_ mean mul mul_ neg rsub sub sub_ sum"
"""Operations whose effect, if there is any, shows on random inputs."""
KNOWN = frozenset(" ".join((MOVES, MAKES, SUMS)).split())
MOVING = frozenset(MOVES.split()) - {"zero_", "fill_"}
"""Those whose result holds values that they were given, and no others."""
READS = "_local_scalar_dense"
"""What `.item()`, `bool()` and `if` of a tensor are."""
UNSEEN = (
    "numpy tolist data_ptr __array__ storage untyped_storage __dlpack__ __repr__ __format__ apply_ map_ map2_ "
    "is_contiguous stride storage_offset requires_grad is_leaf grad_fn"
)
"""What reads or writes a tensor's memory, or how it is held, and is no operation."""
ALLOWED = "requires_grad"
"""The one attribute that may be set, as Norse's `initial_state` does: it gives a tensor no other memory."""
HOOKS = ("_global_forward_hooks", "_global_forward_pre_hooks")


class Outside(TorchDispatchMode):
    """Names what is computed outside of the layers that `enter` and `leave` announce, and where signals go.

    A clamp or a ReLU may leave all values alone that a comparison shows to it, and change others: so the
    operation counts, not its effect.
    """

    def __init__(self) -> None:
        super().__init__()
        self.depth: int = 0
        self.done = False
        self.found: dict[str, str] = {}
        self.draws: dict[str, str] = {}
        self.inner_draws: dict[str, str] = {}
        self.origins: Origins = Origins()
        self.states = Held()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and keep its name if it is neither inside of a layer nor known."""
        name = func.overloadpacket.__name__
        if torch.Tag.nondeterministic_seeded in func.tags:
            draws = self.draws if self.depth == 0 else self.inner_draws
            draws.setdefault(name, place())
        elif self.depth == 0 and (name not in KNOWN or "mode" in func._overloadname):
            self.found.setdefault(name, place())
        made = func(*args, **(kwargs or {}))
        if self.depth == 0 and not self.done:
            told = self.origins.hidden(args, kwargs or {}, made)
            if told:
                self.found.setdefault(told, place())
            self.origins.follow(name, name in MOVING, args, kwargs or {}, made)
            self.states.follow(name, args, made)
        return made

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch all that runs within: operations, and what is none."""
        with self, _Unseen(self):
            yield

    def begin(self, parts: Iterable[nn.Module], inputs: Tensor) -> Tensor:
        """Return the module's input, known as that from now on; what `parts`, no neurons, hold is constant."""
        for part in parts:
            for tensor in tensors_of([*vars(part).values(), *part._parameters.values(), *part._buffers.values()]):
                self.origins.hold(tensor)
        self.origins.note(inputs, INPUT)
        return inputs

    def gave(self, name: str, call: int, output: Tensor, beside: Any, steps: bool = False) -> None:
        """Note what a layer gave, and that what it gave beside that, its states, is followed no further.

        With `steps`, the output holds all steps of a layer that was given one input for all of them.
        """
        for tensor in tensors_of(beside):
            self.origins.note(tensor, None)
        if steps:
            self.origins.note_steps(output, name)
        else:
            self.origins.note(output, Gave(name, call))

    def enter(self) -> None:
        """Note that a layer begins."""
        self.depth += 1

    def leave(self) -> None:
        """Note that a layer ends."""
        self.depth -= 1

    def check(self) -> None:
        """Raise unless only known operations were met."""
        if self.draws:
            names = ", ".join(name + at(where) for name, where in list(self.draws.items())[:4])
            raise ConversionRefused(
                f"module: draws random numbers, {names}, so that no two runs are the same; expected none"
            )
        if READS in self.found:
            raise ConversionRefused(
                f"module: reads a value{at(self.found[READS])}, by which it may branch for other inputs than "
                "those compared; expected code that does the same for all inputs"
            )
        if self.found:
            names = ", ".join(name + at(where) for name, where in list(self.found.items())[:4])
            raise ConversionRefused(
                f"module: computes {names} outside of its layers, which may matter for other inputs than those "
                "compared; expected layers, moves, sums and means only"
            )


class _Unseen(TorchFunctionMode):
    """Notes where memory is read outside of layers, which no dispatcher sees."""

    def __init__(self, outside: Outside) -> None:
        super().__init__()
        self.outside = outside

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function of tensors, and keep the line of one that reads memory."""
        name = getattr(func, "__name__", "")
        sets = name == "__set__" and func.__self__.__name__ != ALLOWED
        name = func.__self__.__name__ if name == "__get__" else name
        if self.outside.depth == 0 and (sets or name in UNSEEN.split()):
            self.outside.found.setdefault(READS, place())
        return func(*args, **(kwargs or {}))


def check_plain(modules: Mapping[str, nn.Module]) -> None:
    """Raise where a layer does not run by its type's own methods."""
    if any(getattr(nn.modules.module, hooks) for hooks in HOOKS):
        raise ConversionRefused("module: runs under a forward hook on all modules, expected none")
    for name, module in modules.items():
        replaced = sorted(key for key in vars(module) if callable(getattr(type(module), key, None)))
        if replaced:
            raise ConversionRefused(f"{name}: has a {replaced[0]} of its own, expected that of {_kind(module)}")


def check_inside(modules: Mapping[str, nn.Module]) -> None:
    """Raise where a part of a neuron runs otherwise than its type says."""
    for name, module in modules.items():
        parts = {f"{name}.{child}": part for child, part in module.named_modules() if child}
        check_plain(parts)
        hooked = [part for part, inner in parts.items() if inner._forward_hooks or inner._forward_pre_hooks]
        if hooked:
            raise ConversionRefused(f"{hooked[0]}: has a forward hook, expected none inside of a neuron")


def check_types(module: nn.Module) -> None:
    """Raise unless all weights are of one floating-point type, which the network will compute in."""
    kinds = {str(weight.dtype) for weight in module.parameters() if weight.is_floating_point()}
    if len(kinds) > 1:
        raise ConversionRefused(f"module: has weights of {' and '.join(sorted(kinds))}, expected one type")


def numbers_of(module: nn.Module) -> dict[str, float | str]:
    """Return the numbers and names that parts of a user's own hold, by which a call may differ from the last."""
    parts = [(name, part) for name, part in module.named_modules() if library_of(part) not in INSIDE]
    held = [(f"{name}.{key}".strip("."), value) for name, part in parts for key, value in vars(part).items()]
    return {key: value for key, value in held if isinstance(value, int | float | str)}


def _kind(module: nn.Module) -> str:
    return type(module).__name__
