"""`spikecert differ`: two builds of one network, where their trains part, and which setting mends that."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from spikecert.asking.options import Without, command, typed
from spikecert.asking.question import Count, ScaledSamples, Seconds
from spikecert.asking.values import Naming, Numeral, real

from ...progress import Bars
from ...runs.sources import data_of, is_code, loaded, network_of
from ...telling import show, show_json_text, write_files, wrote

if TYPE_CHECKING:
    from spikecert.models.differing.difference import Difference
    from spikecert.reports.comparing.difference_record import BuildSide, DifferenceRecord

JSON, HTML = "difference.json", "difference.html"


@dataclass(frozen=True, kw_only=True)
class Differing(ScaledSamples):
    """Which two builds, on which samples.

    Attributes:
        a: a network file, zoo:NAME, a NIR file, or a Python object as package.module:name or file.py:name, a
            module that is run as it is: name only code of your own.
        b: the other build.
        num_steps: T, for a module that does one step a call, and for NIR.
        dt: NIR's time step; default: the file's, or 1e-4.
        reset: NIR's reset: zero (v_reset) or subtract.
        timeout: seconds in all.
        out: folder for difference.json and difference.html.
        repaired: write the build that has the setting exchanged.
        json: print JSON on standard output and nothing else.
    """

    a: Annotated[str, Naming(argument=True)]
    b: Annotated[str, Naming(argument=True)]
    num_steps: Count | None = None
    dt: Annotated[Numeral, real(above=0.0)] | None = None
    reset: str | None = None
    timeout: Seconds | None = None
    out: Path | None = None
    repaired: Path | None = None
    json: bool = False


@command
def differ(asked: Annotated[Differing, Without("mean", "std", "device")]) -> int:
    """Say whether two builds of one network give the same trains; if not, where these part, and why.

    The cause is tested: the setting is exchanged, and all trains are compared again. Status 1 where builds differ.
    """
    from spikecert import differ as compared
    from spikecert.models import SpikingNetwork
    from spikecert.runs.building import first

    builds = [_build(text) for text in (asked.a, asked.b)]
    networks = [build for build in builds if isinstance(build, SpikingNetwork)]
    timed = next((network.num_steps for network in networks if network.timed), None)
    inputs = first(data_of(asked, timed, asked.limits).test, asked.samples).inputs
    with Bars() as bars:
        limit = None if asked.timeout is None else float(asked.timeout)
        step = None if asked.dt is None else float(asked.dt)
        rest = {"num_steps": asked.num_steps, "dt": step, "reset": asked.reset, "timeout": limit}
        found = compared(builds[0], builds[1], inputs, **rest, progress=bars)
    sides = _side(asked.a, builds[0]), _side(asked.b, builds[1])
    command = typed("differ", replace(asked, out=None, repaired=None, json=False))
    record = _written(found, sides, asked.data, asked.out, command)
    if asked.repaired is not None:
        _save(found, asked.repaired)
    show_json_text(record.to_json()) if asked.json else show(found.report)
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
    from spikecert.reports.comparing.difference_page import to_html
    from spikecert.reports.comparing.difference_record import difference_record

    record = difference_record(found, sides[0], sides[1], data)
    write_files(out, {JSON: record.to_json(), HTML: to_html(found, record, command)})
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
    wrote(path)
