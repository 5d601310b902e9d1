"""Ways to break what is known of a layer that hears itself."""

from mutant import Mutant

LOOP = "certify/bounds/trains/recurrent.py"
FILTERED = "certify/bounds/signals/filtered.py"
LAYER = "models/elements/recurrent.py"
AUTOMATON = "certify/bounds/automata/looping.py"
RECURRENT_MUTANTS = (
    Mutant(
        "loop: spikes are heard at once",
        LOOP,
        "Box(torch.cat((silent, lower[:-1])), torch.cat((silent, upper[:-1])))",
        "Box(lower, upper)",
    ),
    Mutant(
        "loop: sums over time forget the delay",
        LOOP,
        "torch.cat((rows[:, 1:], torch.zeros_like(rows[:, :1])), 1)",
        "rows",
    ),
    Mutant(
        "loop: nothing is heard step by step",
        LOOP,
        "before = Box(must.clone()[None], may.clone()[None])",
        "before = Box(0.0 * must[None], 0.0 * may[None])",
    ),
    Mutant(
        "loop: open spikes are heard as certain ones",
        LOOP,
        "before = Box(must.clone()[None], may.clone()[None])",
        "before = Box(may.clone()[None], may.clone()[None])",
    ),
    Mutant(
        "loop: the input scale of the first step for all",
        LOOP,
        "scale[t : t + 1]",
        "scale[:1]",
    ),
    Mutant(
        "loop: a current over time is that of the first step",
        LOOP,
        "own, rows = slice(t % len(size), t % len(size) + 1), before.lower.shape[1]",
        "own, rows = slice(0, 1), before.lower.shape[1]",
    ),
    Mutant(
        "loop: a delayed signal is constant where its source is",
        LOOP,
        '''"""Return False: the first step is another."""
        return False''',
        '''"""Return False: the first step is another."""
        return True''',
    ),
    Mutant(
        "loop: trains of any start",
        LOOP,
        "found: Signal = loop.stepwise(node.rule)",
        "found: Signal = spikes(below, node.rule, rounding)",
    ),
    Mutant(
        "loop: prices forget what a layer hears of itself",
        "certify/bounds/prices/prices.py",
        "            own = costs.of(place)\n",
        "            own = asked[-1]\n",
    ),
    Mutant(
        "loop: prices on a step are costs of its own spikes, not of those before",
        "certify/bounds/signals/chains.py",
        "torch.ones(signal.num_steps - 1).diag(-1)",
        "torch.eye(signal.num_steps)",
    ),
    Mutant(
        "loop: prices fall on spikes behind what is heard",
        "certify/bounds/signals/chains.py",
        "torch.ones(signal.num_steps - 1).diag(-1)",
        "torch.ones(signal.num_steps - 1).diag(1)",
    ),
    Mutant(
        "loop: prices reach the layer before in place of the layer itself",
        "certify/bounds/signals/chains.py",
        "SourcedChain(len(sources), start)",
        "SourcedChain(len(sources) - 1, start)",
    ),
    Mutant(
        "circuit: a feedback is left out",
        "models/circuit/lowering.py",
        "return self._append(self._recurred(layer, rule, source, name))",
        "return self._append(Fired(name, (source,), rule.own, layer))",
    ),
    Mutant(
        "circuit: a feedback that was exchanged is taken",
        "models/circuit/lowering.py",
        "        check_parts(layer.neuron, layer.feedback, layer.synapse)\n",
        "",
    ),
    Mutant(
        "layer: parts of a pass forget the last spikes",
        LAYER,
        "torch.stack((*found.left, found.spikes[-1], *found.filtered))",
        "torch.stack((*found.left, 0 * found.spikes[-1], *found.filtered))",
    ),
    Mutant(
        "loop: a synapse forgets at each step",
        FILTERED,
        "Spread(left.middle + entering.middle,",
        "Spread(entering.middle,",
    ),
    Mutant(
        "loop: the radius of a synapse's current decays away",
        FILTERED,
        "left.radius + entering.radius + error)",
        "entering.radius + error)",
    ),
    Mutant(
        "loop: a delay within a loop is left out step by step",
        FILTERED,
        "[nothing] * min(filter.delay, steps)",
        "[]",
    ),
    Mutant(
        "loop: a step of a synapse rounds nothing",
        FILTERED,
        "left.radius + entering.radius + error)",
        "left.radius + entering.radius)",
    ),
    Mutant(
        "loop: what is heard goes past the synapse",
        LOOP,
        "return heard if self.filter is None else FilteredSignal(heard, self.filter, self.rounding)",
        "return heard",
    ),
    Mutant(
        "loop: a program filters nothing of a loop",
        "certify/milp/encoding.py",
        "rows = None if node.filter is None else array(node.filter.rows(found.num_steps))",
        "rows = None",
    ),
    Mutant(
        "circuit: a loop's synapse is left out",
        "models/circuit/lowering.py",
        "known = None if layer.synapse is None else layer.synapse.filter",
        "known = None",
    ),
    Mutant(
        "circuit: a loop's synapse that was exchanged is taken",
        "models/elements/recurrent.py",
        'if name == "synapse" and part is not None and kind is not Synapse:',
        "if False:",
    ),
    Mutant(
        "layer: parts of a pass forget the synapse's current",
        LAYER,
        "torch.stack((*found.left, found.spikes[-1], *found.filtered))",
        "torch.stack((*found.left, found.spikes[-1], *(0 * part for part in found.filtered)))",
    ),
    Mutant(
        "loop of states: the first pass hears nothing",
        AUTOMATON,
        "follow(t, before).box",
        "follow(t, Box(0.0 * before.lower, 0.0 * before.upper)).box",
    ),
    Mutant(
        "loop of states: open spikes are heard as certain ones",
        AUTOMATON,
        "follow(t, before).box",
        "follow(t, Box(before.upper, before.upper)).box",
    ),
    Mutant(
        "loop of states: the first pass pays no rounding",
        AUTOMATON,
        "Range(found.lower - slack.current, found.upper + slack.current)",
        "Range(found.lower, found.upper)",
    ),
    Mutant(
        "loop of states: a pass is of any spikes before",
        AUTOMATON,
        "spikes(loop.current(DelayedSpikes(found, box)))",
        "spikes(loop.below)",
    ),
    Mutant(
        "loop of states: each step hears the spikes of the first",
        "certify/bounds/automata/reachable.py",
        "entering(t, spikes[-1])",
        "entering(t, spikes[0])",
    ),
    Mutant(
        "circuit: readers of neurons alone answer for loops of theirs",
        "models/circuit/folding.py",
        "listed = (Leaky,) if looped else algebra.rules",
        "listed = algebra.rules",
    ),
    Mutant(
        "layer: neurons that hear themselves begin anew at each step",
        LAYER,
        "self.neuron.step(drive, left, num_steps)",
        "self.neuron.step(drive, None, num_steps)",
    ),
    Mutant(
        "layer: neurons that run otherwise may hear themselves",
        LAYER,
        "isinstance(part, own) and code ==",
        "isinstance(part, own) or code ==",
    ),
)
