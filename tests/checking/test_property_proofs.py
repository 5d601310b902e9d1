"""Proofs of properties: `robust` is a strict proof of the class, all others are refused by name."""

import pytest
import torch

from spikecert import LInf, abstains, mlp, moves_at_most, output, robust, targeted, top_k
from spikecert.certify.proofs import Prover, Unproven
from spikecert.checking import check
from spikecert.models import save


def test_robust_is_a_strict_proof_of_the_class(tmp_path):
    torch.manual_seed(0)
    network, x = mlp((3, 6, 3), 4).eval(), torch.full((3,), 0.5)
    with torch.no_grad():
        label = int(network(x[None]).argmax())
    save(network, tmp_path / "network.safetensors")
    for prop in (robust(), robust(label)):
        Prover.of(network).prove(x, prop, LInf(0.001)).save(tmp_path / "a.proof")
        found = check(tmp_path / "a.proof", tmp_path / "network.safetensors")
        assert (found.label, found.ties) == (label, "strict")
    with pytest.raises(Unproven):
        Prover.of(network).prove(x, robust((label + 1) % 3), LInf(0.001))


@pytest.mark.parametrize(
    "prop",
    [moves_at_most(0.1), targeted(0), top_k(2), abstains(0.1), output[0] <= 1.0, robust(0) & robust(0)],
    ids=str,
)
def test_other_properties_have_no_form(prop):
    prover = Prover.of(mlp((3, 6, 3), 4).eval())
    with pytest.raises(ValueError, match=r"^property: got \w+, of which proof files have no form") as error:
        prover.prove(torch.full((3,), 0.5), prop, LInf(0.01))
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"^ties: got 'argmax' beside a property"):
        prover.prove(torch.full((3,), 0.5), robust(), LInf(0.01), ties="argmax")
