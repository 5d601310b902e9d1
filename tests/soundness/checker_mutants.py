"""Ways to break what the checker knows of layers that subtract: cells, pairs, looking through, their rounding."""

from mutant import Mutant

CHECKING = "checking/"
CELLS, PAIRS = "checking/trains/cells.py", "checking/trains/pairs.py"
FIXED, LAYER = "checking/numbers/fixed.py", "checking/trains/subtracting.py"
THROUGH, TABLE = "checking/trains/through.py", "checking/trains/constant.py"
CHECKER_MUTANTS = (
    Mutant(
        "checker's cells: the wrong end of Y",
        CELLS,
        "np.minimum(upper - least, high",
        "np.minimum(upper - most, high",
    ),
    Mutant("checker's cells: forget what is left", CELLS, "low + drive.low[owner, t])", "drive.low[owner, t])"),
    Mutant(
        "checker's cells: silence leaves what is above θ",
        CELLS,
        "there = np.stack((low <= highs[0],",
        "there = np.stack((high <= highs[0],",
    ),
    Mutant(
        "checker's cells: a spike only where it is certain",
        CELLS,
        "np.maximum(low, drive.perhaps) <= high))",
        "low >= drive.perhaps))",
    ),
    Mutant(
        "checker's cells: a spike takes nothing", CELLS, "drive.perhaps) - drive.drop[1]))", "drive.perhaps)))"
    ),
    Mutant(
        "checker's cells: cut Y by the wrong end of u",
        CELLS,
        "np.stack((most, most + drive.drop[1])), upper - lows)",
        "np.stack((most, most + drive.drop[1])), upper - highs)",
    ),
    Mutant(
        "checker's cells: swap silence and spikes of a leaf",
        CELLS,
        "there &= drive.allowed[owner, t].T",
        "there &= drive.allowed[owner, t].T[::-1]",
    ),
    Mutant(
        "checker's cells: hulls of the wrong cells",
        CELLS,
        "lower, upper = reached.lower[:, order], reached.upper[:, order]",
        "lower, upper = reached.lower, reached.upper",
    ),
    Mutant(
        "checker's cells: keep the first of cells that merge",
        CELLS,
        "return np.minimum.reduceat(lower, starts, axis=-1), np.maximum.reduceat(upper, starts, axis=-1)",
        "return lower[..., starts], upper[..., starts]",
    ),
    Mutant(
        "checker's cells: pay the cheaper end of u",
        CELLS,
        "np.where(paid > 0, step.high",
        "np.where(paid < 0, step.high",
    ),
    Mutant(
        "checker's cells: call every spike certain",
        CELLS,
        "certain[moving[step.spike == 0], t] = 0",
        "certain[moving[step.spike == 1], t] = 1",
    ),
    Mutant(
        "checker's cells: filter with the cells before",
        CELLS,
        "one[step.origin] + step.spike * below",
        "one[step.origin]",
    ),
    Mutant(
        "checker's pairs: forget what a spike counts",
        PAIRS,
        "+ (spikes[0] - spikes[1])",
        "+ abs(spikes[0] - spikes[1])",
    ),
    Mutant(
        "checker's pairs: the strip of the other neuron", PAIRS, "np.maximum(c, a - q)", "np.maximum(c, a - p)"
    ),
    Mutant("checker's pairs: cut by the wrong end", PAIRS, "np.minimum(b, e + q)", "np.minimum(b, e + p)"),
    Mutant(
        "checker's pairs: a spike needs no potential",
        PAIRS,
        "np.minimum(high, drive.surely)",
        "np.minimum(high, drive.perhaps - 1)",
    ),
    Mutant(
        "checker's pairs: a spike of one takes from neither",
        PAIRS,
        "top = np.minimum(upper - least, high - spike * drive.drop[0])",
        "top = np.minimum(upper - most, high - spike * drive.drop[0])",
    ),
    Mutant(
        "checker's pairs: the greatest difference of cells that merge",
        PAIRS,
        "np.minimum.reduceat(ahead[order], starts)",
        "np.maximum.reduceat(ahead[order], starts)",
    ),
    Mutant(
        "checker's pairs: silence only where it is certain", PAIRS, "(high, drive.surely)", "(high, drive.perhaps)"
    ),
    Mutant(
        "checker's pairs: a spike only where it is certain", PAIRS, "(low, drive.perhaps)", "(low, drive.surely)"
    ),
    Mutant(
        "checker's pairs: the most for the least of Y",
        PAIRS,
        "least + spike * drive.drop[0]",
        "least + spike * drive.drop[1]",
    ),
    Mutant(
        "checker's pairs: the least for the most of Y",
        PAIRS,
        "most + spike * drive.drop[1]",
        "most + spike * drive.drop[0]",
    ),
    Mutant(
        "checker's pairs: a spike leaves too much",
        PAIRS,
        "low - spike * drive.drop[1])",
        "low - spike * drive.drop[0])",
    ),
    Mutant(
        "checker's pairs: a spike leaves too little",
        PAIRS,
        "high - spike * drive.drop[0])",
        "high - spike * drive.drop[1])",
    ),
    Mutant(
        "checker's pairs: what is decided of the other neuron", PAIRS, "t, list(spikes)]", "t, list(spikes[::-1])]"
    ),
    Mutant(
        "checker's layer: a scaled reader sums up as others do",
        LAYER,
        " and set(self.neuron.scale) == {Fraction(1)}",
        "",
    ),
    Mutant(
        "checker's layer: forget what weights lose",
        LAYER,
        "steps * largest / (1 << GRID)",
        "0 * largest / (1 << GRID)",
    ),
    Mutant(
        "checker's layer: ages rounded down",
        LAYER,
        "self.ages.ints + np.triu(np.ones(self.ages.shape, dtype=object))",
        "self.ages.ints",
    ),
    Mutant(
        "checker's layer: θ from the wrong side",
        LAYER,
        "(n.threshold + self.loose, shift)[1]",
        "(n.threshold + self.loose, shift)[0]",
    ),
    Mutant(
        "checker's layer: sums from the wrong side",
        LAYER,
        "fixed(lower, shift, False)",
        "fixed(lower, shift, True)",
    ),
    Mutant(
        "checker's layer: currents from the wrong side",
        LAYER,
        "fixed(high, shift, True)",
        "fixed(high, shift, False)",
    ),
    Mutant(
        "checker's layer: what spikes took, rounded down", LAYER, "-(-high[0] // high[1])", "high[0] // high[1]"
    ),
    Mutant(
        "checker's numbers: a decay from one side",
        FIXED,
        "np.where(low < 0, self.high, self.low)",
        "np.where(low < 0, self.low, self.high)",
    ),
    Mutant(
        "checker's numbers: round up what is to go down",
        FIXED,
        "if up else ints >> max(0, down)",
        "if not up else ints >> max(0, down)",
    ),
    Mutant(
        "checker's numbers: products that may overflow",
        FIXED,
        "(abs(end) > 1 << BITS).any()",
        "(abs(end) > 1 << 62).any()",
    ),
    Mutant("checker's layer: forget the slack of L", LAYER, "sums[1] + self.filtered_slack", "sums[1]"),
    Mutant("checker's layer: forget the slack of c", LAYER, "greater(one, two) + self.slack", "greater(one, two)"),
    Mutant(
        "checker's layer: forget what a spike loses", LAYER, "+ neuron.decay * neuron.lost(reach, arithmetic)", ""
    ),
    Mutant(
        "checker's layer: a wrong sign of prices on u",
        LAYER,
        "left = prices - Dyadic(later",
        "left = prices + Dyadic(later",
    ),
    Mutant("checker's layer: prices without what spikes take", LAYER, "costs - prices * drop", "costs"),
    Mutant("checker's layer: no slack for prices", LAYER, " - (abs(prices) * self.slack).sum()", ""),
    Mutant(
        "checker's layer: read as its own what another decay filters",
        LAYER,
        "neuron.decay == self.neuron.decay and",
        "neuron.decay != 2 and",
    ),
    Mutant(
        "checker's looking through: what the weights lose", THROUGH, "lows - lost, highs + lost", "lows, highs"
    ),
    Mutant("checker's looking through: u for S", THROUGH, "kept[0] - taken[1]", "kept[0] - taken[0]"),
    Mutant(
        "checker's looking through: a negative gain",
        THROUGH,
        "return lesser(*ends), greater(*ends)",
        "return ends",
    ),
    Mutant(
        "checker's looking through: the exact current's slack",
        TABLE,
        "self.high[neuron, row] + self.slack[neuron, 0]",
        "self.high[neuron, row]",
    ),
    Mutant(
        "checker's looking through: u of the first row",
        TABLE,
        "np.maximum.reduceat(high.ints, starts)",
        "high.ints[starts]",
    ),
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
        "checker's sums: only certain spikes have a size",
        "checking/bound.py",
        "return layer.spikes(roots[0].trains(place))[1]",
        "return layer.spikes(roots[0].trains(place))[0]",
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
