"""Operations of torch's dispatcher, written into a graph as they run: what `make_fx` does, a tenth of its time.

Each tensor is known by its identity. One that no recorded operation made is a constant of the graph.
"""

import operator
import sys
from dataclasses import dataclass
from typing import Any

import torch
import torch.fx.traceback as kept
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, is_fake, unset_fake_temporarily
from torch.fx import Graph, GraphModule, Node
from torch.fx._lazy_graph_module import _make_graph_module, _use_lazy_graph_module
from torch.fx.experimental.proxy_tensor import disable_autocast_cache
from torch.fx.immutable_collections import immutable_dict
from torch.fx.node import map_aggregate
from torch.utils._python_dispatch import TorchDispatchMode, autograd_would_have_decomposed
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from ..conversion.refusal import ConversionRefused
from ..validation import one_line
from .watching import Watching, line_here, line_of

aten = torch.ops.aten
PLAIN: Any = vars(Tensor)["__torch_dispatch__"]
"""What tensors have whose type does nothing of its own."""
SIZES = (aten.size.default, aten.stride.default, aten.storage_offset.default)


@dataclass(frozen=True)
class Kind:
    """What a graph keeps of a tensor: its shape and type, without values."""

    shape: torch.Size
    dtype: torch.dtype

    def dim(self) -> int:
        """Return how many axes it has."""
        return len(self.shape)


class Recording(TorchDispatchMode):
    """Writes a graph of what runs while it is entered: `graph_of` takes the place of a call.

    A number that is taken out of a tensor is refused, unless that is a constant, or made of numbers here.

    Args:
        watching: what watches a user's code, and knows its lines; None where an interpreter tells them.
        fakes: the mode of a run on fake tensors, which is given real ones as these: it knows what it did before.
    """

    def __init__(self, watching: Watching | None = None, fakes: FakeTensorMode | None = None) -> None:
        super().__init__()
        self.fakes, self.faked = fakes, WeakTensorKeyDictionary()
        self.watching, self.profile = watching, None if watching is None else watching.profile
        self.graph = Graph()
        self.held: dict[str, Tensor] = {}
        self.nodes = WeakTensorKeyDictionary()
        self.fixed: set[Node] = set()

    def graph_of(self, run: Any, inputs: Tensor) -> GraphModule:
        """Return the graph of a function of one tensor."""
        self.nodes[inputs] = node = self.graph.placeholder("x")
        node.meta["val"] = Kind(inputs.shape, inputs.dtype)
        with disable_autocast_cache(), self:
            found = run(inputs)
        self.graph.output(map_aggregate(found, self._node))
        with _use_lazy_graph_module(True):  # written as code when it is called, if ever
            return _make_graph_module(self.held, self.graph)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = immutable_dict()) -> Any:  # noqa: B008
        """Run an operation, and write it down."""
        watched = self.profile is not None and sys.getprofile() is self.profile
        if watched:
            sys.setprofile(None)
        try:
            return self._written(func, args, kwargs, self.profile if watched else None)
        except Exception as error:
            if self.watching is not None:  # where it is caught code goes another way
                self.watching.escapes.append(
                    str(error)
                    if isinstance(error, ConversionRefused)
                    else f"{line_here()}: {func.name()}: {one_line(error)[:160]}"
                )
            raise
        finally:
            if watched:
                sys.setprofile(self.profile)

    def _written(self, func: Any, args: Any, kwargs: Any, profile: Any) -> Any:
        if (
            torch.is_inference_mode_enabled()
            and (found := self._decomposed(func, args, kwargs)) is not NotImplemented
        ):
            return found
        if func.namespace == "profiler":  # names what runs for those who profile
            return func(*args, **kwargs)
        if func is aten.lift_fresh.default:  # what is made of numbers is changed in place by nobody else
            func = aten.lift_fresh_copy.default
        node = self.graph.call_function(func, map_aggregate(args, self._node), map_aggregate(kwargs, self._node))
        lines = kept.current_meta.get("stack_trace", "") if self.watching is None else self.watching.lines
        node.meta["stack_trace"] = lines
        given = [each for each in node.all_input_nodes if each.op != "get_attr"]
        if torch.Tag.data_dependent_output in func.tags:
            if not self.fixed.issuperset(given):
                raise ConversionRefused(
                    f"{line_of(node)}: {func.name()} takes a value out of a signal; expected none"
                )
            if not any(is_fake(leaf) for leaf in tree_leaves((args, kwargs))):
                with unset_fake_temporarily():
                    return func(*args, **kwargs)
        fixed = func is aten.lift_fresh_copy.default or (bool(given) and self.fixed.issuperset(given))
        if self.fakes is not None and func is not aten.lift_fresh_copy.default:
            args, kwargs = map_aggregate(args, self._fake), map_aggregate(kwargs, self._fake)
        if profile is None:
            found = func(*args, **kwargs)
        else:
            sys.setprofile(profile)
            found = func(*args, **kwargs)
            sys.setprofile(None)
        node.meta["val"] = map_aggregate(found, _kind)
        self._made(found, node, fixed)
        return found

    def _decomposed(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Return what the parts of an operation give, which torch tells apart itself but in its inference mode."""
        if func in SIZES or not autograd_would_have_decomposed(func, tree_leaves((args, kwargs))):
            return NotImplemented
        with self:
            return func.decompose(*args, **kwargs)

    def _made(self, found: Any, node: Node, fixed: bool) -> None:
        """Know what an operation gave, one tensor or several, by its node."""
        if isinstance(found, Tensor):
            self.nodes[found] = node
            if fixed:
                self.fixed.add(node)
        elif isinstance(found, tuple | list):
            for place, part in enumerate(found):
                if isinstance(part, Tensor | tuple | list):
                    own = self.graph.call_function(operator.getitem, (node, place))
                    own.meta.update({**node.meta, "val": node.meta["val"][place]})
                    self._made(part, own, fixed)

    def _fake(self, leaf: Any) -> Any:
        """Return a fake tensor in the place of a real one."""
        if self.fakes is None or not isinstance(leaf, Tensor) or is_fake(leaf):
            return leaf
        if leaf not in self.faked:
            self.faked[leaf] = self.fakes.from_tensor(leaf)
        return self.faked[leaf]

    def _node(self, leaf: Any) -> Any:
        """Return the node of a tensor; of one that nothing recorded made that of a constant."""
        if not isinstance(leaf, Tensor):
            return leaf
        own = getattr(type(leaf), "__torch_dispatch__", None)
        if own is not PLAIN and not isinstance(leaf, FakeTensor):
            raise ConversionRefused(f"module: computes with a {type(leaf).__name__}, expected plain tensors")
        if leaf not in self.nodes:
            real = leaf.layout is torch.strided and leaf.device.type != "meta" and not is_fake(leaf)
            if real and leaf.numel() and not leaf.data_ptr():
                raise ConversionRefused("module: takes values out of a tensor past torch (by DLPack?)")
            kind = "parameter" if isinstance(leaf, nn.Parameter) else "constant"
            name = f"{kind}_{len(self.held)}"
            self.held[name] = leaf
            self.nodes[leaf] = node = self.graph.get_attr(name)
            node.meta["val"] = Kind(leaf.shape, leaf.dtype)
        return self.nodes[leaf]


def _kind(leaf: Any) -> Any:
    return Kind(leaf.shape, leaf.dtype) if isinstance(leaf, Tensor) else leaf
