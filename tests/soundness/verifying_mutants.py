"""Ways to break verifiers: ties, replays, programs, and branch and bound."""

from mutant import Mutant

BRANCHING = "certify/branching/"
VERIFYING_MUTANTS = (
    Mutant(
        "gain: a constant input reaches a graph once",
        "certify/verifiers/gain.py",
        "math.sqrt(max(1.0, stage.trains.price_steps / length))",
        "1.0",
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
        "problem.goal.holds(problem.goal.proven(lower, problem.labels))",
        "problem.goal.proven(lower, problem.labels)[:, :-1].all(1)",
    ),
    Mutant(
        "verifier: one class is enough",
        "certify/verifiers/base.py",
        "problem.goal.holds(problem.goal.proven(lower, problem.labels))",
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
        ".get(circuit.read.readout)",
        ".get(circuit.read.readout, circuit.num_steps)",
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
        "return goal.least(lower), goal.holds(goal.proven(lower, labels))",
        "return goal.least(lower), goal.proven(lower, labels).any(1)",
    ),
    Mutant(
        "milp: believe the solver",
        "certify/milp/search.py",
        "proven = ProgramTree(model, objective, enough, *limits).proven() - paid",
        "proven = found.bound - paid",
    ),
    Mutant(
        "milp: the wrong end of a row",
        "certify/milp/solving/weak_duality.py",
        "np.where(multipliers > 0, self.model.row_lower, self.model.row_upper)",
        "np.where(multipliers < 0, self.model.row_lower, self.model.row_upper)",
    ),
    Mutant(
        "milp: multipliers' rounding is free",
        "certify/milp/solving/weak_duality.py",
        "- lost.sum() - (len(parts)",
        "- 0.0 * (len(parts)",
    ),
    Mutant("milp: half of a part", "certify/milp/solving/tree.py", "parts += split", "parts += split[:1]"),
    Mutant(
        "milp: the last part's bound for all",
        "certify/milp/solving/tree.py",
        "least = min(least, one.bound)",
        "least = one.bound",
    ),
    Mutant(
        "milp: any ray is an empty part",
        "certify/milp/solving/tree.py",
        "for size in sizes if size > 0",
        "for size in sizes",
    ),
    Mutant(
        "milp: ties fall to the label, whichever index is lower",
        "certify/verifiers/milp.py",
        "problem.goal.holds(problem.goal.proven(tightened, problem.labels)).all()",
        "(tightened >= 0).all()",
    ),
    Mutant(
        "gain: forget a layer's norm",
        "certify/verifiers/gain.py",
        "budget = moved * norm",
        "budget = moved",
    ),
    Mutant(
        "branching: lose a row between two children",
        "certify/branching/nodes/decisions.py",
        "(place + 1).to(first.dtype)",
        "(place + 2).to(first.dtype)",
    ),
    Mutant(
        "branching: drop rows that are not proven",
        "certify/branching/nodes/trimming.py",
        "without[:, None] + values <= 2 * LEVEL",
        "without[:, None] + values <= -0.1",
    ),
    Mutant(
        "branching: close a leaf that is not proven",
        "certify/branching/nodes/frontier.py",
        "if point.bound > 0:",
        "if point.bound > -0.5 and self.close(leaf.row, leaf.bound.new_tensor([LEVEL])) is None:\n"
        "            return\n        if point.bound > 0:",
    ),
    Mutant(
        "branching: state a leaf's own margin",
        "certify/branching/nodes/frontier.py",
        "min(point.bound, LEVEL)",
        "point.bound",
    ),
    Mutant(
        "branching: let a spike be passed over",
        "certify/branching/nodes/decisions.py",
        "over = fired[t - 1] > fired",
        "over = fired[t - 1] > 1 + fired",
    ),
    Mutant(
        "branching: forget the worst closed node",
        "certify/branching/nodes/frontier.py",
        "bound = self.closed.minimum(self.least_open())",
        "bound = self.closed",
    ),
    Mutant(
        "branching: narrow by the slabs' wrong ends",
        "certify/branching/ranges/slabs.py",
        "(rising @ least + falling @ most)",
        "(rising @ most + falling @ least)",
    ),
    Mutant(
        "branching: forget the multipliers in a range",
        "certify/branching/ranges/slabs.py",
        "prices, self.matrix, alpha=-1.0)",
        "prices, self.matrix, alpha=0.0)",
    ),
    Mutant(
        "branching: narrow by neurons that are not decided",
        "certify/branching/ranges/slabs.py",
        "samples[part], Box(rows.lower[part], rows.upper[part]), split[part])",
        "samples[part], Box(rows.lower[part], rows.lower[part] + 0.1), chosen[part])",
    ),
    Mutant(
        "branching: take a node for empty that may not be",
        "certify/branching/ranges/slabs.py",
        "nothing[:, 0] > 0",
        "nothing[:, 0] > -0.1",
    ),
    Mutant(
        "branching: take another sample's box",
        "certify/branching/ranges/slabs.py",
        "rows = self.samples[:, None].expand(costs.shape[:2]).flatten()",
        "rows = self.samples[:1, None].expand(costs.shape[:2]).flatten()",
    ),
)
