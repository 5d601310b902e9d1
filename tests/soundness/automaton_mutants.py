"""Ways to break what a rule declares, what is found by it, and neurons whose thresholds adapt."""

from mutant import Mutant

RULES = "models/rules.py"
LAYER = "models/elements/adaptive.py"
FOUND = "certify/bounds/automata/reachable.py"
PATHS = "certify/bounds/automata/paths.py"
ROUNDING = "certify/rounding/recursion.py"
PROGRAM = "certify/milp/adaptive.py"
AUTOMATON_MUTANTS = (
    Mutant(
        "automata: forget the rounding of currents",
        FOUND,
        "scaled.lower - allowance.current, scaled.upper + allowance.current",
        "scaled.lower, scaled.upper",
    ),
    Mutant(
        "rounding: of other numbers than the potential is none",
        ROUNDING,
        "errors.append(filter_error(number.decay, size, entering, rounding))",
        "errors.append(0.0 * size)",
    ),
    Mutant(
        "automata: a spike that may come is certain",
        FOUND,
        "torch.where(step.exists, spikes, torch.inf).amin(0)",
        "torch.where(step.exists, spikes, -torch.inf).amax(0)",
    ),
    Mutant("automata: join labels that move otherwise", FOUND, "if label[0] == kind", "if True"),
    Mutant("automata: the last of several ways to a label counts", FOUND, '"amin") - error', '"amax") - error'),
    Mutant("automata: a current that is scaled is constant", FOUND, "and bool((factors == factors[0]).all())", ""),
    Mutant("automata: numbers begin at 0", FOUND, "number.start) for number", "0.0) for number"),
    Mutant("paths: edges that a neuron has not are walked", PATHS, ".masked_fill_(~self.exists, torch.inf)", ""),
    Mutant(
        "paths: the upper end is the lower one's", PATHS, "torch.cat((rows, -rows))", "torch.cat((rows, rows))"
    ),
    Mutant("rounding: of any number of numbers", ROUNDING, "if len(others) >= MOST_NUMBERS", "if False"),
    Mutant(
        "rounding: what raises a threshold never overflows it",
        ROUNDING,
        'rounding, "a threshold")',
        'Rounding(torch.float64), "a threshold")',
    ),
    Mutant(
        "rules: at a tie a neuron fires for certain",
        RULES,
        "potential.below(most + tie)",
        "potential.below(least - tie)",
    ),
    Mutant(
        "rules: a spike needs the highest threshold",
        RULES,
        "potential.above(least - tie)",
        "potential.above(most + tie)",
    ),
    Mutant(
        "rules: a subtracting reset leaves what silence does",
        RULES,
        "Range(fires.low - drop, fires.high - drop)",
        "fires",
    ),
    Mutant(
        "adaptive: the rule's threshold never rises",
        LAYER,
        "raised.times(self.adaptation) + self.own",
        "raised.times(0.0) + self.own",
    ),
    Mutant(
        "adaptive: the rule's threshold rises by more",
        LAYER,
        "(*fires.state, faded + 1.0)",
        "(*fires.state, faded + 2.0)",
    ),
    Mutant(
        "adaptive: the rule's threshold stays where it is in silence",
        LAYER,
        "(*quiet.state, faded)",
        "(*quiet.state, raised)",
    ),
    Mutant("adaptive: it resets by what it rose to", LAYER, "spike, alpha=-d.drop)", "spike * limit, alpha=-1.0)"),
    Mutant(
        "adaptive: a part of a pass forgets what it rose to",
        LAYER,
        "torch.stack((left, raised))",
        "torch.stack((left, 0 * raised))",
    ),
    Mutant("adaptive: no reset is allowed", LAYER, 'value.reset == "none"', "False"),
    Mutant(
        "adaptive: subnormal rises are taken",
        LAYER,
        '        check_normal("adaptation", self.adaptation, dtype)\n',
        "",
    ),
    Mutant(
        "program: a threshold rises by its last spike alone",
        PROGRAM,
        "rule.fading ** (t - 1 - k)",
        "float(k == t - 1)",
    ),
    Mutant(
        "program: silence needs no potential above the least threshold",
        PROGRAM,
        "np.minimum(high, most + wide)",
        "np.minimum(high, least + wide)",
    ),
    Mutant(
        "folding: whoever asks knows a declared rule",
        "models/circuit/folding.py",
        "algebra.declared and isinstance(node",
        "isinstance(node",
    ),
    Mutant(
        "propagation: a subclass is the rule that it is of",
        "certify/bounds/propagation.py",
        "if type(rule) not in self.rules",
        "if not isinstance(rule, self.rules)",
    ),
)
