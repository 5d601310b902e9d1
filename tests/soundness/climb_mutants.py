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
)
