"""Pairs of near inputs: what claims about perturbations must be tried on.

Independent inputs are far from each other: where a claim is about small changes they never meet its hard cases. A
pair here lies within a norm's ball or an event set, at sizes from 2⁻¹² on, and its two inputs are never the same
unless that is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...certify.perturbations import L2, LInf, Perturbation, PixelBox, SpikeFlip, SpikeShift
from ...models.networks import SpikingNetwork
from ..networks import features_of, networks
from ..neurons import SEEDS, st
from ..samples import inputs
from .activity import made_active
from .code import as_code

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
