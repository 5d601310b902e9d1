"""`spikecert zoo`: the certified networks that come with the package."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..telling import show, show_json, table
from .options import Json

if TYPE_CHECKING:
    from spikecert.certified_networks.keeping import Entry

PARTS = {"step 1 %": "first step", "λ = 0 %": "λ = 0", "anew %": "trained anew, λ = 0"}
"""Columns of what a network is without its time, and what `spikecert ablate` calls it."""


def zoo(
    name: Annotated[str | None, typer.Argument(help="One of them, to write.", metavar="[NAME]")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The network file to write.")] = None,
    as_json: Json = False,
) -> int:
    """List the certified networks of the package, which commands take as zoo:NAME, or write one's network file.

    Where T > 1, the share that is right without its time stands beside it: a network that keeps its accuracy at
    one step, or with λ = 0, does not use its time.

    `check-proof` trusts no other part of the package, and reads such a file.
    """
    from spikecert.certified_networks import zoo as entries

    if (name is None) != (out is None):
        told = f"name {name} without --out" if out is None else f"--out {out} without a name"
        raise ValueError(f"zoo: got {told}, expected both or none: zoo NAME --out FILE")
    if name is not None and out is not None:
        return _write(name, out, as_json)
    known = entries()
    show_json([entry.model_dump() for entry in known]) if as_json else show(_told(known))
    return 0


def _write(name: str, out: Path, as_json: bool) -> int:
    from spikecert.certified_networks import load_zoo
    from spikecert.models import network_hash, save

    network = load_zoo(name)
    save(network, out)
    told = {"name": name, "path": str(out), "network_hash": network_hash(network)}
    show_json(told) if as_json else show(f"{out}: network {told['network_hash'][:12]}…")
    return 0


def _told(known: "Sequence[Entry]") -> str:
    heads = ("name", "data", "T", "clean %", *PARTS, "norm", "ε", "certified %", "by", "title")
    lines = [
        (
            entry.name,
            entry.data,
            str(entry.num_steps),
            _percent(entry.clean / entry.samples),
            *(_percent(entry.without(name)) for name in PARTS.values()),
            entry.norm,
            f"{epsilon:.4g}",
            _percent(share),
            entry.verifier,
            entry.title,
        )
        for entry in known
        for epsilon, share in entry.shares.items()
    ]
    commands = [entry.ablated for entry in known if entry.ablated is not None]
    shown = [table(heads, lines)]
    if commands:
        shown.append(
            "step 1, λ = 0, anew: right with the first step alone, without memory, and trained anew so. By"
        )
        shown += [f"  {command}" for command in commands]
    return "\n".join(shown)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"
