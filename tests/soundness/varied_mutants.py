"""Ways to break what is known of layers whose neurons differ."""

from mutant import Mutant

JOINED = "certify/bounds/signals/joined.py"
MANY = "certify/bounds/trains/many_kinds.py"
LANES = "certify/bounds/signals/lanes.py"
RULE = "models/elements/varied.py"
VARIED_MUTANTS = (
    Mutant(
        "kinds: what is known of each kind stands in a row, not at its places",
        JOINED,
        "return torch.cat(self.places).argsort()",
        "return torch.cat(self.places)",
    ),
    Mutant(
        "kinds: prices reach each kind's neurons at the first places",
        JOINED,
        "flat.index_copy(1, places.to(x.device), x)",
        "flat.index_copy(1, torch.arange(len(places)), x)",
    ),
    Mutant(
        "kinds: some rows of a layer come with the bias of the first ones",
        JOINED,
        "bias=some(layer.bias),",
        "bias=layer.bias.expand(len(layer.weights[0]))[: len(places)],",
    ),
    Mutant(
        "kinds: all have the threshold of the first neuron",
        RULE,
        "return tuple(Leaky(*c[:2], self.reset",
        "return tuple(Leaky(c[0], self.threshold[0], self.reset",
    ),
    Mutant(
        "rule: a spike takes the threshold, whatever the amount is",
        RULE,
        "drop = self.threshold if self.reset_amount is None else self.reset_amount",
        "drop = self.threshold",
    ),
    Mutant(
        "rule: constants of channels are laid out along the last axis",
        RULE,
        "return constants.expand(features)",
        "own = constants.flatten()\n    return own[torch.arange(prod(features)) % len(own)].view(features)",
    ),
    Mutant(
        "gain: of the fastest neuron",
        RULE,
        "return max(self.decay)",
        "return min(self.decay)",
    ),
    Mutant(
        "many: the decay of the first neuron for all",
        LANES,
        "alike = len(set(rule.decay)) == 1",
        "alike = True",
    ),
    Mutant(
        "many: a potential a little above its threshold stays silent",
        LANES,
        "(threshold + wide).to(widest), (threshold - wide).to(widest)",
        "(threshold + wide).to(widest), (threshold * 1.1).to(widest)",
    ),
    Mutant(
        "many: what a spike takes is the threshold",
        LANES,
        'rule.values("threshold", like), rule.values("drop", like)',
        'rule.values("threshold", like), rule.values("threshold", like)',
    ),
    Mutant(
        "many: trains of a constant current from the wrong end",
        "certify/bounds/trains/train_table.py",
        "spikes = times % times.flip(0)[:, None] == 0",
        "spikes = times % times[:, None] == 0",
    ),
    Mutant(
        "many: a current on a breakpoint has one train",
        MANY,
        "first = (box.lower > high).sum(0)",
        "first = (box.lower >= low).sum(0) - 1",
    ),
    Mutant(
        "many: the table of a hard reset for any",
        MANY,
        'if current.constant and rule.reset == "zero":',
        "if current.constant:",
    ),
    Mutant(
        "program: the expressions of each kind stand at the first places",
        "certify/milp/encoding.py",
        "(np.ones(len(rows)), (rows, np.arange(len(rows))))",
        "(np.ones(len(rows)), (np.arange(len(rows)), np.arange(len(rows))))",
    ),
    Mutant(
        "program: each kind has the currents of the first neurons",
        "certify/milp/encoding.py",
        "steps = tuple(entry.taken(rows) for entry in flow.steps)",
        "steps = tuple(entry.taken(np.arange(len(rows))) for entry in flow.steps)",
    ),
    Mutant(
        "conversion: the first neuron's constant for all",
        "models/conversion/constants.py",
        "if not bool((found != first).any()):",
        "if True:",
    ),
)
