"""Ways to break what the checker knows of gates, kinds of neurons, synapses, max pools and loops."""

from mutant import Mutant

KINDS, FILTERS = "checking/network/kinds.py", "checking/maps/filters.py"
POOLS, LOOPS = "checking/maps/pooling.py", "checking/network/loops.py"
ELEMENT_MUTANTS = (
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
        "checker's pools: without padding",
        POOLS,
        "ends.append((side, side + more))",
        "ends.append((0, more))",
    ),
    Mutant(
        "checker's pools: errors of the first entry",
        "checking/network/measuring.py",
        "node.windows.largest(size), node.windows.largest(error)",
        "node.windows.largest(size), error[node.windows.entry[node.windows.starts]] * 0",
    ),
    Mutant("checker's loops: the feedback does not round", LOOPS, "error + own + rounding", "error + rounding"),
)
