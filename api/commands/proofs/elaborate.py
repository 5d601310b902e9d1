"""`spikecert elaborate`: the certificate (proof/2) of a proof, which the kernel checks by local rules."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from ...telling import say
from .kernels import network_of

OUTPUT = "-"


def elaborate(
    path: Annotated[Path, typer.Argument(help="A proof that certify wrote.", metavar="PROOF")],
    model: Annotated[Path, typer.Option("--model", help="The network file that the proof is about.")],
    out: Annotated[
        str, typer.Option("--out", help="The file to write (FILE.certificate), or - for standard output.")
    ] = OUTPUT,
    plain: Annotated[
        bool, typer.Option("--plain", help="Without rules of several neurons at once, for the native kernel.")
    ] = False,
) -> int:
    """Write the certificate of a proof, which is long, and which the kernel checks: check-proof FILE.certificate.

    What makes it needs no trust, and is not asked whether it is one: check-proof says.
    Status 0 if it is written, 1 if the proof is refused, or has no certificate yet.
    """
    from spikecert.checking import Refused
    from spikecert.checking.certificates import elaborate
    from spikecert.files import write_atomically

    network = network_of(model, 1.0)
    lines = elaborate(path, network, joint=not plain)
    try:
        if out == OUTPUT:
            for line in lines:
                sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
        else:
            write_atomically(out, _encoded(lines))
    except Refused as error:
        told = str(error).removeprefix(f"{path.name}: ")
        say(f"REFUSED {path.name}: {told}")
        return 1
    return 0


def _encoded(lines: Iterator[str]) -> Iterator[bytes]:
    return (f"{line}\n".encode("ascii") for line in lines)
