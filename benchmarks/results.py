"""Run the protocols behind docs/tables.md and write their tables and figure into it: one command, resumable."""

import argparse
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib
import torch
from matplotlib.figure import Figure

from spikecert.progress import Bars
from spikecert.protocols import Options, Results, protocol, reproduce
from spikecert.protocols.depth import depth_figure
from spikecert.protocols.prediction import correlation_table, correlations, scatter
from spikecert.protocols.tables import markdown

DOCS = Path(__file__).parents[1] / "docs"
OBJECTIVES = ("results-digits", "results-fashion-mnist")
PAPER = ("digits", "fashion-mnist")
DEPTH = ("depth-fashion-mnist", "depth-mnist")
ALL = (*OBJECTIVES, *PAPER, *DEPTH, "depth-objectives")


def blocks(results: dict[str, Results]) -> dict[str, str]:
    """Return what stands between the marks of each name in the document; correlations where all is there."""
    tables = {name: markdown(found) for name, found in results.items()}
    if not {*OBJECTIVES, *PAPER} <= set(results):
        return tables
    found = [item for name in (*OBJECTIVES, *PAPER) for item in correlations(results[name])]
    return {**tables, "correlations": correlation_table(found)}


def put(text: str, name: str, content: str) -> str:
    """Return the document with `content` between <!-- NAME --> and <!-- end NAME -->."""
    begin, end = f"<!-- {name} -->", f"<!-- end {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"tables.md: has no {begin} … {end}")
    return pattern.sub(lambda _: f"{begin}\n{content}{end}", text)


def main() -> None:
    """Reproduce what is not there yet, then write docs/tables.md and its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce"), help="folder of the protocols' runs")
    parser.add_argument("names", nargs="*", help=f"these protocols alone, of {', '.join(ALL)}")
    parser.add_argument(
        "--root",
        type=Path,
        help="folder with mnist/ and fashion-mnist/; the latter may come from Debian's package",
    )
    parser.add_argument("--quick", action="store_true", help="the paper's protocol on Fashion-MNIST with one seed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seeds = {"fashion-mnist": (0,)} if arguments.quick else {}
    results: dict[str, Results] = {}
    with Bars() as bars:
        for name in arguments.names or ALL:
            options = Options(arguments.root, seeds=seeds.get(name))
            results[name] = reproduce(protocol(name), arguments.out / name, options, bars)
    document = DOCS / "tables.md"
    text = document.read_text(encoding="utf-8")
    for name, content in blocks(results).items():
        text = put(text, name, content)
    document.write_text(text, encoding="utf-8")
    matplotlib.rcParams["svg.hashsalt"] = "spikecert"
    written = [document.name, *draw(results)]
    print(f"wrote {', '.join(written)}")


def draw(results: dict[str, Results]) -> list[str]:
    """Write the figures whose protocols are all there, and return their names."""
    drawn: dict[str, tuple[tuple[str, ...], Callable[[list[Results]], Figure]]] = {
        "results.svg": (OBJECTIVES, partial(scatter, verifier="trains")),
        "depth.svg": (DEPTH, depth_figure),
    }
    found = {name: drawing for name, drawing in drawn.items() if set(drawing[0]) <= set(results)}
    for name, (protocols, picture) in found.items():
        picture([results[one] for one in protocols]).savefig(DOCS / "figures" / name, metadata={"Date": None})
    return list(found)


if __name__ == "__main__":
    main()
