"""The protocol of tasks that need memory: rows have data sets of their own, and events that move."""

from pathlib import Path

from spikecert import protocols
from spikecert.protocols.planning import cells
from spikecert.protocols.reproducing import Options, reproduce
from spikecert.training.data.temporal.pulses import TASKS


def test_each_task_is_certified_beside_its_twin_without_memory() -> None:
    rows = cells(protocols.protocol("temporal"))
    assert {cell.data for cell in rows} == set(TASKS)
    for task in TASKS:
        memory, none = (next(cell for cell in rows if cell.row == f"{task}{end}") for end in ("", ", λ = 0"))
        assert (memory.start.decay, none.start.decay) == (None, 0.0)


def test_digits_in_sequence_are_certified_beside_twins_without_loops_and_memory() -> None:
    rows = {cell.row: cell for cell in cells(protocols.protocol("temporal-digits"))}
    for task in ("recall", "blocks"):
        start = rows[f"{task}, no loop, λ = 0"].start
        assert (start.decay, start.architecture and start.architecture[:4]) == (0.0, "mlp:")
        assert (rows[task].start.architecture or "recurrent").startswith("recurrent")


def test_rows_run_on_their_own_data(tmp_path: Path) -> None:
    found = protocols.protocol("temporal")
    quick = found.evaluation.model_copy(update={"attacks": ("spike-shift",)})
    options = Options(epochs=1, samples=3, train_samples=40, seeds=(0,), only="λ = 0")
    results = reproduce(found.model_copy(update={"evaluation": quick}), tmp_path, options)
    assert len({run.key for run in results.runs}) == len(TASKS)
    for run in results.runs:
        (point,) = run.points
        assert point.samples == 3
        assert point.certified["trains"] <= point.certified["auto"] <= point.robust["spike-shift"] <= point.clean
    text = (tmp_path / "results.md").read_text()
    assert "on order, delayed-xor, gap, coincidence, copying, T = 10" in text
    assert "shifted events (budget jitter, merge add), ε = 1" in text
