"""Ways to let another function in than a traced module computes."""

from mutant import Mutant

TRACING, READING = "models/tracing/tracing.py", "models/tracing/reading.py"
TRACES, FITTING = "models/tracing/traces.py", "models/tracing/fitting.py"
WATCHING, POLYNOMIALS = "models/tracing/watching.py", "models/tracing/polynomials.py"
CONVERTING = "models/tracing/converting.py"
ARITHMETIC, MOVING = "models/tracing/operations/arithmetic.py", "models/tracing/operations/moving.py"
RESTING, AWAKE = "models/tracing/rests/resting.py", "models/tracing/rests/awake.py"
TRACING_MUTANTS = (
    Mutant(
        "tracing: a current may differ from step to step",
        FITTING,
        "if not _same(layers, entering, step, off):\n            late",
        "if False:\n            late",
    ),
    Mutant("tracing: two runs may differ", TRACES, "if not reading.same_as(other):", "if False:"),
    Mutant(
        "tracing: what neurons keep may differ between two runs",
        READING,
        "one.gate, one.names) == (two.excess, two.strict, two.gate, two.names)",
        "one.gate) == (two.excess, two.strict, two.gate)",
    ),
    Mutant(
        "tracing: layers take samples for features",
        "models/tracing/operations/calls.py",
        "if call.name not in EACH_ENTRY and not all(",
        "if False and not all(",
    ),
    Mutant(
        "tracing: parts of a signal over time are written a step early",
        "models/tracing/operations/moving.py",
        "steps[place] = step",
        "steps[place - 1] = step",
    ),
    Mutant("tracing: values may be read where errors are caught", TRACING, "if watching.escapes:", "if False:"),
    Mutant(
        "tracing: signals may change out of sight",
        TRACING,
        "if _changes_in_place(graph) < seen.changes:",
        "if False:",
    ),
    Mutant(
        "tracing: constants of single precision",
        "models/tracing/polynomials.py",
        "else torch.tensor(value, dtype=torch.float64)",
        "else torch.tensor(value)",
    ),
    Mutant(
        "tracing: outputs may weigh steps",
        "models/tracing/readouts.py",
        "!= layers.moved(last, step + 1 - count) for step",
        "is None for step",
    ),
    Mutant("tracing: a softmax over any axis is left out", READING, "if dim not in (-1, axes - 1):", "if False:"),
    Mutant("tracing: the last trace is of a first call", TRACING, "WARM = 4", "WARM = 0"),
    Mutant("tracing: a current that comes late may be any", FITTING, "if same and all(", "if all("),
    Mutant(
        "tracing: nobody watches who asks for a trace",
        TRACING,
        'mode == "real" and not source.own',
        "False",
    ),
    Mutant("tracing: numbers may change at each call", TRACING, "and after[name] != value and", "and False and"),
    Mutant(
        "tracing: a factor is taken for what is left of it to 1",
        "models/tracing/operations/products.py",
        "if not rest or own == {each: -number for each, number in rest.items()}:",
        "if True:",
    ),
    Mutant(
        "tracing: a module of other outputs is compared by an old trace",
        "models/tracing/converting.py",
        "return seen if are_alike(now, seen.outputs[0]) else None",
        "return seen",
    ),
    Mutant(
        "tracing: what is of no use may fail on some inputs",
        READING,
        "and not runs_always(node) and",
        "and False and",
    ),
    Mutant("tracing: gradients may be asked for", WATCHING, "return name in GRADIENTS and", "return False and"),
    Mutant("tracing: forwards may ask for gradients", WATCHING, ', "needs_input_grad"))', "))"),
    Mutant(
        "tracing: what fails in an operation is noted by nobody",
        "models/tracing/recording.py",
        "if self.watching is not None:  # where",
        "if False:  # where",
    ),
    Mutant(
        "tracing: an operation of one's own is torch's of that name",
        TRACING,
        'if node.target.namespace not in ("aten", "prim"):',
        "if False:",
    ),
    Mutant("tracing: a copy may be another module", TRACING, "        if own is not None:", "        if False:"),
    Mutant(
        "tracing: what evaluation returns is converted",
        TRACING,
        "        module.eval()",
        "        module = module.eval()",
    ),
    Mutant(
        "tracing: values may be taken where functions are not watched",
        WATCHING,
        'elif self.taken and event != "return":',
        "elif False:",
    ),
    Mutant("tracing: inference may be asked about", WATCHING, " or name in ASKS)", ")"),
    Mutant("tracing: modes may be asked about", WATCHING, "return modes or (", "return ("),
    Mutant(
        "tracing: frames may be read",
        WATCHING,
        'return _walks(code) and code.co_name != "backward" and not FRAMES',
        "return not FRAMES and FRAMES",
    ),
    Mutant("tracing: objects may be listed", WATCHING, ", gc.get_objects, gc.get_referrers)", ")"),
    Mutant(
        "tracing: functions may count",
        TRACING,
        "found |= _numbers(function.__name__, read)",
        "read.clear()",
    ),
    Mutant("tracing: classes may count", TRACING, "found |= _numbers(kind.__name__, vars(kind))", "pass"),
    Mutant("tracing: generators may go on", TRACING, "if isinstance(value, random.Random):", "if False:"),
    Mutant("tracing: numpy's generators may go on", TRACING, "isinstance(value, np.random.Generator):", "False:"),
    Mutant(
        "tracing: a signal may cancel",
        POLYNOMIALS,
        "return BURIED if any(self._is_gone",
        "return ZERO if any(self._is_gone",
    ),
    Mutant(
        "tracing: what firings compare has no constant",
        POLYNOMIALS,
        "_constants(excess).get(frozenset(), ZERO))",
        "ZERO)",
    ),
    Mutant(
        "tracing: a settled spike forgets what is lost",
        POLYNOMIALS,
        "return summed(terms, self.lost)",
        "return summed(terms)",
    ),
    Mutant(
        "tracing: what was reset may be rounded",
        READING,
        "return sides == self.same.sides(firing.node)",
        "return True",
    ),
    Mutant("tracing: what is lost is forgotten", POLYNOMIALS, "2 * abs(first + second) < most", "most < 0"),
    Mutant("tracing: bent signals may be large", POLYNOMIALS, "0 <= each[0] <= each[1] <= 1", "each[1] < 9"),
    Mutant(
        "tracing: rounded spikes may reset", POLYNOMIALS, "BURIED if two.signals else", "ZERO if two.signals else"
    ),
    Mutant("tracing: rounded numbers are compared", READING, "if abs(number) * PLAIN < lost:", "if False:"),
    Mutant("tracing: rounded spikes may be equal", ARITHMETIC, "        if step.lost:", "        if False:"),
    Mutant("tracing: functions forget what is lost", ARITHMETIC, "BURIED if lost else ZERO", "ZERO"),
    Mutant("tracing: views forget what is lost", MOVING, "Polynomial({}, signal.lost)", "Polynomial({})"),
    Mutant("tracing: layers hear rounded signals", POLYNOMIALS, "BURIED if is_rounded(signal) else ZERO", "ZERO"),
    Mutant(
        "tracing: outputs may be rounded",
        CONVERTING,
        "if any(map(is_rounded, reading.output.steps)):",
        "if False:",
    ),
    Mutant(
        "tracing: comparisons may round otherwise",
        READING,
        "if number is None or self.how.exact:",
        "if True:",
    ),
    Mutant(
        "tracing: potentials may be counted from anywhere",
        FITTING,
        "if lost <= LARGEST_OFFSET * min(entries_of(fit.threshold)):",
        "if True:",
    ),
    Mutant(
        "tracing: samples may be told apart by places",
        READING,
        "if self.batch >= BATCHES[1][0] and",
        "if False and",
    ),
    Mutant(
        "rests: what takes something in behind a spike rests",
        AWAKE,
        "whole == free * (Polynomial.of(UNIT) - resting)",
        "True",
    ),
    Mutant(
        "rests: a mask is left out",
        AWAKE,
        "potential * (Polynomial.of(UNIT) - gate) if gate.terms else potential",
        "potential",
    ),
    Mutant(
        "rests: what is suppressed is no matter",
        RESTING,
        "for spike in set().union(*map(_suppressed, read)):",
        "for spike in set[int]():",
    ),
    Mutant(
        "rests: what is suppressed is none",
        RESTING,
        "Polynomial.spike(-1 - number) * firing.gate",
        "Polynomial({})",
    ),
    Mutant(
        "rests: a comparison that may hold behind a spike does not",
        RESTING,
        "return not left.rest.terms and above(left.constant, strict) == ZERO",
        "return above(left.constant, strict) == ZERO",
    ),
    Mutant("rests: any mask is one", RESTING, "bool(terms) and mask.exclusive and all(", "bool(terms) and all("),
    Mutant(
        "rests: a mask that is no sum of spikes is one",
        RESTING,
        "all(spikes and number == UNIT for (spikes, _), number in terms.items())",
        "True",
    ),
    Mutant(
        "rests: a mask is its opposite",
        RESTING,
        "mask = None if mask is None else WHOLE - mask",
        "mask = mask",
    ),
    Mutant(
        "polynomials: spikes that fire together have no product",
        "models/tracing/polynomials.py",
        "return alone and all(frozenset(spikes[:place]) <= besides_of(each) for place, each in enumerate(spikes))",
        "return alone",
    ),
    Mutant(
        "polynomials: a spike that is there lets others fire that are apart from it",
        "models/tracing/polynomials.py",
        "not _apart(spikes - {spike}, frozenset({own})) if fires else spike not in spikes",
        "True if fires else spike not in spikes",
    ),
    Mutant(
        "writing: of entries that are alike the first one is written",
        "models/tracing/writing.py",
        "if len(places) == 1 or torch.equal(marked[place], again[name])]",
        "if place == places[0]]",
    ),
)
