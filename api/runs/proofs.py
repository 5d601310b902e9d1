"""Write a proof file for each verified sample, of a record or of a property."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spikecert.certify import Perturbation
from spikecert.certify.proofs import Proof, Prover, Unproven
from spikecert.certify.proofs.keeping import Asked, is_there, kept, prover_of
from spikecert.certify.questions.forms import Property
from spikecert.certify.ties import settled_ties
from spikecert.checking.short import SIDES
from spikecert.models import SpikingNetwork, save
from spikecert.models.deadline import Progress

from ..telling import say

if TYPE_CHECKING:
    from spikecert.certify.pairs.equivalence import Equivalence
    from spikecert.reports import Record
    from spikecert.training import Split

BUILD = "build.safetensors"
"""A chip's build, beside the proofs about it: no other file holds it."""
NORMS = ("linf", "l2", "flips", "shift", "flips+shift")
"""The norms whose threats have a proof form."""


def prover(network: SpikingNetwork, norm: str) -> Prover:
    """Return a prover of sets of this norm.

    Raises:
        ValueError: for a network or a norm that has no proof form.
    """
    if norm not in NORMS:
        raise ValueError(f"proof: got norm {norm!r}, expected one that has a proof form: {', '.join(NORMS)}")
    return prover_of(network)


def write_proofs(
    folder: Path, chosen: Prover, found: "Record", samples: "Split", timeout: float | None, progress: Progress
) -> None:
    """Write `folder`/INDEX-EPSILON.proof for each verified sample at each ε, and say how many there are.

    A proof that is there already, of an interrupted run, and that the checker accepts is not sought again.

    Args:
        folder: is made.
        chosen: of the record's one network.
        found: the record.
        samples: that it is about.
        timeout: seconds for a proof, or None.
        progress: called after each sample.

    Raises:
        SoundnessError: where the search for a proof of a verified sample found a counterexample.
    """
    rows = [row for row in found.models[0].rows if row.verified]
    threat, written, prop = found.threat, 0, found.threat.prop
    ties = found.models[0].ties if prop is None else None
    folder.mkdir(parents=True, exist_ok=True)
    for done, row in enumerate(rows, start=1):
        path = folder / f"{row.index:05d}-{row.epsilon:g}.proof"
        claimed = row.label if prop is None else prop
        asked = samples.inputs[row.index], claimed, threat.scale.around(row.epsilon)
        note = f"sample {row.index} of {found.data.name}"
        written += _written(path, chosen, asked, ties, timeout, note)
        progress("prove", done, len(rows))
    told = f"there are {written} proofs of {len(rows)} verified samples in {folder}"
    if chosen.exact.whole is not None:
        save(chosen.network, folder / BUILD)
        told += f", for the integers that run on the chip: its build is {BUILD} there"
    say(told)


def write_twins(
    folder: Path,
    builds: tuple[SpikingNetwork, SpikingNetwork],
    inputs: Tensor,
    found: "Sequence[Equivalence]",
    around: Perturbation,
    epsilon: float,
    timeout: float | None,
    progress: Progress,
) -> None:
    """Write proofs of both builds of each sample at which they are equivalent, to `folder`/a and `folder`/b.

    A proof that the checker accepts is not sought again. Where one build has none, the other's is not written.

    Args:
        folder: is made.
        builds: both.
        inputs, found: the samples, and what is known of each.
        around: the set around each.
        epsilon: its size, for the files' names.
        timeout: seconds for a proof, or None.
        progress: called after each sample.
    """
    provers, written = [prover(build, "linf") for build in builds], 0
    with torch.no_grad():
        labels = builds[0](inputs).argmax(1).tolist()
    left = [index for index, one in enumerate(found) if one.status == "equivalent"]
    for done, index in enumerate(left, start=1):
        name, sample = f"{index:05d}-{epsilon:g}.proof", inputs[index]
        made = dict[Path, Proof | None]()
        for side, chosen in zip(SIDES, provers, strict=True):
            path, own = folder / side / name, sample.to(chosen.network.dtype)
            ties = settled_ties(chosen.network, None)
            if not is_there(path, chosen, (own, labels[index], around), ties):
                made[path] = _proof(chosen, own, labels[index], around, timeout, f"sample {index}")
        if None not in made.values():
            written += 1
            for path, proof in made.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                assert proof is not None
                proof.save(path, note=f"sample {index}")
        progress("prove", done, len(left))
    say(f"there are {written} pairs of proofs of {len(left)} equivalent samples in {folder}")


def _proof(
    chosen: Prover, sample: Tensor, label: int, around: Perturbation, timeout: float | None, name: str
) -> Proof | None:
    try:
        return chosen.prove(sample, label, around, timeout)
    except Unproven as error:
        say(f"no proof of {name}: {error}")
        return None


def write_range_proofs(
    folder: Path,
    chosen: Prover,
    ranges: "Sequence[Property]",
    inputs: Tensor,
    around: Perturbation,
    epsilon: float,
    timeout: float | None,
    progress: Progress,
) -> None:
    """Write `folder`/INDEX-EPSILON.proof of each sample's range, as `write_proofs` does.

    Args:
        folder: is made.
        chosen: of the network.
        ranges: what is to be proven of each sample.
        inputs: the samples.
        around: the set around each.
        epsilon: its size, for the files' names.
        timeout: seconds for a proof, or None.
        progress: called after each sample.
    """
    written = 0
    folder.mkdir(parents=True, exist_ok=True)
    for index, prop in enumerate(ranges):
        path = folder / f"{index:05d}-{epsilon:g}.proof"
        written += _written(path, chosen, (inputs[index], prop, around), None, timeout, f"range of sample {index}")
        progress("prove", index + 1, len(ranges))
    say(f"there are {written} proofs of {len(ranges)} ranges in {folder}")


def _written(path: Path, chosen: Prover, asked: Asked, ties: str | None, timeout: float | None, note: str) -> bool:
    """Return whether a file has a proof; say why it has none."""
    why = kept(path, chosen, asked, ties, timeout, note)
    if why is not None:
        say(f"no proof of {note}, {path.name}: {why}")
    return why is None
