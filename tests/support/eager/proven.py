"""What prices prove of nodes of the search, by torch's operations: what prove.c must come to, up to rounding."""

from torch import Tensor

from spikecert.certify.bounds.prices.price_search import pair_prices
from spikecert.certify.bounds.prices.prices import PricedProblem, Specifications
from spikecert.certify.bounds.prices.stages import Staged
from spikecert.certify.branching.nodes.decisions import RowRanges, root
from spikecert.certify.branching.nodes.trimming import trim_rows
from spikecert.kernels.search.climb import ProvenNodes


def proven(network: Staged, specifications: Specifications, prices: tuple[Tensor, ...]) -> ProvenNodes:
    """Return what prices, last layer first, prove of each node, by torch's operations."""
    problem = PricedProblem.of(network, specifications)
    rows = root(network.stages[0].trains, len(specifications.samples))
    assert isinstance(rows, RowRanges)
    pairs = pair_prices(problem, tuple(price.double() for price in prices))
    found = problem.evaluate(pairs)
    left = trim_rows(problem, pairs, found, rows)
    return ProvenNodes(found.bound, left.first.long(), left.last.long())
