"""`spikecert vnnlib`: decide a VNN-LIB property of a network, and write the competition's result file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from spikecert.asking.options import command
from spikecert.asking.question import Proving, Seed
from spikecert.asking.values import Naming

from ..runs.sources import network_of
from ..telling import say, show, show_json


@dataclass(frozen=True, kw_only=True)
class Instance(Proving):
    """One instance of the competition, and how it is answered.

    Attributes:
        model: a network file as written by `train`, or zoo:NAME (see `zoo`).
        property_file: a .vnnlib or .vnnlib.gz file.
        timeout: seconds in all.
        legacy: say sat and unsat for violated and holds.
        seed: of everything random.
        device: cpu, cuda, cuda:1, …
        out: the result file, with the counterexample.
        json: print JSON on standard output and nothing else.
    """

    model: Annotated[Path, Naming(argument=True)]
    property_file: Annotated[Path, Naming("property", argument=True)]
    legacy: bool = False
    seed: Seed = 0
    device: str = "cpu"
    out: Path | None = None
    json: bool = False


@command
def vnnlib(asked: Instance) -> int:
    """Decide a VNN-LIB property: is there an input whose outputs are unsafe?

    The answer is holds, violated, timeout or unknown. Status 1 if the property is violated.
    """
    from spikecert.files import write_atomically
    from spikecert.formats import competition_result, read_vnnlib, verify_property
    from spikecert.formats.results import result_word
    from spikecert.runs.building import checked_device

    network = network_of(asked.model).to(checked_device(asked.device))
    prop = read_vnnlib(asked.property_file)
    limit = None if asked.timeout is None else float(asked.timeout)
    verdict = verify_property(network, prop, asked.verifier, limit, seed=asked.seed)
    if asked.out is not None:
        write_atomically(asked.out, competition_result(verdict, asked.legacy, prop).encode())
        say(f"wrote {asked.out}")
    word = result_word(verdict.status, asked.legacy)
    if asked.json:
        counterexample = None if verdict.counterexample is None else verdict.counterexample.flatten().tolist()
        outputs = None if verdict.outputs is None else verdict.outputs.tolist()
        told = {"result": word, "verifier": verdict.verifier, "seconds": verdict.seconds, "reason": verdict.reason}
        show_json({**told, "counterexample": counterexample, "outputs": outputs})
    else:
        show(f"{word}: {verdict.reason} ({verdict.verifier}, {verdict.seconds:.2f} s)")
    return int(verdict.status == "violated")
