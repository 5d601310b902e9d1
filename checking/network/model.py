"""The network of a model file, as exact numbers, and what its run is.

The run that a proof is about: at every step the same input enters (direct coding), and then what no spike has
reached yet is the same at each step and computed once; or each step has an input of its own (encoding "none").
Of a rate code the spikes that the network's draws make of the input are such a part. u = v·(1 − s) is exact under
a hard reset. Logits, by the readout:

* "mean": what the layers behind the last spikes make of their mean over time, or the mean of what they make of
  each step;
* "spikes": the mean of the last spikes;
* "potential": the last potential v[T] of a final neuron that never resets; "summed": Σ_t v[t];
* "largest": max_t v[t] of such a neuron, or max_t x[t] of what a last affine layer gives;
* "first": −τ of the last spikes, τ the step of the first one, T + 1 without any.

A network that begins with a WholeInput is one of whole numbers (integers.py), all of it, or it is refused.

The rate code of a network: step t spikes iff u[t] < x, for draws u that the network has, exactly.

A seed's draws are those of the generator MT19937: of each two words of 32 bits, the first one above, the lowest
53 bits over 2^53, step by step and feature by feature.

A box of inputs leaves each feature a chain of trains: as x grows, spikes come in the order of their draws.
Those with u below the least x are certain, those with u at or above the greatest x do not come, and what a sum
Σ costs·s over the others may be is a sum over the first ones in that order. Proof: s[t] = 1 iff u[t] < x, so
the spikes of any x are all those below it. ∎ For sums whose costs have one sign for each feature, single steps'
ends tell the same.

A layer that hears its own spikes: c[t] = x[t] + (V·s[t−1] + b), s[0] = 0, the feedback's own sums first.

Let a box hold the layer's spikes of every run: then an affine image of it, a step later, and the box of x hold
its currents, and what is known of trains under those holds its spikes again. It starts from any spikes at all.
With prices μ on c, Σ μ[t]·c[t] = Σ μ[t]·(x[t] + b) + Σ (Vᵀμ[t+1])·s[t]: the last sum is about the layer's own
spikes, so its costs are A[t] + Vᵀμ[t+1] (F16).

Rounding: the error of x, that of the feedback, and of one sum, u of both sizes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..events.inputs import Inputs
from ..maps.affine import Affine, LeakySynapse
from ..maps.layers import Layer, Shape, read_layer
from ..maps.pooling import MaxPool
from ..numbers.exact import ARITHMETIC, Arithmetic, Dyadic, Refused, whole
from ..work import CALL, allowance, hold, limited, spend
from .files import Content, parse, read
from .integers import WHOLE, IntegerNeuron, WholeEnds, check_tensors, keeps_whole
from .kinds import Kinds
from .neurons import Described

FEEDBACKS = ("Linear", "Conv1d", "Conv2d", "Share")


@dataclass(frozen=True)
class Loop:
    """The layer as the model file describes it."""

    neuron: Described
    feedback: Layer

    @staticmethod
    def read(
        tensors: dict[str, np.ndarray], name: str, layer: dict[str, Any], steps: int, arithmetic: Arithmetic
    ) -> "Loop":
        """Return the layer of a description.

        Raises:
            Refused: for parts that are not known.
        """
        own, feedback = layer["neuron"], layer["feedback"]
        known = own["type"] in ("LIF", "DLIF") and feedback["type"] in FEEDBACKS
        if layer.keys() != {"type", "neuron", "feedback"} or not known:
            raise Refused("unknown: no proof form for a Recurrent of such parts")
        neuron = Described.read(tensors, f"{name}.neuron", own, steps, arithmetic)
        return Loop(neuron, read_layer(tensors, f"{name}.feedback", feedback))

    def over(self, shape: Shape, arithmetic: Arithmetic) -> Affine:
        """Return the feedback of flat spikes of `shape`, which it keeps."""
        affine, made = self.feedback.over(shape, arithmetic)
        if affine is None or made != shape:
            raise Refused("a feedback does not keep the shape of its layer's spikes")
        return affine


def driven(feedback: Affine, size: Dyadic, error: Dyadic, arithmetic: Arithmetic) -> tuple[Dyadic, Dyadic]:
    """Return a bound of |ĉ|, and of how far it is from the exact c, for those of x̂, (n, 1) each.

    Raises:
        Refused: where the run may overflow.
    """
    ones = whole(np.ones((len(size.ints), 1), dtype=int))
    heard, own = feedback.measured(ones, arithmetic)
    size = size + heard
    rounding = arithmetic.rounded(size)
    return size + rounding, error + own + rounding


LONGEST = 2**63


@dataclass(frozen=True)
class Draws:
    """The draws u of a network, by a seed or one by one, (T, ...)."""

    seed: int | None
    given: np.ndarray | None = None

    @staticmethod
    def read(text: dict[str, Any]) -> "Draws":
        """Return the draws that a model file describes.

        Raises:
            Refused: for a seed that is no integer from 0 to 2⁶³ − 1, or draws that are no finite numbers in lists
                of one length.
        """
        seed, given = text.get("seed"), text.get("draws")
        if (seed is None) == (given is None):
            raise Refused("seed: expected one, or draws")
        if seed is not None:
            if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < LONGEST:
                raise Refused(f"seed: got {str(seed)[:20]}, expected 0 to 2⁶³ − 1")
            return Draws(seed)
        array = np.array(given, dtype=np.float64)
        if array.ndim < 2 or not np.isfinite(array).all():
            raise Refused("draws: expected finite numbers, first of all those of each step")
        return Draws(None, array)

    def over(self, steps: int, shape: tuple[int, ...]) -> np.ndarray:
        """Return u, (T, *shape), as float64.

        Raises:
            Refused: for draws of another shape.
        """
        wanted = (steps, *shape)
        count = int(np.prod(wanted, dtype=object))
        hold("draws", count)
        spend(CALL + count)
        if self.given is not None:
            if self.given.shape != wanted:
                raise Refused(f"sample: has a shape that draws of {self.given.shape} do not fit")
            return self.given
        assert self.seed is not None
        words = np.frombuffer(np.random.RandomState(self.seed % 2**32).bytes(8 * count), dtype="<u4").astype(
            np.uint64
        )
        return ((words[::2] << np.uint64(32) | words[1::2]) % np.uint64(2**53) / 2.0**53).reshape(wanted)


def coded(rates: Inputs, draws: np.ndarray) -> Inputs:
    """Return the spikes of all rates in a box, (m, T), for draws (T, ...)."""
    if rates.ball is not None:
        raise Refused("unknown: no proof form for norm 'l2' of a rate code")
    thresholds = draws.reshape(len(draws), -1).T
    exact = Dyadic.of(thresholds, "draws")
    low, high = (Dyadic((~(end <= exact)).astype(int).astype(object), 0) for end in (rates.low, rates.high))
    order = np.argsort(thresholds, axis=1, kind="stable")
    return replace(rates, shape=draws.shape, low=low, high=high, order=order)


FORMAT = "spikecert.network/1"
MOST_STEPS = 256
FIELDS = {"num_steps", "encoding", "readout", "layers", "source", "unconfirmed"}
"""What a description holds, but for the draws of a rate code."""
BOX = {"limit", "factor", "stray", "least", "counts"}
"""What is said of the source of a network for inputs up to a limit."""


@dataclass(frozen=True)
class Residual:
    """x ↦ branch(x) + shortcut(x), rounded once; an empty path is x itself."""

    branch: tuple["Item", ...]
    shortcut: tuple["Item", ...]


Firing = Described | Loop | Kinds | IntegerNeuron
Item = Layer | Firing | MaxPool | Residual | LeakySynapse


@dataclass(frozen=True)
class Network:
    """Layers in sequence over `steps`.

    Attributes:
        digest: SHA-256 of description and weights.
        size: bytes of the file.
        timed: whether an input has a part of its own for each step, its first axis, or a rate code gives it one.
        layers: affine layers, neurons and residual sums in order.
        readout: how logits are read; integrator: whose potentials are, the neuron behind them all.
        draws: of a rate code; None for another encoding.
        whole: what a network of whole numbers takes; None for others.
        limit: the largest modulus of an input for which its source rounds no more than it does; None: no source.
        unconfirmed: whether its source was never run: no part of a proof, statements say it in their notes.
        known: what was made of it, by the shape of its inputs.
    """

    digest: str
    size: int
    steps: int
    timed: bool
    arithmetic: Arithmetic
    layers: tuple[Item, ...]
    readout: str
    integrator: Described | IntegerNeuron | None
    draws: Draws | None = None
    whole: WholeEnds | None = None
    limit: float | None = None
    unconfirmed: bool = False
    known: dict[tuple[int, ...], Any] = field(init=False, default_factory=dict, repr=False, compare=False)

    @property
    def recorded(self) -> int | None:
        """Return T where an input is a recording, with a first axis of time; None elsewhere."""
        return self.steps if self.timed and self.draws is None else None

    def inputs(self, sample: np.ndarray, radius: np.ndarray, lower: Any, upper: Any, norm: Any = "linf") -> Inputs:
        """Return what enters the first layer for {x : |x − sample| ≤ radius, lower ≤ x ≤ upper}.

        Raises:
            Refused: for numbers that are no such set, an empty one, or a norm without a form.
        """
        if self.whole is not None:
            return Inputs.around(sample, radius, lower, upper, norm, self.recorded).whole_within(*self.whole.ends)
        if self.draws is None:
            return Inputs.around(sample, radius, lower, upper, norm, self.recorded)
        rates = Inputs.around(sample, radius, lower, upper, norm)
        return coded(rates, self.draws.over(self.steps, sample.shape))

    def check_reach(self, reach: float) -> None:
        """Refuse inputs beyond those for which the source of the network is known."""
        if self.limit is not None and not reach <= self.limit:
            raise Refused(
                f"inputs: may reach {reach:.4g}, expected at most {self.limit:.4g}, as the source is known"
            )


def read_network(path: Path, work: float = 1.0) -> Network:
    """Return the network of a file.

    Args:
        path: the file.
        work: how many times the usual limit of work (work.py) its reading may take.

    Raises:
        Refused: for a damaged file, or a network that has no proof form here.
    """
    return _of(read(path, FORMAT), path.name, work)


def parse_network(raw: bytes, name: str) -> Network:
    """Return the network of a file's bytes; `name` is for messages. Raise as `read_network` does."""
    return _of(parse(raw, FORMAT, name), name, 1.0)


def _of(content: Content, name: str, work: float) -> Network:
    most = allowance(content.size, work)
    try:
        with limited(most):
            return _network(content)
    except Refused as error:
        raise Refused(f"{name}: {error}") from error
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise Refused(f"{name}: describes no network that is known here") from error


def _network(content: Content) -> Network:
    text, tensors = content.text, dict(content.tensors)
    steps = text["num_steps"]
    if not isinstance(steps, int) or not 1 <= steps <= MOST_STEPS:
        raise Refused(f"num_steps: got {str(steps)[:20]}, expected 1 to {MOST_STEPS}")
    if text["encoding"] not in ("direct", "none", "rate"):
        raise Refused(f"unknown: no proof form for encoding {str(text['encoding'])[:20]!r}")
    unknown = text.keys() - FIELDS - ({"seed", "draws"} if text["encoding"] == "rate" else set())
    if unknown:
        raise Refused(f"unknown: no proof form for a network with {min(unknown)[:20]!r}")
    if not all(tensor.size for tensor in tensors.values()):
        raise Refused("holds a tensor without numbers")
    counts = "num_batches_tracked"  # of a batch norm, in no number of its run
    kinds = {tensor.dtype for name, tensor in tensors.items() if name.rpartition(".")[2] != counts}
    if len(kinds) != 1 or not kinds <= ARITHMETIC.keys():
        raise Refused("unknown: no proof form for weights that are not all float32 or all float64")
    described, arithmetic = text["layers"], ARITHMETIC[kinds.pop()]
    whole = WholeEnds.read(described[0]) if described[0]["type"] == "WholeInput" else None
    if whole is not None:
        check_tensors(tensors)
        arithmetic, described = WHOLE, [None, *described[1:]]
    layers = tuple(_layers(described, "layers", tensors, steps, arithmetic))
    if tensors:
        raise Refused(f"holds {min(tensors)[:40]}, which belongs to no layer")
    layers, integrator = _read_out(text["readout"], layers)
    _check_whole(whole, text, layers, integrator)
    if not any(isinstance(layer, Firing) for layer in walk(layers)):
        raise Refused("unknown: no proof form for a network without neurons that fire")
    timed, draws = text["encoding"] != "direct", Draws.read(text) if text["encoding"] == "rate" else None
    found = (
        content.digest,
        content.size,
        steps,
        timed,
        arithmetic,
        layers,
        text["readout"],
        integrator,
        draws,
        whole,
    )
    if not isinstance(unconfirmed := text.get("unconfirmed", False), bool):
        raise Refused(f"unconfirmed: got {str(unconfirmed)[:20]!r}, expected true or false")
    return Network(*found, _limit(text), unconfirmed)


def _limit(text: dict[str, Any]) -> float | None:
    """Return the largest input for which the network's own rounding pays for its source's; None: no source."""
    if text.get("source") is None:
        return None
    source = text["source"]
    if source.keys() != {"boxes", "weights"} or not all(box.keys() | {"counts"} == BOX for box in source["boxes"]):
        raise Refused("source: is told in a form that is not known")
    counts = text["readout"] == "spikes"  # whose ties are proven, and must be the source's
    plain = (
        box["limit"]
        for box in source["boxes"]
        if (box["factor"], box["stray"], box["least"]) == (1, 0, 0) and (box.get("counts") is True or not counts)
    )
    found = max((limit for limit in plain if isinstance(limit, float)), default=None)
    if found is None:
        raise Refused("unknown: no proof form for a source that rounds more than its network does")
    return found


def _check_whole(
    whole: WholeEnds | None,
    text: dict[str, Any],
    layers: tuple[Item, ...],
    integrator: Described | IntegerNeuron | None,
) -> None:
    """Refuse networks of whole numbers in part: which begin so and have other layers, or the other way round."""
    fires = [layer for layer in walk(layers) if isinstance(layer, Firing)]
    if whole is None:
        if any(isinstance(layer, IntegerNeuron) for layer in (*fires, integrator)):
            raise Refused("has integer neurons without a WholeInput as the first layer")
        return
    others = [layer for layer in walk(layers) if not isinstance(layer, Firing) and not keeps_whole(layer)]
    others += [layer for layer in fires if not isinstance(layer, IntegerNeuron)]
    if others:
        raise Refused(f"unknown: no proof form for a {type(others[0]).__name__} in a network of whole numbers")
    if text["encoding"] == "rate" or text["readout"] == "mean":
        raise Refused("unknown: no proof form for rates or means of a network of whole numbers")
    if isinstance(integrator, Described) and (integrator.decay not in (0, 1) or set(integrator.scale) != {1}):
        raise Refused("unknown: no proof form for potentials that are no sums of whole numbers")
    if integrator is None and (not isinstance(last := layers[-1], IntegerNeuron) or last.most > 1):
        raise Refused("unknown: no proof form for a readout of neurons that may fire several times a step")


def _read_out(readout: str, layers: tuple[Item, ...]) -> tuple[tuple[Item, ...], Described | IntegerNeuron | None]:
    """Return the layers that make what is read out, and the neuron whose potentials are, where one is."""
    last = layers[-1] if layers else None
    if readout in ("mean", "largest") and last is not None and not isinstance(last, Firing):
        return layers, None
    if readout in ("spikes", "first") and isinstance(last, Firing):
        return layers, None
    if readout in ("potential", "summed", "largest") and isinstance(last, Described) and last.reset == "none":
        return layers[:-1], last
    if readout in ("potential", "summed", "largest") and isinstance(last, IntegerNeuron) and last.reads:
        return layers[:-1], last
    raise Refused(f"unknown: no proof form for readout {str(readout)[:20]!r} behind such a layer")


def walk(layers: tuple[Item, ...]) -> Iterator[Layer | Firing | MaxPool | LeakySynapse]:
    """Yield every layer and neuron, those of residual sums, too."""
    for layer in layers:
        if isinstance(layer, Residual):
            yield from walk(layer.branch)
            yield from walk(layer.shortcut)
        else:
            yield layer


def _layers(
    described: Sequence[dict[str, Any] | None],
    name: str,
    tensors: dict[str, np.ndarray],
    steps: int,
    arithmetic: Arithmetic,
) -> Iterator[Item]:
    for index, layer in enumerate(described):
        place = f"{name}.{index}"
        if layer is None:
            continue
        if layer["type"] in ("LIF", "DLIF"):
            yield Described.read(tensors, place, layer, steps, arithmetic)
        elif layer["type"] == "IntegerLIF":
            yield IntegerNeuron.read(place, layer, steps)
        elif layer["type"] == "RefractoryLIF":
            yield Described.read_resting(place, layer, steps, arithmetic)
        elif layer["type"] == "AdaptiveLIF":
            yield Described.read_adapting(place, layer, steps, arithmetic)
        elif layer["type"] == "Recurrent":
            yield Loop.read(tensors, place, layer, steps, arithmetic)
        elif layer["type"] == "Synapse":
            yield LeakySynapse.read(place, layer, arithmetic)
        elif layer["type"] in ("MaxPool1d", "MaxPool2d"):
            yield MaxPool.read(place, layer)
        elif layer["type"] == "VariedLIF":
            yield Kinds.read(tensors, place, layer, steps, arithmetic)
        elif layer["type"] == "Residual" and layer.keys() == {"type", "branch", "shortcut"}:
            paths = ((layer[path], f"{place}.{path}") for path in ("branch", "shortcut"))
            yield Residual(*(tuple(_layers(*path, tensors, steps, arithmetic)) for path in paths))
        else:
            yield read_layer(tensors, place, layer)
