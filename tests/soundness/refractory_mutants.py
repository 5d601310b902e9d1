"""Ways to break what neurons that rest behind a spike do, and what is known of them."""

from mutant import Mutant

GRAPH = "certify/bounds/trains/train_graph.py"
LAYER = "models/elements/refractory.py"
BOUND = "certify/bounds/trains/refractory.py"
REFRACTORY_MUTANTS = (
    Mutant(
        "rest: currents are taken in at rest",
        GRAPH,
        "        low[resting], high[resting] = 0.0, 0.0\n",
        "",
    ),
    Mutant(
        "rest: it lasts a step longer in the graph",
        GRAPH,
        "slice(max(1, t + 1 - self.rest), t + 1)",
        "slice(max(1, t - self.rest), t + 1)",
    ),
    Mutant(
        "rest: windows begin at the spike",
        GRAPH,
        "max(1, a + 1 - self.rest)",
        "a + 1",
    ),
    Mutant(
        "rest: windows of another layer's rests",
        GRAPH,
        "memory = _PastPotentials(lower, upper, rest)",
        "memory = _PastPotentials(lower, upper)",
    ),
    Mutant(
        "rest: trains of a table come again without a rest",
        BOUND,
        "periodic_rows(rule.own, num_steps, rounding, rule.rest)",
        "periodic_rows(rule.own, num_steps, rounding)",
    ),
    Mutant(
        "rest: trains of a table begin at once",
        "certify/bounds/trains/train_table.py",
        "int(t >= k and (t - k) % (k + rest) == 0)",
        "int((t - k) % (k + rest) == 0)",
    ),
    Mutant(
        "rest: a quick look forgets it",
        BOUND,
        "trains_of(drives, rule.own, keep=False, rest=rule.rest, start=rule.start)",
        "trains_of(drives, rule.own, keep=False, start=rule.start)",
    ),
    Mutant(
        "rest: a program holds it to no more than the current",
        "certify/milp/steps.py",
        "program.constrain(moved - resting.scaled(reach), upper=slack)",
        "program.constrain(moved, upper=slack)",
    ),
    Mutant(
        "rest: a program's rests are too short",
        "certify/milp/steps.py",
        "spikes[max(0, t - layer.rest) : t]",
        "spikes[max(0, t - layer.rest + 1) : t]",
    ),
    Mutant(
        "rest: neurons in stages forget it",
        "certify/bounds/prices/stages.py",
        'type(node.rule) in ((Leaky,) if node.kind == "recurred" else (Leaky, Varied)) for',
        "True for",
    ),
    Mutant(
        "layer: a part of a pass forgets how long it rests",
        LAYER,
        "torch.stack((left, waits))",
        "torch.stack((left, 0 * waits))",
    ),
    Mutant(
        "rule: neurons that rest and subtract",
        LAYER,
        'if self.own.reset != "zero" or self.own.scale is not None:',
        "if self.own.scale is not None:",
    ),
    Mutant("start: the graph begins at 0", GRAPH, "        low[0] = start\n", ""),
    Mutant(
        "start: a table begins at 0",
        BOUND,
        "if current.constant and rule.start == 0.0:",
        "if current.constant:",
    ),
    Mutant(
        "start: a program begins at 0",
        "certify/milp/steps.py",
        "residue = Expressions.fixed(np.full(len(own), layer.start))",
        "residue = nothing",
    ),
    Mutant(
        "start: a reset leaves it",
        LAYER,
        "left = potential * (1.0 - spike)",
        "left = potential * (1.0 - spike) + spike * self.start",
    ),
    Mutant(
        "prefix: an amount of its own is taken for θ",
        "training/bounds/prefix_bounds.py",
        "lambda current: layer(current, self.num_steps)",
        "lambda current: type(layer)(1.0, layer.dynamics.threshold, 'subtract')(current, self.num_steps)",
    ),
)
