"""Ways to break what is known of events that come, go, or move."""

from mutant import Mutant

FLIP_SET = "certify/perturbations/spike_flip.py"
REGIONS = "certify/perturbations/regions.py"
EVENT_SETS = "certify/perturbations/event_sets.py"
EVENT_MUTANTS = (
    Mutant(
        "flips: what may be inserted is taken for what may be deleted",
        FLIP_SET,
        '"insert": inputs == 0, "delete": inputs == 1',
        '"insert": inputs == 1, "delete": inputs == 0',
    ),
    Mutant(
        "flips: a mask counts for flips of both kinds only",
        FLIP_SET,
        "return kinds[self.kind] & self.allowed(inputs)",
        'return kinds[self.kind] & (self.allowed(inputs) if self.kind == "flip" else True)',
    ),
    Mutant(
        "flips: entries that are closed count in membership",
        FLIP_SET,
        "return binary & ~barred & (",
        "return binary & (",
    ),
    Mutant(
        "flips: a projection flips what is closed",
        FLIP_SET,
        "change = change.masked_fill(~self.free(inputs), 0.0).flatten(1)",
        "change = change.flatten(1)",
    ),
    Mutant(
        "flips: an entry that may flip keeps its lower end",
        FLIP_SET,
        "exact.masked_fill(free, 0.0), exact.masked_fill(free, 1.0)",
        "exact, exact.masked_fill(free, 1.0)",
    ),
    Mutant(
        "flips: an insertion lowers what it is weighted with",
        FLIP_SET,
        "torch.where(free, 1.0 - 2.0 * exact, 0.0)",
        'torch.where(free, 1.0 - 2.0 * exact, 0.0) * (1 if self.kind != "insert" else -1)',
    ),
    Mutant(
        "regions: an interval without its first step",
        REGIONS,
        "(places >= first) & (places < last)",
        "(places > first) & (places < last)",
    ),
    Mutant(
        "regions: rows are taken for columns",
        REGIONS,
        '"rows": -2, "columns": -1',
        '"rows": -1, "columns": -2',
    ),
    Mutant(
        "events: masks of other entries are equal",
        EVENT_SETS,
        "return (tuple(value.shape), tuple(value.flatten().tolist())) if",
        "return tuple(value.shape) if",
    ),
)
