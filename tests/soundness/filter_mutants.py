"""Ways to break what is known of a filter over time."""

from mutant import Mutant

FILTERED = "certify/bounds/signals/filtered.py"
SYNAPSES = "models/elements/synapses.py"
CHAINS = "certify/bounds/signals/chains.py"
PROGRAM = "certify/milp/encoding.py"
FILTER_MUTANTS = (
    Mutant(
        "filter: a row of sums over time by H in place of its adjoint",
        FILTERED,
        "through = rows.double() @ self.filter.rows(self.num_steps).to(rows.device)",
        "through = rows.double() @ self.filter.rows(self.num_steps).to(rows.device).T",
    ),
    Mutant(
        "filter: the recursion's rounding is left out",
        FILTERED,
        "return sums + error * self.filter.gain(self.num_steps)",
        "return sums * 0",
    ),
    Mutant(
        "filter: what it adds up is no larger than its input",
        "certify/rounding/recursion.py",
        "(gain * (1.0 + rounding.gamma(",
        "((1.0 + rounding.gamma(",
    ),
    Mutant(
        "filter: a delay moves a step too far",
        FILTERED,
        "min(self.filter.delay, self.num_steps)",
        "min(self.filter.delay + 1, self.num_steps)",
    ),
    Mutant(
        "filter: the delay is left out of H",
        SYNAPSES,
        "index[:, None] - index - self.delay",
        "index[:, None] - index",
    ),
    Mutant(
        "filter: what is filtered counts as constant where its source is",
        FILTERED,
        '"""Return False."""\n        return False',
        '"""Return False."""\n        return self.source.constant',
    ),
    Mutant(
        "filter: prices go through H in place of its adjoint",
        CHAINS,
        "return torch.tensordot(self.rows.T, prices, 1), 0.0",
        "return torch.tensordot(self.rows, prices, 1), 0.0",
    ),
    Mutant(
        "filter: the rounding before it is not carried through",
        CHAINS,
        "slack = branches[0].chain.slack * signal.filter.gain(signal.num_steps) + signal.slack",
        "slack = signal.slack",
    ),
    Mutant(
        "program: expressions are filtered without their past",
        PROGRAM,
        "for row in node.filter.rows(signal.num_steps))",
        "for row in torch.eye(signal.num_steps))",
    ),
    Mutant(
        "network: the mean over time is taken in front of a synapse",
        "models/networks.py",
        "(LIF, Synapse, PerStep, Residual,",
        "(LIF, PerStep, Residual,",
    ),
    Mutant(
        "search: a filter of a pool is taken for one of chains",
        "certify/bounds/prices/stages.py",
        "return origin if all(branch.direct for branch in origin.branches) else None",
        "return origin",
    ),
    Mutant(
        "search: the first currents' region forgets their filter",
        "certify/branching/nodes/leaves.py",
        "(filtered.T @ on_currents).T",
        "on_currents.T",
    ),
    Mutant(
        "training: the ends of a filter are those of its input",
        "training/bounds/ends.py",
        "return self.of_steps(each(self.steps(x), lambda end: run(end, start(end), self.num_steps)[0]))",
        "return x",
    ),
    Mutant(
        "conversion: a delay of a part of a step is rounded",
        "models/conversion/nir/nir_modules.py",
        "or np.abs(counts - steps).max() > 1e-4:",
        "or False:",
    ),
    Mutant(
        "NIR: a synapse is written without the share of its input that it takes",
        "models/conversion/nir/nir_writing.py",
        '"w_in": tau / dt}',
        '"w_in": np.ones_like(tau)}',
    ),
    Mutant(
        "gain: a synapse counts as nothing",
        "analysis/gains/filter_gains.py",
        "found = (found @ kernel) * growth + lost",
        "found = found * growth + lost",
    ),
    Mutant(
        "gain: the products of synapses are left out",
        "analysis/gains/filter_gains.py",
        "product = multiply_up(alone, *(",
        "product = max(alone, *(",
    ),
    Mutant(
        "gain: a report is proven without its synapses",
        "analysis/gains/gains.py",
        "(layer.decay, layer.filters) != (operator.decay, operator.filters)",
        "layer.decay != operator.decay",
    ),
    Mutant(
        "gain: signals through different synapses are added",
        "analysis/operators.py",
        "if sorted(x.filters, key=astuple) != sorted(y.filters, key=astuple):",
        "if False:",
    ),
    Mutant(
        "gain: the readout's synapses count as nothing",
        "analysis/gains/gains.py",
        "return Interval(0.0, multiply_up(norm.upper, passing))",
        "return Interval(0.0, norm.upper)",
    ),
)
