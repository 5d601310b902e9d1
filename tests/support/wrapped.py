"""Random networks of other libraries with a function around a layer: a wrong one, or one that changes nothing."""

import random
from collections.abc import Callable
from typing import Any

import torch
from spikingjelly.activation_based.neuron import BaseNode
from torch import Tensor, nn

from support.escapes import ASKING, KEPT, NARROW, READ, RIGHT, WRITE, Change, Kept, branching
from support.foreign import FOREIGN, Foreign
from support.foreign_loops import LOOPS

SOURCES = {name: make for name, make in (FOREIGN | LOOPS).items() if not name.startswith("nir")}


class Counted:
    """Does something else at some calls."""

    def __init__(self, period: int, change: Change) -> None:
        self.calls, self.period, self.change = 0, period, change

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x if self.calls % self.period else self.change(x)


class Late:
    """Returns what it was given before."""

    def __init__(self) -> None:
        self.before: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        before, self.before = self.before, x
        return x if before is None or before.shape != x.shape else before


def wrong(draw: random.Random) -> tuple[str, Change]:
    """Return the name of a kind, and a function of it with random numbers."""
    far = draw.choice([0.75, 1.5, 3.0, 40.0])
    name = draw.choice(list(READ))
    kinds: dict[str, Callable[[], Change]] = {
        f"read {name}": lambda: branching(READ[name], far),
        "write": lambda: draw.choice(list(WRITE.values())),
        "keep": lambda: Kept(draw.choice(list(KEPT.values()))),
        "narrow": lambda: draw.choice(list(NARROW.values())),
        "ask": lambda: draw.choice(list(ASKING.values())),
        "branch": lambda: lambda x: -x if x.max() > far else x,
        "where": lambda: lambda x: torch.where(x > far, -x, x),
        "clamp": lambda: lambda x: x.clamp(-far, far),
        "in place": lambda: lambda x: x.clamp_(max=far),
        "minimum": lambda: lambda x: torch.minimum(x, torch.tensor(far)),
        "round": lambda: lambda x: (x * 1e4).round() / 1e4,
        "count": lambda: Counted(draw.randint(2, 7), lambda x: -x),
        "late": Late,
        "flip": lambda: lambda x: x.flip(-1),
        "roll": lambda: lambda x: torch.cat([x[..., 1:], x[..., :1]], -1),
        "other sample": lambda: lambda x: x.flip(0),
        "sorted": lambda: lambda x: x.sort(-1).values,
        "batch mean": lambda: lambda x: x - x.mean(0, keepdim=True) * draw.choice([1e-3, 1.0]),
        "last is zero": lambda: lambda x: torch.cat([x[..., :-1], torch.zeros_like(x[..., -1:])], -1),
    }
    kind = draw.choice(list(kinds))
    return kind, kinds[kind]()


def right(draw: random.Random) -> tuple[str, Change]:
    """Return the name of a function that changes nothing, and it."""
    kind = draw.choice([name for name in RIGHT if name != "shapes"])
    return kind, RIGHT[kind]


def wrapped(library: str, seed: int, is_right: bool) -> tuple[str, str, Foreign]:
    """Return what was put where, and the network of a seed with it."""
    made, draw = SOURCES[library](seed), random.Random(seed)
    parts = [(name, part) for name, part in made.source.named_modules() if _is_layer(name, part)]
    kind, change = right(draw) if is_right else wrong(draw)
    name, part = draw.choice(parts)
    before = draw.random() < 0.5
    if before:
        part.register_forward_pre_hook(lambda module, given: (change(given[0].clone()), *given[1:]))
    else:
        part.register_forward_hook(lambda module, given, gave: _first_changed(gave, change))
    return kind, f"{'before' if before else 'behind'} {name}", made


def _is_layer(name: str, part: nn.Module) -> bool:
    """Return whether a module is a layer or a neuron, and no part of one."""
    inside = any(word in name for word in ("recurrent", "surrogate", "sub_module", ".rc"))
    return not inside and (isinstance(part, BaseNode) or next(part.children(), None) is None)


def _first_changed(gave: Any, change: Change) -> Any:
    return (change(gave[0]), *gave[1:]) if isinstance(gave, tuple) else change(gave)
