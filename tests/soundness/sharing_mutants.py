"""Ways to break what the proof kernel knows of currents that neurons share, of pairs, and of splits of inputs."""

from mutant import Mutant

KERNEL = "checking/kernel/"
NARROWING, PAIRS, CHECKING = KERNEL + "narrowing.py", KERNEL + "pairs.py", KERNEL + "checking.py"
CONTEXTS = KERNEL + "contexts.py"
SHARING_MUTANTS = (
    Mutant(
        "kernel: a form's negative weight takes the same end",
        NARROWING,
        "one, two = boxes[j] if weight > 0 else boxes[j][::-1]",
        "one, two = boxes[j]",
    ),
    Mutant(
        "kernel: a form's bias counts once", NARROWING, "for end in window.total]", "for end in window.factors[0]]"
    ),
    Mutant(
        "kernel: a form's upper end is rounded down",
        NARROWING,
        "most - (-high >> self.shift)",
        "most + (high >> self.shift)",
    ),
    Mutant("kernel: currents that were taken out stay out", NARROWING, "chosen.add(j)", "pass"),
    Mutant(
        "kernel: joint currents at one end",
        NARROWING,
        "return ends[0], -ends[1]",
        "return ends[0], ends[0]",
    ),
    Mutant("kernel: any neurons' joint currents do", NARROWING, "(self, place, own)", "(self, place)"),
    Mutant("kernel: S − γ·I at the wrong end of I", NARROWING, "sums[r][0] - two", "sums[r][0] - one"),
    Mutant(
        "kernel: the run's current is the exact one",
        NARROWING,
        "max(first, table.ends[r][0]) - error, min(last, table.ends[r][1]) + error",
        "max(first, table.ends[r][0]), min(last, table.ends[r][1])",
    ),
    Mutant("kernel: S − γ·I of one row", NARROWING, "return min(lows), max(highs)", "return lows[0], highs[0]"),
    Mutant(
        "kernel: a window by way of currents where a layer hears itself",
        CHECKING,
        "if self.nodes.spiking(place).heard is not None:",
        "if False:",
    ),
    Mutant(
        "kernel: a pair where a layer hears itself",
        CHECKING,
        "steps = self.nodes.spiking(place), self.network.steps\n        if node.heard is not None:",
        "steps = self.nodes.spiking(place), self.network.steps\n        if False:",
    ),
    Mutant(
        "kernel: the sum for the difference of two currents", CHECKING, "zip(signed, (1, -1)", "zip(signed, (1, 1)"
    ),
    Mutant(
        "kernel: the strip the wrong way round",
        PAIRS,
        "one.came[0] - strip[1], one.came[1] - strip[0]",
        "one.came[0] - strip[0], one.came[1] - strip[1]",
    ),
    Mutant(
        "kernel: the strip turned around",
        PAIRS,
        "two.came[0] + strip[0], two.came[1] + strip[1]",
        "two.came[0] - strip[1], two.came[1] - strip[0]",
    ),
    Mutant(
        "kernel: what came in of a pair pays no rounding",
        PAIRS,
        "part[0] + took[0] - balance.loose[t + 1], part[1] + took[1] + balance.loose[t + 1]",
        "part[0] + took[0], part[1] + took[1]",
    ),
    Mutant(
        "kernel: what is left of a pair pays no rounding",
        PAIRS,
        "(came[0] - took[1] - loose, came[1] - took[0] + loose)",
        "(came[0] - took[1], came[1] - took[0])",
    ),
    Mutant(
        "kernel: what is left of a pair forgets what spikes may have taken",
        PAIRS,
        "(came[0] - took[1] - loose, came[1] - took[0] + loose)",
        "(came[0] - took[0] - loose, came[1] - took[1] + loose)",
    ),
    Mutant(
        "kernel: a pair's spikes are not looked at",
        PAIRS,
        "if certain <= spike <= possible:",
        "if certain <= spike < possible:",
    ),
    Mutant(
        "kernel: a pair's potentials need not lie in their node",
        PAIRS,
        "if common(left, (to.low, to.high)) != left or to.taken",
        "if to.taken",
    ),
    Mutant(
        "kernel: what a pair's spikes took need not lie in its node",
        PAIRS,
        " or common(taken, to.taken) != taken:",
        ":",
    ),
    Mutant(
        "kernel: a pair need not hold the start",
        PAIRS,
        "\n        or not all(n.low <= 0 <= n.high for n in levels[0][0].sides)\n",
        "\n",
    ),
    Mutant("kernel: a pair's dearest path", PAIRS, "ahead[target] = min(", "ahead[target] = max("),
    Mutant(
        "kernel: silence of a pair costs",
        PAIRS,
        "sum(cost[t] * spike for cost, spike",
        "sum(cost[t] for cost, spike",
    ),
    Mutant(
        "kernel: a pair's potentials are as large as at its start",
        PAIRS,
        "[[node.sides[i] for node in level] for level in levels]",
        "[[node.sides[i] for node in level] for level in levels[:1]]",
    ),
    Mutant(
        "kernel: a split of inputs leaves a gap",
        CHECKING,
        "(low, min(high, value)), (max(low, value + whole * ONE), high)",
        "(low, min(high, value)), (max(low, value + whole * ONE) + ONE // 8, high)",
    ),
    Mutant(
        "kernel: what was found of inputs outlives their split",
        CONTEXTS,
        "self.set(self.inputs, i, [*boxes[:t], box, *boxes[t + 1 :]], 0)",
        "self.set(self.inputs, i, [*boxes[:t], box, *boxes[t + 1 :]], 1)",
    ),
    Mutant(
        "kernel: a split of one step's input is one of all",
        CONTEXTS,
        "[*boxes[:t], box, *boxes[t + 1 :]]",
        "[box] * len(boxes)",
    ),
)
