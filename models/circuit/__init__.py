"""A network as a circuit: a flat graph of a closed set of nodes, which every reader folds with its own algebra."""

from .lowering import check_code, circuit, leaky_rule, leaky_rules, rule_of, runs_as
from .nodes import (
    Added,
    Algebra,
    Chosen,
    Circuit,
    Filtered,
    Fired,
    Input,
    Mapped,
    Node,
    Pooled,
    Read,
    Recurred,
    UnknownNode,
    check_known,
    fold,
)

__all__ = [
    "Added",
    "Algebra",
    "Chosen",
    "Circuit",
    "Filtered",
    "Fired",
    "Input",
    "Mapped",
    "Node",
    "Pooled",
    "Read",
    "Recurred",
    "UnknownNode",
    "check_code",
    "check_known",
    "circuit",
    "fold",
    "leaky_rule",
    "leaky_rules",
    "rule_of",
    "runs_as",
]
