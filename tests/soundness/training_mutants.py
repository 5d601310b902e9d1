"""Ways to break the bounds in the loss: runs that pay for each other's spikes."""

from mutant import Mutant

COUPLED = "training/bounds/coupled_ends.py"
FIRING = "training/bounds/firing.py"
TRAINING_MUTANTS = (
    Mutant(
        "coupled: the lower run pays for its own spikes",
        COUPLED,
        "own_low - drop * may[-1], own_high",
        "own_low - drop * must[-1], own_high",
    ),
    Mutant(
        "coupled: the upper run pays for its own spikes",
        COUPLED,
        "own_high - drop * must[-1]\n",
        "own_high - drop * may[-1]\n",
    ),
    Mutant(
        "coupled: the residue of an open spike is that of the silent case",
        FIRING,
        "joined = low.clamp_max(theta - drop), (",
        "joined = low, (",
    ),
    Mutant(
        "coupled: the residue of an open spike is that of the fired case",
        FIRING,
        "(high - drop).clamp_min(theta)",
        "high - drop",
    ),
    Mutant(
        "coupled: the upper end is the greater of the two",
        COUPLED,
        "torch.minimum(own_high, most",
        "torch.maximum(own_high, most",
    ),
    Mutant(
        "coupled: the runs forget nothing",
        COUPLED,
        "least + decay * own_low, most + decay * own_high",
        "least + own_low, most + own_high",
    ),
    Mutant(
        "coupled kernel: the upper run pays for its own spikes",
        "kernels/sources/coupled.c",
        "own1[j] = a1 - drop * s0;",
        "own1[j] = a1 - drop * s1;",
    ),
    Mutant(
        "coupled kernel: the silent residue is the fired one's",
        "kernels/sources/coupled.c",
        "REAL silent = v0 < threshold - drop ?",
        "REAL silent = v0 > threshold - drop ?",
    ),
    Mutant(
        "prefix: neurons that forget are taken as counting",
        "training/bounds/prefix_bounds.py",
        "isinstance(rule, Leaky) and rule.decay == 1.0 for",
        "isinstance(rule, Leaky) for",
    ),
    Mutant(
        "prefix: the potential's weights are in the wrong order",
        "training/bounds/prefix_bounds.py",
        "for age in reversed(range(self.num_steps))",
        "for age in range(self.num_steps)",
    ),
    Mutant(
        "windows: silence in between is taken as a potential of 0",
        "training/bounds/window_spikes.py",
        "window_high[start + 1] + dynamics.threshold * dynamics.decay",
        "window_high[start + 1] + 0.0 * dynamics.decay",
    ),
    Mutant(
        "windows: edges leave nodes that no path reaches",
        "training/bounds/window_spikes.py",
        "edges.append(alive[:step] & _fires(high, dynamics))",
        "edges.append(_fires(high, dynamics))",
    ),
    Mutant(
        "windows: what ends earlier may end anywhere",
        "training/bounds/window_spikes.py",
        "return (lengths + silences[end - 1]).amin(0)",
        "return lengths.amin(0)",
    ),
    Mutant(
        "windows: the bias counts once a row",
        "training/bounds/window_bounds.py",
        "_along(self.family.totals - 1.0, ends) * bias",
        "_along(self.family.totals - 1.0, ends) * 0.0 * bias",
    ),
    Mutant(
        "windows kernel: a silent neuron is cut one window late",
        "kernels/sources/windows.c",
        "REAL cut = in->cuts[step - a - 1];",
        "REAL cut = in->cuts[step - a];",
    ),
    Mutant(
        "windows kernel: the gradient goes to the last of the lowest potentials",
        "kernels/sources/windows.c",
        "int less = a == 0 || l < lowest[j]",
        "int less = a == 0 || l <= lowest[j]",
    ),
)
