"""Ways to break what is known of a max pool."""

from mutant import Mutant

POOLED = "certify/bounds/signals/pooled.py"
WINDOWS = "models/elements/max_pooling.py"
LINES = "certify/bounds/prices/pool_lines.py"
PROGRAM = "certify/milp/pooled.py"
POOLING_MUTANTS = (
    Mutant(
        "pool: the lower end of a current for its upper",
        POOLED,
        "return Box(self._largest(box.lower), self._largest(box.upper))",
        "return Box(self._largest(box.lower), self._largest(box.lower))",
    ),
    Mutant(
        "pool: sums over time take the greatest upper end of one entry",
        POOLED,
        "upper = upper.minimum(self._total(sums.upper))",
        "upper = upper.minimum(self._largest(sums.upper))",
    ),
    Mutant(
        "pool: sums of currents below 0 are bounded by the sum of their windows",
        POOLED,
        "if float(ends.lower.min()) >= 0:",
        "if True:",
    ),
    Mutant(
        "pool: a row of negative weights is taken for one of positive weights",
        POOLED,
        "Box(found.lower - less.upper, found.upper - less.lower)",
        "Box(found.lower - less.lower, found.upper - less.upper)",
    ),
    Mutant(
        "pool: a sum over windows without the last entry",
        WINDOWS,
        "places.unbind(-1)[1:]",
        "places.unbind(-1)[1:-1]",
    ),
    Mutant(
        "pool: windows a step further along",
        WINDOWS,
        "torch.arange(outputs) * self.stride[axis] - self.padding[axis]",
        "torch.arange(outputs) * self.stride[axis]",
    ),
    Mutant(
        "pool: padding counts as 0",
        WINDOWS,
        "found = pool(x, self.size, self.stride, self.padding, self.dilation, self.ceil_mode)",
        "found = pool(x, self.size, self.stride, self.padding, self.dilation, self.ceil_mode)\n"
        "            found = found.clamp_min(0) if any(self.padding) else found",
    ),
    Mutant(
        "network: the mean over time is taken in front of a max pool",
        "models/networks.py",
        "(LIF, Synapse, PerStep, Residual, *MAX_POOLS, *BATCH_NORMS)",
        "(LIF, Synapse, PerStep, Residual, *BATCH_NORMS)",
    ),
    Mutant(
        "circuit: a max pool is left out",
        "models/circuit/lowering.py",
        "return self._append(NODES[element.node](name, (source,), made))",
        'return source if element.node == "pooled" else self._append(NODES[element.node](name, (source,), made))',
    ),
    Mutant(
        "training: the mean of a max pool is the pool of the mean",
        "training/bounds/ends.py",
        "return Ends(found) if x.constant else self.of_steps(found)",
        "return Ends(found, lambda: each(x.mean(), lambda end: fold(node.windows.largest, end)))",
    ),
    Mutant(
        "prices: a line of one entry where the price is negative",
        LINES,
        "kept = torch.where((flat >= 0) | known.exact, flat, 0.0)",
        "kept = flat",
    ),
    Mutant(
        "prices: a maximum is known where one entry's lower end passes the others' lower ends",
        LINES,
        "others = high.scatter(-1, place, -torch.inf).amax(-1)",
        "others = low.scatter(-1, place, -torch.inf).amax(-1)",
    ),
    Mutant(
        "prices: the lower end stands for a maximum of negative price",
        LINES,
        "highest = high.amax(-1)",
        "highest = low.amax(-1)",
    ),
    Mutant(
        "prices: constants of a pool are forgotten",
        "certify/bounds/prices/prices.py",
        "return constant + self.pull_back(branch.origin.branches, pulled)",
        "return self.pull_back(branch.origin.branches, pulled)",
    ),
    Mutant(
        "search: a pool in front of the first layer is taken for an affine one",
        "certify/bounds/prices/stages.py",
        "if first.filtered is None and not all(branch.direct for branch in first.branches):",
        "if False:",
    ),
    Mutant(
        "program: entries are dropped that may be the greatest",
        PROGRAM,
        "upper[self.entries] >= self.greatest(lower)[self.outputs]",
        "upper[self.entries] >= self.greatest(upper)[self.outputs]",
    ),
    Mutant(
        "program: an OR of spikes is at most each of them",
        PROGRAM,
        "program.constrain(above, lower=-slack)",
        "program.constrain(above, -slack, slack)",
    ),
    Mutant(
        "program: too little room for the entries that are not the greatest",
        PROGRAM,
        "reach = high[windows.outputs] - self.lower[windows.entries]",
        "reach = high[windows.outputs] - self.upper[windows.entries]",
    ),
    Mutant(
        "program: currents are pooled as spikes are",
        "certify/milp/encoding.py",
        "return _Flow(signal, steps, slack, flow.spikes and layer.reshapes)",
        "return _Flow(signal, steps, slack, flow.spikes)",
    ),
    Mutant(
        "program: a pool forgets the rounding of its entries",
        "certify/milp/encoding.py",
        "return _Flow(signal, steps, windows.greatest(flow.slack), flow.spikes)",
        "return _Flow(signal, steps, 0.0 * windows.greatest(flow.slack), flow.spikes)",
    ),
    Mutant(
        "gain: windows that overlap count an entry once",
        "analysis/operators.py",
        "node.windows.shared(shape))",
        "1)",
    ),
    Mutant(
        "gain: what is read beside a pool is forgotten",
        "analysis/norms/operator_norms.py",
        "parts += [1.0] * any(index >= INPUT for index in operator.sources)",
        "parts += []",
    ),
    Mutant(
        "gain: what a pool pools has gain 1",
        "analysis/norms/operator_norms.py",
        "before = operator_norm(inner, norm, norm).upper",
        "before = 1.0",
    ),
    Mutant(
        "gain: behind a pool the certificate of the last matrix alone",
        "analysis/norms/operator_norms.py",
        "if not operator.peaks:",
        "if True:",
    ),
)
