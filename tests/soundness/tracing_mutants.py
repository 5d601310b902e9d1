"""Ways to let another function in than a traced module computes."""

from mutant import Mutant

TRACING, READING = "models/tracing/tracing.py", "models/tracing/reading.py"
CONVERTING, FITTING = "models/tracing/converting.py", "models/tracing/fitting.py"
TRACING_MUTANTS = (
    Mutant(
        "tracing: a current may differ from step to step",
        FITTING,
        "return all(current == _at(layers, currents, step) for step, current in enumerate(currents))",
        "return True",
    ),
    Mutant("tracing: two runs may differ", CONVERTING, "if not reading.same_as(other):", "if False:"),
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
    Mutant("tracing: the second trace is of a first call", TRACING, "WARM = 4", "WARM = 0"),
)
