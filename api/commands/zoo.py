"""`spikecert zoo`: the certified networks that come with the package."""

from ..output import show, show_json, table
from .options import Json


def zoo(as_json: Json = False) -> int:
    """List the certified networks of the package, which commands take as zoo:NAME."""
    from spikecert.zoo import entries

    known = entries()
    if as_json:
        show_json([entry.model_dump() for entry in known])
        return 0
    heads = ("name", "data", "clean %", "ε", "certified %", "by", "title")
    lines = [
        (
            entry.name,
            entry.data,
            f"{100 * entry.clean / entry.samples:.1f}",
            f"{point.epsilon:.4g}",
            f"{100 * point.certified / entry.samples:.1f}",
            entry.verifier,
            entry.title,
        )
        for entry in known
        for point in entry.points
    ]
    show(table(heads, lines))
    return 0
