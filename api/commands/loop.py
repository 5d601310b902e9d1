"""`spikecert loop`: a spiking controller and a linear plant in closed loop, for all time."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from spikecert.asking.options import command, typed
from spikecert.asking.question import Seconds, Seed, Width
from spikecert.asking.values import Naming, Numeral, plain, whole, written

from ..telling import json_text, show, show_json, table, write_files

if TYPE_CHECKING:
    import numpy as np

    from spikecert.analysis.loops import KeptStability, PracticalStability
    from spikecert.certify.loops import ClosedLoop
    from spikecert.runs.plants import Plant

SCHEMA = "spikecert.loop/1"
JSON, HTML = "loop.json", "loop.html"
PLANTS = 64
"""Of a spread, which simulated runs meet in turn."""


@dataclass(frozen=True, kw_only=True)
class Looping:
    """Which loop, and how far it is looked at.

    Attributes:
        model: a network file as written by `train`, or zoo:NAME (see `zoo`).
        plant: TOML file: A, B, box; C, G, scale, gain, disturbance, noise, spread.
        tolerance: by what share of the greatest |Kx| a proven error may pass an attained one.
        rounds: boxes, each inside the limit of the last.
        timeout: seconds in all.
        runs: simulated runs, to look at.
        steps: control steps of each.
        seed: of everything random.
        out: folder for loop.json and loop.html.
        json: print JSON on standard output and nothing else.
    """

    model: Annotated[Path, Naming(argument=True)]
    plant: Path
    tolerance: Width = Numeral(1e-2, "1e-2")
    rounds: Annotated[int, whole(1, 100)] = 8
    timeout: Seconds | None = None
    runs: Annotated[int, whole(1, 100_000)] = 200
    steps: Annotated[int, whole(1, 10_000)] = 200
    seed: Seed = 0
    out: Path | None = None
    json: bool = False


@command
def loop(how: Looping) -> int:
    """Prove for all time in which box a loop stays and in which it ends.

    Status 1 where nothing is proven.
    """
    from spikecert.certify.loops import ClosedLoop
    from spikecert.models import network_hash
    from spikecert.reports.pages.loop_page import HEADS, rows, to_html, verdict
    from spikecert.runs.plants import load_plant
    from spikecert.runs.sources import network_of

    asked, network = load_plant(how.plant), network_of(how.model)
    made, conditions = ClosedLoop(network, **asked.loop), _asked(how)
    rest = {"rounds": how.rounds, "tolerance": conditions["tolerance"], "timeout": conditions["timeout"]}
    found = made.certificate(plain(asked.box), plain(asked.G), **rest)
    checked = _checked(found)
    seen = _runs(made, found, asked, how)
    named = {"network": network.called(how.model.name), "sha256": network_hash(network)}
    content = {"schema": SCHEMA, **named, "plant": written(asked, full=True)} | conditions
    content |= {**_content(found, checked), "simulated": _simulated(how, seen)}
    told = _conditions(content, asked), typed("loop", replace(how, out=None, json=False))
    page = to_html(found, asked.box, seen, asked.states, *told)
    write_files(how.out, {JSON: json_text(content), HTML: page})
    body = table(HEADS, rows(found, asked.box, seen, asked.states))
    show_json(content) if how.json else show(f"{verdict(found, asked.states)}\n\n{body}")
    return 0 if found.proved else 1


def _checked(found: "PracticalStability | KeptStability") -> bool:
    """Return whether the sums of a proof check, in exact arithmetic; False where nothing is proven."""
    checked = found.check()
    if found.proved and not checked:
        raise RuntimeError("the sums of a proof do not check")
    return checked


def _runs(
    made: "ClosedLoop", found: "PracticalStability | KeptStability", asked: "Plant", how: Looping
) -> "np.ndarray":
    """Return the states of simulated runs, (steps, runs, states)."""
    acting = (_drawn(plain(bound), asked, how.steps, how.seed) for bound in (asked.disturbance, asked.noise))
    starts = _starts(found, asked, how.runs, how.seed)
    return made.run(starts, how.steps, *acting, plants=_plants(asked, how.seed))


def _asked(how: Looping) -> dict[str, Any]:
    limit = None if how.timeout is None else float(how.timeout)
    return {"tolerance": float(how.tolerance), "timeout": limit, "seed": how.seed}


def _simulated(how: Looping, seen: "np.ndarray") -> dict[str, Any]:
    """Return how far states went in simulated runs, (steps, runs, states), at most and at their ends."""
    ends = {"greatest": abs(seen).max((0, 1)).tolist(), "end": abs(seen[-1]).max(0).tolist()}
    return {"runs": how.runs, "steps": how.steps, **ends}


def _starts(found: "PracticalStability | KeptStability", asked: "Plant", runs: int, seed: int) -> "np.ndarray":
    """Return states of the initial box, or of a tenth of the box that was asked about; half of them at corners."""
    import numpy as np

    drawn = np.random.default_rng(seed).uniform(-1, 1, (runs, len(asked.box)))
    drawn[::2] = np.sign(drawn[::2])
    return drawn * np.asarray(found.initial if found.proved else asked.box) * (1.0 if found.proved else 0.1)


def _drawn(bounds: object, asked: "Plant", steps: int, seed: int) -> "np.ndarray | None":
    """Return what acts at its bounds, the same for all runs of a step; None where nothing does."""
    import numpy as np

    most = np.broadcast_to(np.asarray(bounds, dtype=np.float64), (len(asked.A),))
    if not most.any():
        return None
    return np.sign(np.random.default_rng((seed, 1)).uniform(-1, 1, (steps, 1, len(most)))) * most


def _plants(asked: "Plant", seed: int) -> "list[tuple[np.ndarray, np.ndarray]]":
    """Return plants at the ends of their spread, one a step, over and over; none where there is no spread."""
    import numpy as np

    if asked.spread is None:
        return []
    draw, (off_a, off_b) = np.random.default_rng((seed, 2)), map(np.asarray, asked.spread)
    signs = [[draw.choice((-1.0, 1.0), off.shape) for off in (off_a, off_b)] for _ in range(PLANTS)]
    return [(np.asarray(asked.A) + a * off_a, np.asarray(asked.B) + b * off_b) for a, b in signs]


def _content(found: "PracticalStability | KeptStability", checked: bool) -> dict[str, Any]:
    keys = ("box", "K", "error", "attained", "limit")
    return {
        "proved": found.proved,
        "checked": checked,
        "why": found.why,
        "share": found.share,
        "initial": list(found.initial),
        "region": list(found.region),
        "ultimate": list(found.ultimate),
        "rounds": [{key: getattr(one, key) for key in keys} for one in found.rounds],
    }


def _conditions(content: dict[str, Any], asked: "Plant") -> list[tuple[str, str]]:
    """Return what the proof is about, in words."""
    step = "" if asked.dt is None else f", one step in {asked.dt:g} s"
    spread = "none" if asked.spread is None else "of A {}, of B {}".format(*map(_rows, asked.spread))
    checked = "the sums again, in exact arithmetic, with their infinite tails"
    found = [
        ("network", f"{content['network']}, SHA-256 {content['sha256']}"),
        ("plant", f"x⁺ = A·x + B·u + w{step}: A = {_rows(asked.A)}, B = {_rows(asked.B)}"),
        ("controller", f"sees C·x/scale: C = {_rows(asked.C)}, scale = {asked.scale}; gives u/{asked.gain}"),
        ("membranes", "start anew at each control step" if asked.membranes == "reset" else "go on"),
        ("disturbance", f"|w| ≤ {asked.disturbance}"),
        ("noise", f"|n| ≤ {asked.noise} of the state that it sees"),
        ("spread", spread),
        ("result", content["why"]),
        ("checked", checked if content["checked"] else "–"),
    ]
    simulated = content["simulated"]
    return [*found, ("simulated", f"{simulated['runs']} runs of {simulated['steps']} steps, half from corners")]


def _rows(rows: object) -> str:
    return "all of x" if rows is None else str([list(row) for row in rows])  # type: ignore[attr-defined]
