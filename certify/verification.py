"""The entry points `verify` and `bounds`."""

from pathlib import Path

import torch
from torch import Tensor

from ..models.deadline import Figures, Progress, no_figures, silent
from ..models.networks import SpikingNetwork
from .answering import CHUNK, answers, resolve
from .bounds.propagation import LogitBounds
from .engines.certification import BATCH, Fleet, in_batches
from .engines.work import Engine
from .network_sets.base import NetworkSet
from .perturbations import Perturbation
from .perturbations.base import check_perturbation
from .posed import OUTPUTS, posed
from .proofs.keeping import prover_for, with_proofs
from .questions.forms import Property
from .replay import evaluating
from .verdicts import Verdict, asked_within
from .verifiers import VERIFIERS, MarginVerifier, Verifier


def verify(
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor | Property,
    perturbation: Perturbation | NetworkSet,
    verifier: str | Verifier = "auto",
    timeout: float | None = None,
    *,
    seed: int = 0,
    ties: str | None = None,
    memory: int | None = None,
    workers: int | None = None,
    resume: str | Path | None = None,
    engine: str | Engine | None = None,
    batch: int = BATCH,
    proof: str | Path | None = None,
    progress: Progress = silent,
    figures: Figures = no_figures,
) -> list[Verdict]:
    """Decide whether any allowed perturbation changes a sample's class, or whether a property holds for all.

    "verified" holds for every real input in the set and for the run in the network's own dtype, whatever the
    order of summation; see docs/certification.md. The network is taken in evaluation mode. With encoding "rate" a
    verdict holds for the network's own draws, and its reason says which; where each sample has draws of its own,
    each is decided by itself. With encoding "latency" a `SpikeShift` moves the events of the code, and a
    counterexample is an image whose events come at those steps.

    Args:
        network: any spiking network.
        inputs: (batch, ...), within the perturbation's [lower, upper].
        labels: (batch,) of integers; or a `Property` that is to hold at every allowed input, such as
            `abs(output[0] - sample[0]) <= 0.05`. It says itself what a tie is, `ties` is then None; a verdict's
            margin is a bound of the least, over clauses, of their best inequality.
        perturbation: the threat model, such as `LInf(8 / 255)`; or a set of networks, such as
            `Tolerance(weights=0.05)`: "verified" then holds for all of them, and a falsified verdict has the
            `member` that fails.
        verifier: a name of `VERIFIERS`, such as "trains", "complete" or "auto", one of another package as
            "package:name", or a `Verifier`; with `engine` or `resume` a name, as other processes must know it.
        timeout: seconds for a sample, on average; None for no limit.
        seed: for attacks.
        ties: which function verdicts are about: "argmax" (the lowest index that attains the maximum, as
            torch.argmax takes it: logit_y > logit_k for k < y, and ≥ for k > y), or "strict" (logit_y > logit_k
            for all k ≠ y). None: "argmax" where counts decide, which tie often (readouts "spikes" and "first", and
            sources that sum spikes or votes), "strict" for the others.
        memory: bytes that the open nodes and the batches of a search ("complete", "auto") may take; a search that
            needs more leaves its samples unknown. None: about 2 GiB.
        workers: processes. With `engine` or `resume` they decide batches, None for one on each processor, and
            those that have none left share a hard sample of the others'. Without, this process decides, and they
            share the search for a hard sample once it has taken half a second, None for this one alone. They bound
            nodes as one would, in another order: a sample that is left open may have another margin.
        resume: a folder where finished batches are kept. A run that was killed goes on from there, and repeats no
            more than the batches that were being decided. A batch whose file is damaged is decided again, and a
            warning names it.
        engine: who decides batches: "local" (processes of this machine; with `resume` the default), "ray" (the
            machines of a cluster), or an `Engine`, such as `Ray(address="auto")`. None and no `resume`: this
            process. Batches and their seeds depend on `batch` and `seed` alone, so verdicts are the same for each
            engine and number of workers (with a time limit, as far as the machines are equally fast).
        batch: samples in a batch: what a killed run repeats, at most, for each worker.
        proof: a folder for INDEX.proof of each verified sample, for `spikecert check-proof`; one that the checker
            accepts is not sought again. A verdict's reason says whether it has one, or why not. A network that has
            no proof form is refused, as are sets of networks; the time limit counts for each proof anew.
        progress: called after each chunk or batch of samples.
        figures: told how a search of this process stands: "nodes", "open", "memory" in bytes, where it has them
            "bound" and "depth", and with a time limit the seconds "left".

    Returns:
        One `Verdict` per sample. A sample that is misclassified as it is is falsified by itself.

    Raises:
        Unfinished: on Ctrl-C, a KeyboardInterrupt whose `verdicts` say what is proven of each sample by then.
        TypeError, ValueError: for arguments that don't fit, a folder of another problem, and an engine that does
            not answer each of this problem's batches once; one line each.
        ImportError: for "ray" without the package.
        ConnectionError: if there is no cluster at the engine's address.
        ChildProcessError: if a batch can't be decided because whoever does dies; what is finished is kept.
    """
    asked, how = (network, inputs, labels, perturbation), {"seed": seed, "ties": ties, "memory": memory}
    fleet = Fleet("local" if engine is None else engine, workers, resume, batch)
    prover = None if proof is None else prover_for(network, perturbation)
    if engine is None and resume is None:
        told = {"workers": workers, "progress": progress, "figures": figures}
        found = answers(*asked, verifier, timeout, **how, **told)
    else:
        found = in_batches(fleet, *asked, verifier, timeout, **how, progress=progress)
    if proof is None or prover is None:
        return found
    return with_proofs(proof, prover, inputs, labels, perturbation, found, timeout, progress)


def bounds(
    network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation, verifier: str | Verifier = "trains"
) -> LogitBounds:
    """Return proven ends of each logit over the set around each sample.

    Args:
        network, inputs, perturbation: as in `verify`.
        verifier: one that bounds logits, such as "interval" or "trains".

    Raises:
        TypeError, ValueError: for arguments that don't fit.
        OverflowError: where the run may overflow its dtype.
    """
    chosen = resolve(verifier)
    if not isinstance(chosen, MarginVerifier):
        known = ", ".join(name for name, make in VERIFIERS.items() if isinstance(make(), MarginVerifier))
        raise ValueError(f"verifier: got {chosen.name!r}, expected one that bounds logits: {known}")
    check_perturbation(perturbation)
    parts = list[LogitBounds]()
    for one in posed(network, inputs, OUTPUTS, perturbation):
        with evaluating(one.network), asked_within(one.network, one.inputs, one.perturbation):
            parts += [chosen.logits(one.network, part, one.perturbation) for part in one.inputs.split(CHUNK)]
    return LogitBounds(torch.cat([part.lower for part in parts]), torch.cat([part.upper for part in parts]))
