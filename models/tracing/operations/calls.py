"""The table of torch's operations that are understood, and one call of one of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.fx import Node

from ...conversion.refusal import ConversionRefused
from ...validation import one_line
from ..followed import FollowedSignal, constant, laid_alike
from ..polynomials import Bent, Graded, Polynomial, Uncancelled, entries_of
from ..recording import Kind
from ..tracing import name_of
from ..watching import line_of

INSTEAD = {
    "clamp": "a lower bound of the potential is no neuron that is known here; leave it out",
    "relu": "a ReLU of what is no spike is no part of a spiking network; leave it out",
    "bmm": "a product of two signals (attention) is no part of a network here",
    "native_layer_norm": "its statistics come from the sample itself; use a batch norm",
    "native_group_norm": "its statistics come from the sample itself; use a batch norm",
    "sigmoid": "of a signal it is a graded gate; of a parameter alone it is a constant",
    "flip": "turns an axis around; expected fixed indices (x[:, places])",
    "unsafe_split": "gates that are graded signals (LSTM, GRU) are no part of a spiking network here",
    "upsample_bilinear2d": "weighs pixels beside each other, expected mode 'nearest'",
    "tanh": "of a signal it is no spike; compare with a threshold",
    "cat": "paths that are put side by side are no sum; add them, or use one layer",
    "_local_scalar_dense": "a value of a signal is taken as a number (.item()); compare tensors instead",
    "_softmax": "a softmax of each step is no readout here, and its sum no class of sums; return what it is of, "
    "which is another network, of readout='summed'",
    "index": "picks by values; multiply by the mask, or use torch.where",
}
"""What to do about operations that are not understood."""
WRITTEN = {
    "max_pool2d_with_indices": "F.max_pool2d",
    "max_pool1d_with_indices": "F.max_pool1d",
    "max_pool3d_with_indices": "F.max_pool3d",
    "native_layer_norm": "F.layer_norm",
    "native_group_norm": "F.group_norm",
    "native_batch_norm": "F.batch_norm",
    "_native_batch_norm_legit": "F.batch_norm",
    "_native_batch_norm_legit_no_training": "F.batch_norm",
    "native_dropout": "F.dropout",
    "upsample_bilinear2d": "F.interpolate(mode='bilinear')",
    "upsample_nearest2d": "F.interpolate(mode='nearest')",
    "constant_pad_nd": "F.pad",
    "reflection_pad2d": "F.pad(mode='reflect')",
    "replication_pad2d": "F.pad(mode='replicate')",
    "addmm": "F.linear",
    "convolution": "F.conv",
    "_adaptive_avg_pool2d": "F.adaptive_avg_pool2d",
    "_local_scalar_dense": ".item()",
    "_softmax": "F.softmax",
    "_log_softmax": "F.log_softmax",
    "unsafe_split": "chunk or split",
}
"""What people write, of which torch makes operations of these names."""
EACH_ENTRY = (
    *("detach", "alias", "clone", "view", "_unsafe_view", "reshape", "constant_pad_nd", "convolution"),
    *("add", "sub", "mul", "neg"),
)
"""What may be done to signals that have samples and features in one axis, or are spread along a new one."""
DTYPES = (torch.float32, torch.float64, torch.bool, torch.int64)


@dataclass(frozen=True)
class TracedCall:
    """One operation on signals.

    Attributes:
        node, args, kwargs: of the graph, with values in the place of nodes.
        batch: how many samples.
        fire: makes spikes of what is compared with 0, step by step, strictly or not.
        entrywise: the lines whose batch norms are read as factors and constants of channels.
    """

    node: Node
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    batch: int
    fire: Callable[["TracedCall", FollowedSignal, bool], FollowedSignal]
    entrywise: frozenset[tuple[tuple[str, int], ...]] = frozenset()

    @property
    def name(self) -> str:
        """Return the operation's name, without its overload."""
        return name_of(self.node)

    @property
    def result(self) -> Any:
        """Return a tensor like the result, without values; the first of several."""
        found = self.node.meta["val"]
        return found[0] if isinstance(found, tuple | list) else found

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the result's shape."""
        return tuple(self.result.shape)

    @property
    def operands(self) -> torch.dtype:
        """Return the dtype in which two operands meet."""
        return torch.result_type(*map(_like, self.node.args[:2], self.args[:2]))

    def option(self, place: int, name: str, default: Any) -> Any:
        """Return an argument by its place or name."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)

    def alike(
        self, one: Any, other: Any, dtype: torch.dtype | None = None
    ) -> tuple[FollowedSignal, FollowedSignal]:
        """Return two operands, one of which may be a constant, laid out alike."""
        kind = dtype or self.result.dtype
        if not isinstance(one, FollowedSignal):
            one = constant(one, other, kind)
        if not isinstance(other, FollowedSignal):
            other = constant(other, one, kind)
        return laid_alike(one, other)

    def each(
        self,
        make: Callable[[Polynomial, Polynomial], Polynomial],
        one: Any,
        other: Any,
        dtype: torch.dtype | None = None,
    ) -> FollowedSignal:
        """Return what an operation makes of two operands, step by step."""
        first, second = self.alike(one, other, dtype)
        wider = first if len(first.features) >= len(second.features) else second
        return wider.with_steps([make(*pair) for pair in zip(first.steps, second.steps, strict=True)])

    def refuse(self, reason: str) -> NoReturn:
        """Raise the refusal of this operation, with the user's line."""
        raise ConversionRefused(f"{line_of(self.node)}: {WRITTEN.get(self.name, self.name)}: {reason}")


def _like(given: Any, value: Any) -> Any:
    """Return an operand as torch sees its type: a number, or a tensor of as many axes."""
    tensor = given.meta["val"] if isinstance(value, FollowedSignal) else value
    return torch.empty([1] * tensor.dim(), dtype=tensor.dtype) if isinstance(tensor, Tensor | Kind) else value


Handler = Callable[[TracedCall], Any]
HANDLERS: dict[str, Handler] = {}
"""What each operation makes of signals."""


def reads(*names: str) -> Callable[[Handler], Handler]:
    """Return a decorator that lists a function as what reads operations of some names."""

    def listed(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return listed


REDUCING = (
    "amax amin max min argmax argmin any all norm linalg_vector_norm var std var_mean std_mean count_nonzero "
    "cumsum prod logsumexp _softmax _log_softmax sort topk flip roll as_strided slice_scatter "
    "native_layer_norm native_group_norm convolution"
)
REDUCES = frozenset(REDUCING.split())
"""What runs on any numbers, besides what is entry by entry and what is understood."""


def runs_always(node: Node) -> bool:
    """Return whether an operation runs on all numbers: one that fails for some of them is a branch on values."""
    name, kind = name_of(node), getattr(node.meta.get("val"), "dtype", torch.float32)
    if name in ("index", "index_put"):
        places: Any = node.args[1]
        return all(not isinstance(each, Node) or each.meta["val"].dtype == torch.bool for each in places)
    entrywise = isinstance(node.target, torch._ops.OpOverload) and torch.Tag.pointwise in node.target.tags
    return name in ("", "device") or name in HANDLERS or name in REDUCES or (entrywise and kind != torch.int64)


def understood(call: TracedCall) -> Any:
    """Return what a call makes of signals.

    Raises:
        ConversionRefused: for an operation that is not known, or not with these operands.
    """
    handler = HANDLERS.get(call.name)
    if call.name not in EACH_ENTRY and not all(arg.plain for arg in call.args if isinstance(arg, FollowedSignal)):
        call.refuse("is of samples and features in one axis, or of steps times constants of each; no layer is")
    if handler is None:
        for each in (graded for arg in call.args for graded in _graded_of(arg)):
            if isinstance(each, Bent):
                raise Uncancelled(each.why)
        call.refuse(INSTEAD.get(call.name, "no part of a spiking network computes this of a signal"))
    try:
        found = handler(call)
    except ConversionRefused as error:
        if isinstance(error, Uncancelled) or str(error).startswith(f"{line_of(call.node)}: "):
            raise
        call.refuse(str(error))
    except (TypeError, IndexError, AttributeError, KeyError, ValueError) as error:
        call.refuse(f"is called in a way that is not understood: {one_line(error)}")
    if isinstance(found, FollowedSignal) and found.sizes(call.batch) != call.shape:
        call.refuse(f"makes {call.shape} of signals that are followed as {found.sizes(call.batch)}")
    if call.result.dtype not in DTYPES:
        call.refuse(f"makes {str(call.result.dtype)[6:]} of a signal; expected it to stay float32 or float64")
    if call.result.dtype == torch.int64 and not all(map(_whole, (*call.args, found))):
        call.refuse("makes whole numbers of a signal that is none; expected it to stay float32 or float64")
    return found


def _graded_of(arg: Any) -> list[Graded]:
    steps = arg.steps if isinstance(arg, FollowedSignal) else ()
    return [graded for step in steps for graded in step.signals]


def _whole(value: Any) -> bool:
    """Return whether a signal is a sum of spikes by whole numbers; what is no signal is of no account."""
    steps = value.steps if isinstance(value, FollowedSignal) else ()
    return all(
        not step.signals
        and all(each.denominator == 1 for number in step.terms.values() for each in entries_of(number))
        for step in steps
    )
