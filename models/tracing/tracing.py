"""One flat graph of torch's operations over all steps, and nothing of the user's process changed.

A module is copied and recorded (`recording.py`): once on fake tensors, which hold no values, and once on real
ones, in a batch of another size and with gradients on. Both must be the same function (`encoding.py` compares
them). What leaves torch's dispatcher is noted and refused (`watching.py`), the graph must give bit for bit what
the module gives on real inputs, and a tensor in it must be one that the module holds or makes, no signal made out
of sight. In-place updates become plain operations by `functionalize`.
"""

import copy
import functools
import io
import itertools
import logging
import math
import operator
import os
import random
import sys
import traceback
import warnings
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import replace
from hashlib import sha256
from numbers import Number
from pathlib import Path
from types import BuiltinMethodType, CellType, CodeType, FunctionType, GeneratorType, MethodType, ModuleType
from typing import Any, Literal

import numpy as np
import torch
import torch.fx.traceback as kept
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx import GraphModule, Interpreter, Node
from torch.fx.immutable_collections import immutable_dict
from torch.utils._pytree import tree_leaves

from ..conversion.checking import are_alike
from ..conversion.refusal import ConversionRefused
from ..conversion.sources import FunctionModule, Source, restart, run_once
from ..validation import one_line
from .recording import Recording
from .watching import INSIDE, LIBRARIES, STANDARD, Watching, line_of

META = logging.getLogger("torch._subclasses.fake_tensor")
BATCHES = (3, 5, 7, 11, 13, 17, 19), (67, 71, 73, 79, 83)
"""Sizes of the two batches of traces, of which those are taken that are no other size of the sample."""


class DrawsNumbers(ConversionRefused):
    """A module that draws random numbers."""


class CopiedFunction(FunctionModule):
    """A function as a module; copies of it call a copy, with copies of the modules that it reads."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "CopiedFunction":
        """Return one of a copied function."""
        return CopiedFunction(_copied(self.function, memo))

    def train(self, mode: bool = True) -> "CopiedFunction":
        """Set the mode of the modules that the function reads."""
        for part in _held(self.function).values():
            if isinstance(part, nn.Module):
                part.train(mode)
        return self


COPIES = ("clone", "contiguous", "detach", "alias", "lift_fresh_copy", "view", "_unsafe_view", "expand")
"""Operations that change no value, which depend on how memory lies."""
SIZES = ("size", "sizes", "split_size", "split_sizes", "repeats")
"""How torch names arguments that may be as large as the batch."""
LEAF = "The .grad attribute of a Tensor that is not a leaf"
"""What torch warns of where a trace reads a tensor of another module, such as those that snnTorch resets."""
NUMBERS = (Number, np.generic, str, bytes, type(None))
"""What an attribute of a module counts by."""
CALLING = (property, MethodType, BuiltinMethodType, staticmethod, classmethod, functools.partial)
"""What calls what it holds."""
PLAIN_OBJECTS = ("types", "argparse", "queue")
"""Modules of Python's own whose objects hold what a user put there."""
MOST_REACHED = 200_000
"""Objects that a module's code may reach."""
WARM = 4
"""Calls of a module that loops over time itself before the second trace: a count of calls shows."""


def _held(function: Any) -> dict[str, Any]:
    """Return what a function reads of its closure and of its file, by name."""
    code = getattr(function, "__code__", None)
    if not isinstance(function, FunctionType) or code is None:
        return {"__self__": getattr(function, "__self__", None)}
    known = zip(code.co_freevars, function.__closure__ or (), strict=True)
    cells = {name: cell.cell_contents for name, cell in known if cell != CellType()}
    names = sorted(_names_in(code) & function.__globals__.keys())
    return {name: function.__globals__[name] for name in names} | cells


def _names_in(code: CodeType) -> set[str]:
    """Return the names that code reads of its file and of objects, code within it as well."""
    inner = (each for each in code.co_consts if isinstance(each, CodeType))
    return set(code.co_names).union(*map(_names_in, inner))


def _read_of(function: FunctionType) -> dict[str, Any]:
    """Return what a function reads, of modules that it names (`helpers.state`) as well, and what it has itself."""
    read, names = _held(function) | vars(function) | (function.__kwdefaults__ or {}), _names_in(function.__code__)
    read |= {f"default {place}": each for place, each in enumerate(function.__defaults__ or ())}
    ahead = [each for each in read.values() if isinstance(each, ModuleType)]
    for module in ahead:  # which grows
        new = {f"{module.__name__}.{name}": vars(module)[name] for name in names & vars(module).keys()}
        ahead += [each for name, each in new.items() if isinstance(each, ModuleType) and name not in read]
        read |= new
    return read


def _copied(function: Any, memo: dict[int, Any]) -> Any:
    if not isinstance(function, FunctionType):
        return copy.deepcopy(function, memo)
    kinds = (nn.Module, Tensor, list, dict)
    own = {name: copy.deepcopy(part, memo) for name, part in _held(function).items() if isinstance(part, kinds)}
    own |= {
        name: _copied(part, memo)
        for name, part in _held(function).items()
        if isinstance(part, FunctionType) and part is not function and part.__module__ == function.__module__
    }
    names = function.__code__.co_freevars
    cells = (
        CellType(own.get(name, cell.cell_contents))
        for name, cell in zip(names, function.__closure__ or (), strict=True)
    )
    made = FunctionType(
        function.__code__, {**function.__globals__, **own}, function.__name__, function.__defaults__, tuple(cells)
    )
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def traced(source: Source, inputs: Tensor, mode: Literal["fake", "real"], grad: bool) -> GraphModule:
    """Return the graph of one run on inputs of this shape, with what it changes in place; see `pure`.

    Fake tensors tell by their type that they are no real ones. So what must not be asked is watched in runs on
    real ones, which look as any other: a graph of fake ones that is another is refused.

    Args:
        source: a module and how to run it.
        inputs: (batch, ...) or (batch, T, ...).
        mode: "fake" or "real".
        grad: whether gradients are on, and the inputs need some.

    Raises:
        ConversionRefused: for what leaves torch's dispatcher, fails, or changes what it keeps.
    """
    own, seen = copied(source), _Counting(allow_non_fake_inputs=True)
    parts = [leaf for part in own.module.modules() for leaf in tree_leaves(dict(vars(part)))]
    watching = Watching([leaf for leaf in parts if isinstance(leaf, Tensor)], mode == "real" and not source.own)
    before = after = dict[int, Any]()
    for _ in range(WARM if grad and source.num_steps is None else 0):
        before = after
        with undisturbed(), torch.no_grad():
            run_once(own, inputs[:2])
        restart(own.module)
        after = Remembered.by(own.module).seen
    given = inputs.clone().requires_grad_(grad)
    given = seen.from_tensor(given) if mode == "fake" else given
    try:
        with (
            undisturbed(),
            _told(),
            torch.set_grad_enabled(grad),
            seen if mode == "fake" else nullcontext(),
            watching,
        ):
            recording = Recording(watching, seen if mode == "fake" else None)
            graph = recording.graph_of(lambda x: run_once(own, x), given)
    except ConversionRefused:
        _check_runs(source, inputs)
        raise
    if watching.escapes:
        raise ConversionRefused(
            f"{watching.escapes[0]}; expected torch's operations alone, so that all that is computed can be seen"
        )
    if any(id(each) in after and id(each) not in before and each.numel() for each in recording.held.values()):
        raise ConversionRefused("module: reads a tensor that its last call left; expected a function of its input")
    if _changes_in_place(graph) < seen.changes:
        raise ConversionRefused("module: changes a signal in place, out of sight (in another thread?)")
    return graph


def _check_runs(source: Source, inputs: Tensor) -> None:
    """Raise for a module that does not run on these inputs, whether it is traced or not."""
    try:
        with undisturbed(), torch.no_grad():
            run_once(copied(source), inputs)
    except ConversionRefused:
        raise
    except Exception as error:
        told = (
            f"module: can't run on inputs of shape {tuple(inputs.shape)}: {one_line(error)}{_cure(source, inputs)}"
        )
        raise ConversionRefused(told) from error


def _cure(source: Source, inputs: Tensor) -> str:
    """Return what to do where the module takes the same numbers in one row each, or ""."""
    flat = inputs.flatten(1)
    try:
        with undisturbed(), torch.no_grad():
            run_once(copied(source), flat)
    except Exception:
        return ""
    return f"; it runs on {tuple(flat.shape)}: give it x.flatten(1) (--flat), or let its forward begin with that"


def pure(source: Source, graph: GraphModule, inputs: Tensor) -> GraphModule:
    """Return a graph of a module in which new tensors take the place of what it changes in place."""
    if not _changes_in_place(graph):
        return graph
    run = torch.func.functionalize(lambda x: Interpreter(graph).run(x), remove="mutations")
    try:
        with undisturbed(), torch.no_grad(), kept.preserve_node_meta(), _told():
            return Recording().graph_of(run, inputs)
    except ConversionRefused:
        _check_runs(source, inputs)
        raise


def skeleton(graph: GraphModule) -> Any:
    """Return what outputs are made of, operation by operation, without the sizes, copies and shapes in it."""
    made: dict[Node, Any] = {}

    def told(value: Any) -> Any:
        """Return what an argument is."""
        if isinstance(value, Node):
            return made[value]
        return tuple(map(told, value)) if isinstance(value, list | tuple) else str(value)

    for node in graph.graph.nodes:
        held = getattr(graph, str(node.target)) if node.op == "get_attr" else None
        if isinstance(held, Tensor) and held.is_meta:  # of a neuron that snnTorch still lists: it has no values
            what = f"meta {node.name}"
        else:
            what = name_of(node) or str(node.op) if node.op != "get_attr" else digest(held)
        given, named = told(_without_sizes(node)), told(sorted(node.kwargs.items()))
        if what == "addmm" and not node.kwargs:  # torch adds a bias so, or behind the product, as memory lies
            what, given = "add", (_hashed("mm", given[1:], named), given[0])
        made[node] = given[0] if what in COPIES else _hashed(what, given, named)
    return list(made.values())[-1]  # of the output


def _without_sizes(node: Node) -> list[Any]:
    """Return a node's arguments; in place of sizes, which batches have their own of, None."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return list(node.args)
    names = [argument.name for argument in node.target._schema.arguments]
    found: list[Any] = [None if name in SIZES else value for name, value in zip(names, node.args, strict=False)]
    if name_of(node) == "permute" and len(found[1]) > 2:
        found[1] = None  # einsum orders axes by their sizes
    if name_of(node) == "slice" and len(found) > 3 and found[3] >= _size_along(*node.args[:2]):
        found[3] = None  # to the end
    return found


def _size_along(node: Any, dim: Any) -> float:
    """Return how many entries a value has along an axis."""
    value = node.meta.get("val") if isinstance(node, Node) else None
    return value.shape[dim] if isinstance(value, Tensor) else math.inf


def _hashed(*parts: Any) -> str:
    return sha256(str(parts).encode()).hexdigest()


def name_of(node: Node) -> str:
    """Return the name of a node's operation, without its overload; "" for another node."""
    return node.target.__name__.split(".")[0] if isinstance(node.target, torch._ops.OpOverload) else ""


def digest(tensor: Tensor | None) -> str:
    """Return what tells a constant from others."""
    if tensor is None:
        return ""
    told = str((tensor.dtype, tuple(tensor.shape))).encode()
    return sha256(tensor.detach().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes() + told).hexdigest()


def copied(source: Source) -> Source:
    """Return a source of its own, in evaluation mode and from its first states.

    Raises:
        ConversionRefused: for a module that can't be copied.
    """
    try:
        module = source.module
        module = CopiedFunction(module.function) if type(module) is FunctionModule else module
        _check_copies(module)
        module = copy.deepcopy(module, _computed(module))
        module.eval()
    except ConversionRefused:
        raise
    except Exception as error:
        raise ConversionRefused(f"module: can't be copied, so it can't be run apart: {one_line(error)}") from error
    restart(module)
    return replace(source, module=module)


COPYING = ("__deepcopy__", "__getstate__", "__setstate__", "__reduce__", "__reduce_ex__", "__getnewargs_ex__")
"""What makes a copy of an object another one."""


def _check_copies(module: nn.Module) -> None:
    """Raise for parts, or what they hold, that say themselves what a copy of them is: it may do otherwise."""
    for path, part in module.named_modules():
        for name, held in [("", part), *vars(part).items()]:
            kind = type(held)
            own = next((each for each in COPYING if _is_own(getattr(kind, each, None))), None)
            if own is not None:
                where = f"{path}.{name}".strip(".") or "module"
                told = f"{kind.__name__} has a {own} of its own; expected copies that are the same"
                raise ConversionRefused(f"{where}: can't be copied safely: {told}")


def _is_own(method: Any) -> bool:
    """Return whether it is a user's code that makes copies."""
    code = getattr(method, "__code__", None)
    return (
        code is not None
        and not code.co_filename.startswith((*INSIDE, STANDARD, "<"))
        and LIBRARIES not in code.co_filename
    )


def _computed(module: nn.Module) -> dict[int, Tensor]:
    """Return copies of tensors that a module computed of its weights, which torch does not copy, by identity."""
    held = (value for part in module.modules() for value in (*vars(part).values(), *part.buffers(recurse=False)))
    return {id(value): value.detach().clone() for value in held if isinstance(value, Tensor) and not value.is_leaf}


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leave random numbers, and the states of all of snnTorch's neurons, as they were.

    snnTorch lists its neurons, copies too, and resets all of a kind at once.
    """
    states, numbers = random.getstate(), np.random.get_state()
    known, spoken = sys.modules.get("snntorch._neurons.neurons"), META.level
    neurons = [] if known is None else known.SpikingNeuron.instances
    before = [(neuron, dict(vars(neuron)), dict(neuron._buffers)) for neuron in neurons]
    listed = list(neurons)
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.filterwarnings("ignore", LEAF)
            META.setLevel(logging.CRITICAL)  # of an operation that fails we tell in one line ourselves
            yield
    finally:
        META.setLevel(spoken)
        random.setstate(states)
        np.random.set_state(numbers)
        for neuron, own, buffers in before:
            vars(neuron).update(own)
            neuron._buffers.update(buffers)
        neurons[:] = listed


@contextmanager
def _told() -> Iterator[None]:
    """Make a refusal, with the user's line, of whatever a module raises."""
    try:
        yield
    except ConversionRefused:
        raise
    except Exception as error:
        frames = [
            frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(INSIDE)
        ]
        place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "module"
        raise ConversionRefused(
            f"{place}: can't be traced: {type(error).__name__}: {one_line(error)[:200]}; expected torch's "
            "operations, and no branch on values"
        ) from error


class _Counting(FakeTensorMode):
    """Counts what changes fake tensors in place, also where nobody records it."""

    changes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = immutable_dict()) -> Any:  # noqa: B008
        """Run an operation on fake tensors."""
        self.changes += func._schema.is_mutable
        return super().__torch_dispatch__(func, types, args, kwargs)


def _changes_in_place(graph: GraphModule) -> int:
    """Return how many operations change a tensor in place.

    Raises:
        ConversionRefused: for signals made out of sight, random numbers, and changes of what is kept or given.
    """
    changes = 0
    for node in graph.graph.nodes:
        if node.op == "get_attr" and isinstance(getattr(graph, node.target), FakeTensor):
            raise ConversionRefused(
                f"{line_of(node)}: uses a signal that was made out of sight (in another thread?)"
            )
        if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
            continue
        if node.target.namespace not in ("aten", "prim"):
            raise ConversionRefused(f"{line_of(node)}: {node.target.name()}: expected torch's own operations")
        if torch.Tag.nondeterministic_seeded in node.target.tags:
            raise DrawsNumbers(f"{line_of(node)}: draws random numbers; expected the same at each run")
        for place, argument in enumerate(node.target._schema.arguments):
            if argument.alias_info is None or not argument.alias_info.is_write:
                continue
            changes += 1
            root = _root(node.args[place] if place < len(node.args) else node.kwargs[argument.name])
            if root is not None and root.op in ("placeholder", "get_attr"):
                what = "its input" if root.op == "placeholder" else "a tensor that it keeps"
                raise ConversionRefused(
                    f"{line_of(node)}: changes {what} in place; expected a new tensor (x = x + y)"
                )
    return changes


def _root(node: Any) -> torch.fx.Node | None:
    """Return what made the memory that a node is a view of, or changed in place."""
    while isinstance(node, torch.fx.Node) and isinstance(node.target, torch._ops.OpOverload):
        shared = [
            given for given, told in zip(node.args, node.target._schema.arguments, strict=False) if told.alias_info
        ]
        if not shared:
            return node
        node = shared[0]
    return node if isinstance(node, torch.fx.Node) else None


def batches(sample: Tensor, num_steps: int | None) -> tuple[Tensor, Tensor]:
    """Return inputs of two batches, of sizes that are no other size of the sample."""
    taken = (*sample.shape[1:], num_steps)
    first, second = (next(size for size in sizes if size not in taken) for sizes in BATCHES)
    return sample[torch.arange(first) % len(sample)], sample[torch.arange(second) % len(sample)]


def check_alike(source: Source, graph: GraphModule, inputs: Tensor) -> None:
    """Raise unless the graph gives what the module gives, bit for bit.

    One that loops over time itself is called again and again, one that does a step a call starts afresh each time.
    """
    lying = inputs.transpose(0, -1).contiguous().transpose(0, -1)
    own = copied(source)
    before = {} if source.num_steps is None else Remembered.by(own.module).told  # a first call may set some
    with undisturbed(), torch.no_grad(), _told():
        for x in (inputs, torch.zeros_like(inputs), inputs.flip(0) * 3.0 - 1.0, inputs, lying):
            expected, found = run_once(own, x), graph(x.clone(memory_format=torch.contiguous_format))
            alike = are_alike if x is lying else torch.equal
            if len(expected) != len(found) or not all(map(alike, expected, found)):
                raise ConversionRefused(
                    "module: gives something else than its recorded operations; expected a function of its input "
                    "alone, that keeps nothing between calls"
                )
            restart(own.module)
            numbers = Remembered.by(own.module).told
            _check_numbers(before, numbers)
            before = numbers if source.num_steps is None else before
            own = own if source.num_steps is None else copied(source)


def _is_users(what: Any) -> bool:
    """Return whether a class or function is of a user's code."""
    file = getattr(sys.modules.get(what.__module__), "__file__", None) or ""
    return not file.startswith((*INSIDE, STANDARD)) and LIBRARIES not in file and what.__module__ != "builtins"


class Remembered:
    """What code of a module's parts may remember by from call to call.

    That is all that is reached from attributes of parts, of their classes and of tensors, and from what functions
    of these read of their files and closures and have as defaults.

    Attributes:
        told: numbers, texts, sizes, the environment, and how far iterators, files and generators of random numbers
            are, by where they stand; values of tensors are no part of it.
        seen: the objects, by identity.
    """

    def __init__(self) -> None:
        self.told: dict[str, Any] = {}
        self.ahead: list[tuple[str, Any]] = []
        self.seen: dict[int, Any] = {}

    @staticmethod
    def by(module: nn.Module) -> "Remembered":
        """Return what a module's code reaches now.

        Raises:
            ConversionRefused: for an iterator of which it is not known how far it is.
        """
        found = Remembered()
        roots = {"random": random._inst, "numpy.random": np.random.mtrand._rand, "environment": dict(os.environ)}
        found.ahead = [*roots.items(), *module.named_modules()]
        while found.ahead:
            found.look(*found.ahead.pop())
        return found

    def see(self, path: str, value: Any) -> None:
        """Tell a number; look at what may hold some later, once."""
        if isinstance(value, NUMBERS):
            self.told[path] = value
        elif id(value) not in self.seen:
            if len(self.seen) >= MOST_REACHED:
                raise ConversionRefused(f"module: reaches more than {MOST_REACHED} objects, expected fewer")
            self.seen[id(value)] = value
            self.ahead.append((path, value))

    def look(self, path: str, value: Any) -> None:
        """See what an object holds, or tell how far it is."""
        if isinstance(value, Mapping | list | tuple | deque):
            self.told[f"the length of {path}"] = len(value)
            parts = value.items() if isinstance(value, Mapping) else enumerate(value)
            self._each({f"{path}[{key}]": each for key, each in parts} | _parts_of(path, value))
        elif isinstance(value, set | frozenset | bytearray | array):
            self.told[path] = sorted(map(repr, value))
            self._each(_parts_of(path, value))
        elif isinstance(value, np.ndarray):
            self.told[path] = sha256(value.tobytes()).hexdigest()
        elif isinstance(value, FunctionType):
            if _is_users(value):
                self._each({f"{value.__name__}.{name}": each for name, each in _read_of(value).items()})
        elif isinstance(value, ModuleType):
            kept = {name: each for name, each in vars(value).items() if isinstance(each, NUMBERS)}
            self._each({f"{value.__name__}.{name}": each for name, each in kept.items()})
        elif isinstance(value, type):
            if _is_users(value):
                held = vars(value) | {
                    f"base {place}": each for place, each in enumerate((*value.__bases__, type(value)))
                }
                self._each({f"{value.__name__}.{name}": each for name, each in held.items()})
        elif (told := _how_far(path, value)) is not None:
            self.told[path] = told
            held = getattr(getattr(value, "gi_frame", None), "f_locals", {})
            self._each({f"{path}.{name}": each for name, each in held.items()})
        else:
            self._each(_parts_of(path, value))

    def _each(self, parts: Mapping[str, Any]) -> None:
        for name, each in parts.items():
            self.see(name, each)


def _parts_of(path: str, value: Any) -> dict[str, Any]:
    """Return the parts of an object: of a property, method or partial function what it calls; of a user's all."""
    kind, held = type(value), dict(getattr(value, "__dict__", {}))
    names: Iterable[str] = ("__wrapped__",) if "__wrapped__" in held else ()
    if isinstance(value, CALLING):
        names = ("fget", "fset", "__func__", "__self__", "func", "args", "keywords", *names)
    elif kind.__module__ in PLAIN_OBJECTS or isinstance(value, nn.Module | Tensor) or _is_users(kind):
        slots = (getattr(each, "__slots__", ()) for each in kind.__mro__ if not isinstance(value, Tensor))
        names = (
            *held,
            "__class__",
            *(name for each in slots for name in ([each] if isinstance(each, str) else each)),
        )
    found = {f"{path}.{name}": held.get(name, getattr(value, name, None)) for name in names}
    return found | ({path: value.get(None)} if isinstance(value, ContextVar) else {})


def _how_far(path: str, value: Any) -> Any:
    """Return how far what moves on from call to call is; None for what does not."""
    if isinstance(value, random.Random):
        return hash(value.getstate())
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return str(value._bit_generator.state)  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(value, io.IOBase):
        return "closed" if value.closed or not value.seekable() else value.tell()
    if isinstance(value, GeneratorType):
        return -1 if value.gi_frame is None else value.gi_frame.f_lasti
    if isinstance(value, itertools.count):
        return repr(value)
    if isinstance(value, Iterator) and not isinstance(value, nn.Module):
        if (left := operator.length_hint(value, -1)) < 0:
            told = f"is a {type(value).__name__}, which calls may move on; expected a list"
            raise ConversionRefused(f"module: {path}: {told}")
        return left
    return None


def _check_numbers(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Raise where a number is another after a call, and its start again: by it later calls may do otherwise."""
    changed = [name for name, value in before.items() if name in after and after[name] != value == value]
    if changed:
        told = changed[0].removesuffix("[0]").removeprefix(".")
        raise ConversionRefused(f"module: changes {told} at each call; expected the same function at each call")
