"""Ways to break what bounds each step: middles and radii, and the compiled kernel that makes them."""

from mutant import Mutant

BOUNDS = "certify/bounds/"
STEP_MUTANTS = (
    Mutant(
        "pull: forget the sign of the input scale",
        "certify/bounds/signals/membrane.py",
        "scaled.abs() * spread.radius",
        "scaled * spread.radius",
    ),
    Mutant(
        "pull: forget the rounding of the run",
        "certify/bounds/signals/membrane.py",
        "spread.radius.add_(recursion_slack(",
        "spread.radius.sub_(recursion_slack(",
    ),
    Mutant(
        "interval: an open spike counts half",
        "certify/bounds/intervals/eager_spikes.py",
        "torch.sub(half, certain, alpha=0.5, out=radius[t, rows])",
        "torch.sub(half, certain, alpha=0.75, out=radius[t, rows])",
    ),
    Mutant(
        "interval: count open spikes as certain",
        "certify/bounds/intervals/eager_spikes.py",
        "fewest[rows] += certain",
        "fewest[rows] += possible",
    ),
    Mutant(
        "affine: W in place of |W| in a Linear layer's steps",
        "certify/bounds/signals/affine.py",
        "affine_rows(source.radius, modulus, slack.flatten())",
        "affine_rows(source.radius, weight, slack.flatten())",
    ),
    Mutant(
        "affine: W in place of |W| in other layers' steps",
        "certify/bounds/signals/affine.py",
        "behind(self.linear, self.absolute, source)",
        "behind(self.linear, self.linear, source)",
    ),
    Mutant(
        "affine: steps without the rounding of their products",
        "certify/bounds/signals/affine.py",
        "torch.add(radius, magnitude, alpha=gamma)",
        "torch.add(radius, magnitude, alpha=0.0)",
    ),
    Mutant(
        "affine: steps without the rounding of a bias",
        "certify/bounds/signals/affine.py",
        "slack = self.bias_magnitude * gamma + self.underflow(magnitude, rounding)",
        "slack = self.bias_magnitude * 0.0",
    ),
    Mutant(
        "affine: never refuse a run that may overflow",
        "certify/bounds/signals/affine.py",
        "rounding.largest * product_error(self.terms, rounding)",
        'float("inf")',
    ),
    Mutant(
        "table: an open step counts as certain",
        "certify/bounds/trains/forms.py",
        "(fired == size)",
        "(fired > 0)",
    ),
    Mutant(
        "table: runs of rows without their last row",
        "certify/bounds/trains/forms.py",
        "spikes[None, 1:] - spikes[:-1, None]",
        "spikes[None, :-1] - spikes[:-1, None]",
    ),
    Mutant(
        "trains: a hard reset's kernel for a subtracting reset",
        "certify/bounds/trains/step_trains.py",
        'if self.rule.reset == "zero" else None',
        "",
    ),
    Mutant(
        "kernel: take it whatever it computes",
        "kernels/loading.py",
        "if agrees(kernel, dtype):",
        "if kernel:",
    ),
    Mutant(
        "kernel: a certain spike where the threshold is only met",
        "kernels/sources/spikes.c",
        "certain = (REAL)(l > surely)",
        "certain = (REAL)(l >= surely)",
    ),
    Mutant(
        "kernel: no spike where the threshold is only met",
        "kernels/sources/spikes.c",
        "possible = (REAL)(h >= perhaps)",
        "possible = (REAL)(h > perhaps)",
    ),
    Mutant(
        "kernel: an open spike does not reset to 0",
        "kernels/sources/spikes.c",
        "l = lesser(l, possible > 0 ? 0 : perhaps);",
        ";",
    ),
    Mutant(
        "kernel: forget the silent case of a subtracting reset",
        "kernels/sources/spikes.c",
        "greater(lesser(h, surely), fired_high)",
        "fired_high",
    ),
    Mutant(
        "kernel: an open spike counts half",
        "kernels/sources/spikes.c",
        "radius[j] = (REAL)0.5 * may[j] - (REAL)0.5 * must[j];",
        "radius[j] = (REAL)0.25 * may[j] - (REAL)0.25 * must[j];",
    ),
    Mutant(
        "kernel: no edge of the graph where the threshold is only met",
        "kernels/sources/spikes.c",
        "edge = h >= perhaps ? node->alive[j] : 0",
        "edge = h > perhaps ? node->alive[j] : 0",
    ),
    Mutant(
        "kernel: no silence in the graph where the threshold is only met",
        "kernels/sources/spikes.c",
        "silent = l <= surely ? node->alive[j] : 0",
        "silent = l < surely ? node->alive[j] : 0",
    ),
    Mutant(
        "kernel: potentials in the graph above the threshold stay silent",
        "kernels/sources/spikes.c",
        "node->high[j] = lesser(h, surely);",
        "node->high[j] = h;",
    ),
    Mutant(
        "kernel: paths may end anywhere",
        "kernels/sources/spikes.c",
        "nodes[k].alive[j] > 0 ? nodes[k].shortest[j] : INFINITE",
        "nodes[k].shortest[j]",
    ),
    Mutant(
        "kernel: longest paths forget the spike that ends an edge",
        "kernels/sources/spikes.c",
        "node->longest[j] = from->longest[j] + length;",
        "node->longest[j] = from->longest[j];",
    ),
    Mutant(
        "kernel: a step of the graph is certain wherever it may be",
        "kernels/sources/spikes.c",
        "must[j] = 1 - next.silent[j];",
        "must[j] = next.reached[j];",
    ),
    Mutant(
        "kernel: leave out a row of a table whose end equals the current's",
        "kernels/sources/spikes.c",
        "last[j] += (REAL)(upper[j] >= lowest[i]);",
        "last[j] += (REAL)(upper[j] > lowest[i]);",
    ),
    Mutant(
        "kernel: the upper end of a current for its lower in a table",
        "kernels/sources/spikes.c",
        "first[j] += (REAL)(lower[j] > highest[i - 1]);",
        "first[j] += (REAL)(upper[j] > highest[i - 1]);",
    ),
    Mutant(
        "propagation: the difference of moduli for the modulus of a difference, where classes are few",
        BOUNDS + "propagation.py",
        "(weight[:, None] - weight).abs_()",
        "(weight[:, None].abs() - weight.abs()).abs_()",
    ),
)
