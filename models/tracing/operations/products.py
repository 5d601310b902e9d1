"""Products of spikes in a sum, as neurons without memory: a·b·(1 − c)·(1 − d) = 1[a + b − c − d ≥ 3/2].

Layers beside those of a module: factors and constants of channels, maps that pick and place features.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import torch
from torch import Tensor, nn

from ...conversion.refusal import ConversionRefused
from ...linear_maps.averaging import Share
from ...linear_maps.normalizing import Normalize
from ..polynomials import (
    UNIT,
    Coefficient,
    FeatureMap,
    Fractions,
    Image,
    Polynomial,
    Term,
    entries_of,
    number_tensor,
)
from ..tracing import digest

Atoms = dict[frozenset[Term], Coefficient]
"""A polynomial of signals that are 0 or 1, each of which is a term of its own."""


@dataclass(frozen=True)
class SpikeProduct:
    """A product of signals that are 0 or 1, and of what is left of others to 1.

    Attributes:
        terms: one for each factor.
        without: b of each factor 1 − b.
        signal: the product.
    """

    terms: tuple[Term, ...]
    without: tuple[Term, ...]
    signal: Polynomial


def gates_of(signal: Polynomial) -> tuple[list[tuple[SpikeProduct, Coefficient]], Polynomial]:
    """Return the products in a sum, with their factors, and what is left of it.

    A sum that is one product is taken as that; else of c·a − c·a·b the product is a·(1 − b). What is no product of
    signals that are 0 or 1 is left.
    """
    known = {term: _factors(term) for term in signal.terms}
    if len(known) > 1 and all(factors for factors in known.values()):
        whole = _product_of({frozenset(known[term] or ()): number for term, number in signal.terms.items()})
        if whole is not None:
            terms, without, factor = whole
            return [(SpikeProduct(terms, without, signal * (UNIT / factor)), factor)], Polynomial({})
    left, found = dict(signal.terms), []
    for term in [term for term in signal.terms if len(term[0]) + (term[1] is not None) > 1]:
        factors = known[term]
        if factors is None:
            continue
        factor = left.pop(term)
        kept = next((each for each in factors if left.get(each) == -factor), None)
        product, terms, without = Polynomial({term: UNIT}), factors, ()
        if kept is not None and len(factors) == 2:
            terms, without = (kept,), tuple(each for each in factors if each != kept)
            factor, product = left.pop(kept), Polynomial({kept: UNIT}) - product
        found.append((SpikeProduct(terms, without, product), factor))
    return found, Polynomial(left)


def _product_of(atoms: Atoms) -> tuple[tuple[Term, ...], tuple[Term, ...], Coefficient] | None:
    """Return a polynomial as factor · Π a · Π (1 − b): the as, the bs and the factor; None where it is none."""
    if len(atoms) == 1 and frozenset() in atoms:
        return (), (), atoms[frozenset()]
    for atom in {atom: None for atoms_of in atoms for atom in atoms_of}:
        own = {each - {atom}: number for each, number in atoms.items() if atom in each}
        rest = {each: number for each, number in atoms.items() if atom not in each}
        if not rest or own == {each: -number for each, number in rest.items()}:
            found = _product_of(rest or own)
            if found is None:
                return None
            terms, without, factor = found
            return ((*terms, atom), without, factor) if not rest else (terms, (*without, atom), factor)
    return None


def _factors(term: Term) -> tuple[Term, ...] | None:
    """Return the factors of a term, each 0 or 1; None where one may be anything else."""
    spikes = tuple((frozenset((spike,)), None) for spike in sorted(term[0]))
    graded = term[1]
    if graded is None:
        return spikes
    pools = isinstance(graded, Image) and "max_pool" in graded.map.key[0] and graded.signal.boolean
    return (*spikes, (frozenset(), graded)) if pools else None


Shape = tuple[int, ...]
MOST_ENTRIES = 1 << 22
"""Of a matrix that moves features: more of them would be a layer larger than those of the network."""


def channelwise(
    factor: float | Tensor, constant: float | Tensor, features: Shape, dtype: torch.dtype
) -> nn.Module:
    """Return y = f·x + c for factors and constants of each channel, or each entry of a vector.

    Raises:
        ConversionRefused: for numbers that differ within a channel.
    """
    held = [_of_channels(each, features) for each in (factor, constant)]
    weight, bias = (torch.tensor(each, dtype=torch.float64) for each in held)
    if len(features) == 3 and bool((weight > 0).all()):
        layer: nn.Module = Normalize((-bias / weight).tolist(), (1.0 / weight).tolist())
    else:
        layer = (nn.BatchNorm2d if len(features) == 3 else nn.BatchNorm1d)(len(weight), eps=0.0)
        layer.weight.data, layer.bias.data = weight, bias
    return layer.to(dtype).eval()


def _of_channels(number: float | Tensor, features: Shape) -> list[float]:
    if not isinstance(number, Tensor):
        return [number] * features[0]
    whole = number.expand(features).reshape(features[0], -1)
    if bool((whole != whole[:, :1]).any()):
        raise ConversionRefused("module: has several factors or constants in a channel, expected one for each")
    return whole[:, 0].tolist()


def share_map(factor: Coefficient, place: str) -> FeatureMap:
    """Return the map of each entry's own factor: one, or one a feature of vectors."""

    def made() -> list[nn.Module]:
        """Return the layer."""
        if isinstance(factor, Fraction):
            return [Share(float(factor))]
        weights = torch.tensor([float(each) for each in entries_of(factor)], dtype=torch.float64)
        return [matrix(torch.diag(weights))]

    plain = isinstance(factor, Fraction) or len(factor.shape) == 1
    return FeatureMap(("share", (), factor), made if plain else None, True, place)


def scaling(factor: Fractions, before: Shape, dtype: torch.dtype, place: str) -> FeatureMap:
    """Return the map of a factor for each channel, or each entry of a vector."""
    made = partial(channelwise, number_tensor(factor), 0.0, before, dtype)
    return FeatureMap(("scale", before, factor, dtype), lambda: [made()], True, place)


def matrix(weight: Tensor) -> nn.Linear:
    """Return W·x."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=weight.dtype)
    layer.weight.data = weight.clone()
    return layer


def picking(before: Shape, axis: int, picked: tuple[int, ...], place: str) -> FeatureMap:
    """Return the map that takes some entries of an axis of features, in the order given."""
    return _moving("pick", before, axis, torch.eye(before[axis], dtype=torch.float64)[list(picked)], picked, place)


def placing(before: Shape, axis: int, start: int, size: int, place: str) -> FeatureMap:
    """Return the map that puts features at a place of a longer axis, between zeros."""
    weight = torch.zeros(size, before[axis], dtype=torch.float64)
    weight[start : start + before[axis]] = torch.eye(before[axis], dtype=torch.float64)
    return _moving("place", before, axis, weight, (start, size), place)


def rearranging(before: Shape, made: Tensor, kind: str, place: str) -> FeatureMap:
    """Return the map of flat features by a matrix of zeros and ones, as an operation makes it of unit vectors.

    Args:
        before: the sizes of features.
        made: what it makes of each, (n, *sizes after).
        kind: "moved" where each entry is one of those before, else "summed".
        place: the line of the user's code.

    Raises:
        ConversionRefused: for more entries than a matrix of this kind may have.
    """
    after, weight = tuple(made.shape[1:]), made.flatten(1).t()
    if weight.numel() > MOST_ENTRIES:
        told = f"moves {weight.shape[1]} features to {weight.shape[0]} places, which takes a matrix of as many"
        raise ConversionRefused(f"{told} rows; expected at most {MOST_ENTRIES} entries in it")

    def layers() -> list[nn.Module]:
        """Return a matrix between shapes."""
        flat: list[nn.Module] = [nn.Flatten()] if len(before) > 1 else []
        return [*flat, matrix(weight), *([nn.Unflatten(1, after)] if len(after) > 1 else [])]

    return FeatureMap((kind, before, after, digest(weight)), layers, True, place)


def _moving(kind: str, before: Shape, axis: int, weight: Tensor, told: tuple[int, ...], place: str) -> FeatureMap:
    def made() -> list[nn.Module]:
        """Return a matrix of zeros and ones, of images a convolution of single pixels."""
        if len(before) == 1:
            return [matrix(weight)]
        axes = len(before) - 1
        layer = (nn.Conv1d, nn.Conv2d)[axes - 1](*weight.shape[::-1], 1, bias=False, dtype=weight.dtype)  # pyright: ignore
        layer.weight.data = weight.reshape(*weight.shape, *[1] * axes).clone()
        return [layer]

    return FeatureMap((kind, before, axis, *told), made if axis == 0 and len(before) <= 3 else None, True, place)
