"""From modules to nodes, once: a module takes part by its exact type, and what is not known is refused.

    affine layers       Mapped, by the map of that type
    max pools           Pooled, by their windows
    Synapse             Filtered, by its decay and delay
    PerStep             Chosen, of the maps of its layers, one for each step
    Residual            Added
    neurons             Fired, by the rule that the layer states; of a subclass, one that sets constants alone
    Recurrent           Recurred, by its neuron's rule and its feedback's map

Which types these are, and what makes a node's constants of a layer, `elements.registry` says. A layer with another
recursion states a rule of its own type, which names the layer among its `layers`; each reader refuses it until it
knows that rule, or asks for no more than the automaton that the rule declares.

Circuits of whole numbers: every signal of a run is whole, and so exact in float64 in every order of summation.

**Statement.** Let inputs, weights and biases be whole, and let every layer that fires be of a rule of whole
numbers. While Σ|w||x| + |b| ≤ 2^51, each product, each partial sum and each potential of a run is a whole number
below 2^53, which float64 holds: nothing rounds, whatever the order or the blocking, with fused multiply-adds or
without. *Proof:* no operation leaves the whole numbers of at most 53 bits, so none has anything to round. ∎
Bounds compute with middles and radii, whole multiples of ½: the same holds for them in units of ½ up to 2^52, so
2^51 is enough.

So `Rounding.whole` pays nothing, and refuses sums that may pass 2^51. What a readout divides (spike counts by T)
rounds as elsewhere, and is paid for by the readout.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..constants import at_least
from ..elements.integers import Stepped
from ..elements.layers import PerStep, Residual
from ..elements.recurrent import FedBack, Recurrent, check_parts
from ..elements.registry import ELEMENTS, known
from ..elements.synapses import TemporalFilter
from ..linear_maps import LinearMap, linear_map
from ..linear_maps.averaging import ReshapeMap, SelectionMap, WholeInputMap
from ..linear_maps.convolution import ConvolutionMap
from ..linear_maps.dense import DenseMap
from ..networks import SpikingNetwork, check_network
from ..rules import LEAKY, WHOLE, Leaky, Rule, plain
from ..running.encoding import ENCODINGS, READOUTS, RateDraws, fits
from ..source import OWN
from ..validation import check_choice
from .nodes import Added, Chosen, Circuit, Filtered, Fired, Input, Mapped, Node, Pooled, Read, Recurred
from .unchanged import check_library, check_methods, check_nothing_between, check_unchanged, overridden

MAPS: tuple[type[LinearMap], ...] = (DenseMap, ConvolutionMap, ReshapeMap, SelectionMap)
"""Those whose outputs are whole where weights and inputs are."""
LARGEST = 2.0**31
"""Of a weight's modulus."""


def whole_input(circuit: Circuit) -> WholeInputMap | None:
    """Return what a circuit takes, if it is one of whole numbers; None for all others."""
    first = circuit.nodes[1]
    return first.map if isinstance(first, Mapped) and isinstance(first.map, WholeInputMap) else None


def check_whole(circuit: Circuit) -> None:
    """Raise ValueError for a circuit that is whole in part: one that begins so, or has a rule of whole numbers.

    Of a circuit that is not whole at all nothing is asked.
    """
    marked = any(isinstance(node, Mapped) and isinstance(node.map, WholeInputMap) for node in circuit.nodes)
    if not marked and not any(node.rule is not None and node.rule.whole for node in circuit.spiking):
        return
    if whole_input(circuit) is None:
        raise ValueError("network: got integer neurons without a WholeInput as the first layer, expected it there")
    if circuit.dtype != torch.float64:
        raise ValueError(f"network: got {circuit.dtype}, expected torch.float64 for whole numbers")
    for node in circuit.nodes:
        if trouble := _trouble(node, circuit):
            told = "expected whole numbers alone in a network that begins with a WholeInput"
            raise ValueError(f"network: {node.name or 'it'} {trouble}, {told}")


def _trouble(node: Node, circuit: Circuit) -> str:
    """Return why a node's numbers may not be whole, or nothing."""
    if isinstance(node, Input):
        return "" if node.encoding in ("direct", "none") else f"has encoding {node.encoding!r}"
    if isinstance(node, Mapped):
        return _map_trouble(node)
    if isinstance(node, Filtered):
        return "" if node.filter.moves else f"is a synapse of decay {node.filter.decay}"
    if isinstance(node, Chosen):
        return "is of its own at each step"
    if isinstance(node, Fired):
        return "" if node.rule.whole else f"has neurons of rule {type(node.rule).__name__}"
    if isinstance(node, Recurred):
        return "hears its own spikes"
    return _read_trouble(node, circuit) if isinstance(node, Read) else ""


def _map_trouble(node: Mapped) -> str:
    if isinstance(node.map, WholeInputMap) and node.sources != (0,):
        return "is a WholeInput behind another layer"
    if not isinstance(node.map, MAPS):
        return f"is {node.map}"
    for tensor in node.map.tensors:
        if not bool(((tensor == tensor.round()) & (tensor.abs() <= LARGEST)).all()):
            return f"has weights that are not whole, or above {LARGEST:.0f}"
    return ""


def _read_trouble(node: Read, circuit: Circuit) -> str:
    if node.readout == "mean":
        return 'is read as a mean, which divides by T (readout="potential" does not)'
    if node.rule is not None:
        if isinstance(node.rule, Stepped) and not node.rule.leak.keeps and node.readout != "potential":
            return f"reads potentials that leak by {node.readout!r}"
        return "" if _adds(node.rule) else "is read by neurons whose potentials are no sums of whole numbers"
    return ""


def _adds(rule: Rule) -> bool:
    """Return whether potentials are sums of currents: they keep all, or nothing, or all but one unit a step."""
    if isinstance(rule, Stepped):
        unit = rule.leak.cut == "dash" and rule.leak.shift >= rule.bits - 1
        return (rule.leak.keeps or unit) and rule.synapse is None and not rule.towards
    return plain(rule) and rule.decay in (0.0, 1.0) and rule.scale is None and rule.reset == "none"


NODES: dict[str, Callable[..., Node]] = {node.kind: node for node in (Mapped, Pooled, Filtered)}
"""The nodes that an element's own constants say whole."""


def circuit(network: SpikingNetwork) -> Circuit:
    """Return what `network` computes in evaluation mode, as nodes that readers fold.

    The circuit holds the network's own weights, and constants as plain numbers that are read now.

    Raises:
        TypeError: for a module whose node is not known: another type, a subclass, a replaced method.
        ValueError: for settings or constants that no node has, hooks, and tensors of several dtypes.

    >>> from spikecert.models import LIF
    >>> nodes = circuit(SpikingNetwork(nn.Linear(4, 3), LIF(), nn.Linear(3, 2), num_steps=5)).nodes
    >>> [node.kind for node in nodes]
    ['input', 'mapped', 'fired', 'mapped', 'read']
    """
    check_nothing_between()
    _check_code(network)
    check_unchanged(network, "")
    _check_settings(network)
    num_steps = at_least(1)("num_steps", network.num_steps)
    draws = network.draws if network.encoding == "rate" else None
    lowering = _Lowering(num_steps, [Input("", (), network.encoding, draws)])
    if type(network.layers) is not nn.ModuleList:
        raise TypeError(f"network: layers is {type(network.layers).__name__}, expected nn.ModuleList")
    layers = list(network.layers)
    potential = network.reads_potentials
    last = lowering.through(layers[:-1] if potential else layers, 0, "layers")
    lowering.read(network.readout, layers[-1], last, f"layers.{len(layers) - 1}", potential)
    like = next(network.parameters())
    allowed = OWN if network.source is None else network.source.boxes[-1]
    made = Circuit(tuple(lowering.nodes), num_steps, like.dtype, like.device, allowance=allowed)
    _check_tensors(made)
    check_whole(made)
    return made


@dataclass
class _Lowering:
    """Collects nodes; `rank` is how many axes the latest signal is known to have, or None."""

    num_steps: int
    nodes: list[Node]
    rank: int | None = field(default=None)

    def through(self, layers: list[nn.Module] | nn.ModuleList, source: int, path: str) -> int:
        """Add `layers` behind a node and return the last one's index."""
        if type(layers) not in (list, nn.ModuleList):
            raise TypeError(f"network: {path} is {type(layers).__name__}, expected nn.ModuleList")
        for index, layer in enumerate(layers):
            source = self._add(layer, source, f"{path}.{index}")
        return source

    def read(self, readout: str, layer: nn.Module, source: int, name: str, potential: bool) -> None:
        """Add the readout, of spikes and affine layers or of the potentials of a layer that never fires."""
        if not potential:
            if not fits(readout, isinstance(self.nodes[source], Fired | Recurred)):
                raise ValueError(f"readout: got {readout!r} behind {name}, which it does not fit")
            rule = getattr(self.nodes[source], "rule", None)
            if rule is not None and rule.most > 1:
                told = f"neurons of {name} that may fire {rule.most} times a step"
                raise ValueError(f"readout: got {readout!r} of {told}, expected an affine layer behind them")
            self.nodes.append(Read("", (source,), readout))
            return
        check_unchanged(layer, name)
        if not hasattr(type(layer), "rule"):
            raise ValueError(f"readout: got {readout!r} behind {type(layer).__name__}, which it does not fit")
        rule = rule_of(layer, self.num_steps, name)
        if getattr(rule, "reset", None) != "none":
            raise ValueError(f'readout: "{readout}" needs a final neuron with reset="none"')
        if not rule.features <= {LEAKY, WHOLE}:
            told = " and ".join(sorted(rule.features))
            raise ValueError(f'readout: got "{readout}" behind neurons of {told}, expected plain leaky ones')
        self.nodes.append(Read(name, (source,), readout, rule, layer))

    def _add(self, layer: nn.Module, source: int, name: str) -> int:
        check_unchanged(layer, name)
        if type(layer) is Residual:
            rank = self.rank
            branch = self.through(layer.branch, source, f"{name}.branch")
            self.rank = rank
            shortcut = self.through(layer.shortcut, source, f"{name}.shortcut")
            return self._append(Added(name, (branch, shortcut)))
        if type(layer) is PerStep:
            return self._append(Chosen(name, self._steps(layer, source, name)))
        element = ELEMENTS.get(type(layer))
        if element is not None and element.lower is not None:
            made = element.lower(layer)
            made = self._ranked(made) if isinstance(made, LinearMap) else made
            return self._append(NODES[element.node](name, (source,), made))
        rule = rule_of(layer, self.num_steps, name)
        if isinstance(rule, FedBack):
            return self._append(self._recurred(layer, rule, source, name))
        return self._append(Fired(name, (source,), rule, layer))

    def _steps(self, layer: PerStep, source: int, name: str) -> tuple[int, ...]:
        """Add the layer of each step behind a node, and return them."""
        layer.check(self.num_steps)
        if type(layer.steps) is not nn.ModuleList:
            raise TypeError(f"network: {name}.steps is {type(layer.steps).__name__}, expected nn.ModuleList")
        rank, found = self.rank, []
        for index, own in enumerate(layer.steps):
            self.rank = rank
            found += [self._add(own, source, f"{name}.steps.{index}")]
        return tuple(found)

    def _recurred(self, layer: nn.Module, rule: FedBack, source: int, name: str) -> Recurred:
        assert isinstance(layer, Recurrent)
        check_parts(layer.neuron, layer.feedback, layer.synapse)
        for part, module in layer.named_children():
            check_unchanged(module, f"{name}.{part}")
        rule_of(layer.neuron, self.num_steps, f"{name}.neuron")
        feedback = linear_map(layer.feedback)
        feedback = feedback if self.rank is None else feedback.at_rank(self.rank)
        known = None if layer.synapse is None else layer.synapse.filter
        return Recurred(name, (source,), rule.own, feedback, known, layer)

    def _ranked(self, made: LinearMap) -> LinearMap:
        made = made if self.rank is None else made.at_rank(self.rank)
        if made.reshapes or made.rank is not None:
            self.rank = made.rank
        return made

    def _append(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1


def rule_of(layer: nn.Module, num_steps: int, name: str) -> Rule:
    """Return the rule that a spiking layer states, if its code is that of a type that runs by it.

    Raises:
        TypeError: for a layer that states none, or that runs otherwise than the rule's own layer types.
    """
    state = getattr(type(layer), "rule", None)
    if state is None:
        told = f"network: got a layer of type {type(layer).__name__} ({name})"
        raise TypeError(f"{told}, expected one of {known()}")
    rule = state(layer, num_steps)
    owner = _owner(layer, rule)
    changed = {"type"} if owner is None else overridden(type(layer), owner)
    if changed:
        what = ", ".join(sorted(changed))
        told = (
            f"network: got a layer of type {type(layer).__name__} ({name}) that runs otherwise than its node says"
        )
        raise TypeError(f"{told}: rule {type(rule).__name__} knows nothing of its own {what}")
    return rule


def runs_as(layer: nn.Module, num_steps: int, name: str) -> type[nn.Module]:
    """Return the layer type whose code a spiking layer runs: of a subclass that only sets constants, its base.

    Raises:
        TypeError: as `rule_of`.
    """
    owner = _owner(layer, rule_of(layer, num_steps, name))
    assert owner is not None
    return owner


def _owner(layer: nn.Module, rule: Rule) -> type[nn.Module] | None:
    kinds, own = type(layer).__mro__, type(rule).layers
    return next((kind for kind in kinds if kind in own or _runs_by(kind, rule)), None)


def _runs_by(kind: type, rule: Rule) -> bool:
    element = ELEMENTS.get(kind)
    return element is not None and type(rule) in element.rules


def leaky_rule(layer: nn.Module | None, num_steps: int, name: str = "neuron") -> Leaky:
    """Return the rule of one layer, which must be `Leaky`.

    Raises:
        TypeError: for a layer of another rule, or of none.
    """
    assert layer is not None
    rule = rule_of(layer, num_steps, name)
    if not plain(rule):
        told = f"network: {name} is a {type(layer).__name__} of {' and '.join(sorted(rule.features))}"
        raise TypeError(f"{told}, expected plain leaky neurons")
    return rule


def leaky_rules(network: SpikingNetwork) -> tuple[Leaky, ...]:
    """Return the rule of each spiking layer in order of execution, all of which must be `Leaky`.

    Raises:
        TypeError, ValueError: as `circuit` and `leaky_rule`.
    """
    made = circuit(network)
    return tuple(leaky_rule(node.layer, made.num_steps, node.name) for node in made.spiking)


def check_code(network: SpikingNetwork) -> None:
    """Raise TypeError or ValueError unless a network runs the code of this library's types, hooks aside.

    A file tells types and constants; a hook may only watch, and is no part of it.
    """
    _check_code(network)
    for name, module in network.named_modules():
        check_methods(module, name)


def _check_code(network: SpikingNetwork) -> None:
    check_network(network)
    check_library(type(module) for module in network.modules())
    changed = overridden(type(network), SpikingNetwork)
    if changed:
        what = ", ".join(sorted(changed))
        raise TypeError(
            f"network: got {type(network).__name__}, which runs otherwise than SpikingNetwork: its own {what}"
        )


def _check_settings(network: SpikingNetwork) -> None:
    check_choice("encoding", network.encoding, ENCODINGS)
    check_choice("readout", network.readout, READOUTS)
    if type(network.draws) is not RateDraws:
        raise TypeError(f"draws: got {type(network.draws).__name__}, expected RateDraws")


def _check_tensors(made: Circuit) -> None:
    """Raise unless all tensors and constants are such that the run's dtype says all of its arithmetic."""
    for node in made.nodes:
        if isinstance(node, Mapped):
            for tensor in node.map.tensors:
                _check_tensor(tensor, node.name, made)
        elif isinstance(node, Fired | Recurred | Read) and node.rule is not None:
            _check_neurons(node, node.rule, made)
        elif isinstance(node, Filtered):
            _check_constants(node.filter, node.name, made)


def _check_neurons(node: Fired | Recurred | Read, rule: Rule, made: Circuit) -> None:
    layer = node.layer
    if isinstance(node, Recurred):
        assert isinstance(layer, Recurrent)
        layer = layer.neuron
        for tensor in node.feedback.tensors:
            _check_tensor(tensor, node.name, made)
        if node.filter is not None:
            _check_constants(node.filter, node.name, made)
    assert layer is not None
    for part in layer.modules():
        for tensor in (*part._parameters.values(), *part._buffers.values()):
            if tensor is not None:
                _check_tensor(tensor, node.name, made)
    _check_constants(rule, node.name, made)


def _check_constants(rule: Rule | TemporalFilter, name: str, made: Circuit) -> None:
    try:
        rule.check(made.dtype)
    except ValueError as error:
        raise ValueError(f"network: {name}: {error}") from error


def _check_tensor(tensor: Tensor, name: str, made: Circuit) -> None:
    """Raise unless a tensor is plain, for a subclass may multiply in its own way, and of the run's dtype."""
    if type(tensor) not in (Tensor, nn.Parameter) or tensor.layout is not torch.strided:
        kind = f"{type(tensor).__name__} of layout {tensor.layout}"
        raise TypeError(f"network: {name} holds a {kind}, expected a dense torch.Tensor")
    if tensor.dtype != made.dtype or tensor.device != made.device:
        found = f"{tensor.dtype} on {tensor.device}"
        raise ValueError(f"network: {name} is {found}, expected all of it in {made.dtype} on {made.device}")
