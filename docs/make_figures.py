"""Write the figures of the docs: `python docs/make_figures.py`."""

from pathlib import Path

import matplotlib
import torch

from spikecert.analysis import StabilityReport, layer_operators, stability
from spikecert.analysis.gains.gain_plots import (
    bode_figure,
    growth_figure,
    horizon_figure,
    layer_figure,
    norm_figure,
)
from spikecert.certify import LInf, attack
from spikecert.models import LIF, SpikingNetwork, mlp
from spikecert.training import dataset, fit

EPSILON = 8 / 255
SAMPLES = 100


def trained() -> SpikingNetwork:
    """Return a network that is trained on the digits, which takes seconds."""
    torch.manual_seed(0)
    return fit(mlp((64, 64, 32, 10), neuron=LIF(0.9)), dataset("digits"), epochs=15, seed=0).network.eval()


def measured(network: SpikingNetwork) -> StabilityReport:
    """Return its stability on test samples, against noise and against PGD of the same ε."""
    split = dataset("digits").test
    inputs, labels = split.inputs[:SAMPLES], split.labels[:SAMPLES]
    noise = EPSILON * torch.randn(inputs.shape, generator=torch.Generator().manual_seed(0))
    adversarial = attack(network, inputs, labels, LInf(EPSILON), method="pgd").inputs
    return stability(network, inputs, {"noise": inputs + noise, "PGD": adversarial})


def main() -> None:
    """Write five figures to docs/figures."""
    folder = Path(__file__).with_name("figures")
    folder.mkdir(exist_ok=True)
    matplotlib.rcParams["svg.hashsalt"] = "spikecert"  # the same file from the same figure
    network = trained()
    growth = growth_figure(measured(network))
    growth.axes[0].set_title(f"digits, {SAMPLES} test samples, 64-64-32-10, λ = 0.9, T = 8, ε = 8/255", fontsize=9)
    growth.axes[0].set_xlabel("0: samples that PGD returns unchanged (already wrong, or not broken)", fontsize=8)
    figures = {
        "bode": bode_figure(),
        "layer": layer_figure(layer_operators(network)[0]),
        "growth": growth,
        "horizon": horizon_figure(),
        "norm": norm_figure(),
    }
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        print(f"wrote figures/{name}.svg")


if __name__ == "__main__":
    main()
