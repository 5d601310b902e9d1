"""Pairs of near inputs: what claims about perturbations must be tried on.

Independent inputs are far from each other: where a claim is about small changes they never meet its hard cases. A
pair here lies within a norm's ball or an event set, at sizes from 2⁻¹² on, and its two inputs are never the same
unless that is asked for.

Hypothesis strategies of what enters networks: inputs, threat models, spike trains.

Networks whose spikes are neither none nor all: where nothing or all fires, most false claims hold.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import assume
from torch import Tensor, nn

from ...certify.perturbations import L2, LInf, Perturbation, PixelBox, SpikeFlip, SpikeShift
from ...models.elements.layers import walk
from ...models.elements.neurons import fires
from ...models.linear_maps import affine_types
from ...models.networks import SpikingNetwork
from ..networks import features_of, networks
from ..neurons import SEEDS, st
from .code import as_code

LEAST = 2.0**-100
"""Radii below are 0: no share of this one, down to 2^-24, is subnormal in float32, which no threat model takes."""


@st.composite
def inputs(
    draw: st.DrawFn,
    network: SpikingNetwork,
    batch: int = 4,
    shape: Sequence[int] | None = None,
    events: bool = False,
) -> Tensor:
    """Return a batch that fits `network`, with values in [0, 1], some of them on a grid or at the ends.

    Args:
        network: whose dtype, features and time axis are used.
        batch: the number of samples.
        shape: of one sample at one step; None: what the first layer takes, which must be linear.
        events: whether all values are 0 or 1.

    Raises:
        ValueError: for a network whose first layer is not linear, without `shape`.
    """
    features = tuple(shape) if shape is not None else features_of(network)
    steps = (network.num_steps,) if network.timed else ()
    drawn = torch.rand((batch, *steps, *features), generator=torch.Generator().manual_seed(draw(SEEDS)))
    kinds = {"plain": drawn, "grid": (drawn * 4).round() / 4, "ends": drawn.round()}
    return kinds["ends" if events else draw(st.sampled_from(sorted(kinds)))].to(network.dtype)


@st.composite
def perturbations(
    draw: st.DrawFn, kinds: Sequence[str] = ("linf", "l2"), most: float = 0.25, features: Sequence[int] = ()
) -> Perturbation:
    """Return a threat model on [0, 1].

    Args:
        kinds: what to choose from: "linf", "l2", "box" (a radius for each entry of a sample), "l0" (flips).
        most: the greatest radius.
        features: the shape of one sample, for "box".
    """
    kind = draw(st.sampled_from(tuple(kinds)))
    if kind == "l0":
        return SpikeFlip(draw(st.integers(0, 3)))
    radius = draw(st.sampled_from([0.0, most / 25, most / 5, most]) | st.floats(0.0, most))
    radius = radius if radius > LEAST else 0.0
    if kind == "box":
        share = torch.rand(tuple(features), generator=torch.Generator().manual_seed(draw(SEEDS)))
        return PixelBox(radius * share)
    return {"linf": LInf, "l2": L2}[kind](radius)


@st.composite
def spike_trains(draw: st.DrawFn, num_steps: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return spikes of 0 and 1, (num_steps, *shape); they shrink toward silence."""
    size = torch.Size((num_steps, *shape))
    bits = draw(st.lists(st.booleans(), min_size=size.numel(), max_size=size.numel()))
    return torch.tensor(bits, dtype=dtype).reshape(size)


FACTORS = (1.0, 2.0, 0.5, 4.0, 0.25, 8.0, 0.125, 16.0)
"""By which weights in front of a layer are tried: powers of 2, which leave a grid a grid."""
PROBES = 8
"""Inputs at which an active network is active, if the caller names none."""


def activated(
    network: SpikingNetwork, inputs: Tensor, signs: Sequence[float] = (1.0, -1.0)
) -> SpikingNetwork | None:
    """Return a copy with weights scaled, layer by layer, so that some spikes of each layer come and some don't.

    Args:
        network: any network.
        inputs: at which it is run; some spikes are of all steps, neurons and samples.
        signs: what factors are multiplied by; (1,) keeps the signs of weights.

    Returns:
        The copy, or None where no factor that is tried does it.
    """
    scaled = copy.deepcopy(network)
    affine: list[nn.Module] = []
    index = 0
    for layer in walk(scaled.layers):
        if type(layer) in affine_types():
            affine.append(layer)
        elif fires(layer):
            if not _activate(scaled, affine, index, inputs, signs):
                return None
            affine, index = [], index + 1
    return scaled


@torch.no_grad()
def _activate(
    network: SpikingNetwork, affine: Sequence[nn.Module], index: int, inputs: Tensor, signs: Sequence[float]
) -> bool:
    """Scale the parameters in front of spiking layer `index`; say whether it is active then."""
    values = [parameter for layer in affine[-1:] for parameter in layer.parameters()]
    kept = [value.clone() for value in values]
    for factor in (sign * size for size in FACTORS for sign in signs):
        for value, before in zip(values, kept, strict=True):
            value.copy_(before * factor)
        spikes = network.trace(inputs).spikes[index]
        if 0 < float(spikes.mean()) < 1:
            return True
    return False


@st.composite
def active_networks(draw: st.DrawFn, nonnegative: bool = False, **wanted: Any) -> SpikingNetwork:
    """Return a dense network of which each layer fires somewhere, and not everywhere, on random inputs.

    Args:
        nonnegative: whether no weight of it is below 0.
        wanted: as of `networks`.
    """
    network = draw(networks(**wanted))
    steps = (network.num_steps,) if network.timed else ()
    generator = torch.Generator().manual_seed(draw(SEEDS))
    probes = torch.rand((PROBES, *steps, *features_of(network)), generator=generator).to(network.dtype)
    return made_active(network, probes.round() if network.timed else probes, nonnegative)


def made_active(network: SpikingNetwork, inputs: Tensor, nonnegative: bool = False) -> SpikingNetwork:
    """Return a network made active at some inputs; examples where that can't be are not drawn."""
    if nonnegative:
        network = copy.deepcopy(network)
        for name, parameter in network.named_parameters():
            if name.endswith("weight"):
                parameter.data = parameter.data.abs()
    found = activated(network, inputs, (1.0,) if nonnegative else (1.0, -1.0))
    assume(found is not None)
    assert found is not None
    return found


NORMS = ("linf", "l2", "l1", "l0", "box")
"""Of pairs of values; "shift" and "l0" are for pairs of events."""
SHAPES = ("corner", "inside", "one")
"""All entries by the same size, each by its own, or one entry alone."""
DENSE = networks()
SIZES = (2.0**-12, 0.01, 0.05, 0.25)


@dataclass(frozen=True, eq=False, repr=False)
class NearPair:
    """A network and two inputs of each sample that lie near each other.

    Attributes:
        network: that they are for.
        clean, perturbed: (batch, ...).
        norm: in which they are near: "linf", "l2", "l1", "l0", "box" or "shift".
        perturbation: a threat model that allows `perturbed` around `clean`; None where none has that norm.
    """

    network: SpikingNetwork
    clean: Tensor
    perturbed: Tensor
    norm: str
    perturbation: Perturbation | None = None

    @property
    def code(self) -> str:
        """Return Python that makes `network`, `clean`, `perturbed` and, if there is one, `perturbation`."""
        threat = {} if self.perturbation is None else {"perturbation": self.perturbation}
        return as_code(network=self.network, clean=self.clean, perturbed=self.perturbed, **threat)

    def __repr__(self) -> str:
        """Return the code, which is what hypothesis prints of an example that fails."""
        return f"\n{self.code}\n"


@st.composite
def pairs(
    draw: st.DrawFn,
    network: SpikingNetwork | None = None,
    norms: Sequence[str] = NORMS,
    batch: int = 4,
    most: float = 0.25,
    *,
    shape: Sequence[int] | None = None,
    events: bool = False,
    ordered: bool = False,
    identical: bool = False,
    active: bool = True,
    nonnegative: bool = False,
    networks: st.SearchStrategy[SpikingNetwork] = DENSE,
) -> NearPair:
    """Return a network with near pairs of inputs.

    Args:
        network: whose inputs they are; None: one of `networks`.
        norms: what to choose from: "linf", "l2", "l1", "l0" (few entries become anything), "box" (a radius for
            each entry); of events "l0" (flips) and "shift" (events come at other steps).
        batch: the number of pairs.
        most: the greatest radius of "linf" and "l2", and of each entry of "box".
        shape: of one sample at one step; None: what the first layer takes, which must be linear.
        events: whether all values are 0 or 1; the network must take its inputs over time.
        ordered: whether no entry of `clean` is above that of `perturbed`.
        identical: whether the first pair is one input twice.
        active: without `network`, scale its weights until each layer fires somewhere and not everywhere.
        nonnegative: without `network`, make all weights 0 or more.
        networks: what to draw from without `network`.

    Raises:
        ValueError: for "shift" without events or over fewer than two steps, or events that have no axis of time.
    """
    given, network = network, network or draw(networks)
    norm = draw(st.sampled_from(tuple(norms)))
    _check(network, norm, events)
    features = tuple(shape) if shape is not None else features_of(network)
    clean = draw(inputs(network, batch, features, events))
    generator = torch.Generator().manual_seed(draw(SEEDS))
    if events:
        clean, perturbed, threat = _moved_events(draw, norm, clean, generator)
    else:
        size = draw(st.sampled_from([size for size in SIZES if size <= most] or [most]))
        perturbed, threat = _moved(norm, clean, size, draw(st.sampled_from(SHAPES)), generator)
    if ordered:
        clean, perturbed = torch.minimum(clean, perturbed), torch.maximum(clean, perturbed)
        threat = threat if threat is not None and bool(threat.contains(perturbed, clean).all()) else None
    if given is None and (active or nonnegative):
        network = made_active(network, clean, nonnegative)
    if identical:
        perturbed = torch.cat([clean[:1], perturbed[1:]])
    return NearPair(network, clean, perturbed, norm, threat)


def _check(network: SpikingNetwork, norm: str, events: bool) -> None:
    if norm not in (*NORMS, "shift"):
        raise ValueError(f"norms: got {norm!r}, expected some of {', '.join((*NORMS, 'shift'))}")
    if events and not network.timed:
        raise ValueError('events: got True, expected it with a network of encoding "none" only')
    if events and norm not in ("l0", "shift"):
        raise ValueError(f'norms: got {norm!r} with events, expected "l0" or "shift"')
    if norm == "shift" and not (events and network.num_steps > 1):
        raise ValueError('norms: got "shift", expected it with events over at least two steps only')


def _moved(
    norm: str, clean: Tensor, size: float, form: str, generator: torch.Generator
) -> tuple[Tensor, Perturbation | None]:
    """Return what lies near values in [0, 1], and the threat model that allows it."""
    flat = clean.flatten(1)
    entries = flat.shape[1]
    if norm == "l0" or form == "one":
        some = _few(flat, 3 if norm == "l0" else 1, generator)
    else:
        some = torch.ones_like(flat, dtype=torch.bool)
    share = torch.rand(flat.shape, generator=generator).to(flat) if form == "inside" else torch.ones_like(flat)
    step = torch.where(some, share.clamp(min=0.25), 0.0)
    sign = (torch.rand(flat.shape, generator=generator) < 0.5).to(flat) * 2 - 1
    if norm == "l0":
        return torch.where(some & (flat < 0.5), flat + step / 2, flat - step / 2).reshape(clean.shape), None
    reach = {"l2": size / entries**0.5, "l1": size / entries}.get(norm, size)
    reach = size if form == "one" else reach
    moved = flat + sign * step * reach
    inward = torch.where((moved < 0) | (moved > 1), flat - sign * step * reach, moved).reshape(clean.shape)
    if norm == "l1":
        return inward, None
    radius = torch.rand(clean.shape[1:], generator=generator) * 0.75 + 0.25
    threat = {"linf": lambda: LInf(size), "l2": lambda: L2(size), "box": lambda: PixelBox(size * radius)}[norm]()
    return threat.project(inward, clean), threat


def _few(flat: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Return a mask of one to `most` entries of each row."""
    order = torch.rand(flat.shape, generator=generator).argsort(1).argsort(1)
    count = int(torch.randint(1, most + 1, (1,), generator=generator))
    return order < count


def _moved_events(
    draw: st.DrawFn, norm: str, clean: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Perturbation]:
    """Return events, near ones, and the threat model that allows them."""
    count = draw(st.integers(1, 3))
    if norm == "l0":
        flipped = _few(clean.flatten(1), count, generator).reshape(clean.shape)
        return clean, torch.where(flipped, 1 - clean, clean), SpikeFlip(count)
    clean = clean.clone()
    rows = torch.arange(len(clean))
    steps = torch.randint(clean.shape[1] - 1, (len(clean),), generator=generator)
    size = clean[0, 0].numel()
    entry = torch.randint(size, (len(clean),), generator=generator)
    flat = clean.flatten(2)  # a view: what is written here stands in `clean`
    flat[rows, steps, entry], flat[rows, steps + 1, entry] = 1.0, 0.0
    perturbed = flat.clone()
    perturbed[rows, steps, entry], perturbed[rows, steps + 1, entry] = 0.0, 1.0
    threat = SpikeShift(jitter=count)
    wider = threat.sample(flat.reshape(clean.shape), generator).flatten(1)
    same = (wider == flat.flatten(1)).all(1, keepdim=True)
    return flat.reshape(clean.shape), torch.where(same, perturbed.flatten(1), wider).reshape(clean.shape), threat
