"""Ways to break what lists the inputs of a set, or splits the rates of one."""

from mutant import Mutant

ENUMERATION = "certify/verifiers/enumeration.py"
RATES = "certify/branching/rates.py"
FLIPS = "certify/perturbations/events/spike_flip.py"
CHAINS = "certify/bounds/trains/rate_trains.py"
POINTS = "certify/bounds/points.py"
FORKS = "certify/splitting/forks.py"
WALKS, CHAINED = "kernels/sources/walks.c", "certify/bounds/compiled_points.py"
LONG_GRAPHS = "models/tracing/lengthening.py"
LISTING_MUTANTS = (
    Mutant("points: a step rounds nothing", POINTS, "radius = current.radius + error", "radius = current.radius"),
    Mutant(
        "points: an open spike is a silent one",
        POINTS,
        "must, may = potential[0] > surely, potential[1] >= perhaps",
        "must, may = potential[0] > surely, potential[0] > surely",
    ),
    Mutant(
        "points: what is said to be silent fires",
        POINTS,
        "(must | (said > 0)) & (said >= 0)",
        "(must | (said != 0))",
    ),
    Mutant(
        "points: an input's size is that of its middle at another step",
        POINTS,
        "return spread, spread.middle.abs()",
        "return spread, spread.middle.abs().roll(1, 0) * 0.0",
    ),
    Mutant(
        "walks: a step rounds nothing",
        WALKS,
        "double slack = wide + (layer->unit * size + layer->smallest);",
        "double slack = wide;",
    ),
    Mutant(
        "walks: products round nothing",
        WALKS,
        "r = from->radius[i] + error * from->size[i];",
        "r = from->radius[i];",
    ),
    Mutant(
        "walks: a synapse rounds nothing",
        WALKS,
        "radius[j] += wide + (layer->synapse_unit * most + layer->synapse_smallest);",
        "radius[j] += 0.0 * most;",
    ),
    Mutant(
        "walks: an open spike is a silent one",
        WALKS,
        "may = h >= limits.perhaps ? 1.0 : 0.0;",
        "may = must;",
    ),
    Mutant(
        "walks: an open spike takes nothing away",
        WALKS,
        "double joined = smaller(l, larger(l, limits.perhaps) - limits.drop);",
        "double joined = l;",
    ),
    Mutant(
        "walks: an open spike is there where it subtracts",
        WALKS,
        "may > 0.0 ? larger(fired_high, quiet) : h;",
        "may > 0.0 ? fired_high : h;",
    ),
    Mutant(
        "walks: an open spike that resets to 0 leaves what is above 0",
        WALKS,
        "l = may > 0.0 ? smaller(l, 0.0) : l,",
        "l = may > 0.0 ? l : l,",
    ),
    Mutant(
        "walks: what is said to be silent fires",
        WALKS,
        "double spike = mark[3] > 0 ? 1.0 : 0.0;",
        "double spike = mark[3] != 0 ? 1.0 : 0.0;",
    ),
    Mutant(
        "walks: rows are taken for alike a step too long",
        WALKS,
        "long found = t == entering ? sizes->steps : t;",
        "long found = t == entering ? sizes->steps : t + 1;",
    ),
    Mutant(
        "walks: rows are alike whatever is said of them",
        WALKS,
        "return first < found ? first : found;",
        "return found;",
    ),
    Mutant(
        "walks: the first open spike is forgotten where rows are alike",
        WALKS,
        "if (opened[-3] >= 0 && opened[-3] < start)",
        "if (0)",
    ),
    Mutant("walks: numbers may be of any size", WALKS, "failed |= walk.wild[j] > 0.0 ? 2 : 0;", "failed |= 0;"),
    Mutant(
        "walks: what is said of one layer is said of another",
        WALKS,
        "mark < end && mark[0] == t && mark[1] == l;",
        "mark < end && mark[0] == t;",
    ),
    Mutant("chains: delays are none", CHAINED, " and not any(each and each.delay for each in filters)", ""),
    Mutant(
        "chains: what is read besides the last layer's spikes is forgotten",
        CHAINED,
        "if not (last and straight and behind and on_cpu):",
        "if not (last and straight and on_cpu):",
    ),
    Mutant(
        "points: rows are taken for alike a step too long",
        POINTS,
        "return int(other.int().argmax()) if",
        "return int(other.int().argmax()) + 1 if",
    ),
    Mutant(
        "points: potentials may be of any size", POINTS, "check_potential(walk.widest, rounding)", "rounding.unit"
    ),
    Mutant(
        "forks: one of both ways is enough",
        POINTS,
        "torch.full_like(spikes[:, :1], way)), 1) for way in (1, -1))",
        "torch.full_like(spikes[:, :1], way)), 1) for way in (1, 1))",
    ),
    Mutant("forks: the greater bound of both ways", FORKS, 'lower[proven], "amin")', 'lower[proven], "amax")'),
    Mutant(
        "forks: a row without an open spike that is not proven is forgotten",
        FORKS,
        "lost[owner[left[~forked]]] = True",
        "lost[owner[left[~forked]]] |= False",
    ),
    Mutant(
        "long graphs: delays need no steps of their own",
        LONG_GRAPHS,
        "FEW + 2 * sum(",
        "FEW + 0 * sum(",
    ),
    Mutant(
        "long graphs: integrators are read over few steps",
        LONG_GRAPHS,
        "if any(isinstance(node, IntegratorNode) or _integrates(node) for node in nodes):",
        "if not nodes:",
    ),
    Mutant(
        "enumeration: one flip less than the budget",
        FLIPS,
        "sizes = range(min(self.count, len(entries)) + 1)",
        "sizes = range(min(self.count, len(entries)))",
    ),
    Mutant(
        "enumeration: a last batch that is not full is forgotten",
        FLIPS,
        "while group := tuple(itertools.islice(places, size)):",
        "while len(group := tuple(itertools.islice(places, size))) == size:",
    ),
    Mutant(
        "enumeration: a member within the rounding error is proven",
        ENUMERATION,
        "undecided += int((~proven).sum())",
        "undecided += 0",
    ),
    Mutant(
        "enumeration: the greatest margin of a batch is the sample's",
        ENUMERATION,
        "float(lower.nan_to_num(-math.inf).min())",
        "float(lower.nan_to_num(-math.inf).max())",
    ),
    Mutant(
        "enumeration: the rates above a set's last draw are forgotten",
        ENUMERATION,
        "starts = torch.cat([low[None], cuts.nextafter(torch.full_like(cuts, torch.inf))])\n"
        "    ends = torch.cat([cuts, high[None]])",
        "starts = torch.cat([low[None], cuts.nextafter(torch.full_like(cuts, torch.inf))])[:-1]\n"
        "    ends = torch.cat([cuts, high[None]])[:-1]",
    ),
    Mutant(
        "enumeration: a draw on a rate's lower end makes no cut",
        ENUMERATION,
        "(draws >= low) & (draws < high)",
        "(draws > low) & (draws < high)",
    ),
    Mutant(
        "rates: a split loses the rate that is the draw",
        RATES,
        "torch.where(inner, high[node, feature], draw.minimum(high[node, feature]))",
        "torch.where(inner, high[node, feature], (draw - 1e-9).minimum(high[node, feature]))",
    ),
    Mutant(
        "rates: a split of a neuron narrows rates, too",
        RATES,
        "low[node, feature] = torch.where(inner, low[node, feature], above)",
        "low[node, feature] = above",
    ),
    Mutant(
        "rates: both sides of a feature's split fix a spike",
        RATES,
        "layer=self._where(inner, one)",
        "layer=one",
    ),
    Mutant(
        "rates: drop what is not quite proven of a chain",
        RATES,
        "- least + chains.sums > 2 * LEVEL",
        "- least + chains.sums > -0.3",
    ),
    Mutant(
        "rates: trim one spike too many off a chain's upper end",
        RATES,
        "len(count) - 1 - needed.int().flip(0).argmax(0)",
        "(len(count) - 2 - needed.int().flip(0).argmax(0)).maximum(fewest)",
    ),
    Mutant(
        "chains: a least sum that skips the last train",
        CHAINS,
        "        sums = _prefix_sums(costs.gather(0, self.order.unsqueeze(1).expand_as(costs)), 0)\n"
        "        fewest, most = self.fewest[samples], self.most[samples]",
        "        sums = _prefix_sums(costs.gather(0, self.order.unsqueeze(1).expand_as(costs)), 0)\n"
        "        fewest, most = self.fewest[samples], (self.most - 1).maximum(self.fewest)[samples]",
    ),
    Mutant(
        "chains: a range that skips the last train",
        CHAINS,
        "(self.fewest + more).minimum(self.most))",
        "(self.fewest + more - 1).minimum(self.most))",
    ),
)
