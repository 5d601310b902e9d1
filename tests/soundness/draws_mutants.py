"""Ways to take a module's draws for another law than they have, or an ending for no choice."""

from mutant import Mutant

EVENTS, OWN = "models/tracing/draws/events.py", "models/tracing/draws/own.py"
READING, FITTING = "models/tracing/reading.py", "models/tracing/fitting.py"
DRAWS_MUTANTS = (
    Mutant("draws: one may be compared twice", EVENTS, "if draw.number in self.spent:", "if False:"),
    Mutant(
        "draws: may be of another shape",
        EVENTS,
        'if args[0].shape != args[1].shape:\n            self._refuse("of',
        'if False:\n            self._refuse("of',
    ),
    Mutant(
        "draws: factors may differ by the step", EVENTS, "if self.factor not in (None, draw.factor):", "if False:"
    ),
    Mutant("draws: a factor is forgotten", EVENTS, "factor=draw.factor * args[1]", "factor=draw.factor"),
    Mutant("draws: signs at some steps only", EVENTS, "if self.found and signed != self.signed:", "if False:"),
    Mutant(
        "draws: what is made of a draw is any",
        EVENTS,
        'return self._refuse(f"{name} of what it draws, or of its input besides")',
        "return self._made(func, args, next(filter(None, known)), kwargs)",
    ),
    Mutant(
        "draws: a sign of what has none",
        EVENTS,
        "if not hit.signed or args[0].shape != args[1].shape:",
        "if False:",
    ),
    Mutant("draws: seeds are no matter", OWN, "if again or torch.initial_seed() != seed:", "if False:"),
    Mutant(
        "draws: are compared with no run",
        OWN,
        "if not all(torch.equal(one, other) for one, other in zip(expected",
        "if False and not all(torch.equal(one, other) for one, other in zip(expected",
    ),
    Mutant("draws: signs of inputs below 0", OWN, "if self.signed and bool((inputs < 0).any()):", "if False:"),
    Mutant("draws: signs without a choice", OWN, "if following.signed and not source.rates:", "if False:"),
    Mutant("draws: fewer steps than events", OWN, "if len(following.found) != len(events):", "if False:"),
    Mutant("draws: errors may be caught", OWN, "if following.refused:", "if False:"),
    Mutant(
        "draws: a network of fewer steps draws others",
        "models/tracing/converting.py",
        "if steps == num_steps:",
        "if True:",
    ),
    Mutant(
        "draws: a factor is none of the network's",
        OWN,
        "given = own if factor == 1.0 else",
        "given = own if factor > 0 else",
    ),
    Mutant(
        "tracing: an ending is left out without a choice",
        READING,
        "*(SATURATED if before else ()))",
        "*SATURATED)",
    ),
    Mutant("tracing: what no input reached may be any", FITTING, "<= most * off", "<= most * 1000"),
    Mutant(
        "tracing: roundings at steps that inputs reach",
        FITTING,
        "unreached = step > 0 and not any(each.rest.terms for each in entering[:step])",
        "unreached = True",
    ),
)
