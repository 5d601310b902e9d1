"""`spikecert vnnlib`: decide a VNN-LIB property of a network, and write the competition's result file."""

from pathlib import Path
from typing import Annotated

import typer

from ..runs.sources import network_of
from ..telling import say, show, show_json
from .options.options import Device, Json, Model, Seed, Verifier, checked_device

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
    from spikecert.files import write_atomically
    from spikecert.formats import competition_result, read_vnnlib, verify_property
    from spikecert.formats.results import result_word

    network = network_of(model).to(checked_device(device))
    prop = read_vnnlib(question)
    verdict = verify_property(network, prop, verifier, timeout, seed=seed)
    if out is not None:
        write_atomically(out, competition_result(verdict, legacy, prop).encode())
        say(f"wrote {out}")
    word = result_word(verdict.status, legacy)
    if as_json:
        counterexample = None if verdict.counterexample is None else verdict.counterexample.flatten().tolist()
        outputs = None if verdict.outputs is None else verdict.outputs.tolist()
        told = {"result": word, "verifier": verdict.verifier, "seconds": verdict.seconds, "reason": verdict.reason}
        show_json({**told, "counterexample": counterexample, "outputs": outputs})
    else:
        show(f"{word}: {verdict.reason} ({verdict.verifier}, {verdict.seconds:.2f} s)")
    return int(verdict.status == "violated")
