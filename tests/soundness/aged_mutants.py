"""Ways to break trains that are told by age, and windows that are found in one walk back."""

from mutant import Mutant

TRAINS = "certify/bounds/long/long_trains.py"
AFFINE = "certify/bounds/signals/affine.py"
TAILS = "certify/bounds/long/tails.py"
WINDOWS = "certify/bounds/signals/windows.py"
LONG = "kernels/sources/long.c"
AGED_MUTANTS = (
    Mutant(
        "long kernel: a cap of the step before",
        LONG,
        "work->cap[j] = lesser(work->cap[j], high[j] + silent);",
        "work->cap[j] = high[j];",
    ),
    Mutant(
        "long kernel: caps without what a silence leaves",
        LONG,
        "lesser(work->cap[j], high[j] + silent)",
        "lesser(work->cap[j], high[j])",
    ),
    Mutant(
        "long kernel: nothing gets old",
        LONG,
        "old[j] = greater(old[j], alive[j]);",
        "old[j] = 0;",
    ),
    Mutant(
        "long kernel: what is old is below both",
        LONG,
        "old[j] > 0 ? old_top[j] : -INFINITE);",
        "0);",
    ),
    Mutant(
        "long kernel: the layer's rounding is free",
        LONG,
        "high[j] + sample->slack[j] * moduli",
        "high[j]",
    ),
    Mutant(
        "long kernel: the recursion's rounding is free",
        LONG,
        "sample->widening[j] * weight",
        "0 * weight",
    ),
    Mutant(
        "long kernel: sources of two rows for those of one",
        LONG,
        "if (given->first[u] < given->last[u]) sample->open",
        "if (given->first[u] + 1 < given->last[u]) sample->open",
    ),
    Mutant(
        "long kernel: a slot that is a step off",
        LONG,
        "long last = (t + 2) % (W + 1) * P",
        "long last = (t + 3) % (W + 1) * P",
    ),
    Mutant(
        "long kernel: weights in place of their moduli",
        LONG,
        "matrix->moduli[k * P + j] = fabs(weight)",
        "matrix->moduli[k * P + j] = weight",
    ),
    Mutant(
        "long kernel: what is known is heard a step late",
        LONG,
        "sample->heard + (t - i) % (sizes->labels + 1) * P",
        "sample->heard + (t - i + sizes->labels) % (sizes->labels + 1) * P",
    ),
    Mutant(
        "long kernel: what is known counts alike at each age",
        LONG,
        "sum[j] += part * heard[j]",
        "sum[j] += heard[j]",
    ),
    Mutant(
        "long kernel: minima over half of a range",
        LONG,
        "other = (given->last[u] + 1 - half) * WIDE",
        "other = one",
    ),
    Mutant(
        "long kernel: a block's ends of the step before",
        LONG,
        "least + ((t) - start) * U * C, most",
        "least, most",
    ),
    Mutant("walk: nothing is older", LONG, "        take_way(fired, old, edges + W * size, n);\n", ""),
    Mutant("walk: nothing gets older", LONG, "if (node >= 0) take_way(old,", "if (node < 0) take_way(old,"),
    Mutant(
        "walk: what is old may always wait",
        LONG,
        "old.least[j] = waits[j] ? old.least[j] : INFINITE",
        "old.most[j] += 0",
    ),
    Mutant(
        "walk: the first spike costs nothing",
        LONG,
        "fired.least[j] + cost[t]",
        "fired.least[j] + (t ? cost[t] : 0)",
    ),
    Mutant(
        "walk: ways that do not exist",
        LONG,
        "lesser(to.least[j], exists[j] ? from.least[j] : INFINITE)",
        "lesser(to.least[j], from.least[j])",
    ),
    Mutant(
        "ages: caps of a step more", TRAINS, "torch.arange(1, len(upper) + 1,", "torch.arange(2, len(upper) + 2,"
    ),
    Mutant("ages: what gets old is forgotten", TRAINS, "old.alive | last.alive", "old.alive.clone()"),
    Mutant(
        "ages: what is old is where both are",
        TRAINS,
        "last.alive, high, -math.inf).maximum(",
        "last.alive, high, math.inf).minimum(",
    ),
    Mutant(
        "ages: old neurons never fire",
        TRAINS,
        ".minimum((old + ways[-1:])[0])\n            known",
        "\n            known",
    ),
    Mutant(
        "ages: a spike where θ is passed for certain",
        TRAINS,
        "self.high >= limits[1]",
        "self.high > limits[0] + 1e-3",
    ),
    Mutant(
        "ages: what must fire may be silent no more, at a step's start",
        TRAINS,
        "(self.low <= surely)",
        "(self.low <= surely - 1e-3)",
    ),
    Mutant("carried: what spikes took stays whole", TRAINS, "taken.lower.mul_(decay)", "taken.lower"),
    Mutant("carried: what came in at most, less the most", TRAINS, "inflow.upper - least", "inflow.upper - most"),
    Mutant(
        "carried: what came in at least, less the least", TRAINS, "inflow.lower - most", "inflow.lower - least"
    ),
    Mutant(
        "carried: a spike takes more than θ",
        TRAINS,
        "self.low.clamp_min(limits[1])",
        "self.low.clamp_min(limits[1] + 0.1)",
    ),
    Mutant("carried: a spike takes what it has at most", TRAINS, "+ self.taken.lower", "+ self.taken.upper"),
    Mutant("carried: a spike takes what it has at least", TRAINS, "+ self.taken.upper", "+ self.taken.lower"),
    Mutant(
        "carried: those that may not fire take nothing else",
        TRAINS,
        "ends[0].lower.minimum(ends[1].lower)",
        "ends[0].lower",
    ),
    Mutant(
        "carried: the greatest of what old and young take",
        TRAINS,
        "ends[0].upper.maximum(ends[1].upper)",
        "ends[0].upper.minimum(ends[1].upper)",
    ),
    Mutant("carried: silence at the lower end", TRAINS, "inflow.lower - self.high", "inflow.lower - self.low"),
    Mutant("carried: silence at the upper end", TRAINS, "inflow.upper - self.low", "inflow.upper - self.high"),
    Mutant("carried: counts of neurons that leak", TRAINS, "rule.decay == 1.0 and drives", "drives"),
    Mutant("carried: a count less", TRAINS, "/ perhaps * (1.0 + 1e-12)", "/ perhaps - 1.0"),
    Mutant(
        "carried: the last step's spike counts not",
        TRAINS,
        "part(slice(self.labels)), self.old",
        "part(slice(1, self.labels + 1)), self.old",
    ),
    Mutant("carried: sums of old labels are windows", TRAINS, " if labels >= current.num_steps else None", ""),
    Mutant("signs: a half of what falls", AFFINE, "(paid - found) / 2.0", "(paid - found) / 4.0"),
    Mutant("signs: rounding is free", AFFINE, "size * (1.0 + 2.0 * own_error(self.terms + 8))", "size"),
    Mutant(
        "images: moduli of rows are rows",
        AFFINE,
        "tensordot(rows.abs(), self.radius, 1)",
        "tensordot(rows, self.radius, 1)",
    ),
    Mutant("tails: what is old waits for ever", TAILS, ".minimum(fired + fires)", ""),
    Mutant("tails: a window of the trains of one node", TAILS, "found[:, 1, t - begin]", "found[:, 0, t - begin]"),
    Mutant("tails: no spike behind a silence", TAILS, "later[-1] | self.next[:, :, i]", "later[-1]"),
    Mutant("tails: nodes up to k are k", TAILS, "        both[1, k, :-1] |= both[1, k - 1, 1:]\n", ""),
    Mutant(
        "windows: a later signal's factors",
        WINDOWS,
        "torch.cat((self.factors[waits:], self.factors.new_ones(waits)))",
        "self.factors",
    ),
    Mutant("windows: a synapse forgets no step", WINDOWS, "ages * decay", "ages"),
    Mutant(
        "windows: a delay of a step less",
        WINDOWS,
        "    last = last - waits\n",
        "    last = last - max(0, waits - 1)\n",
    ),
)
