"""Ways to break what the checker knows of gates, kinds of neurons, synapses, max pools and loops."""

from mutant import Mutant

CHECKING = "checking/"
STEPS, KINDS, FILTERS = "checking/trains/memoryless.py", "checking/network/kinds.py", "checking/maps/filters.py"
POOLS, LOOPS, LEAF = "checking/maps/pooling.py", "checking/network/loops.py", CHECKING + "leaf.py"
ELEMENT_MUTANTS = (
    Mutant(
        "checker's gates: silence is possible wherever a spike is not certain for the lower end",
        STEPS,
        "np.stack((low <= self.surely, self.perhaps <= high), -1)",
        "np.stack((high <= self.surely, self.perhaps <= high), -1)",
    ),
    Mutant(
        "checker's gates: a spike is possible only where it is certain",
        STEPS,
        "np.stack((low <= self.surely, self.perhaps <= high), -1)",
        "np.stack((low <= self.surely, self.perhaps <= low), -1)",
    ),
    Mutant(
        "checker's gates: a spike costs nothing",
        STEPS,
        "fires = costs - _most(",
        "fires = costs * 0 - _most(",
    ),
    Mutant(
        "checker's gates: prices of silence at the lower end",
        STEPS,
        "silent = -_most(prices, reach.low, lesser(reach.high, self.surely))",
        "silent = -(prices * reach.low)",
    ),
    Mutant(
        "checker's gates: no slack for prices",
        STEPS,
        "return Dyadic(found, shift).sum() - (abs(prices) * self.slack).sum()",
        "return Dyadic(found, shift).sum()",
    ),
    Mutant("checker's gates: no slack of currents", STEPS, "greater(one, two) + self.slack", "greater(one, two)"),
    Mutant(
        "checker's kinds: in the order of their constants",
        KINDS,
        "np.argsort(_in_order(which))",
        "np.arange(len(kinds))",
    ),
    Mutant(
        "checker's kinds: one kind for all",
        KINDS,
        "return [np.flatnonzero(which == kind) for kind in range(len(self.kinds))]",
        "return [np.flatnonzero((which == kind) | (kind == 0)) for kind in range(len(self.kinds))]",
    ),
    Mutant(
        "checker's kinds: spikes at the first places",
        KINDS,
        "return _moved((width, len(places)), places, np.arange(len(places)))",
        "return _moved((width, len(places)), np.arange(len(places)), np.arange(len(places)))",
    ),
    Mutant("checker's filters: a delay less", FILTERS, "now - entered - self.synapse.delay", "now - entered"),
    Mutant("checker's filters: backwards in time", FILTERS, "ages = now - entered", "ages = entered - now"),
    Mutant(
        "checker's filters: no gain of the error before",
        FILTERS,
        "error * up[0] + own",
        "error + own",
    ),
    Mutant(
        "checker's filters: no rounding of their own", FILTERS, "own = size * up[1] + up[2] +", "own = size * 0 +"
    ),
    Mutant("checker's filters: sizes do not add up", FILTERS, "return size * up[0] + own", "return size + own"),
    Mutant(
        "checker's filters: prices go forward in time",
        CHECKING + "bound.py",
        "costs @ node.over_time.T",
        "costs @ node.over_time",
    ),
    Mutant(
        "checker's filters: sums of what is not filtered",
        LEAF,
        "node.over_time @ weights, (reader, place)",
        "weights, (reader, place)",
    ),
    Mutant(
        "checker's pools: one entry for a negative price",
        POOLS,
        "kept = np.where(np.asarray(costs.ints >= 0, dtype=bool) | self.exact, costs.ints, 0)",
        "kept = costs.ints",
    ),
    Mutant(
        "checker's pools: known where lower ends pass lower ends",
        POOLS,
        "others = np.where(order == place[self.output], bottom, top)",
        "others = bottom",
    ),
    Mutant(
        "checker's pools: the lower end for a negative price",
        POOLS,
        "Dyadic(highest, shift), len(low.ints))",
        "Dyadic(greatest, shift), len(low.ints))",
    ),
    Mutant(
        "checker's pools: without padding",
        POOLS,
        "ends.append((side, side + more))",
        "ends.append((0, more))",
    ),
    Mutant(
        "checker's pools: sums over time of one entry from above",
        LEAF,
        "lesser(high, node.windows.totals(more[1]) - node.windows.largest(less[0]))",
        "lesser(high, node.windows.largest(more[1]) - node.windows.largest(less[0]))",
    ),
    Mutant(
        "checker's pools: errors of the first entry",
        "checking/network/measuring.py",
        "node.windows.largest(size), node.windows.largest(error)",
        "node.windows.largest(size), error[node.windows.entry[node.windows.starts]] * 0",
    ),
    Mutant(
        "checker's loops: spikes are heard at once",
        LOOPS,
        "ints[:, 1:] = signal.ints[:, :-1]",
        "ints = signal.ints",
    ),
    Mutant("checker's loops: prices forget the echo", LOOPS, "before[:, :-1] = prices.ints[:, 1:]", "pass"),
    Mutant(
        "checker's loops: prices forget the bias",
        LOOPS,
        "(prices.sum(1).column() * feedback.bias).sum()",
        "whole(0)",
    ),
    Mutant("checker's loops: the feedback does not round", LOOPS, "error + own + rounding", "error + rounding"),
    Mutant(
        "checker's loops: sums forget what is heard",
        LEAF,
        "both = _added(sums, _weighted(*own, layer.weights))",
        "both = sums",
    ),
    Mutant(
        "checker's graph: the mean is taken before a max pool",
        "checking/network/graph.py",
        "isinstance(layer, Firing | MaxPool | LeakySynapse)",
        "isinstance(layer, Firing | LeakySynapse)",
    ),
)
