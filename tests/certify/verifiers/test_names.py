"""A verifier's name, and what it does, are told once: whatever asks for one by name reads the table.

What a bound on the edge means: a margin that is proven to be at least 0 is not proven to be positive.
"""

import ast
import math
import re
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from spikecert import LInf, SpikingNetwork, bounds, mlp, verify
from spikecert.certify.alike import Named
from spikecert.certify.attacks import ATTACKS
from spikecert.certify.bounds.propagation import LogitBounds
from spikecert.certify.perturbations import Perturbation
from spikecert.certify.verifiers import INTERVAL, TRAINS, VERIFIERS, Ladder, MarginVerifier, ladder
from spikecert.models.deadline import Expired, never
from spikecert.reports.pages.wording import sources
from support.modules import ROOT, modules

MANY = 4


def test_the_page_has_the_ladder_as_it_is():
    page = (ROOT / "docs" / "certification.md").read_text(encoding="utf-8")
    rows = [f"| `{step.verifier.name}` | {step.asked} | {step.costs} |\n" for step in ladder()]
    assert "".join(rows) in page
    assert VERIFIERS["auto"]() == Ladder(tuple(step.verifier for step in ladder()))


def test_a_verdict_says_what_each_rung_took():
    network, inputs = mlp((2, 4, 2), num_steps=2).eval(), torch.full((1, 2), 0.5)
    labels = network(inputs).argmax(1)
    (found,) = verify(network, inputs, labels, LInf(0.1), Ladder((INTERVAL, Ladder((INTERVAL, TRAINS)))))
    names = [name for name, _ in found.took]
    assert names == ["interval", "interval", "trains"][: len(names)]
    assert math.isclose(found.seconds, sum(seconds for _, seconds in found.took), rel_tol=0.5, abs_tol=1e-2)
    assert verify(network, inputs, labels, LInf(0.1), INTERVAL)[0].took == ()


def test_a_new_verifier_needs_one_entry(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(VERIFIERS, "mine", Named(lambda: replace(INTERVAL, name="mine"), "does as it likes"))
    network, inputs = mlp((2, 4, 2), num_steps=2).eval(), torch.full((1, 2), 0.5)
    labels = network(inputs).argmax(1)
    assert {verdict.verifier for verdict in verify(network, inputs, labels, LInf(0.1), "mine")} == {"mine"}
    mine, interval = (bounds(network, inputs, LInf(0.1), name).lower for name in ("mine", "interval"))
    assert torch.equal(mine, interval)
    with pytest.raises(ValueError, match=r"bounds logits: interval, .*, lirpa, mine$"):
        bounds(network, inputs, LInf(0.1), "milp")
    with pytest.raises(ValueError, match="mine"):
        verify(network, inputs, labels, LInf(0.1), "none")
    models = [SimpleNamespace(attacks=("pgd",), verifiers=("mine", "former"))]
    record: Any = SimpleNamespace(models=models, threat=SimpleNamespace(norm="linf", asked=None))
    told = dict(sources(record))
    assert told["Verifier mine"] == "does as it likes"
    assert told["Verifier former"] == "see the documentation"
    assert told["Attack pgd"] == ATTACKS["pgd"].does


@pytest.mark.parametrize("table", [VERIFIERS, ATTACKS], ids=["verifiers", "attacks"])
def test_no_other_list_of_names(table: dict[str, Any]):
    lists = {
        module.path.relative_to(ROOT).as_posix()
        for module in modules().values()
        for node in module.nodes
        if isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Dict)
        if sum(named(inner) in table for inner in ast.iter_child_nodes(node)) >= MANY
    }
    assert lists == {f"certify/{'verifiers' if table is VERIFIERS else 'attacks'}/__init__.py"}


def named(node: ast.AST) -> Any:
    """Return a constant's value."""
    return node.value if isinstance(node, ast.Constant) else None


def test_the_page_has_a_row_for_each():
    page = (ROOT / "docs" / "concepts" / "choosing.md").read_text(encoding="utf-8")
    assert re.findall(r'^\| `"(.*?)"` \|', page, re.MULTILINE) == list(VERIFIERS)


@dataclass(frozen=True)
class Says(MarginVerifier):
    """Has the same bound for every sample."""

    margin: float
    name: str = "says"

    def margins(
        self,
        network: SpikingNetwork,
        inputs: Tensor,
        labels: Tensor,
        perturbation: Perturbation,
        expired: Expired = never,
    ) -> Tensor:
        return torch.full((len(inputs),), self.margin, dtype=torch.float64)

    def logits(self, network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> LogitBounds:
        return TRAINS.logits(network, inputs, perturbation)


@pytest.mark.parametrize(
    ("margin", "status"), [(5e-324, "verified"), (0.0, "unknown"), (-0.0, "unknown"), (float("nan"), "unknown")]
)
def test_only_a_positive_margin_verifies(margin: float, status: str):
    torch.manual_seed(0)
    network, inputs = mlp((2, 3, 2), num_steps=2).eval(), torch.rand(2, 2)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    found = verify(network, inputs, labels, LInf(0.0), Says(margin))
    assert [verdict.status for verdict in found] == [status, status]
