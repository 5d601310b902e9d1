"""Ways to break what the checker knows of the rounding of sums, and of rate codes."""

from mutant import Mutant

CHECKER_MUTANTS = (
    Mutant(
        "checker's sums: count one rounding too few",
        "checking/maps/affine.py",
        "arithmetic.gamma(int(count) + 1)",
        "arithmetic.gamma(int(count))",
    ),
    Mutant(
        "checker's sums: many products round as one",
        "checking/maps/affine.py",
        "marks(size)).ints.astype(np.int64)",
        "marks(size)).ints.astype(bool).astype(np.int64)",
    ),
    Mutant(
        "checker's sums: a mean is as large as its least step",
        "checking/network/measuring.py",
        "part.ints.max(1, keepdims=True)",
        "part.ints.min(1, keepdims=True)",
    ),
    Mutant(
        "checker's sums: nothing rounds",
        "checking/maps/affine.py",
        ".coarse(up=True) * marks(sums)",
        ".coarse(up=True) * 0",
    ),
    Mutant(
        "checker's rates: spikes come from the greatest draw down",
        "checking/network/rates.py",
        "np.argsort(thresholds, axis=1",
        "np.argsort(-thresholds, axis=1",
    ),
    Mutant(
        "checker's rates: a spike where the draw is met",
        "checking/network/rates.py",
        "Dyadic((~(end <= exact))",
        "Dyadic((exact <= end)",
    ),
    Mutant(
        "checker's rates: a draw's words the other way round",
        "checking/network/rates.py",
        "words[::2] << np.uint64(32) | words[1::2]",
        "words[1::2] << np.uint64(32) | words[::2]",
    ),
    Mutant(
        "checker's rates: what is certain costs nothing",
        "checking/events/inputs.py",
        "return (costs * self.low).sum() + risen.sum()",
        "return risen.sum()",
    ),
)
