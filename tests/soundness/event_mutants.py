"""Ways to break what is known of events that come, go, or move."""

from mutant import Mutant

FLIP_SET = "certify/perturbations/events/spike_flip.py"
REGIONS = "certify/perturbations/events/regions.py"
RETIMINGS = "certify/bounds/events/retimings.py"
RETIMING = "certify/perturbations/events/retiming.py"
SHIFTS = "certify/bounds/events/shifts.py"
SHIFT_SET = "certify/perturbations/events/spike_shift.py"
EVENT_SETS = "certify/perturbations/events/event_sets.py"
SCALES = "certify/scales.py"
CHANGES = "certify/perturbations/events/event_change.py"
MOVES_C, CHANGES_C = "kernels/sources/moves.c", "kernels/sources/changes.c"
EVENT_MUTANTS = (
    Mutant(
        "single moves: an event is not missed where it was",
        MOVES_C,
        "((t == to) - (t == from)) * in->factors[t], column",
        "(t == to) * in->factors[t], column",
    ),
    Mutant(
        "single moves: doubts behind a move are forgotten",
        MOVES_C,
        "larger(at.open[j], states[sizes->steps].open[j])",
        "at.open[j]",
    ),
    Mutant(
        "single moves: what goes on alike need not be near",
        MOVES_C,
        "apart |= !(off <= there->radius[j]) & (at->open[j] == 0.0);",
        "apart |= 0;",
    ),
    Mutant(
        "single moves: a tie is no doubt",
        MOVES_C,
        "at->open[j] = may != sure ? 1.0 : at->open[j];",
        "",
    ),
    Mutant(
        "single moves: a neuron in doubt always fires",
        MOVES_C,
        "if (may && !fires) follow(ways, t + 1, low, smaller(high, sizes->surely), sums, ++forks);",
        "",
    ),
    Mutant(
        "single moves: sets of several moves are taken for those of one",
        "certify/verifiers/single/single_moves.py",
        "return threat.most <= 1 or",
        "return True or",
    ),
    Mutant(
        "single moves: an event that meets another one counts twice",
        "certify/verifiers/single/single_moves.py",
        'gone = ~inside | (taken & (threat.merge == "or"))',
        "gone = ~inside",
    ),
    Mutant(
        "changes: rows share what differs",
        CHANGES_C,
        "if (gains[d] != before[d] && rows->shared[row] <= t) rows->shared[row] = t + 1;",
        "",
    ),
    Mutant(
        "windows: radii keep the signs of the weights",
        "certify/bounds/signals/affine.py",
        "asked.absolute.totals(self.radius, ends)",
        "asked.totals(self.radius, ends) * 0.5",
    ),
    Mutant(
        "radii: the number of moves is taken for their sum",
        SCALES,
        'cost[self.budget == "total"]',
        "cost[0]",
    ),
    Mutant(
        "radii: flips of one kind are asked about as all flips",
        SCALES,
        "return replace(self.template, count=int(epsilon))",
        "return SpikeFlip(int(epsilon))",
    ),
    Mutant(
        "radii: budgets forget which events may move",
        SCALES,
        "**{self.budget: int(epsilon)})",
        "where=None, **{self.budget: int(epsilon)})",
    ),
    Mutant(
        "changes: the rise by flips is left out",
        "certify/bounds/events/summed.py",
        "return fall * UP, rise * UP",
        "return fall * UP, parts[0][1] * UP",
    ),
    Mutant(
        "changes: the least cost forgets flips",
        "certify/bounds/events/summed.py",
        "return moved + changed, inputs + flips",
        "return moved, inputs + flips",
    ),
    Mutant(
        "changes: flips are those of the recording before it moved",
        CHANGES,
        "other=-(up & down).double())",
        "other=None)",
    ),
    Mutant(
        "changes: what a move left behind can't be filled",
        CHANGES,
        "(moved.lower == 0) & allowed, (moved.upper == 1) & allowed",
        "(moved.upper == 0) & allowed, (moved.upper == 1) & allowed",
    ),
    Mutant(
        "changes: the ball holds no flips",
        CHANGES,
        "radius = (moved.ball + math.nextafter(math.sqrt(self.flips.count), math.inf)) * (1.0 + 1e-15)",
        "radius = moved.ball",
    ),
    Mutant(
        "changes: a flip costs nothing in membership",
        "certify/perturbations/events/mixing.py",
        "flips = sum(one != other for one, other, _, _ in changes)",
        "flips = 0",
    ),
    Mutant(
        "changes: closed entries flip in membership",
        "certify/perturbations/events/mixing.py",
        "(gains if other else loses)",
        "True",
    ),
    Mutant(
        "changes: a program that flips one entry less",
        "certify/milp/inputs.py",
        "program.constrain(spent, upper=float(flips.count))",
        "program.constrain(spent, upper=float(flips.count) - 1.0)",
    ),
    Mutant(
        "flips: no entry changes the other way",
        "certify/bounds/events/flips.py",
        "return (self.direction,) if self.other is None else (self.direction, self.other)",
        "return (self.direction,)",
    ),
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
    Mutant(
        "shifts: events move ahead only",
        RETIMINGS,
        "for sign in (1, -1)]",
        "for sign in (1, 1)]",
    ),
    Mutant(
        "shifts: events stay, whatever the border",
        RETIMINGS,
        "value=0.0 if leaves else -torch.inf",
        "value=-torch.inf",
    ),
    Mutant(
        "shifts: events that meet count twice",
        SHIFTS,
        "Retimings.of(values, self.jitter, self.leaves, meets)",
        "Retimings.of(values, self.jitter, self.leaves, False)",
    ),
    Mutant(
        "shifts: a negative weight moves an event to where a positive one would",
        SHIFTS,
        "return fall, _sum([(up, higher, down, lower)",
        "return fall, _sum([(up, higher, down, higher)",
    ),
    Mutant(
        "shifts: one move less than the budget",
        SHIFTS,
        "else changes.topk(most).values",
        "else changes.topk(most - 1).values",
    ),
    Mutant(
        "shifts: of increments only the first is paid",
        SHIFTS,
        "over = torch.where(inside, over.maximum(line), over)",
        "over = values",
    ),
    Mutant(
        "shifts: a step of the total costs nothing in prices",
        SHIFTS,
        "gain = gain + price * most",
        "gain = gain + 0 * most",
    ),
    Mutant(
        "shifts: only events one jitter apart can meet",
        SHIFT_SET,
        "near = near + _around(movable, 2 * self.reach)",
        "near = near + 0",
    ),
    Mutant(
        "shifts: an entry that events may come to keeps its upper end",
        SHIFT_SET,
        "exact.maximum(_around(movable, self.reach).clamp_max(1.0))",
        "exact",
    ),
    Mutant(
        "shifts: a projection pays for one move too many",
        SHIFT_SET,
        "device=flat.device) < self.count",
        "device=flat.device) <= self.count",
    ),
    Mutant(
        "shifts: a projection forgets the total",
        SHIFT_SET,
        "paid &= (sizes * paid).cumsum(1) <= self.total",
        "paid &= sizes <= self.total",
    ),
    Mutant(
        "shifts: membership forgets how many events moved",
        RETIMING,
        "(count is None or moved <= count) and",
        "",
    ),
    Mutant(
        "shifts: membership matches events of any distance",
        RETIMING,
        "range(max(0, step - reach), min(steps, step + reach + 1))",
        "range(steps)",
    ),
    Mutant(
        "enumeration: two moves in all, whatever the count",
        RETIMING,
        "for moved in range(self.most + 1)",
        "for moved in range(min(self.most, 2) + 1)",
    ),
    Mutant(
        "enumeration: events that leave are forgotten",
        RETIMING,
        "[(-1, outside)] * (leaves and outside <= reach)",
        "[(-1, outside)] * (leaves and outside < reach)",
    ),
)
