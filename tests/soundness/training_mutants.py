"""Ways to break the bounds in the loss: runs that pay for each other's spikes."""

from mutant import Mutant

COUPLED = "training/bounds/spike_ends.py"
TRAINING_MUTANTS = (
    Mutant(
        "coupled: the lower run pays for its own spikes",
        COUPLED,
        "own = torch.sub(own, spike.flip(0)",
        "own = torch.sub(own, spike[[0, 0]]",
    ),
    Mutant(
        "coupled: the upper run pays for its own spikes",
        COUPLED,
        "own = torch.sub(own, spike.flip(0)",
        "own = torch.sub(own, spike[[1, 1]]",
    ),
    Mutant(
        "coupled: the upper end is the greater of the two",
        COUPLED,
        "potential[1].minimum(own[1])",
        "potential[1].maximum(own[1])",
    ),
    Mutant(
        "coupled: the runs forget nothing",
        COUPLED,
        "own = torch.add(enters, own, alpha=dynamics.decay)",
        "own = enters + own",
    ),
    Mutant(
        "coupled kernel: the upper run pays for its own spikes",
        "kernels/sources/membrane/coupled.c",
        "own1[j] = a1 - drop * s0;",
        "own1[j] = a1 - drop * s1;",
    ),
    Mutant(
        "coupled kernel: the silent residue is the fired one's",
        "kernels/sources/membrane/coupled.c",
        "REAL silent = v0 < threshold - drop ?",
        "REAL silent = v0 > threshold - drop ?",
    ),
    Mutant(
        "prefix: neurons that forget are taken as counting",
        "training/bounds/prefix_bounds.py",
        "forgets = any(decay != 1.0 for decay in decays)",
        "forgets = any(decay < 0.0 for decay in decays)",
    ),
    Mutant(
        "prefix: the potential's weights are in the wrong order",
        "training/bounds/prefix_bounds.py",
        "filter_rows(self.num_steps, node.rule)[-1:]",
        "filter_rows(self.num_steps, node.rule)[-1:].flip(1)",
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
        "windows: a neuron may stay silent whatever its low end is",
        "training/bounds/window_spikes.py",
        "alive[:step] &= ~_fires(low, dynamics)",
        "pass",
    ),
    Mutant(
        "windows: the bias counts once a row",
        "training/bounds/window_bounds.py",
        "_along(self.family.totals - 1.0, rows) * bias",
        "_along(self.family.totals - 1.0, rows) * 0.0 * bias",
    ),
    Mutant(
        "windows kernel: a silent neuron is cut one window late",
        "kernels/sources/membrane/windows.c",
        "REAL cut = in->cuts[step - a - 1];",
        "REAL cut = in->cuts[step - a];",
    ),
    Mutant(
        "windows kernel: the gradient goes to the last of the lowest potentials",
        "kernels/sources/membrane/windows.c",
        "int less = a == 0 || l < lowest[j]",
        "int less = a == 0 || l <= lowest[j]",
    ),
    Mutant(
        "sparse kernel: all numbers are taken as 1",
        "kernels/sources/sparse.c",
        "sums[k] += e->value * s->panel",
        "sums[k] += s->panel",
    ),
    Mutant(
        "sparse kernel: only the last block of rows counts",
        "kernels/sources/sparse.c",
        "memcpy(sums, target, sizeof sums);",
        "memset(sums, 0, sizeof sums);",
    ),
    Mutant(
        "sparse kernel: it takes a signal as full as it may be",
        "kernels/sources/sparse.c",
        "if ((double)found > most) return 1;",
        "(void)most;",
    ),
    Mutant(
        "sparse: a gradient that is not finite is taken, too",
        "models/running/sparse.py",
        "SHARE) if finite else None",
        "SHARE) if True else None",
    ),
    Mutant(
        "sparse: an evaluation goes another way than it is written",
        "models/running/sparse.py",
        "(layer.training and torch.is_grad_enabled()",
        "(torch.is_grad_enabled()",
    ),
    Mutant(
        "counts: a hook on the last neuron hears nothing",
        "models/running/running.py",
        "and plain(last):",
        "and True:",
    ),
    Mutant(
        "counts kernel: the spikes of the last step alone",
        "kernels/sources/membrane.c",
        "counts[j] += s;",
        "counts[j] = s;",
    ),
)
