"""Ways to break a bound: one textual change each makes it unsound, or inexact where it claims to be exact."""

from answering_mutants import ANSWERING_MUTANTS
from cell_mutants import CELL_MUTANTS
from checker_mutants import CHECKER_MUTANTS
from circuit_mutants import CIRCUIT_MUTANTS
from climb_mutants import CLIMB_MUTANTS
from conversion_mutants import CONVERSION_MUTANTS
from element_mutants import ELEMENT_MUTANTS
from event_mutants import EVENT_MUTANTS
from filter_mutants import FILTER_MUTANTS
from latency_mutants import LATENCY_MUTANTS
from listing_mutants import LISTING_MUTANTS
from moving_mutants import MOVING_MUTANTS
from mutant import Mutant
from onnx_mutants import ONNX_MUTANTS
from pooling_mutants import POOLING_MUTANTS
from readout_mutants import READOUT_MUTANTS
from recording_mutants import RECORDING_MUTANTS
from recurrent_mutants import RECURRENT_MUTANTS
from refractory_mutants import REFRACTORY_MUTANTS
from search_mutants import SEARCH_MUTANTS
from step_mutants import STEP_MUTANTS
from training_mutants import TRAINING_MUTANTS
from varied_mutants import VARIED_MUTANTS

BOUNDS = "certify/bounds/"
BRANCHING = "certify/branching/"
MAPS = "models/linear_maps/"
MUTANTS = (
    *STEP_MUTANTS,
    *ANSWERING_MUTANTS,
    *CELL_MUTANTS,
    *CHECKER_MUTANTS,
    *CIRCUIT_MUTANTS,
    *CLIMB_MUTANTS,
    *SEARCH_MUTANTS,
    *ELEMENT_MUTANTS,
    *EVENT_MUTANTS,
    *CONVERSION_MUTANTS,
    *LATENCY_MUTANTS,
    *LISTING_MUTANTS,
    *MOVING_MUTANTS,
    *POOLING_MUTANTS,
    *ONNX_MUTANTS,
    *FILTER_MUTANTS,
    *RECORDING_MUTANTS,
    *RECURRENT_MUTANTS,
    *REFRACTORY_MUTANTS,
    *VARIED_MUTANTS,
    *READOUT_MUTANTS,
    *TRAINING_MUTANTS,
    Mutant(
        "interval: use the upper end for a certain spike",
        BOUNDS + "eager_spikes.py",
        "torch.gt(low, pull.surely, out=must)",
        "torch.gt(high, pull.surely, out=must)",
    ),
    Mutant(
        "interval: forget that an open spike resets to 0",
        BOUNDS + "eager_spikes.py",
        "torch.minimum(low, _unless(may, pull.perhaps), out=low)",
        "pass",
    ),
    Mutant(
        "interval: take an open spike for certain at the reset",
        BOUNDS + "eager_spikes.py",
        "_unless(must, pull.surely)",
        "_unless(may, pull.surely)",
    ),
    Mutant(
        "interval: forget the silent case of a subtracting reset",
        BOUNDS + "eager_spikes.py",
        "high.clamp_max(pull.surely).maximum(fired_high)",
        "fired_high",
    ),
    Mutant(
        "interval: drop the sign of the readout's weights",
        BOUNDS + "interval.py",
        "torch.tensordot(positive, low, 1) + torch.tensordot(negative, high, 1)",
        "torch.tensordot(positive, low, 1) + torch.tensordot(negative, low, 1)",
    ),
    Mutant(
        "membrane: forget the sign of the input scale",
        BOUNDS + "membrane.py",
        "lower, upper = one.minimum(other), one.maximum(other)",
        "lower, upper = one, other",
    ),
    Mutant(
        "membrane: forget the rounding of the run",
        BOUNDS + "membrane.py",
        "        (lower - slack).expand(shape),\n        (upper + slack).expand(shape),",
        "        (lower + slack).expand(shape),\n        (upper - slack).expand(shape),",
    ),
    Mutant(
        "windows: one decay too many",
        BOUNDS + "membrane.py",
        "(end - step).clamp_min(0)",
        "(end - step + 1).clamp_min(0)",
    ),
    Mutant(
        "windows: leave out their first step",
        BOUNDS + "membrane.py",
        "(step >= start)",
        "(step > start)",
    ),
    Mutant(
        "windows: forget the input scale",
        BOUNDS + "membrane.py",
        "rows = rows * scale",
        "rows = rows",
    ),
    Mutant(
        "table: breakpoints without rounding",
        BOUNDS + "train_table.py",
        "slack = rounding.gamma(4 * num_steps + 8)",
        "slack = 0.0",
    ),
    Mutant(
        "table: forget the spikes after the first",
        BOUNDS + "train_table.py",
        "int(t >= k and (t - k) % (k + rest) == 0)",
        "int(t == k)",
    ),
    Mutant(
        "table: forget negative currents",
        BOUNDS + "train_table.py",
        "branches = [_Branch(-math.inf, 0.0), _Branch(0.0, math.inf)]",
        "branches = [_Branch(0.0, math.inf)]",
    ),
    Mutant(
        "table: forget what a subtracting reset takes away",
        BOUNDS + "train_table.py",
        "beta=branch.beta - drop,",
        "beta=branch.beta,",
    ),
    Mutant(
        "table: take θ for what a reset subtracts",
        BOUNDS + "train_table.py",
        "drop = spike * rule.drop if",
        "drop = spike * rule.threshold if",
    ),
    Mutant(
        "interval: take θ for what a reset subtracts, at the lower end",
        BOUNDS + "eager_spikes.py",
        "fired_low = low.clamp_min(pull.perhaps) - rule.drop",
        "fired_low = low.clamp_min(pull.perhaps) - rule.threshold",
    ),
    Mutant(
        "interval: take θ for what a reset subtracts, at the upper end",
        BOUNDS + "eager_spikes.py",
        "fired_high = high - rule.drop",
        "fired_high = high - rule.threshold",
    ),
    Mutant(
        "graph: take θ for what a reset subtracts",
        BOUNDS + "train_graph.py",
        "drop = rule.drop if",
        "drop = rule.threshold if",
    ),
    Mutant(
        "table: swap the first and the last row",
        BOUNDS + "train_table.py",
        "(self.first * size + self.last)",
        "(self.first * size + self.first)",
    ),
    Mutant(
        "table: range minima off by one",
        BOUNDS + "train_table.py",
        "self.last - (1 << level) + 1",
        "self.last - (1 << level)",
    ),
    Mutant(
        "graph: a spike only after a train without spikes",
        BOUNDS + "train_graph.py",
        "self.alive[t + 1] = _any(edge)",
        "self.alive[t + 1] = edge[0]",
    ),
    Mutant(
        "graph: silent only where no current makes a spike",
        BOUNDS + "train_graph.py",
        "torch.le(low, drives.surely, out",
        "torch.le(high, drives.surely, out",
    ),
    Mutant(
        "graph: certain wherever it does not follow from silence",
        BOUNDS + "train_graph.py",
        "~_any(states.alive[: t + 1])",
        "~_any(states.alive[:1])",
    ),
    Mutant(
        "graph: after a subtracting reset, use the upper end for the lower",
        BOUNDS + "train_graph.py",
        "fired = self.low[: t + 1].clamp_min(drives.perhaps) - drop",
        "fired = self.high[: t + 1].clamp_min(drives.perhaps) - drop",
    ),
    Mutant(
        "graph: paths may end anywhere",
        BOUNDS + "train_graph.py",
        "return (length + ends[:, None]).amin(0)",
        "return length.amin(0)",
    ),
    Mutant(
        "graph: paths with the fewest spikes may end anywhere",
        BOUNDS + "train_graph.py",
        "Box(_fewest(fewest, self.ends), ",
        "Box(fewest.amin(0), ",
    ),
    Mutant(
        "graph: count edges that do not exist among the paths with the fewest spikes",
        BOUNDS + "train_graph.py",
        "torch.add(_fewest(fewest[:t], edge), 1",
        "torch.add(fewest[:t].amin(0), 1",
    ),
    Mutant(
        "graph: forget the paths with the most spikes that take another way than silence",
        BOUNDS + "train_graph.py",
        "torch.add(_most(most[:t], edge), 1",
        "torch.add(_most(most[:1], edge[:1]), 1",
    ),
    Mutant(
        "box: round inward",
        BOUNDS + "box.py",
        "Box(lower - _step(lower), upper + _step(upper))",
        "Box(lower + 1e4 * _step(lower), upper - 1e4 * _step(upper))",
    ),
    Mutant(
        "table: leave out a row whose end equals the current's, and the one behind",
        BOUNDS + "train_table.py",
        "_count(torch.ge, current.upper, self.lower) - 1",
        "_count(torch.ge, current.upper, self.lower) - 2",
    ),
    Mutant(
        "graph: windows with one decay too few",
        BOUNDS + "train_graph.py",
        "weight, awake = decay ** (t + 1 - a)",
        "weight, awake = decay ** (t - a)",
    ),
    Mutant(
        "graph: windows' upper ends for their lower",
        BOUNDS + "train_graph.py",
        "torch.add(self.lower[a, t], before_low",
        "torch.add(self.upper[a, t], before_low",
    ),
    Mutant(
        "affine: W in place of |W|",
        BOUNDS + "affine.py",
        "radius = fold(self.absolute, box.radius)",
        "radius = fold(self.linear, box.radius)",
    ),
    Mutant(
        "affine: a ball's rows without the square root",
        BOUNDS + "affine.py",
        "return (self.squared(ones) + self.terms * torch.finfo(ones.dtype).tiny).sqrt()",
        "return self.squared(ones)",
    ),
    Mutant(
        "affine: batch norm's radius keeps the sign of its weight",
        MAPS + "normalizing.py",
        "return _Factor(self.factor.abs(), self.axes)",
        "return _Factor(self.factor, self.axes)",
    ),
    Mutant(
        "affine: a pixel that padding repeats counts once",
        MAPS + "convolution.py",
        "return (plain + lost) * _repeats(self, x)",
        "return plain + lost",
    ),
    Mutant(
        "affine: products lose nothing where factors flush to zero",
        BOUNDS + "affine.py",
        "self.terms * (1.0 + reach + self.largest)",
        "self.terms",
    ),
    Mutant(
        "affine: batch norm takes the last axis of sequences",
        MAPS + "normalizing.py",
        "if x.dim() != 1 + layer.axes:",
        "if False:",
    ),
    Mutant(
        "gain: a constant input reaches a graph once",
        "certify/verifiers/gain.py",
        "math.sqrt(stage.found.num_steps / length)",
        "1.0",
    ),
    Mutant(
        "affine: any variance of a batch norm has a root",
        MAPS + "normalizing.py",
        "if not (least >= 0.0 and least + self.eps >= tiny):",
        "if False:",
    ),
    Mutant(
        "rounding: lengths whose squares vanish are 0",
        BOUNDS + "rounding.py",
        "(values.square().sum(dim) + values.shape[dim] * torch.finfo(values.dtype).tiny).sqrt()",
        "values.square().sum(dim).sqrt()",
    ),
    Mutant(
        "readout: never mind an overflow on the way",
        BOUNDS + "propagation.py",
        "if not reach <= rounding.largest:",
        "if False:",
    ),
    Mutant(
        "prices: a bound that overflowed is infinite",
        BOUNDS + "prices.py",
        "return bound.nan_to_num(nan=-torch.inf, posinf=-torch.inf, neginf=-torch.inf)",
        "return bound",
    ),
    Mutant(
        "signals: forget one part of a residual sum",
        BOUNDS + "signals.py",
        "self.first.steps() + self.second.steps()",
        "self.first.steps()",
    ),
    Mutant(
        "propagation: drop the spread of the last layer",
        BOUNDS + "propagation.py",
        "return gap - spread - slack",
        "return gap - slack",
    ),
    Mutant(
        "propagation: drop the rounding of the last layer",
        BOUNDS + "propagation.py",
        "return gap - spread - slack - slack.gather(1, labels[:, None])",
        "return gap - spread",
    ),
    Mutant(
        "propagation: the difference of moduli for the modulus of a difference, where classes are many",
        BOUNDS + "propagation.py",
        "(weight[label] - weight).abs()",
        "(weight[label].abs() - weight.abs()).abs()",
    ),
    Mutant(
        "propagation: the last potential's weights in reverse",
        BOUNDS + "readouts.py",
        'rows = {"potential": rows[-1:], ',
        'rows = {"potential": rows[-1:].flip(1), ',
    ),
    Mutant(
        "verifier: drop a class",
        "certify/verifiers/base.py",
        "self.class_margins(network, inputs, labels, perturbation, expired).amin(1)",
        "self.class_margins(network, inputs, labels, perturbation, expired)[:, :-1].amin(1)",
    ),
    Mutant(
        "verifier: drop a class, in verify",
        "certify/verifiers/base.py",
        "problem.goal.proven(lower, problem.labels).all(1)",
        "problem.goal.proven(lower, problem.labels)[:, :-1].all(1)",
    ),
    Mutant(
        "verifier: one class is enough",
        "certify/verifiers/base.py",
        "problem.goal.proven(lower, problem.labels).all(1)",
        "problem.goal.proven(lower, problem.labels).any(1)",
    ),
    Mutant(
        "verifier: a margin of 0 counts",
        "certify/verifiers/base.py",
        "return lower, lower > 0",
        "return lower, lower >= 0",
    ),
    Mutant(
        "ties: strict ones count",
        "certify/ties.py",
        "            return margins > 0\n",
        "            return margins >= 0\n",
    ),
    Mutant(
        "ties: every tie falls to the label",
        "certify/ties.py",
        "device=labels.device) > labels[:, None]",
        "device=labels.device) != labels[:, None]",
    ),
    Mutant(
        "ties: ties fall to the greater index",
        "certify/ties.py",
        "device=labels.device) > labels[:, None]",
        "device=labels.device) < labels[:, None]",
    ),
    Mutant(
        "ties: replay a tie as no failure",
        "certify/replay.py",
        "kept = (found == 0) & (_first_maximum(logits) == labels)",
        "kept = found == 0",
    ),
    Mutant(
        "ties: replay none that falls to the label",
        "certify/replay.py",
        "kept = (found == 0) & (_first_maximum(logits) == labels)",
        "kept = torch.zeros_like(found, dtype=torch.bool)",
    ),
    Mutant(
        "counts: round to the nearest",
        "certify/ties.py",
        "* self.steps).ceil()",
        "* self.steps).ceil() + 1.0",
    ),
    Mutant(
        "counts: of any readout",
        "certify/ties.py",
        'circuit.read.readout == "spikes" and',
        "True and",
    ),
    Mutant(
        "counts: forget the rounding of means",
        "certify/ties.py",
        "count / self.steps - 8 * self.unit)",
        "count / self.steps + 1e-9)",
    ),
    Mutant(
        "counts: a step too much below",
        "certify/ties.py",
        "below = -1.0 / self.steps + 16 * self.unit",
        "below = -2.0 / self.steps + 16 * self.unit",
    ),
    Mutant(
        "counts: the search asks for a positive margin less",
        "certify/bounds/prices.py",
        "constant = constant - self.specifications.floor",
        "constant = constant - 2.0 * self.specifications.floor",
    ),
    Mutant(
        "complete: take the search's bounds as margins",
        "certify/verifiers/complete.py",
        "goal.tightened(found + goal.floor(problem.labels, lower.shape[1]))",
        "goal.tightened(found)",
    ),
    Mutant(
        "linear: take bounds above the floor as margins",
        "certify/verifiers/linear.py",
        "return bound + floor",
        "return bound",
    ),
    Mutant(
        "enumeration: ties: one class is enough",
        "certify/verifiers/enumeration.py",
        "goal.proven(lower, labels).all(1)",
        "goal.proven(lower, labels).any(1)",
    ),
    Mutant(
        "milp: believe the solver",
        "certify/milp/search.py",
        "proven = ProgramTree(model, objective, enough, self.problem.deadline, nodes).proven() - paid",
        "proven = found.bound - paid",
    ),
    Mutant(
        "milp: the wrong end of a row",
        "certify/milp/weak_duality.py",
        "np.where(multipliers > 0, self.model.row_lower, self.model.row_upper)",
        "np.where(multipliers < 0, self.model.row_lower, self.model.row_upper)",
    ),
    Mutant(
        "milp: multipliers' rounding is free",
        "certify/milp/weak_duality.py",
        "- lost.sum() - (len(parts)",
        "- 0.0 * (len(parts)",
    ),
    Mutant("milp: half of a part", "certify/milp/tree.py", "parts += split", "parts += split[:1]"),
    Mutant(
        "milp: the last part's bound for all",
        "certify/milp/tree.py",
        "least = min(least, bound)",
        "least = bound",
    ),
    Mutant(
        "milp: any ray is an empty part",
        "certify/milp/tree.py",
        "for size in sizes if size > 0",
        "for size in sizes",
    ),
    Mutant(
        "milp: ties fall to the label, whichever index is lower",
        "certify/verifiers/milp.py",
        "problem.goal.proven(tightened, problem.labels).all()",
        "(tightened >= 0).all()",
    ),
    Mutant(
        "gain: forget a layer's norm",
        "certify/verifiers/gain.py",
        "budget = moved * norm",
        "budget = moved",
    ),
    Mutant(
        "gain: a train agrees at the step at which it first differs",
        BOUNDS + "gain_rows.py",
        "device=current.device).triu()",
        "device=current.device).triu(1)",
    ),
    Mutant(
        "prices: the wrong corner of a row",
        BOUNDS + "price_table.py",
        "(price * self.low).maximum(price * self.high)",
        "(price * self.low).minimum(price * self.high)",
    ),
    Mutant(
        "prices: forget the constant of a layer",
        BOUNDS + "prices.py",
        "bound = bound + least.value + constant",
        "bound = bound + least.value",
    ),
    Mutant(
        "prices: rounding paid to the wrong side",
        BOUNDS + "priced_layer.py",
        "paid = value - (prices.abs() * self.slack).sum(0)",
        "paid = value + 1e3 * (prices.abs() * self.slack).sum(0)",
    ),
    Mutant(
        "prices: a neuron settled at one step counts as settled",
        BOUNDS + "priced_layer.py",
        "fixed = (spikes.lower == spikes.upper).flatten(2).all(0)",
        "fixed = (spikes.lower == spikes.upper).flatten(2).any(0)",
    ),
    Mutant(
        "prices: swap the signs of label and class",
        BOUNDS + "prices.py",
        "scatter_(1, labels[samples, None], 1.0).scatter_(1, classes[:, None], -1.0)",
        "scatter_(1, labels[samples, None], -1.0).scatter_(1, classes[:, None], 1.0)",
    ),
    Mutant(
        "priced graph: the upper end of a current for its lower",
        BOUNDS + "price_graph.py",
        "self.value[: t + 1].sub_(price * graph.lower[t])",
        "self.value[: t + 1].sub_(price * graph.upper[t])",
    ),
    Mutant(
        "priced graph: a new segment among the steeper ones",
        BOUNDS + "price_graph.py",
        "above = (place > segments.rank[t])",
        "above = (place < segments.rank[t])",
    ),
    Mutant(
        "branching: lose a row between two children",
        BRANCHING + "decisions.py",
        "(place + 1).to(first.dtype)",
        "(place + 2).to(first.dtype)",
    ),
    Mutant(
        "branching: drop rows that are not proven",
        BRANCHING + "trimming.py",
        "without[:, None] + values <= 2 * LEVEL",
        "without[:, None] + values <= -0.1",
    ),
    Mutant(
        "branching: close a leaf that is not proven",
        BRANCHING + "frontier.py",
        "if point.bound > 0:",
        "if point.bound > -0.5 and self.close(leaf.row, leaf.bound.new_tensor([LEVEL])) is None:\n"
        "            return\n        if point.bound > 0:",
    ),
    Mutant(
        "branching: state a leaf's own margin",
        BRANCHING + "frontier.py",
        "min(point.bound, LEVEL)",
        "point.bound",
    ),
    Mutant(
        "branching: let a spike be passed over",
        BRANCHING + "decisions.py",
        "over = fired[t - 1] > fired",
        "over = fired[t - 1] > 1 + fired",
    ),
    Mutant(
        "branching: forget the worst closed node",
        BRANCHING + "frontier.py",
        "bound = self.closed.minimum(self.least_open())",
        "bound = self.closed",
    ),
    Mutant(
        "branching: narrow by the slabs' wrong ends",
        BRANCHING + "ranges.py",
        "(rising @ least + falling @ most)",
        "(rising @ most + falling @ least)",
    ),
    Mutant(
        "branching: forget the multipliers in a range",
        BRANCHING + "ranges.py",
        "prices, self.matrix, alpha=-1.0)",
        "prices, self.matrix, alpha=0.0)",
    ),
    Mutant(
        "branching: narrow by neurons that are not decided",
        BRANCHING + "ranges.py",
        "samples[part], Box(rows.lower[part], rows.upper[part]), split[part])",
        "samples[part], Box(rows.lower[part], rows.lower[part] + 0.1), is_open[part])",
    ),
    Mutant(
        "branching: take a node for empty that may not be",
        BRANCHING + "ranges.py",
        "nothing[:, 0] > 0",
        "nothing[:, 0] > -0.1",
    ),
    Mutant(
        "branching: take another sample's box",
        BRANCHING + "ranges.py",
        "rows = self.samples[:, None].expand(costs.shape[:2]).flatten()",
        "rows = self.samples[:1, None].expand(costs.shape[:2]).flatten()",
    ),
    Mutant(
        "branching: prove by the compiled paths",
        BRANCHING + "bounding.py",
        "bound[~is_open] = _evaluated(network, specifications, ~is_open, prices)[2].bound",
        "bound[~is_open] = best[~is_open]",
    ),
    Mutant(
        "linear: prove by the compiled paths",
        BOUNDS + "price_search.py",
        "Climbed(whole.evaluate(pair_prices(whole, kept)).bound, kept)",
        "Climbed(best, kept)",
    ),
)

EQUIVALENT = (
    "branching: close a leaf of bound −0.4 at that bound: its sample stays without proof, unknown in place of "
    "falsified where nothing else found its counterexample",
    "leaves: take θ for what a reset subtracts: the program finds other points, and its prices are bounded again",
    "graph: an edge from v > θ + tie in place of v ≥ θ − tie: the boxes are wider by the recursion's rounding, at "
    "least 8u·θ, which is the tie.",
    "table: a row whose end equals the current's left out of the look-up: rows are wider by the run's rounding, "
    "so that no run at that very end has the row's train.",
)
"""Changes that no test can catch, with the reason; not run."""
