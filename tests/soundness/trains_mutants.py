"""Ways to break what trains a layer may have: its steps, its table and its graph."""

from mutant import Mutant

BOUNDS = "certify/bounds/"
RESETS = "certify/bounds/intervals/resets.py"
TRAINS_MUTANTS = (
    Mutant(
        "interval: use the upper end for a certain spike",
        "certify/bounds/intervals/eager_spikes.py",
        "torch.gt(low, pull.surely, out=must)",
        "torch.gt(high, pull.surely, out=must)",
    ),
    Mutant(
        "interval: forget that an open spike resets to 0",
        "certify/bounds/intervals/eager_spikes.py",
        "zero_(low, may, pull.perhaps)",
        "pass",
    ),
    Mutant(
        "interval: take an open spike for certain at the reset",
        "certify/bounds/intervals/eager_spikes.py",
        "zero_(high, must, pull.surely)",
        "zero_(high, may, pull.surely)",
    ),
    Mutant(
        "interval: forget the silent case of a subtracting reset",
        RESETS,
        "(high - drop).clamp(min=silent)",
        "high - drop",
    ),
    Mutant(
        "interval: forget the case of a subtracting reset that fires",
        RESETS,
        "low.clamp(max=low.detach().clamp_min(perhaps) - drop)",
        "low",
    ),
    Mutant(
        "interval: take an open spike for decided",
        RESETS,
        "torch.where(spikes[0] < spikes[1], torch.stack(joined), decided)",
        "decided",
    ),
    Mutant(
        "interval: θ for what is left of an open spike that resets to 0, at the lower end",
        RESETS,
        "(low.clamp_max(0.0), silent)",
        "(low.clamp_max(perhaps), silent)",
    ),
    Mutant(
        "interval: drop the sign of the readout's weights",
        "certify/bounds/signals/box.py",
        "torch.tensordot(positive, low, 1) + torch.tensordot(negative, high, 1)",
        "torch.tensordot(positive, low, 1) + torch.tensordot(negative, low, 1)",
    ),
    Mutant(
        "table: breakpoints without rounding",
        "certify/rounding/recursion.py",
        "slack = rounding.gamma(4 * num_steps + 8)",
        "slack = 0.0",
    ),
    Mutant(
        "table: forget the spikes after the first",
        "certify/bounds/trains/train_table.py",
        "int(t >= k and (t - k) % (k + rest) == 0)",
        "int(t == k)",
    ),
    Mutant(
        "table: forget negative currents",
        "certify/bounds/trains/train_table.py",
        "branches = [_Branch(-math.inf, 0.0), _Branch(0.0, math.inf)]",
        "branches = [_Branch(0.0, math.inf)]",
    ),
    Mutant(
        "table: forget what a subtracting reset takes away",
        "certify/bounds/trains/train_table.py",
        "beta=branch.beta - drop,",
        "beta=branch.beta,",
    ),
    Mutant(
        "table: take θ for what a reset subtracts",
        "certify/bounds/trains/train_table.py",
        "drop = spike * rule.drop if",
        "drop = spike * rule.threshold if",
    ),
    Mutant(
        "interval: take θ for what a reset subtracts, at the lower end",
        RESETS,
        "low.detach().clamp_min(perhaps) - drop",
        "low.detach().clamp_min(perhaps) - perhaps",
    ),
    Mutant(
        "interval: take θ for what a reset subtracts, at the upper end",
        RESETS,
        "(high - drop).clamp(min=silent)",
        "(high - perhaps).clamp(min=silent)",
    ),
    Mutant(
        "interval: take θ for what a reset subtracts, of a decided spike",
        RESETS,
        "alpha=-drop",
        "alpha=-perhaps",
    ),
    Mutant(
        "graph: take θ for what a reset subtracts",
        "certify/bounds/trains/train_graph.py",
        "drop = rule.drop if",
        "drop = rule.threshold if",
    ),
    Mutant(
        "table: swap the first and the last row",
        "certify/bounds/trains/train_table.py",
        "(self.first * size + self.last)",
        "(self.first * size + self.first)",
    ),
    Mutant(
        "table: range minima off by one",
        "certify/bounds/trains/train_table.py",
        "self.last - (1 << level) + 1",
        "self.last - (1 << level)",
    ),
    Mutant(
        "graph: a spike only after a train without spikes",
        "certify/bounds/trains/train_graph.py",
        "self.alive[t + 1] = _any(edge)",
        "self.alive[t + 1] = edge[0]",
    ),
    Mutant(
        "graph: silent only where no current makes a spike",
        "certify/bounds/trains/train_graph.py",
        "torch.le(low, drives.surely, out",
        "torch.le(high, drives.surely, out",
    ),
    Mutant(
        "graph: certain wherever it does not follow from silence",
        "certify/bounds/trains/train_graph.py",
        "~_any(states.alive[: t + 1])",
        "~_any(states.alive[:1])",
    ),
    Mutant(
        "graph: after a subtracting reset, use the upper end for the lower",
        "certify/bounds/trains/train_graph.py",
        "fired = self.low[: t + 1].clamp_min(drives.perhaps) - drop",
        "fired = self.high[: t + 1].clamp_min(drives.perhaps) - drop",
    ),
    Mutant(
        "graph: paths may end anywhere",
        "certify/bounds/trains/train_graph.py",
        "return (length + ends[:, None]).amin(0)",
        "return length.amin(0)",
    ),
    Mutant(
        "graph: paths with the fewest spikes may end anywhere",
        "certify/bounds/trains/train_graph.py",
        "Box(_fewest(fewest, self.ends), ",
        "Box(fewest.amin(0), ",
    ),
    Mutant(
        "graph: count edges that do not exist among the paths with the fewest spikes",
        "certify/bounds/trains/train_graph.py",
        "torch.add(_fewest(fewest[:t], edge), 1",
        "torch.add(fewest[:t].amin(0), 1",
    ),
    Mutant(
        "graph: forget the paths with the most spikes that take another way than silence",
        "certify/bounds/trains/train_graph.py",
        "torch.add(_most(most[:t], edge), 1",
        "torch.add(_most(most[:1], edge[:1]), 1",
    ),
    Mutant(
        "table: leave out a row whose end equals the current's, and the one behind",
        "certify/bounds/trains/forms.py",
        "_count(torch.ge, current.upper, self.lower) - 1",
        "_count(torch.ge, current.upper, self.lower) - 2",
    ),
    Mutant(
        "graph: windows with one decay too few",
        "certify/bounds/trains/train_graph.py",
        "weight, awake = decay ** (t + 1 - a)",
        "weight, awake = decay ** (t - a)",
    ),
    Mutant(
        "graph: windows' upper ends for their lower",
        "certify/bounds/trains/train_graph.py",
        "torch.add(self.lower[a, t], before_low",
        "torch.add(self.upper[a, t], before_low",
    ),
)
