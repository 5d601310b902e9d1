"""`spikecert demo`: from nothing to a report, in under a minute."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..progress import Bars
from ..telling import say, show, show_json_text, table
from .options import Json, Seed

if TYPE_CHECKING:
    from spikecert.runs.demo import Trained


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for report, record and networks.")] = Path(
        "runs/demo"
    ),
    epochs: Annotated[int, typer.Option(min=1)] = 30,
    samples: Annotated[int, typer.Option(min=1, max=300, help="Test samples.")] = 200,
    seed: Seed = 0,
    as_json: Json = False,
) -> int:
    """Train a network on real digits in three ways; gains, attacks, proofs side by side, and a report.

    Naturally, as the paper does (MS-MPPD), and with bounds in the loss, from the same initial weights.

    Run again, it takes finished training from the folder if the settings are the same.
    """
    start = time.perf_counter()
    import torch

    torch.set_num_threads(1)  # the same sums, so the same weights, on any number of cores
    from spikecert.commands.attack import summary
    from spikecert.runs import building
    from spikecert.runs import demo as work

    settings = work.DemoSettings(epochs, samples, seed)
    command = f"spikecert demo --epochs {epochs} --samples {samples} --seed {seed}"
    with Bars() as bars:
        data, trained = work.train(settings, out / "training", bars)
        if not as_json:
            show(_gains(trained))
        record = work.examine(data, trained, settings, command, bars)
    written = [*building.write_all(record, out), *work.save_networks(trained, out)]
    show_json_text(record.to_json()) if as_json else show(f"\n{summary(record)}")
    say(f"\n{time.perf_counter() - start:.1f} s; wrote {', '.join(path.name for path in written)}")
    say(f"open {out / 'report.html'}")
    return 0


def _gains(trained: "tuple[Trained, ...]") -> str:
    """Return the gains of every layer as a table of text, with what they are about."""
    from spikecert.reports.pages.wording import GAINS_CAPTION, gain_text

    rows = [
        (
            f"{network.name}, layer {layer.name}",
            gain_text(layer.operator_norm.upper),
            gain_text(layer.neuron_gain),
            gain_text(layer.gain),
        )
        for network in trained
        for layer in network.gains.layers
    ]
    return f"{GAINS_CAPTION}\n{table(('ℓ2 → ℓ2', '‖W‖', 'neuron', 'layer'), rows)}"
