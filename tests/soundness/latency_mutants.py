"""Ways to break what is known of latency codes, and of neurons that fire once."""

from mutant import Mutant

CODES = "certify/latency_codes.py"
LATENCY_MUTANTS = (
    Mutant(
        "latency: an image's event comes a step later than the one that moved",
        CODES,
        "moved = (1.0 - here.double() / max(1, steps - 1)).to(images.dtype)",
        "moved = (1.0 - (here.double() + 1.0).clamp_max(steps - 1) / max(1, steps - 1)).to(images.dtype)",
    ),
    Mutant(
        "latency: balls of brightness are taken for sets of events",
        CODES,
        "if type(perturbation) is not SpikeShift:",
        "if False:",
    ),
    Mutant(
        "latency: events may leave, as no image's do",
        CODES,
        'if perturbation.border != "stay":',
        "if False:",
    ),
    Mutant(
        "latency: readers take a code for an input that is the same at each step",
        "models/circuit/folding.py",
        '("direct", "none", "rate")',
        '("direct", "none", "rate", "latency")',
    ),
    Mutant(
        "latency: attacks are about the events of darker images",
        "certify/attacks/__init__.py",
        "found = attack(codes.network, codes.events, labels, perturbation, method, **rest)",
        "found = attack(codes.network, codes.events.flip(1), labels, perturbation, method, **rest)",
    ),
    Mutant(
        "once: a rest for good lasts one step",
        "models/refractory.py",
        "num_steps if self.rest is None else self.rest, self.start)",
        "1 if self.rest is None else self.rest, self.start)",
    ),
    Mutant(
        "once: windows from step 0 are taken for those from each step",
        "certify/bounds/train_graph.py",
        "if len(self.lows) < len(self.lower):",
        "if True:",
    ),
    Mutant(
        "once: prefixes without the run's rounding",
        "certify/bounds/membrane.py",
        "return (box.lower - widening).unsqueeze(0), (box.upper + widening).unsqueeze(0)",
        "return (box.lower + widening).unsqueeze(0), (box.upper - widening).unsqueeze(0)",
    ),
)
