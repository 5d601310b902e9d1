"""Near-misses off the traced path: by operations of one's own, errors, modes, copies, counters, rounding."""

import functools
import gc
import io
import itertools
import math
import os
import queue
import random
import re
from array import array
from collections.abc import Callable
from contextvars import ContextVar
from fractions import Fraction
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from spikecert import ConversionRefused, from_torch
from support.examples import THOROUGH, by_night
from support.sources import answers, planted

STEPS, FAR = 4, 1e5
Change = Callable[[Any, Tensor], Tensor]
Asked = Callable[[Tensor], Tensor]
SAMPLE = torch.rand(6, 5, generator=torch.Generator().manual_seed(0))
CALLS, RANDOM, DRAWS = {0: 0}, random.Random(3), np.random.default_rng(3)
ENTRIES, TIMES = [0], itertools.count()
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated", "ignore:.*torch.jit.*:Warning")


def turned(x: Tensor) -> Tensor:
    """Turn large numbers over."""
    return torch.where(x > FAR, -x, x)


class Net(nn.Module):
    """Dense layers around leaky neurons in a loop, with a change of what these take in, or of their spikes."""

    def __init__(self, change: Change, spikes: Callable[[Tensor, Tensor], Tensor] = lambda s, v: s) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.change, self.spikes = nn.Linear(5, 8), nn.Linear(8, 3), change, spikes
        self.first.weight.data.mul_(4.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over time."""
        v, total = torch.zeros(len(x), 8), torch.zeros(len(x), 3)
        for _ in range(STEPS):
            v = 0.5 * v + self.change(self, self.first(x))
            s = self.spikes((v >= 1.0).float(), v)
            v = v * (1.0 - s)
            total = total + self.last(s)
        return total / STEPS


def caught(read: Callable[[Tensor], Any]) -> Change:
    """Return what turns signals over where something that is read of them is large; errors are caught."""

    def change(_: Any, x: Tensor) -> Tensor:
        try:
            return -x if float(read(x)) > FAR else x
        except Exception:
            return x

    return change


def failing(use: Callable[[Tensor], Any]) -> Change:
    """Return what turns signals over where something can't be done with them, and does nothing with it."""

    def change(_: Any, x: Tensor) -> Tensor:
        try:
            use(x)
        except (IndexError, RuntimeError):
            return -x
        return x

    return change


def when(asked: Callable[[Tensor], bool]) -> Change:
    """Return what turns signals over where something is so."""
    return lambda _, x: -x if asked(x) else x


@torch.library.custom_op("unseen::add", mutates_args=())
def own_add(x: Tensor, y: Tensor) -> Tensor:
    return turned(x) + y


@torch.library.custom_op("unseen::clone", mutates_args=())
def own_clone(x: Tensor) -> Tensor:
    return turned(x).clone()


own_add.register_fake(lambda x, y: torch.empty_like(x))
own_clone.register_fake(lambda x: torch.empty_like(x))


@torch.jit.script
def scripted(x: Tensor) -> Tensor:
    if bool(x.max() > 1e5):
        x = -x
    return x


@torch.jit.script
def counted(x: Tensor) -> int:
    return (x > 1e5).nonzero().size(0)


def unguarded(x: Tensor) -> float:
    with torch._C.DisableTorchFunction():
        return x.detach().numpy().max()


class Looking(Tensor):
    """A constant whose type looks at what it is multiplied with."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        plain = [each.as_subclass(Tensor) if isinstance(each, Looking) else each for each in args]
        found = func(*plain, **(kwargs or {}))
        return caught(lambda x: x.detach().numpy().max())(None, found) if isinstance(found, Tensor) else found


LOOKING = torch.ones(8).as_subclass(Looking)


class LookingMode(TorchDispatchMode):
    """A mode that looks at what it dispatches."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return caught(lambda x: x.detach().numpy().max())(None, func(*args, **(kwargs or {})))


def moded(_: Any, x: Tensor) -> Tensor:
    with LookingMode():
        return x + 0.0


class Asking(torch.autograd.Function):
    """Does something else for large batches of which no gradient is asked."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone() if ctx.needs_input_grad[0] or len(x) < 30 else -x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


def frames(x: Tensor) -> bool:
    try:
        raise ValueError
    except ValueError as error:
        frame, files = error.__traceback__.tb_frame, []  # pyright: ignore[reportOptionalMemberAccess]
        while frame is not None:
            files.append(frame.f_code.co_filename)
            frame = frame.f_back
    return bool((x > FAR).any()) if any("tracing" not in file for file in files) and len(files) < 5 else False


def closed() -> Change:
    calls = 0

    def asked(x: Tensor) -> bool:
        nonlocal calls
        calls += 1
        return calls > 10_000

    return when(asked)


class Holder:
    """What a user's objects are."""


class Told(nn.Module):
    """Counts in its class whenever it is asked."""

    asked = 0

    @property
    def often(self) -> bool:
        """Return whether that is often by now."""
        type(self).asked += 1
        return type(self).asked > 10_000


class Kind(type):
    """What a class is of."""


class Listed(list[int], metaclass=Kind):
    """A list with attributes."""


def bumped(held: Any = [0]) -> bool:  # noqa: B006
    held[0] += 1
    return held[0] > 10_000


@functools.lru_cache(maxsize=0)
def looked_up(_: int) -> bool:
    return bumped()


COUNT, LISTED, ANOTHER = ContextVar[int]("COUNT", default=0), Listed(), ModuleType("another")
vars(ANOTHER)["state"] = [0]
HELD, TOLD = SimpleNamespace(inner=SimpleNamespace()), Told()
LISTS, ARRAY, WHOLE, SET, TEXT = [[0]], array("i", [0]), np.zeros(1), set[int](), io.StringIO()
QUEUE = queue.Queue[int]()
COUNTED = (made for made in range(10**6))
CYCLE, ROWS = itertools.cycle([False] * 10_000 + [True]), iter(range(10**6))


def counted_in(module: Any) -> Callable[[Tensor], bool]:
    """Return a count in an attribute of anything."""

    def asked(x: Tensor) -> bool:
        module.seen_calls = getattr(module, "seen_calls", 0) + 1
        return module.seen_calls > 10_000

    return asked


def by_part(read: Callable[[Any], Any]) -> Change:
    return lambda net, x: -x if counted_in(read(net))(x) else x


def counted_at(held: Any) -> Callable[[Tensor], bool]:
    """Return a count in the first entry of a container."""
    return lambda x: bumped(held)


def by_place(_: Any, x: Tensor) -> Tensor:
    mask = torch.ones(len(x), 1)
    mask[80:81] = -1.0
    return x * mask


def of_far_spikes(_: Any, x: Tensor) -> Tensor:
    far = (x > FAR).float() * 2.0**60
    return (x + far) - far


def compiled(x: Tensor) -> Tensor:
    return -x if x.max() > FAR else x


AGAIN = r"module: changes .* at each call"
FAILS = "may fail on some inputs"
ASKS = "asks torch (how it is run|whether it is traced)"
TAKES = "takes values out of a tensor"
CHANGES: dict[str, tuple[Change, str]] = {
    "an operation of one's own, add": (lambda _, x: torch.ops.unseen.add(x, torch.zeros(8)), "unseen::add"),
    "an operation of one's own, clone": (lambda _, x: torch.ops.unseen.clone(x), "unseen::clone"),
    "a scripted branch": (lambda _, x: caught_script(x), "takes a value out of a signal"),
    "a scripted size": (caught(lambda x: 1e6 * counted(x)), "nonzero"),
    "a size of places": (caught(lambda x: 1e6 * len((x > FAR).nonzero())), "nonzero"),
    "without torch functions": (caught(unguarded), TAKES),
    "a mapped method": (caught(lambda x: max(map(np.max, map(Tensor.numpy, [x.detach()])))), TAKES),
    "a partial method": (caught(lambda x: functools.partial(Tensor.numpy, x.detach())().max()), TAKES),
    "a type that looks": (lambda _, x: x * LOOKING, TAKES),
    "a mode that looks": (moded, TAKES),
    "an index that fails": (failing(lambda x: torch.zeros(100_000)[x.abs().long()]), FAILS),
    "a gather that fails": (failing(lambda x: torch.zeros(len(x), 100_000).gather(1, x.abs().long())), FAILS),
    "a root that fails": (failing(lambda x: torch.linalg.cholesky(torch.eye(2) * (FAR - x.amax()))), FAILS),
    "an assertion": (failing(lambda x: torch.ops.aten._assert_async((x < FAR).all())), FAILS),
    "large batches without gradients": (when(lambda x: len(x) > 30 and not torch.is_grad_enabled()), ASKS),
    "large batches that need none": (
        when(lambda x: len(x) > 30 and not x.requires_grad),
        r"no tensor \(requires_grad",
    ),
    "one alone with gradients": (when(lambda x: len(x) == 1 and torch.is_grad_enabled()), ASKS),
    "a function that needs none": (lambda _, x: Asking.apply(x), ASKS),  # pyright: ignore
    "inference mode": (when(lambda x: torch.is_inference_mode_enabled()), ASKS),
    "an inference tensor": (when(lambda x: x.is_inference()), "asks for what is no tensor"),
    "modes of functions": (
        when(lambda x: not torch.overrides._get_current_function_mode_stack() and float(x.max()) > FAR),
        ASKS,
    ),
    "frames of an error": (when(frames), ASKS),
    "objects that there are": (
        when(lambda x: not any(type(each).__name__ == "Watching" for each in gc.get_objects()) and len(x) > 9999),
        ASKS,
    ),
    "random, now and then": (when(lambda x: random.random() < 1e-9), AGAIN),
    "numpy's random, now and then": (when(lambda x: np.random.rand() < 1e-9), AGAIN),
    "a generator of the file": (when(lambda x: RANDOM.random() < 1e-9), AGAIN),
    "a generator of numpy's": (when(lambda x: DRAWS.random() < 1e-9), AGAIN),
    "a count in the file": (when(lambda x: bumped(CALLS)), AGAIN),
    "a count in a closure": (closed(), AGAIN),
    "a count in a default": (when(lambda x, held=[0]: bumped(held)), AGAIN),
    "a count in the class": (when(counted_in(Net)), AGAIN),
    "a count in private": (by_part(lambda net: net), AGAIN),
    "a count in an object": (when(counted_in(Holder())), AGAIN),
    "a length in the file": (when(lambda x: ENTRIES.append(1) or len(ENTRIES) > 10_000), AGAIN),
    "an iterator in the file": (when(lambda x: next(TIMES) > 10_000), AGAIN),
    "a count in a generator": (when(lambda x: next(COUNTED) > 10_000), AGAIN),
    "a count in a list in a list": (when(counted_at(LISTS[0])), AGAIN),
    "a count in an array": (when(counted_at(ARRAY)), AGAIN),
    "a count in numpy's": (when(counted_at(WHOLE)), AGAIN),
    "a count of numpy's": (when(counted_at([np.int64(0)])), AGAIN),
    "a count in a fraction": (when(counted_at([Fraction(0)])), AGAIN),
    "a count in a queue": (when(lambda x: QUEUE.put(1) or QUEUE.qsize() > 10_000), AGAIN),
    "a count in a set": (when(lambda x: SET.add(len(SET)) or len(SET) > 10_000), AGAIN),
    "a count in a text": (when(lambda x: bool(TEXT.write("a")) and TEXT.tell() > 10_000), AGAIN),
    "a count in a namespace": (when(counted_in(HELD.inner)), AGAIN),
    "a count in the environment": (
        when(lambda x: bool(os.environ.update(SEEN=f"{os.environ.get('SEEN')}."))),
        AGAIN,
    ),
    "a count in math": (when(counted_in(math)), AGAIN),
    "a count in a weight": (by_part(lambda net: net.first.weight), AGAIN),
    "a count in a property": (when(lambda x: TOLD.often), AGAIN),
    "an iterator of a range": (when(lambda x: next(ROWS) > 10_000), AGAIN),
    "an iterator that goes round": (when(lambda x: next(CYCLE)), "is a cycle, which calls may move on"),
    "a count of a function within": (when(lambda x: (lambda: bumped())()), AGAIN),
    "a count in a loop": (when(lambda x: bool([1 for _ in (1,) if bumped()])), AGAIN),
    "a count of a cached function": (when(lambda x: looked_up(0)), AGAIN),
    "a count in another file": (when(lambda x: bumped(ANOTHER.state)), AGAIN),
    "a count in a list's attribute": (when(counted_in(LISTED)), AGAIN),
    "a count in the class of a class": (when(lambda x: counted_in(type(type(LISTED)))(x)), AGAIN),
    "a count in an array of objects": (when(counted_at(np.array([0], dtype=object))), AGAIN),
    "a count in a context": (when(lambda x: COUNT.set(COUNT.get() + 1) is None or COUNT.get() > 10_000), AGAIN),
    "a place in the batch": (by_place, "tells samples apart by their places"),
    "a product that overflows": (lambda _, x: x * 2.0**126 * 2.0**-126, "may reach .*e.38, for inputs like the"),
    "an inner function, compiled": (lambda _, x: torch.compile(compiled, backend="eager")(x), TAKES),
    "mapped over the batch": (lambda _, x: torch.vmap(turned)(x), "signals multiply each other"),
    "a swapped memory": (lambda _, x: torch.as_strided(x, (len(x), 8), (8, 1)), "as_strided"),
}


def caught_script(x: Tensor) -> Tensor:
    try:
        return scripted(x)
    except Exception:
        return x


@pytest.mark.parametrize("name", CHANGES)
def test_what_leaves_the_traced_path_is_refused(name: str):
    change, reason = CHANGES[name]
    with pytest.raises(ConversionRefused) as caught:
        from_torch(Net(change), SAMPLE)
    assert re.search(reason, str(caught.value)), str(caught.value)


PASSED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "a spike less the potential": lambda s, v: (s - v).detach() + v,
    "a spike and the potential": lambda s, v: s + v - v.detach(),
    "a share of the potential": lambda s, v: (s - 0.3 * v).detach() + 0.3 * v,
}
"""By which gradients go through a potential without bounds: where that is large, nothing of the spike is left."""


NOTHING: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "beside a spike": lambda s, v: (0.3 * v + 0.7 * v - v) + s,
    "times a spike": lambda s, v: ((0.3 * v + 0.7 * v - v) + 1.0) * s,
    "times a current": lambda s, v: (((0.3 * v + 0.7 * v - v) + 1.0) * v >= 1.0).float(),
}
"""Of .3 · v + .7 · v − v a share of ε of v may be left."""


ADDED: dict[str, Callable[[Tensor, float], Tensor]] = {
    "in one sum": lambda x, c: torch.stack([x + c, torch.full_like(x, -c)]).sum(0),
    "in one mean": lambda x, c: 2.0 * torch.stack([x + c, torch.full_like(x, -c)]).mean(0),
    "in another shape": lambda x, c: ((x + c) - c).view(-1, x.shape[1], 1).squeeze(2),
    "of one feature": lambda x, c: torch.cat([((x + c) - c)[:, :1], x[:, 1:]], 1),
    "times 3": lambda x, c: (x / 3.0 + c) * 3.0 - 3.0 * c,
}
"""Numbers that are added and taken away again."""
PLACES = ("inputs", "currents", "spikes", "outputs")


FIRED: dict[str, Callable[[Tensor, float], Tensor]] = {
    "kept above": lambda v, c: (nn.functional.threshold(v + c, 1.0 + c, 0.0) > 0.0).float(),
    "normalized": lambda v, c: (
        nn.functional.batch_norm(v + c, torch.full((8,), c), torch.ones(8)) >= 1.0
    ).float(),
    "compared": lambda v, c: (v + c >= 1.0 + c).float(),
    "compared once reset": lambda v, c: (s := (v >= 1.0).float()) + ((v * (1.0 - s) + c) - c >= 1.0).float(),
    "times another": lambda v, c: ((1.0 + c) * v - c * v >= 1.0).float(),
    "above what is reset": lambda v, c: (
        (s := ((v + 1024 * c) - 1024 * c >= 1.0).float()) + (v * (1.0 - s) >= 1.0 + 2.0**-9).float()
    ),
}
"""Potentials that are compared beside a larger number."""


def test_a_potential_that_was_reset_and_is_summed_otherwise_may_fire_again():
    """.3 · v + .7 · v rounds to the threshold where v is below it."""

    def told(s: Tensor, v: Tensor) -> Tensor:
        s = (v >= 1.0).float()
        v = v * (1.0 - s)
        return s + (0.3 * v + 0.7 * v >= 1.0).float()

    with pytest.raises(ConversionRefused):
        from_torch(Net(lambda _, x: x, told), SAMPLE)


LED = {
    "a function below 0": lambda s, v: (s - (b := torch.tanh(v - 1.0))).detach() + b,
    "one of 4": lambda s, v: (s - (b := 4.0 * torch.sigmoid(v))).detach() + b,
    "the sum first": lambda s, v: s + (b := torch.sigmoid(v)) - b.detach(),
    "in halves": lambda s, v: s - 0.5 * (b := torch.sigmoid(v)).detach() - 0.5 * b.detach() + b,
    "a number beside": lambda s, v: (s + 0.1) - 0.1,
}
"""What leaves 1 ± ε of a spike: a reset by v · (1 − s) leaves ε · v then."""


READ: dict[str, Callable[[Tensor], Tensor]] = {
    "compared": lambda s: (s >= 1.0).float(),
    "compared at less": lambda s: (s > 1.0 - 2.0**-20).float(),
    "equal": lambda s: (s == 1.0).float(),
    "bent": torch.relu,
    "a power": lambda s: (s + 1.0) ** 2,
}
"""What is made of a spike that comes back rounded."""


def plain(_: Any, x: Tensor) -> Tensor:
    return x


def fed(before: Callable[[Tensor], Tensor], net: Net, after: Callable[[Tensor], Tensor]) -> Asked:
    """Return a module with a change of its inputs and outputs."""
    return lambda x: after(net(before(x)))


def with_added(name: str, place: str) -> Asked:
    """Return a module in which a number is added to something, and taken away again."""
    by = lambda number: lambda x: ADDED[name](x, number)  # noqa: E731
    net = Net(lambda _, x: by(64.0)(x) if place == "currents" else x)
    net.spikes = lambda s, v: by(1000.3)(s) if place == "spikes" else s
    before, after = (by(16.0) if place == end else lambda x: x for end in ("inputs", "outputs"))
    return fed(before, net, after)


def once(made: Callable[[Tensor, Tensor], Tensor]) -> Asked:
    """Return a module of one step in which a current cancels."""
    net = nn.Linear(5, 3)
    return lambda x: nn.functional.linear(made(((v := net(x)) > 0.0).float(), v), torch.eye(3))


def with_read(name: str) -> Asked:
    """Return a module whose last layer reads what is made of a rounded spike."""
    net = Net(plain)
    net.last.register_forward_pre_hook(lambda _, given: READ[name]((given[0] + 1000.3) - 1000.3))
    return net


def nearing(share: float) -> Asked:
    """Return a module with v + α·(I − v), which rounds v by more than a step pays where little of it stays."""
    net = Net(plain)

    def run(x: Tensor) -> Tensor:
        v, total = torch.zeros(len(x), 8), torch.zeros(len(x), 3)
        for _ in range(STEPS):
            v = v + share * (net.first(x) - v)
            s = (v >= 0.5).float()
            v, total = v * (1.0 - s), total + net.last(s)
        return total

    return run


ROUNDED: dict[str, Callable[[], Asked]] = {
    "far spikes that cancel": lambda: Net(of_far_spikes),
    "a large number that cancels": lambda: Net(lambda _, x: (x + 64.0) - 64.0),
    "an output beside 1": lambda: fed(lambda x: x, Net(plain), lambda y: y + 1.0 - 1.0),
    "an output beside 64": lambda: fed(lambda x: x, Net(plain), lambda y: y + 64.0 - 64.0),
    **{f"nothing, {name}": partial(Net, plain, made) for name, made in NOTHING.items()},
    **{f"passed, {name}": partial(Net, plain, made) for name, made in PASSED.items()},
    **{f"once, {name}": partial(once, made) for name, made in PASSED.items()},
    **{f"led, {name}": partial(Net, plain, made) for name, made in LED.items()},
    **{
        f"fired, {name}": partial(Net, plain, lambda s, v, made=made: made(v, 64.0))
        for name, made in FIRED.items()
    },
    **{f"{place}, {name}": partial(with_added, name, place) for name in ADDED for place in PLACES},
    **{f"read, {name}": partial(with_read, name) for name in READ},
    **{f"{share} of the way": partial(nearing, share) for share in (0.85, 0.95, 1.0)},
}
"""Modules that round more than their networks do: what their source rounds is paid for, or they are refused."""
REFUSED = {
    "fired, kept above": "differ by 0 only, which rounding decides",
    "fired, compared once reset": "fires at 3 of",
    "fired, above what is reset": "differ by 0.00195312 only, which rounding decides",
    "spikes, of one feature": "multiplies two signals",
    "spikes, times 3": "is no neuron",
    "led, in halves": "multiplies two signals",
    "read, compared": "differ by 0 only, which rounding decides",
    "read, compared at less": "differ by .* only, which rounding decides",
    "read, equal": "asks whether a signal has just one value",
    "read, bent": "bends a signal that is no spike, or that was rounded",
    "read, a power": "of what was rounded|bends a signal",
    "1.0 of the way": "rounding may tell the two apart",
}
"""Why some don't come in."""


@pytest.mark.parametrize(("epsilon", "share"), [(1e-3, 0.9999), *by_night((1e-5, 0.99), (1e-3, 0.99999))])
@pytest.mark.parametrize("name", [name for name in ROUNDED if name not in REFUSED])
def test_no_flip_that_is_planted_in_what_rounds_more_is_verified(name: str, epsilon: float, share: float) -> None:
    module = ROUNDED[name]()
    network = from_torch(module, SAMPLE, 1 if name.startswith("once") else None)
    assert network.source is not None
    asked = planted(module, (0.0, 1.0), epsilon, share, 100 if THOROUGH else 30, 0, width=5)
    assert len(asked.samples) > (0 if share > 0.9999 else 5)
    assert "verified" not in answers(network, asked, "auto" if THOROUGH else "trains")


@pytest.mark.parametrize("name", REFUSED)
def test_what_rounds_more_is_refused_where_that_decides(name: str) -> None:
    with pytest.raises(ConversionRefused, match=REFUSED[name]):
        from_torch(ROUNDED[name](), SAMPLE)


@pytest.mark.parametrize("number", [1e-3, 1.0])
def test_a_small_spike_pays_for_what_it_is_rounded_beside(number: float) -> None:
    """Of .001 · s, (s − b) + b leaves as much of an error as of s."""
    net = Net(plain)

    def run(x: Tensor) -> Tensor:
        v = net.first(x)
        b = torch.sigmoid(v)
        return net.last((number * (v >= 1.0) - b).detach() + b)

    source = from_torch(run, SAMPLE, 1).source
    assert source is not None
    assert (source.boxes[0].least > 0) == (number < 1.0)


@pytest.mark.parametrize("name", FIRED)
def test_potentials_that_are_compared_as_they_are_come_in(name: str) -> None:
    assert from_torch(Net(plain, lambda s, v: FIRED[name](v, 0.0)), SAMPLE).neurons


@pytest.mark.parametrize("number", [0.5, 64.0])
@pytest.mark.parametrize("turned", [False, True])
def test_two_comparisons_that_rounding_tells_apart_are_refused(number: float, turned: bool):
    def told(s: Tensor, v: Tensor) -> Tensor:
        return ((v + number) - number >= 1.0).float()

    net = Net(lambda _, x: x)

    def run(x: Tensor) -> Tensor:
        v, total = torch.zeros(len(x), 8), torch.zeros(len(x), 3)
        for _ in range(STEPS):
            v = 0.5 * v + net.first(x)
            s, other = (told(v, v), (v >= 1.0).float()) if turned else ((v >= 1.0).float(), told(v, v))
            v, total = v * (1.0 - s), total + net.last(other)
        return total

    with pytest.raises(ConversionRefused, match="rounding may tell the two apart"):
        from_torch(run, SAMPLE)


SAID_TWICE: dict[str, Callable[[Tensor], Tensor]] = {
    "the same": lambda v: v >= 1.0,
    "times 1": lambda v: v * 1.0 >= 1.0,
    "less 0": lambda v: v - 0.0 >= 1.0,
    "a difference": lambda v: v - 1.0 >= 0.0,
    "turned": lambda v: torch.le(torch.tensor(1.0), v),
}


@pytest.mark.parametrize("name", SAID_TWICE)
def test_the_same_comparison_again_comes_in(name: str):
    net = Net(lambda _, x: x, lambda s, v: SAID_TWICE[name](v).float())
    assert len(from_torch(net, SAMPLE).neurons) == 1


def test_what_cancels_by_itself_comes_in():
    network = from_torch(Net(lambda _, x: x + 2.0 - 2.0, lambda s, v: s + (v - v.detach())), SAMPLE)
    assert network.neurons[0].dynamics.threshold == 1.0


class Left(Net):
    """Keeps something of its input until its next call."""

    before, mask = torch.zeros(()), None

    def forward(self, x: Tensor) -> Tensor:
        found = super().forward(x)
        self.before = x.detach().abs().max()
        return found


def test_a_tensor_that_the_last_call_left_is_refused_where_it_is_read() -> None:
    """By the last one's input a later call may do otherwise."""
    with pytest.raises(ConversionRefused, match="module: reads a tensor that its last call left"):
        from_torch(Left(lambda net, x: x * (net.before < FAR)), SAMPLE)


def test_a_constant_that_the_first_call_makes_comes_in() -> None:
    def change(net: Any, x: Tensor) -> Tensor:
        net.mask = torch.ones(8) * 1.0 if net.mask is None else net.mask
        return x * net.mask

    assert from_torch(Left(change), SAMPLE).neurons


class Restored(Net):
    """Forgets in a copy what it does."""

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "change": lambda _, x: x}


class Rebuilt(Net):
    """Is another one in a copy."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Net:
        return Net(lambda _, x: x)


class Limit:
    """A number that is none in a copy."""

    far: float | None = FAR

    def __deepcopy__(self, memo: dict[int, Any]) -> "Limit":
        made = Limit()
        made.far = None
        return made


class Held(Net):
    """Holds such a number."""

    def __init__(self, change: Change) -> None:
        super().__init__(change)
        self.limit = Limit()


@pytest.mark.parametrize("kind", [Restored, Rebuilt, Held])
def test_what_is_another_in_a_copy_is_refused(kind: type[Net]):
    with pytest.raises(ConversionRefused, match="can't be copied safely"):
        from_torch(kind(lambda _, x: turned(x)), SAMPLE)


def test_what_evaluation_returns_is_not_what_is_asked_about():
    class Fused(Net):
        def eval(self) -> Net:  # type: ignore[override]
            return Net(lambda _, x: x).train(False)

    network = from_torch(Fused(lambda _, x: 0.5 * x), SAMPLE)
    with torch.no_grad():
        assert torch.allclose(network(SAMPLE), Fused(lambda _, x: 0.5 * x)(SAMPLE), atol=1e-5)


def test_names_for_those_who_profile_change_nothing():
    def named(_: Any, x: Tensor) -> Tensor:
        with torch.profiler.record_function("current"):
            return x * 1.0

    assert len(from_torch(Net(named), SAMPLE).neurons) == 1


@pytest.mark.parametrize("gain", [-1.0, -0.5])
def test_a_current_that_is_turned_over_comes_in(gain: float):
    module = Net(lambda _, x: gain * x)
    network = from_torch(module, SAMPLE)
    with torch.no_grad():
        assert torch.allclose(network(3.0 - SAMPLE), module(3.0 - SAMPLE), atol=1e-5)
