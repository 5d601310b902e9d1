"""Ways to break what is known of layers that subtract: cells, pairs, looking through, priced paths."""

from mutant import Mutant

BOUNDS = "certify/bounds/"
CELLS = "certify/bounds/cells/eager_cells.py"
KERNEL = "kernels/sources/cells.c"
PAIRS = "certify/bounds/cells/eager_pairs.py"
THROUGH = "certify/bounds/cells/looking_through.py"
TABLE = "certify/bounds/trains/balanced_table.py"
PRICED = "certify/bounds/prices/price_cells.py"
CELL_MUTANTS = (
    Mutant(
        "inflow: forget the slack of filtered currents",
        "certify/bounds/signals/inflow.py",
        "box.upper + slack",
        "box.upper",
    ),
    Mutant(
        "inflow: pay the slack of one step",
        "certify/bounds/signals/inflow.py",
        "slack = drives.slack * filter_sums(rule, box.lower)",
        "slack = drives.slack * 0.0",
    ),
    Mutant("cells: take θ for what a spike takes away", CELLS, "(lower - most * rule.drop)", "(lower - most)"),
    Mutant("cells: the wrong end of S", CELLS, "(upper - least * rule.drop)", "(upper - most * rule.drop)"),
    Mutant("cells: forget the decay of u", CELLS, "cells.high * rule.decay + inflow.high[t]", "inflow.high[t]"),
    Mutant(
        "cells: silence stays below θ",
        CELLS,
        "quiet, fires = alive & (low <= inflow.surely)",
        "quiet, fires = alive & (high <= inflow.surely)",
    ),
    Mutant(
        "cells: a spike only where it is certain", CELLS, "(high >= inflow.perhaps)", "(low >= inflow.perhaps)"
    ),
    Mutant(
        "cells: a spike leaves what it found",
        CELLS,
        "torch.cat((high.clamp_max(inflow.surely), high - rule.drop))",
        "torch.cat((high.clamp_max(inflow.surely), high.clamp_max(inflow.surely)))",
    ),
    Mutant(
        "cells: S from the wrong end of L",
        CELLS,
        ".minimum((upper - low) / rule.drop)",
        ".minimum((lower - low) / rule.drop)",
    ),
    Mutant(
        "cells: a spike does not count in S",
        CELLS,
        "torch.cat((most, most + 1.0))",
        "torch.cat((most, most))",
    ),
    Mutant(
        "cells: merge into the first",
        CELLS,
        "(found.most, found.high, found.longest))",
        "(found.least, found.high, found.longest))",
    ),
    Mutant(
        "cells: the least of the highest ends",
        CELLS,
        'upper = (hull(values, "amax")',
        'upper = (hull(values, "amin")',
    ),
    Mutant("cells: a certain spike wherever one is possible", CELLS, "Box((~silent.any(0))", "Box((fires.any(0))"),
    Mutant("cells: sums forget their decay", CELLS, "cells.longest * decay", "cells.longest"),
    Mutant("cells: S cut where it is whole", CELLS, "if not _apart(cells, inflow, rule):", "if True:"),
    Mutant("cells: S never cut", CELLS, "if not _apart(cells, inflow, rule):", "if False:"),
    Mutant(
        "cells in C: a spike only where it is certain",
        KERNEL,
        "(high >= perhaps) & (whole",
        "(low >= perhaps) & (whole",
    ),
    Mutant(
        "cells in C: silences alone are merged",
        KERNEL,
        "from < found + blocks; from++)",
        "from < found + blocks; from += 2)",
    ),
    Mutant("counts: any row", KERNEL, "    for (long t = 0; t < layer->steps; t++) ones &= row[t] == 1;\n", ""),
    Mutant(
        "counts: any decay",
        KERNEL,
        "return layer->decay == 1 && most > layer->steps;",
        "return most > layer->steps;",
    ),
    Mutant("counts: as if u never lay apart", KERNEL, "return gap > 0;", "return 0;"),
    Mutant("counts: a spike does not count", KERNEL, "low[n - 1] + from), w", "low[n] + from), w"),
    Mutant(
        "counts: a spike of what came in by this count",
        KERNEL,
        "upper - spent[n - 1], high[n - 1]",
        "upper - spent[n], high[n - 1]",
    ),
    Mutant("counts: silence above θ", KERNEL, "REAL s1 = lesser(v, surely), f0", "REAL s1 = v, f0"),
    Mutant("counts: the last count is forgotten", KERNEL, "last = counts->last + 1;", "last = counts->last;"),
    Mutant(
        "counts: what was before is still there", KERNEL, "counts->last + 2 > counts->to ?", "counts->last >= 0 ?"
    ),
    Mutant(
        "counts: lower ones are still there",
        KERNEL,
        "counts->from / WIDE * WIDE - 1",
        "counts->first / WIDE * WIDE - 1",
    ),
    Mutant(
        "trains: S for any reader",
        "certify/bounds/cells/automaton.py",
        "if rule.decay == self.rule.decay and rule.scale is None:",
        "if True:",
    ),
    Mutant(
        "trains: balance for any reader",
        "certify/bounds/cells/automaton.py",
        "if rule.decay != self.rule.decay or rule.scale is not None:",
        "if False:",
    ),
    Mutant(
        "pairs: a strip the wrong way",
        PAIRS,
        "a.maximum(c + p), c.maximum(a - q)",
        "a.maximum(c + q), c.maximum(a - p)",
    ),
    Mutant(
        "pairs: the most in place of the least", PAIRS, 'hull(cells.ahead, "amin")', 'hull(cells.ahead, "amax")'
    ),
    Mutant("pairs: forget what merges", PAIRS, '(cells.most, "amax")', '(cells.most, "amin")'),
    Mutant("pairs: k's spikes count for y", PAIRS, "(spikes[0] - spikes[1])", "(spikes[0] + spikes[1])"),
    Mutant(
        "pairs: no step where both fire", PAIRS, "((0, 0), (0, 1), (1, 0), (1, 1))", "((0, 0), (0, 1), (1, 0))"
    ),
    Mutant("pairs: silence above θ", PAIRS, "low.maximum(needs), high.minimum(stays)", "low.maximum(needs), high"),
    Mutant(
        "margins: another class's difference",
        "certify/bounds/cells/pair_margins.py",
        "sums.lower[:, samples, neurons[1]]",
        "sums.lower[:, samples, neurons[0]]",
    ),
    Mutant(
        "margins: forget the bias of the strip",
        "certify/bounds/cells/pair_margins.py",
        "(reader.bias[neurons[0]] - reader.bias[neurons[1]]) * gains",
        "0.0 * gains",
    ),
    Mutant(
        "margins: forget the rounding of the chain",
        "certify/bounds/cells/pair_margins.py",
        "chain * moduli + inflow",
        "inflow",
    ),
    Mutant(
        "margins: forget the rounding of the recursion",
        "certify/bounds/cells/pair_margins.py",
        " + inflow.slack.sum(0) * filter_sums(rule, separate.lower)",
        "",
    ),
    Mutant(
        "margins: forget the rounding of the mean",
        "certify/bounds/cells/pair_margins.py",
        " - 2 * reading_slack(1.0, rounding)",
        "",
    ),
    Mutant(
        "through: one end of u for both",
        THROUGH,
        "torch.where(chosen, -left.lower / drop, train.upper)",
        "torch.where(chosen, -left.upper / drop, train.upper)",
    ),
    Mutant(
        "through: u with the wrong sign",
        THROUGH,
        "torch.where(chosen, -left.upper / drop, train.lower)",
        "torch.where(chosen, left.lower / drop, train.lower)",
    ),
    Mutant(
        "through: forget d",
        THROUGH,
        "shares = chosen / drop",
        "shares = chosen / 1.0",
    ),
    Mutant(
        "through: forget the bias below",
        THROUGH,
        "below.bias * sums.gains)",
        "below.bias * 0.0)",
    ),
    Mutant(
        "through: W for |W|", THROUGH, "over(self._matrices.abs(), box.radius)", "over(self._matrices, box.radius)"
    ),
    Mutant(
        "through: half a ball",
        THROUGH,
        "over(euclidean(self._matrices, -1)",
        "over(0.5 * euclidean(self._matrices, -1)",
    ),
    Mutant(
        "through: a matrix of neurons that are chosen no more",
        THROUGH,
        "begins[1:] = (shares[1:] != shares[:-1]).any(2)",
        "begins[1:] = (shares[1:] != shares[:-1]).all(2)",
    ),
    Mutant("through: a block without end", THROUGH, "begins = age % TOGETHER == 0", "begins = age == 0"),
    Mutant(
        "through: steps of a block in one place",
        THROUGH,
        "_Blocks(block, age % TOGETHER,",
        "_Blocks(block, age * 0,",
    ),
    Mutant(
        "through: the first sample's weights",
        THROUGH,
        "else self.weights[sample]",
        "else self.weights[sample * 0]",
    ),
    Mutant("through: flips only add", THROUGH, "Box(middle - fall, middle + rise)", "Box(middle, middle + rise)"),
    Mutant(
        "through: forget the bias of the reader",
        THROUGH,
        "middle, slack = reader.bias * gains,",
        "middle, slack = reader.bias * 0.0,",
    ),
    Mutant(
        "table: balance for any reader",
        TABLE,
        "if rule.decay != self.rule.decay or rule.scale is not None:",
        "if False:",
    ),
    Mutant(
        "table: forget the rows between", TABLE, "minimum(last.lower).minimum(inner.lower)", "minimum(last.lower)"
    ),
    Mutant(
        "table: S of the first row for the last",
        TABLE,
        "for row in (self.first, self.last)",
        "for row in (self.first, self.first)",
    ),
    Mutant(
        "table: what was taken away twice",
        TABLE,
        "gone = self.rule.drop * self._trains[",
        "gone = 2 * self.rule.drop * self._trains[",
    ),
    Mutant(
        "prices: the wrong end of u",
        PRICED,
        "left = torch.where(prices[t] > 0, self.high[t], self.low[t])",
        "left = torch.where(prices[t] > 0, self.low[t], self.high[t])",
    ),
    Mutant(
        "prices: forget what spikes take away",
        PRICED,
        "own = costs - self.rule.drop * charged(prices, self.rule.decay)",
        "own = costs",
    ),
    Mutant(
        "prices: unfiltered slack",
        "certify/bounds/prices/price_cells.py",
        "slack=collected(stage.slack(scale, pairs) + found.inflow.slack.flatten(1)[pairs], rule.decay)",
        "slack=0.0 * stage.slack(scale, pairs)",
    ),
    Mutant(
        "prices: on filtered currents as on currents",
        "certify/bounds/prices/price_cells.py",
        "return charged(prices, self.rule.decay)",
        "return prices",
    ),
)
