"""Ways to break what the checker knows of recordings that change: budgets, units, places, what is asked."""

from mutant import Mutant

CHANGING, UNITS = "checking/events/changing.py", "checking/events/units.py"
RECORDINGS, RANKS = "checking/events/recordings.py", "checking/numbers/ranks.py"
ENTERING, CLAIMS = "checking/events/entering.py", "checking/claims.py"
RECORDING_MUTANTS = (
    Mutant(
        "checker's events: one change fewer",
        CHANGING,
        "nlargest(limit.most, kept)",
        "nlargest(limit.most - 1, kept)",
    ),
    Mutant(
        "checker's events: sums of the least changes",
        CHANGING,
        "np.sort(together, axis=1)[:, together.shape[1] - most :]",
        "np.sort(together, axis=1)[:, :most]",
    ),
    Mutant(
        "checker's events: forget the second pool",
        CHANGING,
        "for pool in self.pools:\n            found",
        "for pool in self.pools[:1]:\n            found",
    ),
    Mutant("checker's events: falls as rises", CHANGING, "in (-weights, weights))", "in (weights, weights))"),
    Mutant(
        "checker's events: negative weights gain as positive ones",
        CHANGING,
        "(ranks.below, -values)",
        "(ranks.below, values)",
    ),
    Mutant("checker's events: one unit of each entry", RANKS, ".clip(max=most)", ".clip(max=1)"),
    Mutant("checker's events: the least weights first", RANKS, "np.argsort(-ints,", "np.argsort(ints,"),
    Mutant("checker's events: what goes comes", UNITS, "values * self.sign", "values * abs(self.sign)"),
    Mutant(
        "checker's events: moves to later steps alone",
        UNITS,
        "            np.maximum(there, own[..., : max(0, steps - size)], out=there)\n",
        "",
    ),
    Mutant("checker's events: none leaves", UNITS, "if self.leaves:", "if False:"),
    Mutant("checker's events: none vanishes", UNITS, "if self.vanishes else best", "if False else best"),
    Mutant(
        "checker's events: increments rounded down", UNITS, "-(-sums // (last - first))", "sums // (last - first)"
    ),
    Mutant(
        "checker's events: meetings with those that stay alone",
        RECORDINGS,
        "meets |= _around(movable, 2 * reach) > 0",
        "pass",
    ),
    Mutant(
        "checker's events: flips of the recording before it moved",
        RECORDINGS,
        "(low == 0) & allowed",
        "(events == 0) & allowed",
    ),
    Mutant("checker's events: a budget holds larger ones", RECORDINGS, "mine >= theirs)", "mine <= theirs)"),
    Mutant("checker's events: a mask holds all", RECORDINGS, "return bool(mine.all())", "return True"),
    Mutant(
        "checker's events: fractions are counts",
        RECORDINGS,
        "not isinstance(value, int) or",
        "not isinstance(value, int | float) or",
    ),
    Mutant("checker's events: a bias counts once", ENTERING, "bias * weights.sum(0)", "bias"),
    Mutant(
        "checker's events: a stray mask is passed over", CLAIMS, "if parts != rules.masks.keys():", "if False:"
    ),
)
