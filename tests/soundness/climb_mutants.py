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
        "branching: take a range that overflows for one around 0",
        "certify/branching/ranges/ranges.py",
        "value = (value - error).nan_to_num(nan=-torch.inf, posinf=-torch.inf)",
        "value = (value - error).nan_to_num(nan=0.0, posinf=0.0)",
    ),
)
