"""A real network's build for a chip, and what it makes of weights in training.

A real network's build for a chip: `quantize`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..circuit import circuit
from ..constants import at_least, real, unless_none
from ..elements.integers import IntegerLIF
from ..elements.neurons import LIF
from ..elements.synapses import Delay, Synapse
from ..linear_maps.averaging import WholeInput
from ..merging import NORMS, merged
from ..networks import SpikingNetwork
from ..rules import Leaky, plain
from .targets import BuiltLayer, ChipTarget, RealLayer, target_of

WEIGHTS = (nn.Linear, nn.Conv1d, nn.Conv2d)
LEAST_BITS, MOST_BITS = 2, 8


@dataclass(frozen=True)
class BuildComparison:
    """What a build does of the inputs that its source was given, too.

    Attributes:
        samples: how many.
        same_class: on which share of them both have the same greatest class.
        spikes: of each spiking layer, which share of spikes differs; in the steps that both have, NaN left out.
        without_number: on which share of samples a sum left the width in which a chip would wrap.
    """

    samples: int
    same_class: float
    spikes: tuple[float, ...]
    without_number: float


@dataclass(frozen=True)
class Quantization:
    """A network's build for a chip.

    Attributes:
        network: of whole numbers.
        source: the real network that it was built of.
        target: the chip's name.
        levels: an input of 1 is so many units.
        layers: what each weighted layer became.
    """

    network: SpikingNetwork
    source: SpikingNetwork = field(repr=False)
    target: str
    levels: int
    layers: tuple[BuiltLayer, ...] = field(repr=False)

    def whole(self, inputs: Tensor) -> Tensor:
        """Return inputs as the chip takes them: round(levels·x), float64."""
        return whole_inputs(self.network, inputs)

    def compare(self, inputs: Tensor) -> BuildComparison:
        """Return on how many inputs the build has the source's class, and where spikes differ."""
        return compared(self.source, self.network, inputs, self.whole(inputs))

    @property
    def text(self) -> str:
        """Return a line for each layer: scale, unit, weights that were cut, threshold and decay."""
        lines = [f"{self.target}: an input of 1 is {self.levels} units"]
        for each in self.layers:
            shown = f"{each.clipped} of {each.weight.numel()} weights clipped"
            decay = f"decay {each.decay[0]:.4g} as {each.decay[1]:.4g}"
            sums = "sums" if each.neuron.reset == "none" else f"threshold {each.threshold}, {decay}"
            lines.append(f"{each.name}: 1 is {each.scale:.4g} units, weights of {each.unit}, {shown}, {sums}")
        return "\n".join(lines)


def quantize(
    network: SpikingNetwork, target: str = "loihi", bits: int = 8, *, levels: int | None = None, keep: float = 1.0
) -> SpikingNetwork:
    """Return a network's build for a chip: whole weights, thresholds and biases, and the chip's decays.

    Its inputs are whole numbers from 0 to `levels` (`whole_inputs` makes them); `quantization` also says what
    became of each layer, and compares. Mean outputs become the potentials of neurons that sum them up, which have
    the same greatest class.

    Args:
        network: layers in a row: Linear, Conv1d, Conv2d, each in front of LIF (perhaps behind a `Synapse`), with
            Flatten, padding and max pools between, and batch norms right behind weights, which are folded;
            readout "mean" or "spikes", encoding "direct" or "none".
        target: "loihi", "xylo", "spinnaker", or "qM.N" for N bits behind the point of M + N in all.
        bits: of a weight, with its sign, 2 to 8.
        levels: an input of 1 is so many units; None: 1 for events (encoding "none"), else the chip's most.
        keep: the share of a layer's weights that are not to be clipped.

    Raises:
        TypeError, ValueError: in one line for what the chip does not have, such as another reset.

    >>> from spikecert.models import mlp
    >>> network = mlp((4, 8, 2), num_steps=4, neuron=LIF(0.9))
    >>> quantize(network, "loihi").layers[0]
    WholeInput(least=0, most=255)
    """
    return quantization(network, target, bits, levels=levels, keep=keep).network


def quantization(
    network: SpikingNetwork, target: str = "loihi", bits: int = 8, *, levels: int | None = None, keep: float = 1.0
) -> Quantization:
    """Return a network's build for a chip, and what became of each layer; see `quantize`."""
    chip, made = target_of(target), circuit(network)
    if made.whole:
        raise ValueError("network: got one of whole numbers, expected a network of real ones")
    bits, keep = checked_bits(bits), real("keep", keep)
    if not 0.0 < keep <= 1.0:
        raise ValueError(f"keep: got {keep!r}, expected a share of weights above 0, up to 1")
    if network.encoding not in ("direct", "none"):
        raise ValueError(f'network: got encoding {network.encoding!r}, expected "direct" or "none" to quantize')
    if network.readout not in ("mean", "spikes"):
        raise ValueError(f'network: got readout {network.readout!r}, expected "mean" or "spikes" to quantize')
    entering = unless_none(at_least(1))("levels", levels) or (1 if network.timed else chip.levels)
    if entering > chip.levels:
        raise ValueError(f"levels: got {entering}, expected at most {chip.levels} on {chip.name}")
    with torch.no_grad():
        folded = merged(network)
        steps = _steps(folded, chip)
        parts = parts_of(folded, chip, entering)
        built = tuple(chip.build(part, bits, keep) for part in parts)
        layers = _assembled(folded, chip, entering, built)
    readout = "spikes" if network.readout == "spikes" else "potential"
    result = SpikingNetwork(*layers, num_steps=steps, encoding=network.encoding, readout=readout)
    result = result.to(network.device, torch.float64).eval()
    result.unconfirmed = network.unconfirmed
    circuit(result)
    return Quantization(result, network, chip.name, entering, built)


def checked_bits(bits: int) -> int:
    """Return the bits of a weight.

    Raises:
        TypeError, ValueError: for others than 2 to 8.
    """
    if (found := at_least(LEAST_BITS)("bits", bits)) > MOST_BITS:
        raise ValueError(f"bits: got {found}, expected {LEAST_BITS} to {MOST_BITS}")
    return found


def whole_inputs(network: SpikingNetwork, inputs: Tensor) -> Tensor:
    """Return inputs in [0, 1] as a network of whole numbers takes them: round(most·x), float64.

    Raises:
        ValueError: for a network that does not begin with a `WholeInput`.
    """
    first = network.layers[0]
    if not isinstance(first, WholeInput):
        raise ValueError("network: got one without a WholeInput, expected one of whole numbers")
    return (inputs.double() * first.most).round()


def parts_of(network: SpikingNetwork, chip: ChipTarget, levels: int | None = None) -> tuple[RealLayer, ...]:
    """Return the weighted layers of a network without norms, each with the neurons behind it."""
    entering = levels or (1 if network.timed else chip.levels)
    return tuple(_parts(network, chip, entering, network.num_steps / _steps(network, chip)))


def _steps(network: SpikingNetwork, chip: ChipTarget) -> int:
    """Return T of the build: a step more for each delay, where the input is there at every step."""
    hidden = sum(isinstance(layer, LIF) for layer in network.layers[:-1]) if chip.delays else 0
    return network.num_steps + (0 if network.timed else hidden)


def _parts(network: SpikingNetwork, chip: ChipTarget, entering: int, share: float) -> Iterator[RealLayer]:
    """Yield the weighted layers, each with the neurons behind it."""
    layers, most = list(network.layers), entering
    for index, layer in enumerate(layers):
        if not isinstance(layer, WEIGHTS):
            continue
        name, behind = f"layers.{index}", layers[index + 1 : index + 3]
        synapse = behind[0] if behind and isinstance(behind[0], Synapse) else None
        neuron = behind[synapse is not None] if len(behind) > (synapse is not None) else None
        rule = None
        if neuron is not None:
            rule = _rule(neuron, network.num_steps, f"layers.{index + 1 + (synapse is not None)}", chip)
        bias = torch.zeros(len(layer.weight)) if layer.bias is None else layer.bias.detach()
        if synapse is not None:
            _check_synapse(synapse, bias, name)
        last = neuron is layers[-1]
        kept = None if synapse is None else synapse.decay
        yield RealLayer(
            name, layer.weight.detach().double(), bias.double(), rule, kept, entering, most, last,
            share if rule is None else 1.0,
        )  # fmt: skip
        entering, most = 1, chip.most


def _rule(neuron: nn.Module, num_steps: int, name: str, chip: ChipTarget) -> Leaky:
    """Return the constants of a neuron that the chip has."""
    rule = neuron.rule(num_steps) if isinstance(neuron, LIF) else None
    if not plain(rule) or rule.scale is not None:
        told = f"network: {name} is a {type(neuron).__name__}"
        raise ValueError(f"{told}, expected LIF behind each weighted layer, norms folded into the weights")
    if rule.reset not in chip.resets:
        expected = " or ".join(f'"{reset}"' for reset in chip.resets)
        raise ValueError(f"network: {name} has reset {rule.reset!r}, expected {expected}, which {chip.name} has")
    if rule.reset == "subtract" and rule.drop != rule.threshold:
        raise ValueError(f"network: {name} subtracts {rule.drop:g}, expected its threshold {rule.threshold:g}")
    if rule.decay == 1.0 and getattr(chip, "towards", False):
        raise ValueError(f"network: {name} has decay 1, expected less on {chip.name}, whose neurons go to a drive")
    return rule


def _check_synapse(synapse: Synapse, bias: Tensor, name: str) -> None:
    if synapse.delay:
        raise ValueError(f"network: got a synapse behind {name} with a delay, expected none to quantize")
    if bool((bias != 0).any()):
        raise ValueError(f"network: {name} has a bias in front of a synapse, expected none: chips add it behind")


def _assembled(
    network: SpikingNetwork, chip: ChipTarget, entering: int, built: Sequence[BuiltLayer]
) -> Iterator[nn.Module]:
    """Yield the layers of the build."""
    yield WholeInput(0, entering)
    layers, made = list(network.layers), {each.name: each for each in built}
    neuron: IntegerLIF | None = None
    for index, layer in enumerate(layers):
        if (build := made.get(f"layers.{index}")) is not None:
            yield _weighted(layer, build)
            neuron = build.neuron
            if index == len(layers) - 1:
                yield neuron
        elif isinstance(layer, LIF):
            assert neuron is not None
            yield neuron
            if chip.delays and index < len(layers) - 1:
                yield Delay(1)
        elif not isinstance(layer, Synapse):
            yield deepcopy(layer)


def _weighted(layer: nn.Module, build: BuiltLayer) -> nn.Module:
    """Return a layer like another one, in float64, with whole weights and a bias."""
    made = deepcopy(layer).double()
    assert isinstance(made, WEIGHTS)
    made.weight = nn.Parameter(build.weight.clone())
    made.bias = nn.Parameter(build.bias.clone())
    return made


@torch.no_grad()
def compared(source: SpikingNetwork, build: SpikingNetwork, inputs: Tensor, whole: Tensor) -> BuildComparison:
    """Return what both do; a layer's spikes are compared behind the steps by which the build's come late."""
    one, other = source.trace(inputs), build.trace(whole)
    readouts = build.readout == "potential"
    layers = other.spikes[:-1] if readouts else other.spikes
    late = build.num_steps - source.num_steps
    shares = []
    for index, (own, made) in enumerate(zip(one.spikes, layers, strict=True)):
        start = min(index, late)
        made = made[start : start + source.num_steps]
        shares.append(float((own.double() != made).double().mean()))
    lost = other.logits.isnan().any(1)
    same = (one.logits.argmax(1) == other.logits.argmax(1)) & ~lost
    return BuildComparison(len(inputs), float(same.double().mean()), tuple(shares), float(lost.double().mean()))


@dataclass(frozen=True)
class ChipWeights:
    """The values that a chip holds in the place of a network's weights and biases: whole numbers over their scale.

    In training, losses and gradients are taken at these values, and the optimiser moves the real ones by them (the
    straight-through estimate; Bengio et al., 2013): a loss that is certified there is of the values that
    `quantize` makes of the network. Decays and thresholds are not rounded so: choose decays that the chip has,
    such as 7/8.

    Args:
        target, bits: as in `quantize`.

    Raises:
        TypeError, ValueError: for a target that is not known, or bits out of range.

    >>> from spikecert.models import mlp
    >>> network = mlp((2, 2), num_steps=1)
    >>> before = network.layers[0].weight.clone()
    >>> with ChipWeights("q8.8", bits=3).of(network):
    ...     len(network.layers[0].weight.unique()) <= 7
    True
    >>> torch.equal(network.layers[0].weight, before)
    True

    References: bengio2013estimating
    """

    target: str
    bits: int = 8

    def __post_init__(self) -> None:
        target_of(self.target)
        object.__setattr__(self, "bits", checked_bits(self.bits))

    def check(self, network: SpikingNetwork) -> None:
        """Raise ValueError for a network of which the chip has no build, or one with batch norms."""
        for name, module in network.named_modules():
            if isinstance(module, NORMS):
                told = "expected none to train through a chip's weights (spikecert.models.merging.merged folds it)"
                raise ValueError(f"network: {name} is a {type(module).__name__}, {told}")
        quantization(network, self.target, self.bits)

    @contextmanager
    def of(self, network: SpikingNetwork) -> Iterator[None]:
        """Give the network these values for a while; its own come back."""
        kept = [(tensor, tensor.detach().clone()) for tensor in network.parameters()]
        try:
            self._write(network)
            yield
        finally:
            with torch.no_grad():
                for tensor, values in kept:
                    tensor.data.copy_(values)

    @torch.no_grad()
    def _write(self, network: SpikingNetwork) -> None:
        chip = target_of(self.target)
        layers = (layer for layer in network.layers if isinstance(layer, WEIGHTS))
        for layer, part in zip(layers, parts_of(network, chip), strict=True):
            weight, bias = chip.real(part, chip.build(part, self.bits, 1.0))
            _write(layer.weight, weight)
            if layer.bias is not None:
                _write(layer.bias, bias)


def _write(parameter: Tensor, values: Tensor) -> None:
    parameter.data.copy_(values)
