"""Products of spikes in a sum, as neurons without memory: a·b·(1 − c)·(1 − d) = 1[a + b − c − d ≥ 3/2]."""

from dataclasses import dataclass

from ..polynomials import UNIT, Coefficient, Image, Polynomial, Term

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
