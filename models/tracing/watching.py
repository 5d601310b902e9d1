"""What leaves torch's dispatcher during a trace: a number that code takes out could lead anywhere, unseen."""

import gc
import re
import sys
from _lsprof import Profiler
from collections.abc import Callable, Sequence
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FrameType, MethodDescriptorType, WrapperDescriptorType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch._C import _len_torch_dispatch_stack
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes

from ..conversion.refusal import ConversionRefused

INSIDE = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]))
"""Folders whose frames are no user's code."""
PASSING = ("/torch/fx/experimental/proxy_tensor.py", "/torch/overrides.py", "/torch/utils/_stats.py")
"""Files of torch that pass calls on to whoever watches them."""
LIBRARIES = "site-packages"
LINE = re.compile(r'File "([^"]+)", line (\d+)')
DRIVER = "run_once"
"""What runs a module: who called that is no part of it."""
READS = frozenset(
    (
        *("numpy", "tolist", "item", "data_ptr", "__array__", "__array_wrap__", "__dlpack__"),
        *("__dlpack_device__", "to_dlpack", "__reduce_ex__", "__repr__", "__str__", "__format__", "__bool__"),
        *("__float__", "__int__", "__index__", "__contains__", "__deepcopy__", "share_memory_", "equal"),
        *("allclose", "apply_", "map_", "map2_", "__set__", "set_", "storage", "untyped_storage"),
        *("_typed_storage", "pin_memory"),
    )
)
"""What takes values out, or writes past the dispatcher, whoever calls it."""
INNER = frozenset(("untyped_storage", "set_", "__set__", "_typed_storage", "storage"))
"""Of these, what torch itself does to a tensor."""
TELLS = frozenset(
    (
        *("size", "dim", "ndimension", "numel", "nelement", "__len__", "is_floating_point", "is_complex"),
        *("get_device", "shape", "dtype", "device", "ndim", "layout", "requires_grad", "is_cuda"),
        *("is_sparse", "is_quantized", "type", "__setitem__", "__hash__", "is_tensor", "requires_grad_"),
        *("result_type", "promote_types", "grad", "broadcast_shapes", "is_leaf", "grad_fn", "names"),
        *("_backward_hooks", "retain_grad", "_version"),
    )
)
"""What tells no value: shapes, types, and whether gradients are on, which a second trace turns around."""


COMPARES = frozenset(
    (
        *("eq", "ne", "lt", "le", "gt", "ge", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"),
        *("any", "all", "as_tensor", "detach"),
    )
)
"""What makes of parameters what code may branch on."""
FILLS = frozenset(("full", "full_like", "new_full"))
"""What takes a number that may be a tensor."""
STANDARD = str(Path(re.__file__).parents[1])
"""Python's own library."""
STATE = torch._C
"""The module that holds torch's own state: private names of it tell a trace from a run."""
MODES = "torch/overrides.py"
TOLD = ("torch/utils/_python_dispatch.py", "torch/_guards.py")
"""Files of torch whose functions say what dispatches."""
MACHINERY = frozenset(("__enter__", "__exit__", "__torch_dispatch__", "__init__", "__new__"))
"""What torch itself calls there."""


BUILT_IN = (BuiltinFunctionType, MethodDescriptorType, WrapperDescriptorType)
PLAIN = frozenset((Tensor, nn.Parameter, int, float, bool, str, type(None), torch.dtype, torch.device, torch.Size))
"""Types by which no user's code runs."""
TELLING = (sys.setprofile, sys.settrace, sys.getprofile, gc.get_objects, gc.get_referrers)
"""What ends the watch, or tells of it."""
ASKS = frozenset(
    ("is_grad_enabled", "is_inference_mode_enabled", "is_autocast_enabled", "is_autocast_cpu_enabled")
)
"""Functions of torch that tell how a module is run: traces do not try all ways, with each size of a batch."""
GRADIENTS = frozenset(("requires_grad", "is_leaf", "grad_fn"))
"""What tells of a signal whether gradients are on."""
TAKES = frozenset(("numpy", "tolist", "_to_dlpack", "_to_dlpack_versioned"))
"""What takes values out of a tensor, whoever calls it, and passes no dispatcher."""
FRAMES = frozenset(("f_back", "tb_frame", "gi_frame", "cr_frame", "needs_input_grad"))
"""Attributes by which code sees which functions run, or a forward whether gradients are asked for."""
STACK = ("inspect.py", "traceback.py")
"""Python's own files that tell which functions run."""


class Watching(TorchFunctionMode):
    """Notes each call by a user's code that takes a value out of a tensor, or fails, even where that is caught.

    Args:
        fixed: tensors that a module holds, whose values are no signals.
        calls: whether calls that go to no tensor are watched, too, which makes a run twice as slow.
    """

    def __init__(self, fixed: Sequence[Tensor] = (), calls: bool = True) -> None:
        super().__init__()
        self.calls = calls
        self.profile: Any = self._called if calls else None  # one object, which is known again by identity
        self.told: dict[CodeType, bool] = {}
        self.escapes: list[str] = []
        self.lines = ""  # of the user's code that runs now; torch's own place for them tells that it is a trace
        self.fixed = {id(tensor): tensor for tensor in fixed}
        self.asked: tuple[Any, Tensor] | None = None
        self.taken = ""  # by a call that has passed no function of ours yet

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run a call, tell what it adds to a graph where it comes from, and look at what comes of it."""
        self.taken = ""  # first, as calls that follow are seen, too
        name, users = _name_of(func), _calls_from_outside()
        if name == "__deepcopy__" and len(args) == 2 and type(args[0]).__name__ in ("FakeTensor", "Tensor"):
            func, name, args = Tensor.clone, "clone", args[:1]
        if name in READS and len(args) == 1 and (known := self._known(args[0])) is not None:
            with _disable_current_modes():
                return func(known.detach(), **(kwargs or {}))
        if name in READS and (users or name not in INNER):
            self._note(f"takes values out of a tensor, or writes past torch's operations ({name})")
            raise ConversionRefused(self.escapes[-1])
        if name in FILLS and (known := self._known(args[1] if len(args) > 1 else None)) is not None:
            with _disable_current_modes():
                args = (*args[:1], known.item(), *args[2:])
        self.lines = "".join([f'File "{file}", line {line}, in code\n' for file, line in reversed(user_frames())])
        rests = self.calls and self._is_torchs_alone(func, (*args, *(kwargs or {}).values()))
        if rests:
            sys.setprofile(None)
        try:
            found = func(*args, **(kwargs or {}))
        except Exception as error:
            if users:
                self._note(f"{name}: {' '.join(str(error).split())[:160]}")
            raise
        finally:
            if rests:
                sys.setprofile(self.profile)
        if users and not _is_of_tensors(found) and (name not in TELLS or self._is_asked(name, args)):
            self._note(f"asks for what is no tensor ({name})")
        if name not in TELLS or name in ("__setitem__", "requires_grad_"):
            self.asked = self._compared(func, name, args, found)
        return found

    def _is_asked(self, name: str, args: tuple[Any, ...]) -> bool:
        """Return whether a user, not a library, asks of a signal whether gradients are on."""
        return name in GRADIENTS and self._known(args[0]) is None and LIBRARIES not in user_frames()[0][0]

    def _known(self, tensor: Any) -> Tensor | None:
        """Return a tensor that no input takes part in: one that the module holds, or was just made of some."""
        if self.asked is not None and self.asked[0] is tensor:
            return self.asked[1]
        return self.fixed.get(id(tensor))

    def _compared(self, func: Any, name: str, args: tuple[Any, ...], found: Any) -> tuple[Any, Tensor] | None:
        """Return what was made of such tensors alone, with its values: nothing may come between it and its use."""
        if name not in COMPARES or not args:
            return None
        values = [arg if isinstance(arg, int | float) else self._known(arg) for arg in args]
        if any(value is None for value in values):
            return None
        with _disable_current_modes(), torch.no_grad():
            return found, func(*values)

    def __enter__(self) -> Self:
        """Watch calls that go to no tensor, too."""
        self._before, self.depth = sys.getprofile(), 1  # what records
        if self.calls:
            sys.setprofile(self.profile)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        """Leave all as it was: one that profiles goes on, too."""
        if self.calls:
            sys.setprofile(self._before if callable(self._before) else None)
            if isinstance(self._before, Profiler):
                self._before.enable()
        super().__exit__(*error)

    def _is_torchs_alone(self, func: Any, given: tuple[Any, ...]) -> bool:
        """Return whether a call runs no user's code: of a built-in function, by no type or mode of a user's."""
        return (
            isinstance(func, BUILT_IN)
            and all(type(each) in PLAIN for each in given)
            and _len_torch_dispatch_stack() == self.depth
        )

    def _called(self, frame: FrameType, event: str, called: Any) -> None:
        """Note a call by which a user's code asks torch whether it is traced, or takes values unseen."""
        if event == "c_call":
            home, name = getattr(called, "__self__", None), called.__name__
            if (home is STATE and (name.startswith("_") or name in ASKS)) or called in TELLING:
                self._asked(name, frame)
            elif called is sys._getframe and _walks(frame.f_code):
                self._asked("_getframe", frame)
            if (name in TAKES and frame.f_code.co_filename != __file__) or (
                name in READS and isinstance(home, Tensor) and _asking(frame) is not None
            ):
                self.taken = name
        elif event == "call":
            code = frame.f_code
            tells = self.told.get(code)
            if tells is None:
                tells = self.told[code] = _tells(code)
            if tells:
                self._asked(code.co_name, frame.f_back if code.co_filename.startswith(INSIDE) else frame)
        elif self.taken and event != "return":
            self._note(f"takes values out of a tensor, past what watches it ({self.taken})")
            self.taken = ""

    def _asked(self, name: str, caller: FrameType | None) -> None:
        how = "how it is run" if name in ASKS else "whether it is traced"
        if (asks := _asking(caller)) is not None:
            self.escapes.append(f"{_line_among([asks])}: asks torch {how} ({name})")

    def _note(self, what: str) -> None:
        self.escapes.append(f"{_line_among(user_frames())}: {what}")


def _tells(code: CodeType) -> bool:
    """Return whether a function tells what dispatches, or reads which functions run."""
    if code.co_filename.startswith(INSIDE):
        modes = code.co_filename.endswith(MODES) and code.co_name.startswith("_get_current_function_mode")
        return modes or (code.co_filename.endswith(TOLD) and code.co_name not in MACHINERY)
    return _walks(code) and code.co_name != "backward" and not FRAMES.isdisjoint(code.co_names)


def _walks(code: CodeType) -> bool:
    """Return whether it is a user who looks which functions run, not what makes a class or a message."""
    file = code.co_filename
    return file.endswith(STACK) or not file.startswith((STANDARD, "<")) or LIBRARIES in file


def _asking(frame: FrameType | None) -> tuple[str, int] | None:
    """Return the line of a user's code that calls, through Python's own library or not; None where torch does."""
    while frame is not None and (
        frame.f_code.co_filename.startswith((STANDARD, "<")) and LIBRARIES not in frame.f_code.co_filename
    ):
        frame = frame.f_back
    if frame is None or frame.f_code.co_filename.startswith(INSIDE):
        return None
    return frame.f_code.co_filename, frame.f_lineno


def _calls_from_outside() -> bool:
    """Return whether it is a user's code that calls, through nothing but what passes calls on."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.endswith(PASSING):
        frame = frame.f_back
    return frame is not None and not frame.f_code.co_filename.startswith(INSIDE)


def _name_of(func: Callable[..., Any]) -> str:
    name = getattr(func, "__name__", str(func))
    attribute = getattr(getattr(func, "__self__", None), "__name__", name)
    return attribute if name == "__get__" or attribute == "requires_grad" else name


def _is_of_tensors(found: Any) -> bool:
    if isinstance(found, tuple | list):
        return all(map(_is_of_tensors, found))
    return isinstance(found, Tensor) or found is None or found is NotImplemented


def user_frames() -> list[tuple[str, int]]:
    """Return the lines of users' and libraries' code that run now, innermost first, up to what runs the module."""
    frames: list[tuple[str, int]] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != DRIVER:
        if not frame.f_code.co_filename.startswith((*INSIDE, "<")):
            frames.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return frames


def line_here() -> str:
    """Return the innermost of these lines, a user's before a library's."""
    return _line_among(user_frames())


def frames_of(node: torch.fx.Node) -> tuple[tuple[str, int], ...]:
    """Return the lines of users' and libraries' code that an operation of a graph comes from, outermost first."""
    told = LINE.findall(node.meta.get("stack_trace") or "")
    return tuple((file, int(line)) for file, line in told)


def line_of(node: torch.fx.Node) -> str:
    """Return the innermost of these lines, a user's before a library's."""
    return _line_among(frames_of(node)[::-1])


def _line_among(frames: Sequence[tuple[str, int]]) -> str:
    users = (frame for frame in frames if LIBRARIES not in frame[0] and not frame[0].startswith(STANDARD))
    own = next(users, None) or next(iter(frames), None)
    return "module" if own is None else f"{Path(own[0]).name}:{own[1]}"
