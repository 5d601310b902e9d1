"""Ways to break what is known of a layer that hears itself."""

from mutant import Mutant

LOOP = "certify/bounds/recurrent.py"
LAYER = "models/recurrent.py"
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
        "before = Box(heard, heard)",
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
        "own = t % len(below.lower)",
        "own = 0",
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
        "circuit: a feedback is left out",
        "models/circuit/lowering.py",
        "return self._append(self._recurred(layer, rule, source, name))",
        "return self._append(Fired(name, (source,), rule.own, layer))",
    ),
    Mutant(
        "circuit: a feedback that was exchanged is taken",
        "models/circuit/lowering.py",
        "        check_parts(layer.neuron, layer.feedback)\n",
        "",
    ),
    Mutant(
        "layer: parts of a pass forget the last spikes",
        LAYER,
        "torch.stack((found.left, found.spikes[-1]))",
        "torch.stack((found.left, 0 * found.spikes[-1]))",
    ),
)
