"""Ways to break neurons of whole numbers, and what is known of them."""

from mutant import Mutant

LAYER = "models/elements/integers.py"
TABLE = "certify/bounds/automata/whole_table.py"
COUNTS = "certify/bounds/automata/whole_counts.py"
WINDOWS = "certify/bounds/automata/whole_windows.py"
BOXES = "certify/splitting/boxes.py"
SETS = "certify/perturbations/whole_box.py"
READOUTS = "certify/bounds/readouts.py"
INTEGER_MUTANTS = (
    Mutant(
        "integers: cut downwards in the place of towards 0",
        LAYER,
        '"truncate": scaled.trunc',
        '"truncate": scaled.floor',
    ),
    Mutant("integers: cut to the nearest downwards", LAYER, "(scaled + 0.5).floor", "scaled.floor"),
    Mutant(
        "integers: a dash takes nothing where its shift is 0",
        LAYER,
        '1.0, leak) if self.cut == "dash"',
        '0.0, leak) if self.cut == "dash"',
    ),
    Mutant(
        "integers: the image of an interval is that of its low end",
        LAYER,
        "Range(self(v.low), self(v.high))",
        "Range(self(v.low), self(v.low))",
    ),
    Mutant(
        "integers: bounds of potentials without a width",
        LAYER,
        "return Range(v.low.clamp(self.bottom, self.top), v.high.clamp(self.bottom, self.top))",
        "return v",
    ),
    Mutant("integers: runs without a width", LAYER, "potential.clamp(self.bottom, self.top))", "potential)"),
    Mutant("integers: above is at", LAYER, 'self.threshold + (self.fires_at == ">")', "self.threshold"),
    Mutant(
        "integers: a silent potential is a unit lower",
        LAYER,
        "low + self.threshold - 1 + tie",
        "low + self.threshold - 2 + tie",
    ),
    Mutant(
        "integers: several spikes take one threshold away",
        LAYER,
        "found + (-n * self.threshold)",
        "found + (-self.threshold)",
    ),
    Mutant(
        "integers: fewer spikes than there may be",
        LAYER,
        "max(1, int(potential.high.max()) // self.threshold)",
        "1",
    ),
    Mutant("integers: what wraps is let through", LAYER, "    if not reach <= top:", "    if False:"),
    Mutant(
        "integers: the order of a sum that is cut does not count",
        LAYER,
        "if not self.saturating_sums:",
        "if True:",
    ),
    Mutant(
        "integers: a rest lasts a step longer",
        LAYER,
        "return (self.rest, t) if spike",
        "return (self.rest + 1, t) if spike",
    ),
    Mutant("integers: a rest is no silence", LAYER, "found.some | waits if n == 0", "found.some if n == 0"),
    Mutant(
        "integers: towards a drive of one end",
        LAYER,
        "drive.high + self.leak(v.high - drive.high)",
        "drive.low + self.leak(v.high - drive.low)",
    ),
    Mutant(
        "integers: a table of trains that end alike", TABLE, "(first == last).all(1)", "(first == last)[:, -1]"
    ),
    Mutant(
        "integers: a row of a wrap is one of silence",
        TABLE,
        "if bool((found.least(-wraps[:, None]) < 0).any()):",
        "if False:",
    ),
    Mutant("integers: windows without residuals", WINDOWS, "return low * total, high * total", "return 0.0, 0.0"),
    Mutant(
        "integers: windows of potentials that were raised at the bottom",
        WINDOWS,
        "high.masked_fill((low < rule.bottom).any(0), torch.inf)",
        "high",
    ),
    Mutant(
        "integers: windows of the spike before",
        WINDOWS,
        "label[1] for label in labels",
        "max(0, label[1] - 1) for label in labels",
    ),
    Mutant(
        "integers: a ball is a unit smaller",
        SETS,
        "(inputs + self.epsilon).clamp_max(self.upper)",
        "(inputs + self.epsilon - 1).clamp_max(self.upper)",
    ),
    Mutant(
        "integers: potentials that are read leak nothing",
        READOUTS,
        "return float(circuit.num_steps) if",
        "return 0.0 if",
    ),
    Mutant(
        "integers: potentials that are read are never cut",
        READOUTS,
        "check_within(float(sums.magnitude.max()) + leak, rule.top",
        "check_within(0.0, rule.top",
    ),
    Mutant(
        "integers: whole numbers of any size are exact",
        "certify/rounding/units.py",
        "2.0**51 if self.whole",
        "2.0**90 if self.whole",
    ),
    Mutant(
        "integers: real ends of currents are taken as they are",
        "certify/bounds/automata/reachable.py",
        "lower, upper = lower.ceil(), upper.floor()",
        "lower, upper = lower + 0.0, upper + 0.0",
    ),
    Mutant("integers: a law without residuals", COUNTS, "stray * (1.0 + 2.0**-40), rule", "0.0, rule"),
    Mutant(
        "integers: a law whose middle is left out",
        COUNTS,
        "middle, stray = (low + high) / 2",
        "middle, stray = 0.0",
    ),
    Mutant("integers: a law beyond a width", COUNTS, "< min(rule.top, -rule.bottom)", "< torch.inf"),
    Mutant(
        "integers: a law fires a unit late", COUNTS, "perhaps=self.firing - tie", "perhaps=self.firing + 1 - tie"
    ),
    Mutant("integers: a law is silent a unit early", COUNTS, "surely=self.firing - 1", "surely=self.firing - 2"),
    Mutant("integers: a law of one spike where several are", COUNTS, "if graph.binary else", "if True else"),
    Mutant("integers: a law of hard resets", COUNTS, 'rule.reset == "subtract" and ', ""),
    Mutant("integers: a law of neurons that go towards", COUNTS, " and not rule.towards", ""),
    Mutant("integers: rows of currents that did not move", TABLE, "lower=found.table.lower + law.middle, ", ""),
    Mutant("integers: a half without its first number", BOXES, "middle.floor() + 1.0)", "middle.floor() + 2.0)"),
    Mutant("integers: a half without its last number", BOXES, "(middle.floor(), ", "(middle.floor() - 1.0, "),
    Mutant(
        "integers: boxes are left where they are narrow",
        BOXES,
        "self.open[boxes.sample[~left]] = True",
        "self.open[boxes.sample[~left]] = late",
    ),
)
