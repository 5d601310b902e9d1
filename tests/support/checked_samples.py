"""Proofs of a case's samples against inputs that were sampled."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikecert import save
from spikecert.certify.proofs import Prover, Unproven
from spikecert.checking import check
from spikecert.testing import Case


def check_samples(case: Case, ball: Any, folder: Path, sampled: Tensor, timeout: float = 5.0) -> int:
    """Prove what can be, check it, compare margins of sampled inputs, (count, batch, ...); return how many."""
    proven = 0
    prover = Prover.of(case.network)
    save(case.network, folder / "network.safetensors")
    with torch.no_grad():
        logits = torch.stack([case.network(part) for part in sampled]).double()
    for index, label in enumerate(case.labels.tolist()):
        try:
            proof = prover.prove(case.inputs[index], label, ball, timeout=timeout, ties="strict")
        except Unproven:
            continue
        proof.save(folder / "sample.proof")
        margin = check(folder / "sample.proof", folder / "network.safetensors").margin
        own, others = logits[:, index, label], logits[:, index].clone()
        others[:, label] = -torch.inf
        assert float((own - others.amax(1)).min()) > 0
        assert float((own - others.amax(1)).min()) >= margin - 1e-4 * float(logits.abs().max())
        proven += 1
    return proven
