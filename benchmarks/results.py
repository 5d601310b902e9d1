"""Run the protocols behind docs/results.md and write their tables and figure into it: one command, resumable."""

import argparse
import re
from pathlib import Path

import matplotlib
import torch

from spikecert.progress import Bars
from spikecert.protocols import Options, Results, protocol, reproduce
from spikecert.protocols.prediction import correlation_table, correlations, scatter
from spikecert.protocols.tables import markdown

DOCS = Path(__file__).parents[1] / "docs"
OBJECTIVES = ("results-digits", "results-fashion-mnist")
PAPER = ("digits", "fashion-mnist")


def blocks(results: dict[str, Results]) -> dict[str, str]:
    """Return what stands between the marks of each name in the document."""
    tables = {name: markdown(found) for name, found in results.items()}
    found = [item for name in (*OBJECTIVES, *PAPER) for item in correlations(results[name])]
    return {**tables, "correlations": correlation_table(found)}


def put(text: str, name: str, content: str) -> str:
    """Return the document with `content` between <!-- NAME --> and <!-- end NAME -->."""
    begin, end = f"<!-- {name} -->", f"<!-- end {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"results.md: has no {begin} … {end}")
    return pattern.sub(lambda _: f"{begin}\n{content}{end}", text)


def main() -> None:
    """Reproduce what is not there yet, then write docs/results.md and docs/figures/results.svg."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce"), help="folder of the protocols' runs")
    parser.add_argument(
        "--root", type=Path, help="folder with Fashion-MNIST, where Debian's package is not installed"
    )
    parser.add_argument("--quick", action="store_true", help="the paper's protocol on Fashion-MNIST with one seed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seeds = {"fashion-mnist": (0,)} if arguments.quick else {}
    results: dict[str, Results] = {}
    with Bars() as bars:
        for name in (*OBJECTIVES, *PAPER):
            options = Options(arguments.root, seeds=seeds.get(name))
            results[name] = reproduce(protocol(name), arguments.out / name, options, bars)
    document = DOCS / "results.md"
    text = document.read_text(encoding="utf-8")
    for name, content in blocks(results).items():
        text = put(text, name, content)
    document.write_text(text, encoding="utf-8")
    matplotlib.rcParams["svg.hashsalt"] = "spikecert"
    figure = scatter([results[name] for name in OBJECTIVES], "trains")
    figure.savefig(DOCS / "figures" / "results.svg", metadata={"Date": None})
    print(f"wrote {document.name} and figures/results.svg")


if __name__ == "__main__":
    main()
