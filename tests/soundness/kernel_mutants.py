"""Ways to break the proof kernel: each lets a certificate prove more than it does."""

from mutant import Mutant

KERNEL = "checking/kernel/"
NEURONS, TABLES, INVARIANTS = KERNEL + "neurons.py", KERNEL + "tables.py", KERNEL + "invariants.py"
POTENTIALS, LEAVES, CHECKING = KERNEL + "potentials.py", KERNEL + "leaves.py", KERNEL + "checking.py"
CONTEXTS, NARROWING, SIZES = KERNEL + "contexts.py", KERNEL + "narrowing.py", KERNEL + "sizes.py"
NUMBERS, CERTIFICATES, NODES = KERNEL + "numbers.py", KERNEL + "certificates.py", KERNEL + "network.py"
DIGITS = "checking/numbers/digits.py"
CONCLUSIONS, TIES = "checking/conclusions.py", "checking/ties.py"
KERNEL_MUTANTS = (
    Mutant(
        "kernel: round a product's upper end down",
        NUMBERS,
        "return low * factor >> GRID, -(-high * factor >> GRID)",
        "return low * factor >> GRID, high * factor >> GRID",
    ),
    Mutant(
        "kernel: forget that a negative factor turns a box around",
        NUMBERS,
        "low, high = box if factor >= 0 else box[::-1]",
        "low, high = box",
    ),
    Mutant("kernel: the wrong end of a box", NUMBERS, "box[coefficient < 0]", "box[coefficient > 0]"),
    Mutant("kernel: silence only below θ − tie", NEURONS, "if low <= self.high:", "if low <= self.low:"),
    Mutant("kernel: a spike only above θ + tie", NEURONS, "if high >= self.low:", "if high > self.high:"),
    Mutant(
        "kernel: a soft reset takes twice",
        NEURONS,
        "return part[0] - less - loose, part[1] - less + loose",
        "return part[0] - 2 * less - loose, part[1] - 2 * less + loose",
    ),
    Mutant(
        "kernel: a soft reset rounds nothing",
        NEURONS,
        "return times(self.unit, max(map(abs, part)) + self.drop)[1] + self.tiny",
        "return 0",
    ),
    Mutant(
        "kernel: no rounding at a step",
        NEURONS,
        "return times(self.unit, times(self.decay, potential)[1] + current)[1] + self.tiny",
        "return 0",
    ),
    Mutant("kernel: runs that differ repeat themselves", NEURONS, "and len(set(scale)) == 1", ""),
    Mutant(
        "kernel: take a table's row for any that ends above",
        TABLES,
        "row[0] <= low and high <= row[1]",
        "high <= row[1]",
    ),
    Mutant(
        "kernel: cut currents of negative slopes at the wrong end",
        TABLES,
        "low = max(low, (limit << GRID) // slope)",
        "high = min(high, (limit << GRID) // slope)",
    ),
    Mutant(
        "kernel: only the first interval of currents has trains",
        TABLES,
        "return [half for low, high in found for half",
        "return [half for low, high in found[:1] for half",
    ),
    Mutant(
        "kernel: a table forgets what a spike leaves",
        TABLES,
        "(rest[0] - less - loose, rest[1] - less + loose)",
        "(rest[0] - less, rest[0] - less)",
    ),
    Mutant(
        "kernel: an invariant need not hold the start",
        INVARIANTS,
        "or not levels[0][0].low <= 0 <= levels[0][0].high",
        "",
    ),
    Mutant(
        "kernel: intervals need not hold what comes",
        INVARIANTS,
        "return other[0] <= box[0] and box[1] <= other[1]",
        "return other[0] <= box[0]",
    ),
    Mutant(
        "kernel: any node may have a parent",
        INVARIANTS,
        "if to.parent != -1 and (to.parent != index or spike):",
        "if to.parent != -1 and spike:",
    ),
    Mutant(
        "kernel: a parent may be left by a spike",
        INVARIANTS,
        "(to.parent != index or spike)",
        "to.parent != index",
    ),
    Mutant(
        "kernel: windows forget what came before",
        INVARIANTS,
        "ends = scaled(began, power[0]), scaled(began, power[1])",
        "ends = (0, 0), (0, 0)",
    ),
    Mutant(
        "kernel: windows pay for one step's rounding",
        INVARIANTS,
        "loose = times(neuron.decay, loose)[1] + extra\n            power",
        "loose = extra\n            power",
    ),
    Mutant(
        "kernel: no δ at a step",
        INVARIANTS,
        "low, high = low + least - extra, high + most + extra",
        "low, high = low + least, high + most",
    ),
    Mutant(
        "kernel: cells forget what a spike takes",
        INVARIANTS,
        "more, loose = self.driven.neuron.shift(spike), self.loose[t + 1]",
        "more, loose = 0, self.loose[t + 1]",
    ),
    Mutant(
        "kernel: cells cut V by the wrong end of Y",
        INVARIANTS,
        "max(span[0], low - taken[1] - self.loose[t + 1])",
        "max(span[0], low - taken[0] - self.loose[t + 1])",
    ),
    Mutant(
        "kernel: windows of spikes along one path",
        INVARIANTS,
        "ahead[target] = min(old[0], one), max(old[1], two)",
        "ahead[target] = one, two",
    ),
    Mutant(
        "kernel: potentials pay no δ",
        POTENTIALS,
        "return value - (abs(gain) * invariant.extra << GRID)",
        "return value",
    ),
    Mutant(
        "kernel: Farkas at the wrong end",
        POTENTIALS,
        "multiplier * move.part[multiplier > 0]",
        "multiplier * move.part[multiplier < 0]",
    ),
    Mutant(
        "kernel: a spike costs nothing", POTENTIALS, "left + (costs[t] * move.spike << 2 * GRID) < 0", "left < 0"
    ),
    Mutant(
        "kernel: a piece of a target may be left out",
        POTENTIALS,
        "if not later or len(hints) != len(later):",
        "if not later:",
    ),
    Mutant(
        "kernel: the start's best piece",
        POTENTIALS,
        "return min(a for a, _ in start)",
        "return max(a for a, _ in start)",
    ),
    Mutant(
        "kernel: potentials forget what a reset takes",
        POTENTIALS,
        "- (slope * neuron.shift(move.spike) << GRID)",
        "",
    ),
    Mutant(
        "kernel: prices of rows pay no rounding",
        LEAVES,
        "return (min(values) - abs(price) * error) >> GRID",
        "return min(values) >> GRID",
    ),
    Mutant(
        "kernel: the dearest row", LEAVES, "return (min(values) - abs(price)", "return (max(values) - abs(price)"
    ),
    Mutant(
        "kernel: the cheaper end of a row's currents",
        LEAVES,
        "- max(price * ends[0], price * ends[1])",
        "- min(price * ends[0], price * ends[1])",
    ),
    Mutant("kernel: a neuron may be taken twice", LEAVES, "return self.open.pop(j)", "return self.open[j]"),
    Mutant(
        "kernel: neurons without a potential cost nothing",
        LEAVES,
        "self.total += self._unpriced(j, costs)",
        "pass",
    ),
    Mutant(
        "kernel: prices never reach the inputs",
        LEAVES,
        "self.costs.add(self.context.nodes.spiking(place).source, 0, j, price)",
        "pass",
    ),
    Mutant(
        "kernel: what is heard costs nothing",
        LEAVES,
        "self.open[i][t - 1] += price * weight >> node.heard.shift",
        "pass",
    ),
    Mutant(
        "kernel: an upper end is any entry's", LEAVES, "if cost >= 0 or others <= boxes[chosen][0]:", "if True:"
    ),
    Mutant(
        "kernel: biases are free",
        LEAVES,
        "self.constant += regrid(least(cost, node.bias[j]), shift + GRID)[0]",
        "pass",
    ),
    Mutant(
        "kernel: a split's other side keeps what was stated",
        CONTEXTS,
        "                where[index] = value\n                self._forget(place)",
        "                pass",
    ),
    Mutant(
        "kernel: remember what no longer holds",
        CONTEXTS,
        "self._known[place:]:\n            known.clear()",
        "self._known[place:]:\n            pass",
    ),
    Mutant(
        "kernel: every spike that may be is sure",
        CONTEXTS,
        "low += least if certain else min(0, least) if possible else 0",
        "low += least if possible else 0",
    ),
    Mutant(
        "kernel: maxima are one entry",
        CONTEXTS,
        "(max(map(low.__getitem__, entries)), max(map(high.__getitem__, entries)))",
        "(low[entries[0]], high[entries[0]])",
    ),
    Mutant(
        "kernel: keep rows whose ends lie outside alone",
        CONTEXTS,
        "if ends[r][0] <= box[1] and box[0] <= ends[r][1]",
        "if ends[r][0] >= box[0] and box[1] >= ends[r][1]",
    ),
    Mutant(
        "kernel: narrowing by the wrong end of a slab",
        NARROWING,
        "min(multiplier * box[0], multiplier * box[1])",
        "max(multiplier * box[0], multiplier * box[1])",
    ),
    Mutant(
        "kernel: narrowing pays no rounding of slabs",
        NARROWING,
        "return max(low, least) - error, min(high, most) + error",
        "return max(low, least) + 2**100, min(high, most) - 2**100",
    ),
    Mutant("kernel: any set is empty", NARROWING, "if bound > 0:", "if bound >= -(2**300):"),
    Mutant(
        "kernel: potentials may overflow",
        SIZES,
        "node.neuron.largest(size.max().fraction(), self.nodes.network.arithmetic)",
        "pass",
    ),
    Mutant(
        "kernel: currents have no error",
        SIZES,
        "self._errors[place] = largest(error)",
        "self._errors[place] = [0] * len(largest(error))",
    ),
    Mutant(
        "kernel: a class may be missing",
        CHECKING,
        "or self.other is not None or missing:",
        "or self.other is not None:",
    ),
    Mutant(
        "kernel: any part may be called empty",
        CHECKING,
        'if not self.context.empty[0]:\n            raise Refused("some run',
        'if False:\n            raise Refused("some run',
    ),
    Mutant(
        "kernel: both sides of a split keep the same spikes",
        CHECKING,
        "for spike in (0, 1)))",
        "for spike in (0, 0)))",
    ),
    Mutant(
        "kernel: a row before is one behind",
        CHECKING,
        "for before in (True, False)]",
        "for before in (True, True)]",
    ),
    Mutant(
        "kernel: a leaf need not close",
        CHECKING,
        "if not self.row.follows(Fraction(bound, 1 << GRID)):",
        "if False:",
    ),
    Mutant(
        "kernel: the readout rounds nothing",
        CHECKING,
        "costs.constant -= regrid(abs(factor) * self._slack(j, weights), GRID + row.shift)[1]",
        "pass",
    ),
    Mutant(
        "kernel: a row of a property takes its outputs with the other sign",
        CONCLUSIONS,
        "numbers = [[-Fraction(factor) for _, factor in part]",
        "numbers = [[Fraction(factor) for _, factor in part]",
    ),
    Mutant(
        "kernel: a row forgets its constant",
        CONCLUSIONS,
        "-known - Fraction(self.constant)",
        "Fraction(0) - known",
    ),
    Mutant(
        "kernel: a row forgets the sample's own outputs",
        CONCLUSIONS,
        "-known - Fraction(self.constant)",
        "-Fraction(self.constant)",
    ),
    Mutant("kernel: strict rows may meet", CONCLUSIONS, "0, self.strict)", "0, False)"),
    Mutant(
        "kernel: a row's bound may be anything that is not below",
        CONCLUSIONS,
        "(bound == self.least and not self.strict)",
        "bound == self.least",
    ),
    Mutant(
        "kernel: one clause of a property is enough",
        CONCLUSIONS,
        "return Conclusions(range(len(rows)), rows.__getitem__)",
        "return Conclusions(range(1), rows.__getitem__)",
    ),
    Mutant(
        "kernel: inputs of rows by step and feature the wrong way around",
        CHECKING,
        "*divmod(place, self.nodes.graph.widths[0])",
        "*divmod(place, self.nodes.graph.widths[0])[::-1]",
    ),
    Mutant(
        "kernel: inputs of rows count once, not T times over the unit",
        CHECKING,
        "factor * per, row.shift",
        "factor, row.shift",
    ),
    Mutant(
        "kernel: a row's constant counts once, not T times over the unit",
        CHECKING,
        "below(row.constant * per)",
        "below(row.constant)",
    ),
    Mutant(
        "kernel: a row's rounding is that of one output, whatever its coefficient",
        CHECKING,
        "regrid(abs(factor) * self._slack",
        "regrid((1 << row.shift) * self._slack",
    ),
    Mutant(
        "kernel: a property of an older format",
        CERTIFICATES,
        "if form != format_of(claim.text):",
        "if False:",
    ),
    Mutant("kernel: numbers of a claim are rounded", CERTIFICATES, "if array.tolist() != values or", "if"),
    Mutant(
        "kernel: sums of machine integers may be of any size",
        DIGITS,
        "return (MACHINE - max(terms, 1).bit_length()) // 2",
        "return MACHINE // 2",
    ),
    Mutant(
        "kernel: the last digit has no sign", DIGITS, "value >> last for value", "abs(value) >> last for value"
    ),
    Mutant(
        "kernel: widths count with their weights' signs",
        CONTEXTS,
        "matrix.images(sums), matrix.moduli.images(widths)",
        "matrix.images(sums), matrix.images(widths)",
    ),
    Mutant(
        "kernel: what a neuron hears of itself is as wide as its weights' signs say",
        CONTEXTS,
        "sum(abs(w) * widths[i] for i, w in own)",
        "sum(w * widths[i] for i, w in own)",
    ),
    Mutant("kernel: costs of all steps are at one", LEAVES, "steps[t][j] = cost", "steps[0][j] = cost"),
    Mutant(
        "kernel: a bias comes in but once",
        CONTEXTS,
        "_product(node.bias[j], total)",
        "_product(node.bias[j], (ONE, ONE))",
    ),
    Mutant("kernel: maxima are no more than sums of any entries", CONTEXTS, "if positive else high", ""),
    Mutant(
        "kernel: a maximum is its greatest entry, whatever the price",
        LEAVES,
        "if cost >= 0 or others <= boxes[chosen][0]:",
        "if True:",
    ),
    Mutant(
        "kernel: a maximum's least for a negative price",
        LEAVES,
        "highest = max(high for _, high in boxes.values())",
        "highest = max(low for low, _ in boxes.values())",
    ),
    Mutant(
        "kernel: only certain spikes of a table have a size",
        CONTEXTS,
        "max(trains[r][t] for r in rows)",
        "min(trains[r][t] for r in rows)",
    ),
    Mutant(
        "kernel: only certain spikes have a size",
        CONTEXTS,
        "return whole([[possible for _, possible in bits]",
        "return whole([[possible for possible, _ in bits]",
    ),
)
