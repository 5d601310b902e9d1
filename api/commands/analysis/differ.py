"""`spikecert differ`: two builds of one network, where their trains part, and which setting mends that."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...progress import Bars
from ...runs.sources import data_of, is_code, loaded, network_of
from ...telling import say, show, show_json_text
from ..options.options import Data, Json, Range, Root, Samples, first, scale

if TYPE_CHECKING:
    from spikecert import Difference
    from spikecert.reports.comparing.difference_record import BuildSide, DifferenceRecord

JSON, HTML = "difference.json", "difference.html"
BUILD = (
    "A network file, zoo:NAME, a NIR file, or a Python object as package.module:name or file.py:name, a module "
    "that is run as it is: name only code of your own."
)


def differ(
    a: Annotated[str, typer.Argument(help=BUILD, metavar="A")],
    b: Annotated[str, typer.Argument(help="The other build.", metavar="B")],
    data: Data = "digits",
    root: Root = None,
    limits: Range = None,
    samples: Samples = None,
    num_steps: Annotated[
        int | None, typer.Option(min=1, help="T, for a module that does one step a call, and for NIR.")
    ] = None,
    dt: Annotated[float | None, typer.Option(help="NIR's time step; default: the file's, or 1e-4.")] = None,
    reset: Annotated[str | None, typer.Option(help="NIR's reset: zero (v_reset) or subtract.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds in all.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help=f"Folder for {JSON} and {HTML}.")] = None,
    repaired: Annotated[
        Path | None, typer.Option("--repaired", help="Write the build that has the setting exchanged.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Say whether two builds of one network give the same trains; if not, where these part, and why.

    The cause is tested: the setting is exchanged, and all trains are compared again. Status 1 where builds differ.
    """
    from spikecert import differ as compared
    from spikecert.models import SpikingNetwork

    builds = [_build(text) for text in (a, b)]
    networks = [build for build in builds if isinstance(build, SpikingNetwork)]
    timed = next((network.num_steps for network in networks if network.timed), None)
    inputs = first(data_of(data, root, timed, scale(limits, None, None).limits).test, samples).inputs
    with Bars() as bars:
        rest = {"num_steps": num_steps, "dt": dt, "reset": reset, "timeout": timeout, "progress": bars}
        found = compared(builds[0], builds[1], inputs, **rest)
    sides = _side(a, builds[0]), _side(b, builds[1])
    command = _command(locals())
    record = _written(found, sides, data, out, command)
    if repaired is not None:
        _save(found, repaired)
    show_json_text(record.to_json()) if as_json else show(found.report)
    return 0 if found.same else 1


def _build(text: str) -> Any:
    """Return what a text names: a network, a path of a NIR file, or a module."""
    from spikecert.models.differing.builds import NIR_SUFFIXES

    path = Path(text)
    if is_code(path):
        return loaded(text)[0]
    return path if path.suffix in NIR_SUFFIXES else network_of(path)


def _side(text: str, build: Any) -> "BuildSide":
    from spikecert.models import SpikingNetwork, network_hash
    from spikecert.reports.comparing.difference_record import BuildSide

    whole = build if isinstance(build, SpikingNetwork) else None
    return BuildSide(name=whole.called(text) if whole else text, sha256=network_hash(whole) if whole else None)


def _written(
    found: "Difference", sides: "tuple[BuildSide, BuildSide]", data: str, out: Path | None, command: str
) -> "DifferenceRecord":
    """Return the record, and write it with its page where a folder is given."""
    from spikecert.files import write_atomically
    from spikecert.reports.comparing.difference_page import to_html
    from spikecert.reports.comparing.difference_record import difference_record

    record = difference_record(found, sides[0], sides[1], data)
    if out is not None:
        for name, text in ((JSON, record.to_json()), (HTML, to_html(found, record, command))):
            write_atomically(out / name, text.encode())
            say(f"wrote {shlex.quote(str(out / name))}")
    return record


def _save(found: "Difference", path: Path) -> None:
    """Write the repaired build.

    Raises:
        ValueError: where there is none, or no element is what a platform does.
    """
    from spikecert.models import save

    if found.same:
        raise ValueError(f"repaired: got {path}, and the builds are the same, expected builds that differ")
    if found.repaired is None:
        raise ValueError(f"repaired: got {path}, and no setting mends the builds ({found.cause})")
    try:
        save(found.repaired, path)
    except TypeError as error:
        raise ValueError(f"repaired: got {path}, and no element runs as the build does ({error})") from error
    say(f"wrote {shlex.quote(str(path))}")


def _command(given: dict[str, Any]) -> str:
    """Return what to type to get the page again."""
    told = (
        f"spikecert differ {shlex.quote(given['a'])} {shlex.quote(given['b'])} --data {shlex.quote(given['data'])}"
    )
    names = ("root", "limits", "samples", "num_steps", "dt", "reset", "timeout")
    options = {name.replace("limits", "range").replace("_", "-"): given[name] for name in names}
    said = (f" --{name}={shlex.quote(str(value))}" for name, value in options.items() if value is not None)
    return told + "".join(said)
