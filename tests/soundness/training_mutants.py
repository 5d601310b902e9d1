"""Ways to break the bounds in the loss: runs that pay for each other's spikes."""

from mutant import Mutant

COUPLED = "training/coupled_ends.py"
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
        COUPLED,
        "below.clamp_max(theta - drop)",
        "below",
    ),
    Mutant(
        "coupled: the residue of an open spike is that of the fired case",
        COUPLED,
        "(above - drop).clamp_min(theta)",
        "above - drop",
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
        "kernels/coupled.c",
        "own1[j] = a1 - drop * s0;",
        "own1[j] = a1 - drop * s1;",
    ),
    Mutant(
        "coupled kernel: the silent residue is the fired one's",
        "kernels/coupled.c",
        "REAL silent = v0 < threshold - drop ?",
        "REAL silent = v0 > threshold - drop ?",
    ),
    Mutant(
        "prefix: neurons that forget are taken as counting",
        "training/prefix_bounds.py",
        "isinstance(rule, Leaky) and rule.decay == 1.0 for",
        "isinstance(rule, Leaky) for",
    ),
    Mutant(
        "prefix: the potential's weights are in the wrong order",
        "training/prefix_bounds.py",
        "for age in reversed(range(self.num_steps))",
        "for age in range(self.num_steps)",
    ),
)
