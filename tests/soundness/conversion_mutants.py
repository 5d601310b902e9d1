"""Ways to break what conversions know."""

from mutant import Mutant

CONVERSION_MUTANTS = (
    Mutant(
        "populations: any output is a sum of groups",
        "models/conversion/populations.py",
        "output.unflatten(-1, (classes, -1)).sum(-1)",
        "output.unflatten(-1, (-1, classes)).sum(-2)",
    ),
    Mutant(
        "drawing: groups of a population draw anew",
        "models/conversion/populations.py",
        'network.draws if network.encoding == "rate" else None',
        "None",
    ),
    Mutant(
        "tracing: what is left of a potential does not count",
        "models/tracing/fitting.py",
        "if current.spikes & own or any(isinstance(each, Excess) for each in current.signals):",
        "if False:",
    ),
    Mutant(
        "tracing: features side by side begin at the first column",
        "models/tracing/operations/mapping.py",
        "part, inner = weight[start : start + before[0]], graded.signal",
        "part, inner = weight[: before[0]], graded.signal",
    ),
    Mutant(
        "tracing: a product of spikes fires by one of them",
        "models/tracing/building.py",
        "Fraction(2 * len(gate.terms) - 1, 2)",
        "Fraction(1, 2)",
    ),
    Mutant(
        "tracing: weights go to the first place that has their numbers",
        "models/tracing/writing.py",
        "if len(same) != 1:",
        "if not same:",
    ),
)
