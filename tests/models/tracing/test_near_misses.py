"""Neurons of libraries with one thing changed: each network that comes in is the module's, far off as well."""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import norse.torch as norse
import pytest
import torch
from spikingjelly.activation_based import functional, neuron, surrogate
from torch import Tensor, nn

from spikecert import ConversionRefused, from_torch
from support.foreign import snntorch

STEPS, FAR, LITTLE = 4, 99.0, 2.0**-12
SAMPLE = torch.rand(6, 5, generator=torch.Generator().manual_seed(0))
CALLS = {"made": 0}
LIFNode: Any = neuron.LIFNode


def far(x: Tensor) -> Tensor:
    """Return what is no other number on all that is compared."""
    return x.clamp(max=FAR)


def silent(v: Tensor) -> Tensor:
    return ((v > 0) & ~(v > FAR)).float()


class Looped(nn.Module):
    """Dense layers around a neuron, four steps, and their mean."""

    def __init__(self, middle: Any, between: Callable[[Any, Tensor, int], Tensor] = lambda net, x, t: x) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.neuron, self.last, self.between = nn.Linear(5, 8), middle, nn.Linear(8, 3), between
        self.first.weight.data.mul_(4.0)
        self.register_buffer("kept", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over time."""
        state, total = self.started(), torch.zeros(len(x), 3)
        for t in range(STEPS):
            spikes, state = self.stepped(self.between(self, self.first(x), t), state)
            total = total + self.last(spikes)
        return total / STEPS

    def started(self) -> Any:
        """Return the first state, and put the neuron's own back."""
        if isinstance(self.neuron, snntorch.Leaky):
            return self.neuron.reset_mem()
        functional.reset_net(self.neuron)
        return None

    def stepped(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return spikes, and the next state."""
        if isinstance(self.neuron, neuron.BaseNode):
            return self.neuron(x), None
        return self.neuron(x, state)


def leaky(kind: Any = snntorch.Leaky, **options: Any) -> Any:
    return kind(**{"beta": 0.5, "threshold": 0.75, **options})


def box(**options: float) -> Any:
    return norse.LIFBoxCell(
        norse.LIFBoxParameters(torch.tensor(500.0), **{k: torch.tensor(v) for k, v in options.items()})
    )


class LateFire(snntorch.Leaky):
    """Has another threshold at its third step."""

    calls = 0

    def fire(self, mem: Tensor) -> Tensor:
        self.calls += 1
        return super().fire(mem - LITTLE * (self.calls == 3))


class Bounded(snntorch.Leaky):
    def _base_state_function(self, input_: Tensor) -> Tensor:
        return far(super()._base_state_function(input_))


class OneChannel(snntorch.Leaky):
    """Resets all neurons but one by another amount."""

    def mem_reset(self, mem: Tensor) -> Tensor:
        return super().mem_reset(mem) * torch.tensor([1.0] * 7 + [1.0 + LITTLE])


class Fading(snntorch.Leaky):
    """Changes a buffer of its own in each call."""

    def forward(self, input_: Tensor, mem: Any = None) -> Any:
        self.beta = self.beta * (1.0 - LITTLE)
        return super().forward(input_, mem)


class Training(snntorch.Leaky):
    def fire(self, mem: Tensor) -> Tensor:
        return super().fire(far(mem) if not self.training else mem)


class Branching(snntorch.Leaky):
    def forward(self, input_: Tensor, mem: Any = None) -> Any:
        return super().forward(-input_ if input_.max() > FAR else input_, mem)


class Written(snntorch.Leaky):
    def forward(self, input_: Tensor, mem: Any = None) -> Any:
        spikes, mem = super().forward(input_, mem)
        mem.data.clamp_(max=FAR)
        return spikes, mem


class Counted(snntorch.Leaky):
    """Is another one from the sixth call in the process on, of all that are."""

    def fire(self, mem: Tensor) -> Tensor:
        CALLS["made"] += 1
        return super().fire(mem - LITTLE * (CALLS["made"] > 5))


class FirstFires(snntorch.Leaky):
    """Fires by the potential before its input comes."""

    def forward(self, input_: Tensor, mem: Any = None) -> Any:
        spikes = self.fire(mem)
        return spikes, self.beta * mem * (1.0 - spikes) + input_


class Charged(LIFNode):
    def single_step_forward(self, x: Tensor) -> Tensor:
        return super().single_step_forward(far(x))


class Strict(LIFNode):
    """Fires above its threshold with one neuron, from it on with others."""

    def single_step_forward(self, x: Tensor) -> Tensor:
        v = torch.zeros_like(x) if isinstance(self.v, float) else self.v
        v = v + (x - v) / 2
        spikes = torch.cat(((v[:, :7] >= 1).float(), (v[:, 7:] > 1).float()), 1)
        self.v = v * (1 - spikes)
        return spikes


class Reset(LIFNode):
    """Resets otherwise at its second step."""

    calls = 0

    def single_step_forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        spikes = super().single_step_forward(x)
        self.v = self.v + LITTLE * spikes * (self.calls == 2)
        return spikes


class Raised(LIFNode):
    """Raises its threshold at each step."""

    def single_step_forward(self, x: Tensor) -> Tensor:
        self.v_threshold = self.v_threshold + LITTLE
        return super().single_step_forward(x)


class Started(LIFNode):
    """Starts from another potential for large inputs."""

    def single_step_forward(self, x: Tensor) -> Tensor:
        if isinstance(self.v, float):
            self.v = (x > FAR).to(x)
        return super().single_step_forward(x)


class Graded(LIFNode):
    def single_step_forward(self, x: Tensor) -> Tensor:
        return super().single_step_forward(x) * (self.v + 1.0)


class LateStep(nn.Module):
    """A cell that gets no state at its third step."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.calls = box(), 0

    def forward(self, x: Tensor, state: Any = None) -> Any:
        self.calls = 0 if state is None else self.calls + 1
        return self.cell(x, None if self.calls == 2 else state)


class Stateless(nn.Module):
    """A cell whose potential is read from its state, and bounded."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = box()

    def forward(self, x: Tensor, state: Any = None) -> Any:
        spikes, state = self.cell(x, state)
        return spikes, state._replace(v=far(state.v))


def hooked(middle: Any, before: bool = False) -> Any:
    if before:
        middle.register_forward_pre_hook(lambda part, given: (far(given[0]), *given[1:]))
    else:
        middle.register_forward_hook(
            lambda part, given, gave: (
                (gave[0] * (given[0] <= FAR), gave[1]) if isinstance(gave, tuple) else gave * (given[0] <= FAR)
            )
        )
    return middle


def with_own(middle: Any, name: str, value: Any) -> Any:
    setattr(middle, name, value)
    return middle


def replaced_activation() -> Any:
    cell = box()
    step = cell.activation
    cell.activation = lambda x, state, p, *rest: step(far(x), state, p, *rest)
    return cell


def varied_by_state(net: Any, x: Tensor, t: int) -> Tensor:
    """Change a buffer of the module's by its input."""
    net.kept = (x.amax() < FAR).float()
    return x * net.kept


def counting(net: Any, x: Tensor, t: int) -> Tensor:
    net.calls = getattr(net, "calls", 0) + 1
    return x + LITTLE * (net.calls > STEPS)


MIDDLES: dict[str, Callable[[], Any]] = {
    "plain snnTorch": leaky,
    "plain SpikingJelly": neuron.LIFNode,
    "plain Norse": box,
    "snnTorch, a hook": lambda: hooked(leaky()),
    "snnTorch, a hook before": lambda: hooked(leaky(), True),
    "snnTorch, another threshold at one step": lambda: leaky(LateFire),
    "snnTorch, a bound of the potential": lambda: leaky(Bounded),
    "snnTorch, one neuron's reset": lambda: leaky(OneChannel, reset_mechanism="zero"),
    "snnTorch, a leak that fades": lambda: leaky(Fading),
    "snnTorch, in training": lambda: leaky(Training),
    "snnTorch, a branch": lambda: leaky(Branching),
    "snnTorch, data written over": lambda: leaky(Written),
    "snnTorch, counted in the process": lambda: leaky(Counted),
    "snnTorch, fires before its input": lambda: leaky(FirstFires),
    "snnTorch, a spike function": lambda: leaky(spike_grad=silent),
    "snnTorch, inhibition": lambda: leaky(inhibition=True),
    "snnTorch, graded": lambda: leaky(graded_spikes_factor=1.0 + LITTLE),
    "snnTorch, a state quantised": lambda: leaky(state_quant=lambda v: (v * 64).round() / 64),
    "snnTorch, a state function": lambda: with_own(leaky(), "state_function", lambda x: far(x)),
    "snnTorch, fire of an instance": lambda: with_own(leaky(), "fire", silent),
    "snnTorch, thresholds that differ": lambda: leaky(threshold=torch.linspace(0.5, 1.0, 8)),
    "SpikingJelly, a hook": lambda: hooked(neuron.LIFNode()),
    "SpikingJelly, a hook before": lambda: hooked(neuron.LIFNode(), True),
    "SpikingJelly, a charge": Charged,
    "SpikingJelly, one neuron's tie": Strict,
    "SpikingJelly, a reset at one step": Reset,
    "SpikingJelly, a threshold that rises": Raised,
    "SpikingJelly, a start by the input": Started,
    "SpikingJelly, graded": Graded,
    "SpikingJelly, a forward of its own": lambda: with_own(neuron.LIFNode(), "forward", silent),
    "SpikingJelly, a step of its own": lambda: with_own(neuron.LIFNode(), "single_step_forward", silent),
    "SpikingJelly, no spikes": lambda: neuron.LIFNode(surrogate_function=surrogate.ATan(spiking=False)),
    "SpikingJelly, a soft reset of its own": lambda: neuron.LIFNode(v_reset=None, v_threshold=1.0 + LITTLE),
    "SpikingJelly, a start of its own": lambda: with_own(neuron.LIFNode(), "_memories_rv", {"v": 0.25}),
    "Norse, an activation": replaced_activation,
    "Norse, a state that is bounded": Stateless,
    "Norse, a state that is left out": LateStep,
    "Norse, another leak": lambda: box(v_leak=0.125),
    "Norse, another reset": lambda: box(v_reset=0.125),
    "Norse, a reset from above": lambda: box(v_reset=1.5),
}
"""In the place of a neuron."""
BETWEEN: dict[str, Callable[[Any, Tensor, int], Tensor]] = {
    "a bound of the current": lambda net, x, t: far(x),
    "another current at one step": lambda net, x, t: x + LITTLE * (t == 2),
    "another weight at one step": lambda net, x, t: x * (1.0 + LITTLE * (t == 1)),
    "one channel at one step": lambda net, x, t: x + LITTLE * torch.eye(8)[3] * (t == 3),
    "a gate": lambda net, x, t: x * (x < FAR),
    "a soft gate": lambda net, x, t: x * torch.sigmoid(20.0 * (FAR - x)),
    "a buffer by the input": varied_by_state,
    "a count over calls": counting,
    "a dropout": lambda net, x, t: nn.functional.dropout(x, 0.5, training=net.training),
    "an extra term": lambda net, x, t: x + 0.0 * x.sum(1, keepdim=True),
    "steps turned around": lambda net, x, t: x.flip(0) if t == 2 else x,
    "a number that is not finite": lambda net, x, t: torch.nan_to_num(x),
    "by gradients": lambda net, x, t: x if torch.is_grad_enabled() else far(x),
    "by gradients or types": lambda net, x, t: x if torch.is_grad_enabled() or type(x) is not Tensor else far(x),
    "by the batch": lambda net, x, t: far(x) if len(x) == 1 else x,
}
"""Of what a neuron is given."""


@pytest.fixture
def patches() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def patched_fire(patch: pytest.MonkeyPatch) -> Any:
    patch.setattr(snntorch.Leaky, "fire", lambda self, mem: silent(mem - self.threshold))
    return leaky()


def patched_reset(patch: pytest.MonkeyPatch) -> Any:
    held = neuron.LIFNode.single_step_forward
    patch.setattr(neuron.LIFNode, "single_step_forward", lambda self, x: held(self, far(x)))
    return neuron.LIFNode()


def patched_threshold(patch: pytest.MonkeyPatch) -> Any:
    home = import_module("norse.torch.functional.lif_box")
    patch.setattr(home, "threshold", lambda v, method, alpha: silent(v))
    return box()


PATCHED = {"snnTorch": patched_fire, "SpikingJelly": patched_reset, "Norse": patched_threshold}
FIRED = ("plain snnTorch", "plain SpikingJelly", "plain Norse", "snnTorch, thresholds that differ")
"""What must come in."""


def differs(module: Looped) -> bool:
    """Return whether a network comes in that gives something else, on inputs of many sizes."""
    CALLS["made"] = 0
    try:
        network = from_torch(module, SAMPLE)
    except ConversionRefused:
        return False
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(64, 5, generator=generator).sign() * 10.0 ** torch.linspace(-3, 4, 64)[:, None]
    inputs = torch.cat([inputs * torch.rand(64, 5, generator=generator), SAMPLE])
    module.eval()  # the mode that is converted
    for given in (inputs, inputs[:64], inputs[3:4], inputs[40:]):
        with torch.no_grad():
            found = [module(given) for _ in range(2)][-1]
            if not torch.allclose(network(given), found, atol=1e-5):
                return True
    return False


@pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature")
@pytest.mark.parametrize("name", MIDDLES)
def test_no_neuron_of_a_library_comes_in_as_another(name: str) -> None:
    module = Looped(MIDDLES[name]())
    assert not differs(module)
    if name in FIRED:
        assert len(from_torch(module, SAMPLE).neurons) == 1


@pytest.mark.parametrize("name", BETWEEN)
def test_no_current_of_a_neuron_comes_in_as_another(name: str) -> None:
    assert not differs(Looped(leaky(), BETWEEN[name]))


@pytest.mark.parametrize("library", PATCHED)
def test_what_was_patched_after_its_import_is_what_runs(library: str, patches: pytest.MonkeyPatch) -> None:
    assert not differs(Looped(PATCHED[library](patches)))
