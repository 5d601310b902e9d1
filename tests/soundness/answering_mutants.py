"""Ways to answer less than could be told, or to break less than could be broken: not false, but worth nothing."""

from mutant import Mutant

ANSWERING_MUTANTS = (
    Mutant(
        "answering: each query of a radius gets all of the time",
        "certify/radii/bracketing.py",
        "max(self.deadline - time.perf_counter(), 1e-3) / queries",
        "max(self.deadline - time.perf_counter(), 1e-3)",
    ),
    Mutant(
        "answering: a round of queries is counted once for all samples",
        "certify/radii/bracketing.py",
        "sum((high - low - 1).bit_length() for low, high in ends)",
        "max((high - low - 1).bit_length() for low, high in ends)",
    ),
    Mutant(
        "answering: the standard encoding always says unknown",
        "certify/verifiers/milp.py",
        "if bool(asked[other]) and search.counterexample is None:",
        'if self.encoding == "table" and not bool(proven[other]) and search.found is None:',
    ),
    Mutant(
        "answering: PGD goes by random signs",
        "certify/attacks/pgd.py",
        "move = self._length(step) * climb(target.real_set, slope.gradient, generator)",
        "move = self._length(step) * climb(target.real_set, torch.randn_like(slope.gradient), generator)",
    ),
    Mutant(
        "answering: the theorem's equation forgets the decay",
        "analysis/symbolic/spectral.py",
        "sp.Eq(sp.sin((T + 1) * phi), lam * sp.sin(T * phi))",
        "sp.Eq(sp.sin((T + 1) * phi), sp.sin(T * phi))",
    ),
    Mutant(
        "answering: the theorem's norm has another sign",
        "analysis/symbolic/spectral.py",
        "1 / sp.sqrt(_mu)),",
        "1 / sp.sqrt(_mu + 4 * lam * sp.cos(phi))),",
    ),
)
