"""Run a module of another library and keep what each of its layers was given and gave.

Nothing is read from the module's code: forward hooks see the layers that it calls, in order, step by step, and
between them the tensors are followed (data_flow.py). A
module that a caller drives by steps (`num_steps` given) is called once a step; SpikingJelly's multi-step modules,
and modules that loop over time themselves, once. Either way every signal becomes (T, batch, ...), or
(1, batch, ...) for one that was computed once for all steps.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from spikecert.models.constants import at_least, unless_none
from spikecert.models.conversion.refusal import ConversionRefused
from spikecert.models.validation import check_choice

from ..layers import is_silent, plain_layer
from ..neurons import ForeignNeuron
from ..readers.shipped import check_shipped
from .arranging import Arrangement, Step, layers_of
from .data_flow import Gave
from .following import check_followed
from .gates import with_gates
from .hearing import common_origin, without_loops
from .observed_layers import Call, ObservedLayer, are_alike, check_time, signals_of
from .places import at, place
from .states import GivenState, arguments, check_states, results
from .watching import Outside, check_inside, check_plain, check_types, numbers_of


@dataclass(frozen=True)
class ForeignLibrary:
    """What conversions have to know of one library.

    Attributes:
        name: its own.
        read: the constants of one of its neurons, for (module, name); None for a module that is no neuron of it.
        reset: puts all states of a module back to the start.
        multistep: whether a neuron takes all steps in one call.
        stateful: whether a step is called with the state of the one before, and returns (output, state).
    """

    name: str
    read: Callable[[nn.Module, str], ForeignNeuron | None]
    reset: Callable[[nn.Module], None]
    multistep: Callable[[nn.Module], bool]
    stateful: bool = False


@dataclass(frozen=True)
class Source:
    """A module and how to run it: `num_steps` None for one that runs all steps in one call by itself."""

    library: ForeignLibrary
    module: nn.Module
    timed: bool
    num_steps: int | None = None
    output: str | int | None = None

    @staticmethod
    def of(
        library: ForeignLibrary,
        module: nn.Module,
        encoding: str,
        num_steps: int | None,
        output: str | int | None = None,
    ) -> "Source":
        """Return the source for an encoding by name; `output` names one of several things that a module returns.

        Raises:
            TypeError, ValueError: for what is no module, another encoding, or no positive number of steps.
        """
        if not isinstance(module, nn.Module):
            raise TypeError(f"module: got {type(module).__name__}, expected a torch module")
        check_choice("encoding", encoding, ("direct", "none"))
        steps = unless_none(at_least(1))("num_steps", num_steps)
        return Source(library, module, encoding == "none", steps, output)


@dataclass(frozen=True)
class Observation:
    """What a run showed.

    Attributes:
        steps: the layers by name, in series and in sums of paths.
        layers: in the order of `steps`, each branch before its shortcut.
        outputs: all tensors that the module returned.
        num_steps: T.
        random: whether a layer drew random numbers.
    """

    steps: tuple[Step, ...]
    layers: tuple[ObservedLayer, ...]
    outputs: tuple[Tensor, ...]
    num_steps: int
    random: bool = False

    @property
    def spikes(self) -> tuple[Tensor, ...]:
        """Return what each neuron layer gave, (T, batch, ...)."""
        return tuple(observed.gave for observed in self.layers if observed.neuron is not None)


def observe(source: Source, inputs: Tensor) -> Observation:
    """Return what a run on `inputs`, (batch, ...) or (batch, T, ...), shows; the module is left as it was found.

    Raises:
        ConversionRefused: for a module that calls no neuron of the library, or its layers irregularly.
    """
    batch = len(inputs)
    padded = torch.cat([inputs, inputs[:1]]) if batch == _steps_of(source, inputs) else inputs
    found = _observe(source, padded)
    if found is None:  # batch = T: which axis of a signal is time can't be told
        found = _observe(source, torch.cat([padded, inputs[:1]]))
    if found is None:
        raise ConversionRefused("module: gives signals in which time and batch can't be told apart")
    layers = tuple(observed.part(batch) for observed in found.layers)
    outputs = tuple(_trimmed(out, found.num_steps, batch) for out in found.outputs)
    return replace(found, layers=layers, outputs=outputs)


def _steps_of(source: Source, inputs: Tensor) -> int | None:
    return inputs.shape[1] if source.timed else source.num_steps


def _observe(source: Source, inputs: Tensor) -> Observation | None:
    calls: dict[str, list[Call]] = {}
    check_types(source.module)
    modules, hooked = _watched(source)
    check_plain(modules)
    named = {name: modules[name] for name, neuron in hooked.items() if neuron is not None}
    check_inside(named)
    for name, module in named.items():
        check_shipped(module, name)
    outside, neurons = Outside(), set(named.values())
    parts = [part for part in source.module.modules() if part not in neurons]
    with _recording(source, modules, calls, outside), torch.no_grad():
        source.library.reset(source.module)
        with outside.watching():
            outputs = run_once(source, outside.begin(parts, inputs.clone()))
        source.library.reset(source.module)
        outside.check()
        outside.done = True
        if not outside.inner_draws:  # of a layer, which is refused by name
            _check_again(source, inputs, outputs, outside)
    firing = [name for name in calls if hooked[name] is not None]
    if not firing:
        raise ConversionRefused(f"module: calls no neuron of {source.library.name} that is known")
    steps = _count_steps(source, calls[firing[0]], len(inputs))
    if steps is None or (len(inputs) == steps and source.num_steps is None):
        return None
    if steps == 1 and source.num_steps is None:
        raise ConversionRefused(
            "module: does one step a call, and num_steps is not given; expected the number of steps that it "
            "is run for (1 for one alone)"
        )
    layers, before = {}, ""
    for name, found in calls.items():
        _check_calls(name + at(found[-1].place), len(found), steps, hooked[name])
        if (neuron := hooked[name]) is not None:
            check_time(neuron, found, steps, len(inputs))
            check_states(name, neuron, [call.states for call in found])
        signals = signals_of(found, steps, len(inputs), name)
        origin = common_origin(found) or Gave(before)
        layers[name], before = (
            ObservedLayer(name, modules[name], hooked[name], origin, *signals, found[0].place),
            name,
        )
    layers = without_loops(layers, calls)
    check_followed(layers, calls)
    before = list(layers)[-1]
    layers = with_gates(layers, outside.origins.gates)
    arranged = Arrangement({name: observed.origin for name, observed in layers.items()}).until(before)
    kept = tuple(layers[name] for name in layers_of(arranged))
    return Observation(arranged, kept, outputs, steps, bool(outside.inner_draws))


def _check_again(source: Source, inputs: Tensor, outputs: tuple[Tensor, ...], outside: Outside) -> None:
    """Raise unless a second call, from the neurons' first states and with gradients, does and gives the same.

    States are put back again.
    """
    numbers = numbers_of(source.module)
    with torch.enable_grad(), outside.watching():
        again = run_once(source, inputs.clone())
    source.library.reset(source.module)
    outside.check()
    if changed := numbers.items() ^ numbers_of(source.module).items():
        raise ConversionRefused(f"module: changes {min(changed)[0]} at each call, expected one that starts afresh")
    same = len(again) == len(outputs) and all(map(are_alike, outputs, again))
    if not same:
        raise ConversionRefused(
            "module: gives other outputs when it is called again, with gradients, so it keeps a state besides its "
            "neurons', or asks for them; expected one that starts afresh, and does the same with them"
        )


def _watched(source: Source) -> tuple[dict[str, nn.Module], dict[str, ForeignNeuron | None]]:
    """Return the layers to watch and their neurons, by name; what passes values on in silence is not watched."""
    modules: dict[str, nn.Module] = {}
    neurons: dict[str, ForeignNeuron | None] = {}
    stack, seen = [("", source.module)], set()
    while stack:
        name, module = stack.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        neuron = source.library.read(module, name or "module")
        leaf = next(module.children(), None) is None and not is_silent(module) and name != ""
        if neuron is not None or leaf or plain_layer(module, name) is not None:
            modules[name], neurons[name] = module, neuron
        else:
            stack += [(f"{name}.{child}" if name else child, inner) for child, inner in module.named_children()]
    return modules, neurons


@contextmanager
def _recording(
    source: Source, modules: dict[str, nn.Module], calls: dict[str, list[Call]], outside: Outside
) -> Iterator[None]:
    """Record the calls of `modules` in evaluation mode; restore modes and remove hooks afterwards.

    A module's own hooks run outside of it: pre-hooks before ours, others after.
    """
    modes = {module: module.training for module in source.module.modules()}
    handles = []
    for name, module in modules.items():
        enter, leave = _hooks(name, calls, outside)
        handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        handles.append(module.register_forward_hook(leave, prepend=True, with_kwargs=True))
    source.module.eval()
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode


def _hooks(name: str, calls: dict[str, list[Call]], outside: Outside) -> tuple[Callable[..., None], ...]:
    """Return what runs before and behind each call of a layer."""
    before: dict[str, GivenState] = {}

    def enter(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Note the states that a call starts from."""
        outside.enter()
        if outside.done:
            return
        before.clear()
        before.update(outside.states.given(arguments(module, given, named)[1], outside.origins))

    def leave(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], gave: Any) -> None:
        """Keep one call: its input, its first output, and the states before and after."""
        if outside.done:
            outside.leave()
            return
        first, rest = (gave[0], gave[1:]) if isinstance(gave, tuple) else (gave, ())
        signal, _ = arguments(module, given, named)
        if not isinstance(signal, Tensor) or not isinstance(first, Tensor):
            raise ConversionRefused(f"{name}: is called without a tensor, or returns none")
        after, found = results(module, rest), calls.setdefault(name, [])
        states = dict(before), {key: state.detach().clone() for key, state in after.items()}
        origin, zero = outside.origins.of(signal), outside.origins.is_zero(signal)
        found.append(Call(origin, signal.detach().clone(), first.detach().clone(), states, place(), zero))
        outside.states.note(name, len(found) - 1, after)
        outside.gave(name, len(found) - 1, first, [*after.values(), *rest], found[-1].expands)
        outside.leave()

    return enter, leave


def run_once(source: Source, inputs: Tensor) -> tuple[Tensor, ...]:
    """Return the tensors that the module returned, those of single steps stacked to (T, batch, ...)."""
    timed = inputs.transpose(0, 1).contiguous() if source.timed else None
    if source.num_steps is None:
        return _tensors(source, source.module(inputs if timed is None else timed))
    if source.library.multistep(source.module):
        sequence = timed if timed is not None else inputs.expand(source.num_steps, *inputs.shape)
        return _tensors(source, source.module(sequence))
    state, steps = None, []
    for t in range(source.num_steps):
        step = inputs if timed is None else timed[t]
        found = source.module(step) if state is None else source.module(step, state)
        if source.library.stateful:
            if not (isinstance(found, tuple) and len(found) == 2):
                raise ConversionRefused(
                    f"module: returned {type(found).__name__}, expected (output, state) a step"
                )
            found, state = found
        steps.append(_tensors(source, found))
    return tuple(torch.stack(parts) for parts in zip(*steps, strict=True))


def _tensors(source: Source, found: Any) -> tuple[Tensor, ...]:
    """Return the tensors that a module returned, or those of the output that the source names."""
    if source.output is None:
        return _within(found)
    try:
        return _within(found[source.output])
    except (KeyError, IndexError, TypeError) as error:
        held = ", ".join(map(repr, found)) if isinstance(found, Mapping) else type(found).__name__
        raise ConversionRefused(f"output: got {source.output!r}, and the module returns {held}") from error


def _within(found: Any) -> tuple[Tensor, ...]:
    if isinstance(found, Tensor):
        return (found.detach(),)
    if isinstance(found, Mapping):
        return tuple(tensor for part in found.values() for tensor in _within(part))
    if isinstance(found, tuple | list):
        if found and isinstance(found, list) and all(isinstance(part, Tensor) for part in found):
            shapes = {part.shape for part in found}
            return (torch.stack(found).detach(),) if len(shapes) == 1 else tuple(part.detach() for part in found)
        return tuple(tensor for part in found for tensor in _within(part))
    return ()


def _count_steps(source: Source, calls: list[Call], batch: int) -> int | None:
    """Return T by the calls of a neuron layer, or None where a multi-step signal has T = batch."""
    if source.num_steps is not None:
        return source.num_steps
    if len(calls) > 1:
        return len(calls)
    shape = calls[0].gave.shape if calls[0].expands else calls[0].given.shape
    if shape[0] != batch:
        return shape[0]
    return None if len(shape) > 2 and shape[1] == batch else 1


def _check_calls(name: str, count: int, steps: int, neuron: ForeignNeuron | None) -> None:
    if count in (1, steps):
        return
    what = "a neuron" if neuron is not None else "a layer"
    raise ConversionRefused(
        f"{name}: is called {count} times in {steps} steps, expected {what} of its own per place"
    )


def _trimmed(output: Tensor, steps: int, batch: int) -> Tensor:
    """Return an output for the first `batch` samples alone."""
    if output.dim() >= 2 and output.shape[0] == steps and output.shape[1] >= batch and output.dim() > 2:
        return output[:, :batch]
    return output[:batch] if output.dim() > 1 else output
