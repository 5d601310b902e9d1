"""`spikecert vnnlib`: decide a VNN-LIB property of a network, and write the competition's result file."""

from pathlib import Path
from typing import Annotated

import typer

from ..output import say, show, show_json
from .options import Device, Json, Model, Seed, Verifier, checked_device

Question = Annotated[Path, typer.Argument(help="A .vnnlib or .vnnlib.gz file.", metavar="PROPERTY")]


def vnnlib(
    model: Model,
    question: Question,
    verifier: Verifier = "auto",
    timeout: Annotated[float | None, typer.Option(help="Seconds in all.")] = None,
    legacy: Annotated[bool, typer.Option("--legacy", help="Say sat and unsat for violated and holds.")] = False,
    seed: Seed = 0,
    device: Device = "cpu",
    out: Annotated[Path | None, typer.Option("--out", help="The result file, with the counterexample.")] = None,
    as_json: Json = False,
) -> int:
    """Decide a VNN-LIB property: is there an input whose outputs are unsafe?

    The answer is holds, violated, timeout or unknown. Status 1 if the property is violated.
    """
    from spikecert.formats import competition_result, read_vnnlib, verify_property
    from spikecert.formats.results import result_word
    from spikecert.models import load

    network = load(model).to(checked_device(device))
    found = verify_property(network, read_vnnlib(question), verifier, timeout, seed=seed)
    if out is not None:
        out.write_text(competition_result(found, legacy), encoding="utf-8")
        say(f"wrote {out}")
    word = result_word(found.status, legacy)
    if as_json:
        counterexample = None if found.counterexample is None else found.counterexample.flatten().tolist()
        outputs = None if found.outputs is None else found.outputs.tolist()
        told = {"result": word, "verifier": found.verifier, "seconds": found.seconds, "reason": found.reason}
        show_json({**told, "counterexample": counterexample, "outputs": outputs})
    else:
        show(f"{word}: {found.reason} ({found.verifier}, {found.seconds:.2f} s)")
    return int(found.status == "violated")
