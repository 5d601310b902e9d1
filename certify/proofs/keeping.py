"""Files of proofs: a proof is sought where there is none yet that the checker accepts about as much."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from ...checking import Refused, Statement, check
from ...models.deadline import Progress
from ...models.networks import SpikingNetwork
from ...models.validation import plain
from ..network_sets.base import NetworkSet
from ..perturbations import Perturbation, settled_set
from ..questions.forms import Property
from ..verdicts import SoundnessError, Verdict
from .asked import AskedSet, asked_of
from .proving import Disproved, Prover, Unproven

Asked = tuple[Tensor, int | Property, Perturbation]
"""A sample, its class or property, and a set."""


def prover_for(network: SpikingNetwork, perturbation: Perturbation | NetworkSet) -> Prover:
    """Return a prover of inputs around samples.

    Raises:
        ValueError: for a network that has no proof form, and for a set of networks.
    """
    if isinstance(perturbation, NetworkSet):
        raise ValueError(f"proof: got a folder beside {type(perturbation).__name__}, expected none: no proof form")
    return prover_of(network)


def prover_of(network: SpikingNetwork) -> Prover:
    """Return a prover.

    Raises:
        ValueError: for a network that has no proof form.
    """
    try:
        return Prover.of(network)
    except Unproven as error:
        raise ValueError(f"proof: {error}") from error


def with_proofs(
    folder: str | Path,
    chosen: Prover,
    inputs: Tensor,
    labels: Tensor | Property,
    perturbation: Perturbation | NetworkSet,
    verdicts: Sequence[Verdict],
    timeout: float | None,
    progress: Progress,
) -> list[Verdict]:
    """Write `folder`/INDEX.proof for each verified sample; return the verdicts, whose reasons say so, or why not.

    Args:
        folder: is made.
        chosen: of the network.
        inputs, labels, perturbation, timeout, progress: as in `verify`.
        verdicts: about them.

    Raises:
        SoundnessError: where the search for a proof of a verified sample found a counterexample.
    """
    assert not isinstance(perturbation, NetworkSet)  # `prover_for` refuses them
    inputs, labels = plain(inputs=inputs, labels=labels)
    found, folder = list(verdicts), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for index, verdict in enumerate(found):
        if verdict.status == "verified":
            claimed = labels if isinstance(labels, Property) else int(labels[index])
            ties = None if isinstance(labels, Property) else verdict.ties
            name, asked = f"{index:05d}.proof", (inputs[index], claimed, perturbation)
            why = kept(folder / name, chosen, asked, ties, timeout, f"sample {index}")
            told = f"proved in {name}" if why is None else f"no proof: {why}"
            found[index] = replace(verdict, reason=f"{verdict.reason}; {told}")
        progress("prove", index + 1, len(found))
    return found


def kept(
    path: Path, chosen: Prover, asked: Asked, ties: str | None, timeout: float | None, note: str
) -> str | None:
    """Return None where a file has a proof, which is sought where there is none yet, and else why it has none.

    Args:
        path: the file.
        chosen: of the network.
        asked: what was verified.
        ties, timeout: as in `Prover.prove`.
        note: what the file calls it.

    Raises:
        SoundnessError: where the search found a counterexample.
    """
    if is_there(path, chosen, asked, ties):
        return None
    try:
        chosen.prove(*asked, timeout, ties=ties).save(path, note)
    except Disproved as error:
        raise SoundnessError(f"{note}: verified, and in search of a proof {error}") from error
    except Unproven as error:
        return str(error)
    return None


def is_there(path: Path, chosen: Prover, asked: Asked, ties: str | None) -> bool:
    """Return whether a file proves of the network what is to be proved."""
    if not path.is_file():
        return False
    try:
        there = check(path, chosen.exact)
    except (Refused, OSError):
        return False
    around = asked_of(settled_set(chosen.network, asked[2]), asked[0].cpu())
    sample, label = asked[0].cpu(), asked[1]
    claim = chosen.claimed(label, sample, ties)
    same = np.array_equal(there.sample, around.sample)
    same = same and (there.label, there.ties, there.prop) == (claim.label, claim.ties, claim.stated)
    return same and _holds(there, around)


def _holds(there: Statement, asked: AskedSet) -> bool:
    """Return whether a proof is about a set that holds another one about the same sample, in the same range."""
    if there.rules is not None or asked.rules is not None:
        return there.rules is not None and asked.rules is not None and there.rules.holds(asked.rules)
    ends = there.norm, there.lower, there.upper
    return ends == (asked.norm, asked.lower, asked.upper) and bool((there.radius >= asked.radius).all())
