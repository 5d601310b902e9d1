"""Ways to break what is known of latency codes, and of neurons that fire once."""

from mutant import Mutant

CODES = "certify/latency_codes.py"
PARTS, SUMS = "certify/splitting/move_parts.py", "certify/bounds/events/moved_events.py"
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
        "models/elements/refractory.py",
        "num_steps if self.rest is None else self.rest, self.start)",
        "1 if self.rest is None else self.rest, self.start)",
    ),
    Mutant(
        "once: windows from step 0 are taken for those from each step",
        "certify/bounds/trains/train_graph.py",
        "if len(self.lows) < len(self.lower):",
        "if True:",
    ),
    Mutant(
        "once: prefixes without the run's rounding",
        "certify/bounds/signals/membrane.py",
        "return (box.lower - widening).unsqueeze(0), (box.upper + widening).unsqueeze(0)",
        "return (box.lower + widening).unsqueeze(0), (box.upper - widening).unsqueeze(0)",
    ),
    Mutant(
        "moves: events of one part move in none of the others",
        PARTS,
        "(ranks >= parts.places[:, None])",
        "(ranks > parts.places[:, None])",
    ),
    Mutant(
        "moves: an event moves one way only",
        PARTS,
        "offsets = torch.tensor([distance, -distance])",
        "offsets = torch.tensor([distance, distance])",
    ),
    Mutant(
        "moves: what moved costs a step more than it does",
        PARTS,
        "ranks + 1, parts.steps - distance, parts.events - 1)",
        "ranks + 1, max(0, parts.steps - distance - 1), parts.events - 1)",
    ),
    Mutant(
        "moves: the first event of a part stays where it is",
        PARTS,
        "ranks = parts.places[rows] + torch",
        "ranks = parts.places[rows] + (counts[rows] > 1) + torch",
    ),
    Mutant(
        "moves: parts that are proven at no cut have no recording of their own",
        "certify/verifiers/moves.py",
        "            yield from self._split_up(some.at(~rests).resting(self.ranked.count))\n",
        "",
    ),
    Mutant(
        "kept sums: of the events behind a part's own block",
        SUMS,
        "places // size, kept.shape[2] - 1",
        "places // size + 1, kept.shape[2] - 1",
    ),
    Mutant(
        "kept sums: what moved is where it was, too",
        SUMS,
        "            found[rows, self.before[event]] -= self.columns[event]\n",
        "",
    ),
    Mutant(
        "kept sums: one step gains what one event does less",
        SUMS,
        "found.append(total(best, most))",
        "found.append(total(best, max(1, most - 1)))",
    ),
    Mutant(
        "once: a spike is certain where it may come at one step, and may stay away",
        "certify/bounds/trains/once_trains.py",
        "self.may.sum(0) + self.never.long() == 1",
        "self.may.sum(0) == 1",
    ),
    Mutant(
        "once: sums forget that a spike may stay away",
        "certify/bounds/trains/once_trains.py",
        "found = detours(self.never, rows)",
        "found = detours(torch.zeros_like(self.never), rows)",
    ),
)
