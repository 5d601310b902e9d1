"""Break the bounds on purpose and see whether the tests notice.

    python tests/soundness/mutations.py [--only TEXT] [--processes 2]

Each mutant of mutants.py is applied to a copy of the package in a temporary folder, and the tests of bounds and
verifiers run against the copy until one fails: those that name the broken part first, then all. Examples are
derandomised, so a run repeats itself. Exits with 1 if a mutant survives, and with 2 if the unchanged copy fails or
a mutant's source text is gone.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from layout import ROOT, copy_package
from mutant import Mutant
from mutants import EQUIVALENT, MUTANTS

TESTS = (
    "tests/certify/rounding",
    "tests/certify/bounds",
    "tests/certify/network_sets",
    "tests/certify/pairs",
    "tests/certify/bits",
    "tests/certify/branching",
    "tests/certify/integers",
    "tests/models/chips",
    "tests/models/elements/test_integers.py",
    "tests/models/elements/test_per_step.py",
    "tests/models/elements/test_coupled.py",
    "tests/models/elements/test_heard.py",
    "tests/models/tracing",
    "tests/conversion/test_refractory.py",
    "tests/certify/verifiers/test_margins.py",
    "tests/certify/verifiers/test_enumeration.py",
    "tests/certify/verifiers/test_moves.py",
    "tests/certify/verifiers/test_single_moves.py",
    "tests/certify/test_arithmetic.py",
    "tests/certify/test_ties.py",
    "tests/certify/test_unfinished.py",
    "tests/certify/test_event_radii.py",
    "tests/soundness/test_layers.py",
    "tests/certify/verifiers/test_milp.py",
    "tests/certify/lirpa",
    "tests/conversion/test_synapses.py",
    "tests/conversion/test_drawing.py",
    "tests/analysis/gains/test_filter_gains.py",
    "tests/conversion/test_constants_that_differ.py",
    "tests/conversion/test_recurrent.py",
    "tests/conversion/nir/test_long_graphs.py",
    "tests/models/test_circuit.py",
    "tests/models/elements/test_registry.py",
    "tests/models/running/test_compiled.py",
    "tests/models/running/test_sparse.py",
    "tests/training/bounds/test_prefix_bounds.py",
    "tests/training/bounds/test_window_bounds.py",
    "tests/training/bounds/test_compiled_ends.py",
    "tests/models/test_linear_maps.py",
    "tests/must_raise",
    "tests/checking/network/test_rates.py",
    "tests/checking/maps/test_layers.py",
    "tests/checking/numbers/test_ranks.py",
    "tests/checking/test_sequence_layers.py",
    "tests/checking/test_subnormal.py",
    "tests/checking/test_cell_proofs.py",
    "tests/checking/test_rounding.py",
    "tests/checking/test_elements.py",
    "tests/checking/events/test_recordings.py",
    "tests/checking/kernel",
    "tests/checking/test_property_proofs.py",
    "tests/checking/test_readout_proofs.py",
    "tests/checking/test_state_proofs.py",
    "tests/checking/test_event_proofs.py",
    "tests/contracts",
    "tests/formats/test_onnx.py",
    "tests/certify/radii/test_radius.py",
    "tests/certify/attacks/test_contract.py",
    "tests/theorems/test_theorems.py",
    "tests/soundness",
)
FIRST = {
    "bounds/points": "test_points",
    "sources/walks": "test_compiled_points",
    "bounds/compiled_points": "test_compiled_points",
    "splitting/forks": "test_points",
    "tracing/lengthening": "test_long_graphs",
    "network_sets": "test_tolerance or test_stuck or test_sizes",
    "certify/pairs": "test_equivalence or test_exact_twin",
    "bounds/exact": "test_exact_twin",
    "formats/onnx": "formats and onnx",
    "certify/radii/bracketing": "radius and share",
    "certify/attacks/pgd": "TestPGD and trained",
    "analysis/symbolic": "characteristic",
    "checking/network/kinds": "checking and elements",
    "checking/maps/filters": "checking and elements",
    "checking/maps/pooling": "checking and elements",
    "checking/network/loops": "checking and elements",
    "checking/events/changing": "checking and recordings",
    "checking/numbers/ranks": "checking and (recordings or ranks)",
    "checking/events/units": "checking and recordings",
    "checking/events/recordings": "checking and recordings",
    "checking/events/entering": "checking and event_proofs",
    "checking/proof": "checking and event_proofs",
    "checking/kernel": "checking and kernel and not agreement",
    "checking/network/measuring": "checking and (elements or rounding)",
    "checking/maps/affine": "checking and (layers or rounding)",
    "checking/network/graph": "checking and elements",
    "elements/integers": "integers or quantizing",
    "automata/whole": "integers or quantizing",
    "whole_box": "integers",
    "bounds/readouts": "integers or quantizing or readouts",
    "rounding/units": "integers or rounding",
    "bounds/automata": "automata or reachable or adaptive",
    "elements/adaptive": "adaptive",
    "elements/coupled": "coupled",
    "signals/chosen": "per_step",
    "milp/adaptive": "adaptive",
    "eager_cells": "cells",
    "eager_pairs": "cells",
    "price_cells": "cells or linear or conserved",
    "inflow": "cells or conserved",
    "automaton": "cells or conserved",
    "pair_margins": "conserved",
    "looking_through": "conserved",
    "balanced_table": "conserved",
    "priced_layer": "linear or conserved",
    "sparse": "running and test_sparse",
    "running/running": "running and test_sparse",
    "membrane.c": "running and test_compiled",
    "spikes.c": "compiled_spikes",
    "climb.c": "fused_climb",
    "prove.c": "fused_climb",
    "graph.c": "compiled_graph",
    "compiled_graph": "compiled_graph",
    "ranges.c": "test_ranges or test_foresight",
    "foresight": "test_foresight",
    "long.c": "compiled_long",
    "long/long_trains": "test_carried or test_long_trains",
    "cells.c": "test_cells",
    "bits.c": "test_bits",
    "moves.c": "single_moves",
    "changes.c": "compiled_changes",
    "single_moves": "single_moves",
    "signals/affine": "test_carried or compiled_changes or layers",
    "certify/bits/": "test_bits",
    "paths.c": "compiled_paths",
    "step_trains": "compiled_spikes or spread",
    "kernels/loading.py": "compiled_spikes",
    "enumeration": "test_enumeration",
    "spike_flip": "test_enumeration or flip_kinds",
    "regions.py": "flip_kinds",
    "summed": "event_changes",
    "event_change.py": "event_changes",
    "mixing": "event_changes",
    "milp/inputs": "event_changes or milp",
    "retiming": "test_shifts",
    "shifts.py": "test_shifts",
    "spike_shift": "test_shifts",
    "event_sets": "flip_kinds",
    "latency_codes": "latency_codes",
    "verifiers/move": "test_moves",
    "moved_events": "moved_events",
    "once_trains": "once_trains",
    "certify/radii/scales": "event_radii",
    "rates.py": "test_rates",
    "rate_trains": "test_rate",
    "certify/ties.py": "ties",
    "certify/replay.py": "ties or arithmetic",
    "verifiers/complete": "ties or branching",
    "verifiers/milp": "ties or milp",
    "branching": "branching",
    "recurrent.py": "recurrent",
    "joined.py": "varied",
    "readouts.py": "test_readouts",
    "operator_norms.py": "pooling",
    "many_kinds": "varied",
    "lanes.py": "varied",
    "models/elements/varied.py": "varied",
    "pooled.py": "pooling",
    "pool_lines": "pooling",
    "max_pooling": "pooling",
    "filtered.py": "filters",
    "synapses.py": "filters",
    "chains.py": "filters or pooling",
    "stages.py": "filters or branching",
    "bounds/ends.py": "filters or pooling or window",
    "spike_ends.py": "compiled_ends or prefix",
    "models/networks.py": "pooling or filters",
    "interval.py": "interval or readout or spread",
    "eager_spikes": "interval or readout or spread",
    "resets.py": "interval or readout or spread or reset_amount",
    "train_graph": "graph",
    "train_table": "table or branching",
    "trains/forms": "table or branching",
    "filter_gains": "filter_gains",
    "analysis/gains/gains.py": "filter_gains or gain",
    "analysis/operators.py": "filter_gains or gain or pooling",
    "conversion/nir_": "synap",
    "guessing/states": "test_states_of_ones_own or own_spikes or other_at_one_step",
    "tracing/draws": "own_draws",
    "models/tracing": "hand_written or refractory or polynomials or reach",
    "automata/looping": "heard",
    "elements/recurrent": "heard or recurrent",
    "models/conversion": "constants_that_differ or (conversion and recurrent)",
    "models/constants.py": "constants or must_raise",
    "models/rules.py": "test_circuit or fail_closed or constants or extremes",
    "circuit/unchanged.py": "changed_networks or replaced_functions or fail_closed",
    "circuit/shipped.py": "replaced_functions",
    "models/files": "registry",
    "models/circuit": "test_circuit or fail_closed or structures or readouts or residual or recurrent",
    "certify/lirpa": "lirpa",
    "certify/milp": "milp",
    "checking": "checking",
    "linear_maps": "linear_maps or arithmetic or sequences or affine or spread or Flips or extremes or structures",
    "affine.py": "affine or spread or Flips or extremes or structures",
    "certify/rounding": "extremes or rounding or table or filters",
    "prices.py": "extremes or linear or ties",
    "box.py": "precision or spread or readout",
    "propagation.py": "test_circuit or readout or spread or margins",
    "gain": "gain or structures",
    "price": "linear",
    "linear.py": "linear or ties",
    "certify/verifiers/b": "margins or ties or contracts or TestVerifier",
    "": "spread or table or graph or affine or trains or readout or interval",
}
"""The tests that run first, as pytest's -k, by a part of the mutant's file name."""
PLUGIN = """
from hypothesis import Phase, settings
import spikecert

def pytest_collection():
    assert spikecert.__file__.startswith({folder!r}), spikecert.__file__
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutation", derandomize=True, deadline=None, database=None, phases=phases)
    settings.load_profile("mutation")
"""


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: the test that failed, or None if all passed."""

    mutant: Mutant | None
    killer: str | None
    seconds: float


def mutate(mutant: Mutant, folder: Path) -> None:
    """Change the copy.

    Raises:
        LookupError: unless the source text is there exactly once.
    """
    path = folder / "spikecert" / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        raise LookupError(
            f"{mutant.what}: {mutant.file} holds {text.count(mutant.old)} × {mutant.old!r}, expected 1"
        )
    path.write_text(text.replace(mutant.old, mutant.new))


def run(mutant: Mutant | None) -> Outcome:
    """Run the tests against a mutated copy, or all of them against the unchanged one for None."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_package(folder)
        (folder / "mutation_settings.py").write_text(PLUGIN.format(folder=name))
        killer = None
        if mutant is not None:
            mutate(mutant, folder)
            chosen = next(tests for part, tests in FIRST.items() if part in mutant.file)
            killer = failing_test(name, "-k", chosen)
        killer = killer or failing_test(name)
    return Outcome(mutant, killer, time.perf_counter() - started)


def failing_test(folder: str, *options: str) -> str | None:
    """Return the first test that fails with the package in `folder`, or None.

    Raises:
        RuntimeError: if the tests did not run.
    """
    settings = ["-x", "-q", "-p", "no:cacheprovider", "-p", "mutation_settings", "--tb=no"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *settings, *options, *TESTS],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1", "THOROUGH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pytest ended with {done.returncode}\n{done.stdout[-3000:]}{done.stderr}")
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0] if done.returncode else None


def check_sources(mutants: list[Mutant]) -> None:
    """Raise LookupError if a mutant's source text is gone."""
    with tempfile.TemporaryDirectory() as name:
        for mutant in mutants:
            copy_package(Path(name))
            mutate(mutant, Path(name))


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run all mutants and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="mutants whose description or file holds this text")
    parser.add_argument("--skip-baseline", action="store_true", help="do not run the unchanged package")
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    mutants = [mutant for mutant in MUTANTS if arguments.only in mutant.what + mutant.file]
    try:
        check_sources(mutants)
    except LookupError as error:
        say(str(error))
        return 2
    if not arguments.skip_baseline:
        baseline = run(None)
        if baseline.killer is not None:
            say(f"the unchanged package fails {baseline.killer}")
            return 2
        say(f"The unchanged package passes ({baseline.seconds:.0f} s).")
    say("\n| mutant | killed by | s |\n|---|---|---|")
    survived = 0
    with ThreadPoolExecutor(arguments.processes) as pool:
        for outcome in pool.map(run, mutants):
            assert outcome.mutant is not None
            survived += outcome.killer is None
            killer = outcome.killer or "**survived**"
            say(f"| {outcome.mutant.what} | {killer} | {outcome.seconds:.0f} |")
    say(f"\n{len(mutants) - survived} of {len(mutants)} killed. Equivalent, not run:")
    for reason in EQUIVALENT:
        say(f"* {reason}")
    return int(survived > 0)


if __name__ == "__main__":
    sys.exit(main())
