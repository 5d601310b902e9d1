"""Write the figures of the docs: `python docs/make_figures.py`."""

from pathlib import Path

import torch

from spikecert.analysis import layer_operators, stability
from spikecert.analysis.figures import bode_figure, growth_figure, horizon_figure, layer_figure, norm_figure
from spikecert.models import LIF, mlp


def main() -> None:
    """Write five figures to docs/figures."""
    folder = Path(__file__).with_name("figures")
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    network = mlp((64, 64, 32, 10), neuron=LIF(0.9))
    inputs = torch.rand(100, 64)
    report = stability(network, inputs, {"noise .03": inputs + 0.03 * torch.randn(100, 64)})
    figures = {
        "bode": bode_figure(),
        "layer": layer_figure(layer_operators(network)[0]),
        "growth": growth_figure(report),
        "horizon": horizon_figure(),
        "norm": norm_figure(),
    }
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        print(f"wrote figures/{name}.svg")


if __name__ == "__main__":
    main()
