"""Products of spikes in a sum, as neurons without memory: a·b = 1[a + b ≥ 3/2], a·(1 − b) = 1[a − b ≥ 1/2]."""

from dataclasses import dataclass

from .polynomials import UNIT, Coefficient, Image, Polynomial, Term


@dataclass(frozen=True)
class SpikeProduct:
    """A product of signals that are 0 or 1.

    Attributes:
        terms: one for each factor.
        without: b of a factor 1 − b; None for none.
        signal: the product.
    """

    terms: tuple[Term, ...]
    without: Term | None
    signal: Polynomial


def gates_of(signal: Polynomial) -> tuple[list[tuple[SpikeProduct, Coefficient]], Polynomial]:
    """Return the products in a sum, with their factors, and what is left of it.

    Of c·a − c·a·b the product is a·(1 − b). What is no product of signals that are 0 or 1 is left.
    """
    left, found = dict(signal.terms), []
    for term in [term for term in signal.terms if len(term[0]) + (term[1] is not None) > 1]:
        factors = _factors(term)
        if factors is None:
            continue
        factor = left.pop(term)
        kept = next((each for each in factors if left.get(each) == -factor), None)
        product, without = Polynomial({term: UNIT}), None
        if kept is not None and len(factors) == 2:
            without = next(each for each in factors if each != kept)
            factor, product = left.pop(kept), Polynomial({kept: UNIT}) - product
        terms = factors if without is None else (kept,)
        found.append((SpikeProduct(terms, without, product), factor))  # pyright: ignore[reportArgumentType]
    return found, Polynomial(left)


def _factors(term: Term) -> tuple[Term, ...] | None:
    """Return the factors of a term, each 0 or 1; None where one may be anything else."""
    spikes = tuple((frozenset((spike,)), None) for spike in sorted(term[0]))
    graded = term[1]
    if graded is None:
        return spikes
    pools = isinstance(graded, Image) and "max_pool" in graded.map.key[0] and graded.signal.boolean
    return (*spikes, (frozenset(), graded)) if pools else None
