"""Ways to break the compiled search: what it proposes must prove nothing, and must be torch's but for rounding."""

from mutant import Mutant

BRANCHING = "certify/branching/"
CLIMB_MUTANTS = (
    Mutant(
        "branching: prove by the compiled climb",
        BRANCHING + "bounding.py",
        "bound = evaluation.bound\n",
        "bound = proposal.best\n",
    ),
    Mutant(
        "branching: give an open node the rows that another one has left",
        BRANCHING + "bounding.py",
        "RowRanges(decisions.first[found.open], decisions.last[found.open])",
        "RowRanges(decisions.first[: len(rows)], decisions.last[: len(rows)])",
    ),
    Mutant(
        "climb kernel: step down",
        "kernels/sources/climb.c",
        "layer->prices[k] += scale * layer->first[k]",
        "layer->prices[k] -= scale * layer->first[k]",
    ),
    Mutant(
        "climb kernel: forget what the settled neurons spike",
        "kernels/sources/climb.c",
        "layer->fixed[t * C + k] += weights[layer->open[k] * m];",
        ";",
    ),
    Mutant(
        "climb kernel: the current's other end",
        "kernels/sources/climb.c",
        "price.v[l] > 0 ? high.v[l] : low.v[l]",
        "price.v[l] < 0 ? high.v[l] : low.v[l]",
    ),
    Mutant(
        "ranges kernel: the worst multipliers",
        "kernels/sources/ranges.c",
        "value.v[l] > record.v[l] ? state->prices[k].v[l]",
        "value.v[l] < record.v[l] ? state->prices[k].v[l]",
    ),
    Mutant(
        "ranges kernel: pay a slab's other end",
        "kernels/sources/ranges.c",
        "paid += price * (price > 0 ? least : most);",
        "paid += price * (price > 0 ? most : least);",
    ),
    Mutant(
        "ranges kernel: the input at the wrong corner",
        "kernels/sources/ranges.c",
        "sums[l] += costs[x + l] * (costs[x + l] > 0 ? low[x + l] : high[x + l]);",
        "sums[l] += costs[x + l] * (costs[x + l] < 0 ? low[x + l] : high[x + l]);",
    ),
    Mutant(
        "ranges kernel: forget the inputs behind the last eight",
        "kernels/sources/ranges.c",
        "    for (; x < m; x++) value += costs[x] * (costs[x] > 0 ? low[x] : high[x]);\n",
        "",
    ),
    Mutant(
        "ranges kernel: take a node for empty that may not be",
        "kernels/sources/ranges.c",
        "nodes->empty[node] = value > 0;",
        "nodes->empty[node] = value > -0.05;",
    ),
    Mutant(
        "ranges kernel: an end that does not exist costs nothing",
        "kernels/sources/ranges.c",
        "if (price > 0 ? isinf(least) : isinf(most)) price = 0;",
        "if (price > 0 ? isinf(least) : isinf(most)) least = most = 0;",
    ),
    Mutant(
        "ranges kernel: another sample's box",
        "kernels/sources/ranges.c",
        "    const double *low = layer->low + b * m, *high = layer->high + b * m;\n    double *costs",
        "    const double *low = layer->low, *high = layer->high;\n    double *costs",
    ),
    Mutant(
        "branching: take a range that overflows for one around 0",
        "certify/branching/ranges/slabs.py",
        "value = (value - error).nan_to_num(nan=-torch.inf, posinf=-torch.inf)",
        "value = (value - error).nan_to_num(nan=0.0, posinf=0.0)",
    ),
    Mutant(
        "bits kernel: an open bit moves nothing",
        "kernels/sources/bits.c",
        "radius[j] += 0.5 * fabs(column[j]);",
        "radius[j] += 0.4 * fabs(column[j]);",
    ),
    Mutant(
        "bits kernel: an open spike moves one end",
        "kernels/sources/bits.c",
        "                radius[i] += fabs(half);\n",
        "                radius[i] += half;\n",
    ),
    Mutant(
        "bits kernel: forget what a silent neuron keeps",
        "kernels/sources/bits.c",
        "            low[j] = least(below, 0.0);\n            high[j] = most(silent, 0.0);",
        "            low[j] = least(below, 0.0);\n            high[j] = 0.0;",
    ),
    Mutant(
        "bits kernel: every open spike subtracts",
        "kernels/sources/bits.c",
        "high[j] = most(silent, above - drop);",
        "high[j] = above - drop;",
    ),
    Mutant(
        "bits kernel: an open spike costs nothing",
        "kernels/sources/bits.c",
        "if (costs && (must || (may && costs[j] < 0.0))) cost += costs[j];",
        "if (costs && must) cost += costs[j];",
    ),
    Mutant(
        "bits kernel: count with the other end",
        "kernels/sources/bits.c",
        "window->costs[i] * (window->costs[i] < 0.0 ? work->most[at + i] : work->least[at + i]);",
        "window->costs[i] * work->least[at + i];",
    ),
    Mutant(
        "bits kernel: the widening of one step for all",
        "kernels/sources/bits.c",
        "        double widening = (double)(t + 1) * window->widening[j];",
        "        double widening = window->widening[j];",
    ),
    Mutant(
        "bits kernel: open counts are their middle",
        "kernels/sources/bits.c",
        "double radius = 0.5 * fabs(work->most[before + j] - work->least[before + j]);",
        "double radius = 0.0;",
    ),
    Mutant(
        "bits kernel: drop a child",
        "kernels/sources/bits.c",
        "for (int side = 0; side < 2; side++) {",
        "for (int side = 0; side < 1; side++) {",
    ),
    Mutant(
        "bits kernel: forget what is closed",
        "kernels/sources/bits.c",
        "            *heap->closed = least(*heap->closed, value);\n            continue;",
        "            continue;",
    ),
    Mutant(
        "bits: no rounding of the run",
        "certify/bits/known.py",
        "widening = widening + recursion_slack(widest, rule.decay, rule.span, steps, rounding)",
        "widening = torch.zeros_like(widening)",
    ),
    Mutant(
        "bits: potentials before a window begin at 0",
        "certify/bits/cutting.py",
        "high=_joined([layer.high[steps.start][at] for layer, at in pairs]),",
        "high=_joined([layer.high[0][at] for layer, at in pairs]),",
    ),
    Mutant(
        "bits: spikes that are certain make no current",
        "certify/bits/cutting.py",
        "signal = layer.must[steps].double().index_fill(1, chosen, 0.0)",
        "signal = torch.zeros_like(layer.must[steps].double())",
    ),
)
