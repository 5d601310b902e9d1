"""Ways to break a bound: one textual change each makes it unsound, or inexact where it claims to be exact."""

from aged_mutants import AGED_MUTANTS
from answering_mutants import ANSWERING_MUTANTS
from automaton_mutants import AUTOMATON_MUTANTS
from bound_mutants import BOUND_MUTANTS
from cell_mutants import CELL_MUTANTS
from checker_mutants import CHECKER_MUTANTS
from circuit_mutants import CIRCUIT_MUTANTS
from climb_mutants import CLIMB_MUTANTS
from conversion_mutants import CONVERSION_MUTANTS
from coupled_mutants import COUPLED_MUTANTS
from draws_mutants import DRAWS_MUTANTS
from element_mutants import ELEMENT_MUTANTS
from event_mutants import EVENT_MUTANTS
from filter_mutants import FILTER_MUTANTS
from integer_mutants import INTEGER_MUTANTS
from kernel_mutants import KERNEL_MUTANTS
from latency_mutants import LATENCY_MUTANTS
from listing_mutants import LISTING_MUTANTS
from moving_mutants import MOVING_MUTANTS
from network_set_mutants import NETWORK_SET_MUTANTS
from onnx_mutants import ONNX_MUTANTS
from pooling_mutants import POOLING_MUTANTS
from readout_mutants import READOUT_MUTANTS
from recording_mutants import RECORDING_MUTANTS
from recurrent_mutants import RECURRENT_MUTANTS
from refractory_mutants import REFRACTORY_MUTANTS
from search_mutants import SEARCH_MUTANTS
from sharing_mutants import SHARING_MUTANTS
from step_mutants import STEP_MUTANTS
from tracing_mutants import TRACING_MUTANTS
from training_mutants import TRAINING_MUTANTS
from trains_mutants import TRAINS_MUTANTS
from varied_mutants import VARIED_MUTANTS
from verifying_mutants import VERIFYING_MUTANTS

MUTANTS = (
    *AGED_MUTANTS,
    *STEP_MUTANTS,
    *ANSWERING_MUTANTS,
    *AUTOMATON_MUTANTS,
    *CELL_MUTANTS,
    *CHECKER_MUTANTS,
    *CIRCUIT_MUTANTS,
    *CLIMB_MUTANTS,
    *SEARCH_MUTANTS,
    *SHARING_MUTANTS,
    *COUPLED_MUTANTS,
    *ELEMENT_MUTANTS,
    *EVENT_MUTANTS,
    *CONVERSION_MUTANTS,
    *KERNEL_MUTANTS,
    *LATENCY_MUTANTS,
    *LISTING_MUTANTS,
    *MOVING_MUTANTS,
    *NETWORK_SET_MUTANTS,
    *POOLING_MUTANTS,
    *ONNX_MUTANTS,
    *FILTER_MUTANTS,
    *DRAWS_MUTANTS,
    *RECORDING_MUTANTS,
    *RECURRENT_MUTANTS,
    *REFRACTORY_MUTANTS,
    *INTEGER_MUTANTS,
    *VARIED_MUTANTS,
    *READOUT_MUTANTS,
    *TRACING_MUTANTS,
    *TRAINING_MUTANTS,
    *TRAINS_MUTANTS,
    *BOUND_MUTANTS,
    *VERIFYING_MUTANTS,
)

EQUIVALENT = (
    "branching: close a leaf of bound −0.4 at that bound: its sample stays without proof, unknown in place of "
    "falsified where nothing else found its counterexample",
    "leaves: take θ for what a reset subtracts: the program finds other points, and its prices are bounded again",
    "graph: an edge from v > θ + tie in place of v ≥ θ − tie: the boxes are wider by the recursion's rounding, at "
    "least 8u·θ, which is the tie.",
    "table: a row whose end equals the current's left out of the look-up: rows are wider by the run's rounding, "
    "so that no run at that very end has the row's train.",
    "checker's layer: 2⁻⁸⁰ less on either side of a filtered train: numbers of cells are rounded outward to far "
    "coarser steps, and what Y/d loses is rounded outward once more.",
    "checker's graph: the mean is taken before a max pool, too: the kernel's means add rounding alone, so that "
    "the run's numbers are allowed to be farther off, and no sum over time changes.",
    "carried: the most that spikes took stays whole: it is at least 0 where a path is, so that bounds are wider",
)
"""Changes that no test can catch, with the reason; not run."""
