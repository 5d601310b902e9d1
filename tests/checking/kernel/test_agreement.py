"""The checker of short proofs and the kernel accept the same proofs, and say the same of them."""

import pytest

from spikecert.certify.certificates import elaborate
from spikecert.checking import check, read_network
from spikecert.checking.kernel import check_certificate
from support.examples import by_night
from support.proofs import KINDS

from .conftest import FOLDER


def check_alike(proof, model) -> None:
    """Both accept a proof, with one claim, and the kernel's margin is not the lower one."""
    network = read_network(model)
    known, found = check(proof, network), check_certificate(elaborate(proof, network), network)
    for part in ("claim", "point", "label", "ties", "norm", "epsilon", "leaves", "note", "network"):
        assert getattr(known, part) == getattr(found, part), part
    assert found.margin >= known.margin - 1e-9


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.proof")))
def test_both_accept_a_kept_proof(name):
    check_alike(FOLDER / f"{name}.proof", FOLDER / f"{name}.safetensors")


@pytest.mark.parametrize("kind", by_night(*KINDS), indirect=True)
def test_both_accept_a_proof_of_each_kind(proven, kind):
    check_alike(proven.proof, proven.model)
