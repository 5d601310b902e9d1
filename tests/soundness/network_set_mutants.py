"""Ways to break what is known of sets of networks, of layers that do not round, and of two builds."""

from mutant import Mutant

TOLERANT = "certify/network_sets/tolerant.py"
LOOSE = "certify/network_sets/loose.py"
STUCK = "certify/network_sets/stuck_bounds.py"
FAULTS = "certify/network_sets/faults.py"
MEMBERS = "certify/network_sets/members.py"
EXACT = "certify/bounds/exact.py"
TWIN = "certify/pairs/exact_twin.py"
PAIRS = "certify/pairs/equivalence.py"
GAPS, JOINT = "certify/pairs/gaps.py", "certify/pairs/joint.py"
KEPT = "certify/network_sets/keeping/kept.py"
NETWORK_SET_MUTANTS = (
    Mutant(
        "tolerance: inputs below 0 meet the same ends of the weights",
        TOLERANT,
        "lower = lower - _through(self.most, below)[1]",
        "lower = lower - _through(self.least, below)[1]",
    ),
    Mutant(
        "tolerance: a bias that counts less than 0 keeps its ends",
        TOLERANT,
        "lower = lower + plus * self.least.bias + minus * self.most.bias - slack * moduli",
        "lower = lower + plus * self.least.bias + minus * self.least.bias - slack * moduli",
    ),
    Mutant(
        "tolerance: a margin has the nominal weights of the other class",
        TOLERANT,
        "_least(least.weight[label] - most.weight, above, chosen)",
        "_least(least.weight[label] - exactly.weight, above, chosen)",
    ),
    Mutant(
        "tolerance: what weights add to a set that is cut is left out",
        TOLERANT,
        "extra = size * self.share + slack * moduli",
        "extra = slack * moduli",
    ),
    Mutant(
        "loose: the least decay at both ends",
        LOOSE,
        "high = (before.high * slow).maximum(before.high * fast) + current.high",
        "high = before.high * slow + current.high",
    ),
    Mutant(
        "loose: a reset takes off the nominal threshold",
        LOOSE,
        ".to(fires.low) * self.threshold",
        ".to(fires.low) * 0.0",
    ),
    Mutant(
        "loose: silence up to the nominal threshold",
        LOOSE,
        "quiet, fires = potential.below(most + tie), potential.above(least - tie)",
        "quiet, fires = potential.below(threshold + tie), potential.above(least - tie)",
    ),
    Mutant(
        "members: numbers may be one unit outside",
        MEMBERS,
        "return torch.where((moved_to.double() - exact).abs() > most, own, moved_to)",
        "return (exact + exact.abs() * share * places.to(exact)).to(own.dtype).nextafter(2 * own)",
    ),
    Mutant(
        "stuck: of two neurons one counts",
        STUCK,
        "return changes.topk(min(count, changes.shape[-1]), -1).values.sum(-1)",
        "return changes.amax(-1)",
    ),
    Mutant(
        "stuck: neurons get stuck at silence alone",
        STUCK,
        "return _greatest((self.full.clamp_min(0) - self.upper).clamp_min_(0), count)",
        "return _greatest((0.0 - self.upper).clamp_min_(0), count)",
    ),
    Mutant(
        "stuck: all of the budget is spent in the last layer",
        STUCK,
        "box = spikes[len(spikes) - 1 - stuck].combine(row)[0]",
        "box = spikes[0].combine(row)[0]",
    ),
    Mutant(
        "stuck: an open spike that may be stuck stays what it was",
        STUCK,
        "return Box(torch.zeros_like(box.lower), torch.ones_like(box.upper))",
        "return box",
    ),
    Mutant(
        "stuck: one that fires counts once",
        FAULTS,
        "return self._with(self.source.combine(rows), rows.sum(1))",
        "return self._with(self.source.combine(rows), rows[:, 0])",
    ),
    Mutant("exact: two bits more than float32 has", EXACT, "DIGITS = 24\n", "DIGITS = 26\n"),
    Mutant(
        "exact: potentials lie on the currents' grid",
        EXACT,
        "unit = max(current.unit, drop) + share * (num_steps - 1)",
        "unit = max(current.unit, drop)",
    ),
    Mutant(
        "exact: a threshold that float32 does not hold",
        EXACT,
        "if any(float(torch.tensor(number, dtype=torch.float32)) != number for number in used):",
        "if any(number != number for number in used):",
    ),
    Mutant(
        "twin: a threshold is moved as it stands",
        TWIN,
        'whole = -(-scaled // 1) if fires_at == ">=" else scaled // 1',
        "whole = scaled",
    ),
    Mutant(
        "pairs: one verified build is enough",
        PAIRS,
        'if all(verdict.status == "verified" for verdict in verdicts):',
        'if any(verdict.status == "verified" for verdict in verdicts):',
    ),
    Mutant(
        "pairs: the gap of the upper ends alone",
        GAPS,
        "naive = (high - other_low).maximum(other_high - low)",
        "naive = (high - other_high).abs()",
    ),
    Mutant(
        "pairs: a margin above 0 is taken for one above the gap",
        GAPS,
        "((self.lower > self.joint) | ~others)",
        "((self.lower > 0.0) | ~others)",
    ),
    Mutant(
        "pairs: rows go together by their low ends alone",
        JOINT,
        "most = high[..., :, None] - other_low[..., None, :] >= p[..., None, None]",
        "most = low[..., :, None] - other_low[..., None, :] >= p[..., None, None]",
    ),
    Mutant(
        "pairs: both builds have the same weights in front",
        JOINT,
        "between = affine_map(DenseMap(weights[0] - weights[1], biases[0] - biases[1]))",
        "between = affine_map(DenseMap(weights[0] - weights[0], biases[0] - biases[1]))",
    ),
    Mutant(
        "pairs: one margin is never the greater one",
        JOINT,
        "return most.abs().maximum(least.abs())",
        "return most.abs()",
    ),
    Mutant(
        "pairs: logits do not round",
        JOINT,
        "found[chosen] = _apart(a, b, int(label), allowed[chosen]) + strays[chosen]",
        "found[chosen] = _apart(a, b, int(label), allowed[chosen])",
    ),
    Mutant(
        "keeping: a member of a file is in its set",
        KEPT,
        "if not networks.contains(network, member):",
        "if networks.contains(network, network) and not member:",
    ),
    Mutant(
        "keeping: more neurons may be stuck in a file",
        KEPT,
        "or len(places) < len(faults) or len(faults) > networks.count",
        "or len(places) < len(faults)",
    ),
)
