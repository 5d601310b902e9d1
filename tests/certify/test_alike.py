"""Verdicts, attacks and radii compare, though they hold tensors."""

from dataclasses import replace

import pytest
import torch

from spikecert.certify import AttackResult, Radius, Verdict

FOUND = torch.tensor([[0.25, 0.5]])
VERDICT = Verdict("falsified", -0.5, FOUND, "pgd", 0.1, "broken")
RESULT = AttackResult(FOUND, torch.tensor([True]), torch.tensor([[1.0, 2.0]]), "pgd")
RADIUS = Radius(0.0, 0.5, False, FOUND, None)


@pytest.mark.parametrize("result", [VERDICT, RESULT, RADIUS], ids=["verdict", "attack", "radius"])
def test_results_are_equal_where_their_fields_are(result: object) -> None:
    name = "inputs" if isinstance(result, AttackResult) else "counterexample"
    assert result == replace(result, **{name: FOUND.clone()})  # type: ignore[type-var]
    assert hash(result) == hash(replace(result, **{name: FOUND.clone()}))  # type: ignore[type-var]
    for other in (FOUND + 1, FOUND.double(), FOUND[:, :1], torch.full_like(FOUND, torch.nan)):
        assert result != replace(result, **{name: other})  # type: ignore[type-var]
    assert result != "falsified"
    assert len({result, replace(result)}) == 1  # type: ignore[type-var]


def test_time_is_no_part_of_a_verdict_and_the_rest_is() -> None:
    assert replace(VERDICT, seconds=9.0) == VERDICT
    assert replace(VERDICT, status="unknown", counterexample=None) != VERDICT
    for changed in ({"margin": None}, {"verifier": "trains"}, {"reason": ""}, {"ties": "argmax"}):
        assert replace(VERDICT, **changed) != VERDICT
    assert [VERDICT, VERDICT].index(replace(VERDICT)) == 0
