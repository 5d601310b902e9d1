"""`spikecert doctor`: what this machine has for certifying, and what is refused on it."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..telling import show, show_json
from .options import Json

MARKS = {True: "ok", False: "--"}


def doctor(
    root: Annotated[
        Path | None, typer.Option("--root", help="The folder of data sets, as other commands take it.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Tell versions, cores, memory, arithmetic, compiled kernels, the proof kernel and data, each with a cure.

    What is marked -- is missing or refused here; all else works without it.
    """
    from spikecert.runs.health import checkup

    symptoms = checkup(root)
    if as_json:
        show_json([asdict(symptom) for symptom in symptoms])
        return 0
    width = max(len(symptom.name) for symptom in symptoms)
    topic = ""
    for symptom in symptoms:
        if symptom.topic != topic:
            topic = symptom.topic
            show(f"\n{topic}")
        show(f"  {MARKS[symptom.good]}  {symptom.name:<{width}}  {symptom.told}")
        if not symptom.good:
            show(f"      {'':<{width}}  {symptom.cure}")
    return 0
