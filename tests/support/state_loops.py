"""Loops over time that pass states by hand, in the spellings of the libraries' documents, and wrong ones."""

import random
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from support.elements import Maker, Row
from support.foreign import Foreign

norse: Any = import_module("norse.torch")
functional: Any = import_module("norse.torch.functional")
snntorch: Any = import_module("snntorch")
States = list[Tensor]
OWN = {
    "Leaky": ("mem",),
    "Lapicque": ("mem",),
    "Synaptic": ("syn", "mem"),
    "RLeaky": ("spk", "mem"),
    "RSynaptic": ("spk", "syn", "mem"),
}
"""The states of snnTorch's neurons, as their documents order them."""
SPELLINGS = ("reset_mem", "init", "zeros", "none", "keywords", "all keywords", "detached", "cloned", "kept")
"""Where states come from, and how they are handed over; "kept": what is left out is the neuron's own."""
WRONG = ("swapped", "older", "other layer", "zeros again", "halved", "turned", "narrow", "spikes of another")
"""What else a loop may do: some change nothing where nothing fires."""


def neuron(kind: str, width: int = 8, **options: Any) -> nn.Module:
    """Return one of snnTorch's neurons."""
    options = {"beta": 0.8, **options}
    if kind in ("Synaptic", "RSynaptic"):
        options = {"alpha": 0.9, **options}
    return getattr(snntorch, kind)(**options, **({"linear_features": width} if kind[0] == "R" else {}))


def hidden() -> nn.Module:
    """Return a Lapicque that keeps its state."""
    return neuron("Lapicque", init_hidden=True)


class ByHand(nn.Module):
    """Layers of snnTorch's neurons, and the usual loop.

    Args:
        neurons: of one kind, of as many neurons each.
        spelling: one of `SPELLINGS`.
        wrong: one of `WRONG`, at the last layer from the third step on; "" for a right loop.
        steps: T.
    """

    def __init__(
        self, neurons: list[nn.Module], spelling: str = "reset_mem", wrong: str = "", steps: int = 5
    ) -> None:
        super().__init__()
        self.neurons, self.spelling, self.wrong, self.steps = nn.ModuleList(neurons), spelling, wrong, steps
        self.layers = nn.ModuleList([nn.Linear(5 if k == 0 else 8, 8) for k in range(len(neurons))])
        self.kind, self.last = type(neurons[0]).__name__, nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the last layer makes of the spikes of each step."""
        past: list[list[States]] = [[self._first(each, x)] for each in self.neurons]
        trains: list[Tensor] = []
        made = []
        for t in range(self.steps):
            signal = x
            for k, (layer, each) in enumerate(zip(self.layers, self.neurons, strict=True)):
                states = past[k][-1]
                if t > 1 and k == len(self.layers) - 1 and self.wrong:
                    states = self._mistaken(states, past, trains)
                signal, *after = self._called(each, layer(signal), states)
                trains.append(signal)
                past[k].append([signal, *after] if self.kind[0] == "R" else after)
            made.append(self.last(signal))
        return torch.stack(made)

    def _first(self, each: Any, x: Tensor) -> States:
        if self.spelling == "zeros":
            return [torch.zeros(len(x), 8, dtype=x.dtype) for _ in OWN[self.kind]]
        if self.spelling in ("none", "kept"):
            return [None for _ in OWN[self.kind]]  # type: ignore[misc]
        first = getattr(each, f"init_{self.kind.lower()}")() if self.spelling == "init" else each.reset_mem()
        return [*first] if isinstance(first, tuple) else [first]

    def _called(self, each: nn.Module, signal: Tensor, states: States) -> Any:
        names = OWN[self.kind]
        if self.spelling == "detached":
            states = [state.detach() for state in states]
        if self.spelling == "cloned":
            states = [state.clone() for state in states]
        if self.spelling in ("keywords", "all keywords"):
            named = dict(zip(names, states, strict=True))
            return each(input_=signal, **named) if self.spelling == "all keywords" else each(signal, **named)
        if self.spelling == "kept":
            return each(signal, mem=states[-1])
        return each(signal, *states)

    def _mistaken(self, states: States, past: list[list[States]], trains: list[Tensor]) -> States:
        others: dict[str, Callable[[], States]] = {
            "swapped": lambda: states[::-1],
            "older": lambda: past[-1][-2],
            "other layer": lambda: past[0][-1],
            "zeros again": lambda: [torch.zeros_like(state) for state in states],
            "halved": lambda: [state * 0.5 for state in states],
            "turned": lambda: [state.flip(1) for state in states],
            "narrow": lambda: [state.half().float() for state in states],
            "spikes of another": lambda: [trains[-1], *states[1:]],
        }
        return others[self.wrong]()


class NorseByHand(nn.Module):
    """Norse's recurrent cells, or others, and the usual loop.

    Args:
        cells: of eight neurons each.
        spelling: one of `NORSE_SPELLINGS`.
        wrong: one of `NORSE_WRONG`, at the last layer from the third step on; "" for a right loop.
        steps: T.
    """

    def __init__(
        self, cells: list[nn.Module], spelling: str = "positional", wrong: str = "", steps: int = 5
    ) -> None:
        super().__init__()
        self.cells, self.spelling, self.wrong, self.steps = nn.ModuleList(cells), spelling, wrong, steps
        self.layers = nn.ModuleList([nn.Linear(5 if k == 0 else 8, 8) for k in range(len(cells))])
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the last layer makes of the spikes of each step."""
        past: list[list[Any]] = [[None] for _ in self.cells]
        made = []
        for t in range(self.steps):
            signal = x
            for k, (layer, cell) in enumerate(zip(self.layers, self.cells, strict=True)):
                current, state = layer(signal), past[k][-1]
                if t == 0 and self.spelling in ("initial", "zeros"):
                    state = self._first(cell, current)
                if t > 1 and k == len(self.layers) - 1 and self.wrong:
                    state = self._mistaken(state, past)
                state = self._spelled(state)
                signal, after = cell(current, state=state) if self.spelling == "keyword" else cell(current, state)
                past[k].append(after)
            made.append(self.last(signal))
        return torch.stack(made)

    def _first(self, cell: Any, current: Tensor) -> Any:
        if self.spelling == "initial" and "Recurrent" not in type(cell).__name__:
            return cell.initial_state(current)  # that of recurrent cells reads a value
        kind = STATES[type(cell).__name__]
        return kind(*(torch.zeros(len(current), 8) for _ in kind._fields))

    def _spelled(self, state: Any) -> Any:
        if state is None or self.spelling not in ("built", "replaced", "detached"):
            return state
        if self.spelling == "replaced":
            return state._replace(v=state.v)
        parts = [part.detach() if self.spelling == "detached" else part for part in state]
        return type(state)(*parts)

    def _mistaken(self, state: Any, past: list[list[Any]]) -> Any:
        others: dict[str, Callable[[], Any]] = {
            "swapped": lambda: state._replace(v=state[-1], **{state._fields[-1]: state.v}),
            "older": lambda: past[-1][-2],
            "other layer": lambda: past[0][-1],
            "none": lambda: None,
            "halved": lambda: state._replace(v=state.v * 0.5),
        }
        return others[self.wrong]()


NORSE_SPELLINGS = ("positional", "keyword", "initial", "zeros", "built", "replaced", "detached")
NORSE_WRONG = ("swapped", "older", "other layer", "none", "halved")
FAST: dict[str, Any] = {"tau_mem_inv": torch.tensor(500.0), "v_th": torch.tensor(0.25)}
CELLS: dict[str, Callable[[], nn.Module]] = {
    "LIFRecurrentCell": lambda: norse.LIFRecurrentCell(8, 8, norse.LIFParameters(**FAST)),
    "LIFCell": lambda: norse.LIFCell(norse.LIFParameters(**FAST)),
    "LIFBoxCell": lambda: norse.LIFBoxCell(norse.LIFBoxParameters(**FAST)),
    "IAFCell": lambda: norse.IAFCell(),
}
"""Cells of Norse, which keep no states."""
STATES: dict[str, Any] = {
    "LIFRecurrentCell": functional.lif.LIFState,
    "LIFCell": functional.lif.LIFFeedForwardState,
    "LIFBoxCell": functional.lif_box.LIFBoxFeedForwardState,
    "IAFCell": functional.iaf.IAFFeedForwardState,
}
"""What they call their states."""


def strong(module: nn.Module, factor: float = 3.0) -> nn.Module:
    """Return a module whose dense layers are stronger, so that neurons fire."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            part.weight.data.mul_(factor)
    return module


def _by_hand(library: str, kind: str, make: Callable[[str], nn.Module], spellings: tuple[str, ...]) -> Row:
    """Return the row of a neuron whose states a loop passes by hand, in each spelling."""
    makers: list[Maker] = [lambda _, spelling=spelling: make(spelling) for spelling in spellings]
    return Row(f"{kind}, states by hand", (5,), {library: makers[0]}, {"num_steps": None}, tuple(makers[1:]))


STATE_ROWS = (
    *(
        _by_hand("snnTorch", kind, lambda spelling, kind=kind: ByHand([neuron(kind)], spelling), SPELLINGS)
        for kind in OWN
    ),
    *(
        _by_hand("Norse", kind, lambda spelling, make=make: NorseByHand([make()], spelling), NORSE_SPELLINGS)
        for kind, make in CELLS.items()
    ),
)
"""Rows of the table of elements."""
MISTAKEN = Row(
    "RLeaky, its states in another order",
    (5,),
    {"snnTorch": lambda _: ByHand([neuron("RLeaky")], wrong="swapped")},
    {"num_steps": None},
)
"""What is refused."""


def from_states(seed: int) -> Foreign:
    """Return a random loop that passes states by hand, half of them wrong."""
    torch.manual_seed(seed)
    draw = random.Random(seed)
    count, steps, level = draw.randint(1, 3), draw.randint(3, 8), draw.choice([0.5, 1.0, 1.0, 1e6])
    wrongs, ours = (WRONG, draw.random() < 0.6) if draw.random() < 0.5 else ((), draw.random() < 0.6)
    if ours:
        kind, spelling = draw.choice([*OWN, "Synaptic"]), draw.choice(SPELLINGS)
        options: dict[str, Any] = {"beta": draw.uniform(0.4, 0.85), "threshold": level}
        options["reset_mechanism"] = draw.choice(["subtract", "none"])
        alone = len(OWN[kind]) == 1 or spelling == "kept"  # which hands the potential over alone
        wrong = draw.choice([each for each in wrongs if not (alone and each in OF_SEVERAL)] or [""])
        if "other" in wrong or "another" in wrong:
            count += 1
        module: nn.Module = ByHand([neuron(kind, **options) for _ in range(count)], spelling, wrong, steps)
    else:
        kind, spelling = draw.choice([*CELLS]), draw.choice(NORSE_SPELLINGS)
        wrong = draw.choice(NORSE_WRONG) if wrongs else ""
        if wrong == "swapped" and kind in ("LIFBoxCell", "IAFCell"):
            wrong = "older"
        count += wrong == "other layer"
        module = NorseByHand([CELLS[kind]() for _ in range(count)], spelling, wrong, steps)
    sample = draw.choice(INPUTS)(torch.Generator().manual_seed(seed))
    told = r"is no neuron|fires at \d+ of \d+|not the same function|hear each other|casts|flip" if wrong else None
    return Foreign(strong(module, draw.uniform(1.0, 4.0)), sample, None, "direct", told)


OF_SEVERAL = ("swapped", "spikes of another")
"""What one state alone can't be."""
INPUTS: tuple[Callable[[torch.Generator], Tensor], ...] = (
    lambda generator: torch.rand(6, 5, generator=generator),
    lambda generator: torch.randn(6, 5, generator=generator),
    lambda generator: torch.randint(0, 5, (6, 5), generator=generator).float(),
    lambda generator: torch.randint(-8, 9, (6, 5), generator=generator) / 4,
)
"""Graded inputs, negative ones, counts, and a grid."""
