"""Proofs about events: what "trains" verifies has one, no member contradicts one, and a changed one is refused."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import LIF, EventChange, SpikeFlip, SpikeShift, SpikingNetwork, load, save, verify
from spikecert.certify import EventRegion
from spikecert.certify.branching.bounding import Climb
from spikecert.certify.proofs import Prover, Unproven
from spikecert.checking import Refused, check
from spikecert.checking.short import FORMAT
from spikecert.models import deadline
from spikecert.models.files.storage import read_tensors, write_tensors
from spikecert.testing import Case, cases
from spikecert.testing.neurons import SEEDS
from support.event_rules import changing, members
from support.examples import THOROUGH, examples
from support.readouts import has_a_form

Threat = SpikeFlip | SpikeShift | EventChange


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let roots take as long as a busy machine needs: what no time is left for is to split."""
    monkeypatch.setattr(deadline, "GRACE", 60.0)


THREATS: dict[str, Threat] = {
    "a flip": SpikeFlip(1),
    "an insertion": SpikeFlip(1, "insert"),
    "two deletions": SpikeFlip(2, "delete"),
    "a flip of the first steps": SpikeFlip(1, where=EventRegion(steps=(0, 2))),
    "a move": SpikeShift(1, count=1),
    "moves of two steps": SpikeShift(None, total=2, border="leave"),
    "a move and a flip": EventChange(SpikeFlip(1, "delete"), SpikeShift(1, count=1)),
}
NEURONS = {
    "zero": {"decay": 0.9, "reset": "zero"},
    "subtract": {"decay": 0.8, "reset": "subtract"},
    "none": {"decay": 0.5, "reset": "none"},
    "no memory": {"decay": 0.0},
    "no decay": {"decay": 1.0, "reset": "subtract"},
}


ROOTS = 1e-9
"""Seconds for a proof that leave no time to split."""


def dense(seed: int, inputs: int, settings: dict[str, Any], steps: int = 3) -> SpikingNetwork:
    """Return a network over recordings whose classes change within few flips."""
    torch.manual_seed(seed)
    layers = nn.Linear(inputs, 6), LIF(**settings), nn.Linear(6, 3)
    network = SpikingNetwork(*layers, num_steps=steps, encoding="none").eval()
    for parameter in network.parameters():
        parameter.data *= 2.0
    return network


def answers(network: SpikingNetwork, events: Tensor) -> Tensor:
    """Return the network's classes, those of ties lowest."""
    with torch.no_grad():
        return network(events).argmax(1)


def prove(network: SpikingNetwork, events: Tensor, threat: Threat, folder: Path, timeout: float = ROOTS) -> Any:
    """Write and check the proof of a recording's own class; return the statement, or None where there is none."""
    label = int(answers(network, events[None]))
    save(network, folder / "network.safetensors")
    prover = replace(Prover.of(network), start=Climb(iterations=8, momenta=(0.7, 0.9)))
    try:
        prover.prove(events, label, threat, timeout=timeout).save(folder / "events.proof")
    except Unproven:
        return None
    return check(folder / "events.proof", folder / "network.safetensors")


@pytest.mark.parametrize("kind", NEURONS)
def test_what_trains_verifies_has_a_proof_that_no_member_contradicts(kind: str, tmp_path: Path):
    found, wide = Counter[str](), Counter[str]()
    for seed, threat in enumerate([*THREATS.values()] * (3 if THOROUGH else 1)):
        network = dense(seed, 3, NEURONS[kind])
        events = (torch.rand(3, 3, generator=torch.Generator().manual_seed(seed)) < 0.5).float()
        label = answers(network, events[None])
        (verdict,) = verify(network, events[None], label, threat, "trains")
        statement = prove(network, events, threat, tmp_path)
        kept = bool((answers(network, members(events, threat)) == label).all())
        assert kept or statement is None
        assert statement is not None or verdict.status != "verified"
        found[f"{verdict.status}, {'proven' if statement else 'open'}"] += 1
        wide["changes"] += not bool((answers(network, members(events, doubled(threat))) == label).all())
    assert found["verified, proven"] >= 2, found
    assert wide["changes"] >= 2, wide


def doubled(threat: Threat) -> Threat:
    """Return a set with twice the budgets, of any entries."""
    if isinstance(threat, EventChange):
        return EventChange(SpikeFlip(2), SpikeShift(1, count=2))
    if isinstance(threat, SpikeFlip):
        return SpikeFlip(2 * threat.count)
    return replace(threat, count=threat.count and 2 * threat.count, total=threat.total and 2 * threat.total)


@examples(60)
@given(st.data(), cases(most_layers=2, most_width=5, most_steps=3, features=2, encodings=("none",)))
def test_no_member_contradicts_a_proof(tmp_path_factory, data: st.DataObject, case: Case):
    assume(has_a_form(case.network))
    drawn = data.draw(changing(case.network.num_steps, 2, case.network.dtype))
    folder = tmp_path_factory.mktemp("events")
    statement, every = prove(case.network, drawn.events, drawn.threat, folder), drawn.every
    if statement is None:
        return
    with torch.no_grad():
        logits = case.network(every).double()
    others = logits.clone()
    others[:, statement.label] = -torch.inf
    assert bool((logits.argmax(1) == statement.label).all())
    margin = float((logits[:, statement.label] - others.amax(1)).min())
    assert margin >= statement.margin - 1e-4 * float(logits.abs().max())


@examples(60)
@given(st.data(), cases(most_layers=2, most_width=5, most_steps=3, features=2, encodings=("none",)), SEEDS)
def test_a_proof_of_a_set_is_none_of_a_larger_one(tmp_path_factory, data: st.DataObject, case: Case, seed: int):
    """Rules of a proof become those of a set that holds a counterexample: whatever prices it has, it is none."""
    assume(has_a_form(case.network))
    network, folder = case.network, tmp_path_factory.mktemp("events")
    drawn = data.draw(changing(network.num_steps, 2, network.dtype))
    if prove(network, drawn.events, drawn.threat, folder) is None:
        return
    wide = SpikeFlip(2)
    if bool(
        (answers(network, members(drawn.events.clamp_max(1), wide)) == answers(network, drawn.events[None])).all()
    ):
        return
    text, tensors = read_tensors(folder / "events.proof", FORMAT)
    described = json.loads(text) | {"norm": "l0", "events": {"flips": {"count": 2, "kind": "flip"}}}
    kept = {name: tensor for name, tensor in tensors.items() if not name.endswith(".where")}
    generator = torch.Generator().manual_seed(seed)
    for scale in (1.0, 0.0, 2.0):
        noise = {name: x * scale for name, x in kept.items() if ".prices." in name}
        noise = {
            name: x + torch.randn(x.shape, generator=generator).to(x) * (scale > 1) for name, x in noise.items()
        }
        write_tensors(folder / "wide.proof", FORMAT, json.dumps(described), kept | noise)
        with pytest.raises(Refused):
            check(folder / "wide.proof", folder / "network.safetensors")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a network and a proof of two deletions of a recording that one flip more may break."""
    folder = tmp_path_factory.mktemp("kept")
    for seed in range(320, 600):  # the first that has all of it is 320
        network, events = dense(seed, 4, NEURONS["zero"]), torch.zeros(3, 4)
        events[torch.rand(3, 4, generator=torch.Generator().manual_seed(seed)) < 0.6] = 1
        label, mask = answers(network, events[None]), torch.arange(12).view(3, 4) % 4 < 2
        if bool((answers(network, members(events, SpikeFlip(3))) == label).all()):
            continue
        if bool((answers(network, members(events, SpikeFlip(2, "delete"))) == label).all()):
            continue
        statement = prove(network, events, SpikeFlip(2, "delete", mask), folder, timeout=60.0)
        if statement is not None and statement.leaves >= 2 and _priced(folder):
            return folder
    raise AssertionError("no such recording")


def _priced(folder: Path) -> bool:
    """Return whether the proof needs its prices."""
    text, tensors = read_tensors(folder / "events.proof", FORMAT)
    zero = {name: x * 0 if ".prices." in name else x for name, x in tensors.items()}
    write_tensors(folder / "zero", FORMAT, text, zero)
    try:
        check(folder / "zero", folder / "network.safetensors")
    except Refused:
        return True
    return False


def test_a_statement_says_what_may_change(kept: Path):
    found = check(kept / "events.proof", kept / "network.safetensors")
    assert found.norm == "l0"
    assert found.rules is not None
    assert found.rules.flips is not None
    assert found.rules.flips.where is not None
    assert (found.rules.flips.count, found.rules.flips.kind) == (2, "delete")
    assert found.rules.flips.where.sum() == 6
    assert str(found.rules) == "2 deleted events, among 6 of 12 entries"
    assert found.radius.size == 0


def _prices(factor: float) -> Any:
    def change(text: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        for name in tensors:
            if ".prices." in name:
                tensors[name] = tensors[name] * factor

    return change


CHANGES: dict[str, tuple[Any, str]] = {
    "all entries": (lambda text, tensors: tensors.pop("flips.where"), "class . a leaf's margin"),
    "a larger mask": (lambda text, tensors: tensors["flips.where"].fill_(1), "a leaf's margin"),
    "a greater budget": (lambda text, tensors: text["events"]["flips"].update(count=12), "a leaf's margin"),
    "no prices": (_prices(0.0), "a leaf's margin"),
    "prices of the other sign": (_prices(-1.0), "a leaf's margin"),
    "great prices": (_prices(50.0), "a leaf's margin"),
    "another label": (lambda text, tensors: text.update(label=(text["label"] + 1) % 3), ""),
    "another kind": (lambda text, tensors: text["events"]["flips"].update(kind="swap"), "flips.kind: got 'swap'"),
    "a fraction": (lambda text, tensors: text["events"]["flips"].update(count=0.5), "flips.count: got 0.5"),
    "a negative count": (lambda text, tensors: text["events"]["flips"].update(count=-2), "flips.count: got -2"),
    "moves": (lambda text, tensors: text.update(norm="shift"), "events: got flips, expected shifts"),
    "no events": (lambda text, tensors: text.pop("events"), "events"),
    "a ball": (lambda text, tensors: text.update(norm="linf"), "events: has some, and a norm of no events"),
    "another norm": (lambda text, tensors: text.update(norm="l3"), "events: has some, and a norm of no events"),
    "a range": (lambda text, tensors: text.update(lower=0.0), "lower: belongs to no proof about events"),
    "a field": (lambda text, tensors: text.update(free=1), "free: belongs to no proof about events"),
    "a radius": (lambda text, tensors: tensors.update(radius=torch.zeros(1)), "radius: belongs to no proof"),
    "a mask of moves": (
        lambda text, tensors: tensors.update({"shifts.where": tensors["flips.where"]}),
        "shifts.where: belongs to no rule",
    ),
    "another mask": (
        lambda text, tensors: tensors.update({"flips.free": tensors["flips.where"]}),
        "flips.free: belongs to no rule",
    ),
    "a mask of floats": (
        lambda text, tensors: tensors.update({"flips.where": tensors["flips.where"].float()}),
        "flips.where: holds other numbers than int32",
    ),
    "a mask of twos": (lambda text, tensors: tensors["flips.where"].mul_(2), "flips.where: holds other numbers"),
    "a mask of another shape": (
        lambda text, tensors: tensors.update({"flips.where": tensors["flips.where"][:2]}),
        "flips.where: has shape (2, 4)",
    ),
    "half an event": (lambda text, tensors: tensors["sample"].mul_(0.5), "sample: holds other numbers"),
    "fewer steps": (
        lambda text, tensors: tensors.update(sample=tensors["sample"][:2]),
        "sample: has no first axis of 3 steps",
    ),
    "whole numbers": (lambda text, tensors: tensors.update(sample=tensors["sample"].int()), "sample: holds other"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_proof_is_refused(name: str, kept: Path, sealed: Callable[..., Path]):
    change, message = CHANGES[name]
    with pytest.raises(Refused) as caught:
        check(sealed(kept / "events.proof", FORMAT, change), kept / "network.safetensors")
    assert message.partition("class . ")[2] or message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_recording_is_refused_or_proven_by_itself(kept: Path, sealed: Callable[..., Path]):
    """Whatever recording a file names: it is refused, or all members about that one have the class."""
    statement = check(kept / "events.proof", kept / "network.safetensors")
    model, refused = load(kept / "network.safetensors").eval(), 0
    for place in range(12):

        def change(text: dict[str, Any], tensors: dict[str, Tensor], place: int = place) -> None:
            flat = tensors["sample"].view(-1)
            flat[place] = 1 - flat[place]
            flat[(place + 5) % 12] = 1 - flat[(place + 5) % 12]

        path = sealed(kept / "events.proof", FORMAT, change)
        try:
            found = check(path, kept / "network.safetensors")
        except Refused:
            refused += 1
            continue
        sample, mask = torch.tensor(found.sample), torch.arange(12).view(3, 4) % 4 < 2
        assert bool((answers(model, members(sample, SpikeFlip(2, "delete", mask))) == statement.label).all())
    assert refused >= 3


def test_ties_on_the_threshold_are_both_outcomes(tmp_path: Path):
    """The current is exactly the threshold where one event is there: a run may fire, and the class hangs on it."""
    network = SpikingNetwork(nn.Linear(1, 1), LIF(0.5, 1.0), nn.Linear(1, 2), num_steps=2, encoding="none").eval()
    first, last = network.layers[0], network.layers[2]
    first.weight.data, first.bias.data = torch.ones(1, 1), torch.zeros(1)
    last.weight.data, last.bias.data = torch.tensor([[1.0], [0.0]]), torch.tensor([0.25, 0.0])
    events = torch.tensor([[1.0], [0.0]])
    assert prove(network, events, SpikeFlip(2), tmp_path).label == 0  # spikes only add to the class
    last.weight.data = torch.tensor([[-1.0], [0.0]])
    label = int(answers(network, events[None]))
    assert label == 1  # v = θ fires
    assert prove(network, events, SpikeFlip(0), tmp_path) is None


@pytest.mark.parametrize(
    "threat", [SpikeFlip(0), SpikeShift(0), EventChange(SpikeFlip(0), SpikeShift(1, count=0))]
)
def test_no_budget_proves_the_recording_alone(threat: Threat, tmp_path: Path):
    network, events = dense(0, 3, NEURONS["zero"]), torch.eye(3)
    found = prove(network, events, threat, tmp_path)
    assert found.label == int(answers(network, events[None]))


def test_a_set_that_may_not_change_anything_proves_the_recording_alone(tmp_path: Path):
    network, events = dense(0, 3, NEURONS["zero"]), torch.eye(3)
    mask = torch.zeros(3, 3, dtype=torch.bool)
    assert prove(network, events, SpikeFlip(9, where=mask), tmp_path) is not None
    next(network.parameters()).data.zero_()
    assert prove(network, events, SpikeFlip(9), tmp_path) is not None  # no event matters


def test_what_has_no_proof_form_is_said_to_be_unknown():
    direct = SpikingNetwork(nn.Linear(3, 2), LIF(), nn.Linear(2, 2), num_steps=2).eval()
    with pytest.raises(Unproven, match=r"^unknown: no proof form for events of inputs that have none"):
        Prover.of(direct).prove(torch.ones(3), 0, SpikeFlip(1))

    class Own(SpikeFlip):
        """Flips of its own."""

    with pytest.raises(Unproven, match=r"^unknown: no proof form for norm 'l0'"):
        Prover.of(dense(0, 3, NEURONS["zero"])).prove(torch.eye(3), 0, Own(1))
    with pytest.raises(Unproven, match=r"^sample: holds other numbers than whole ones from 0 to 1"):
        Prover.of(dense(0, 3, NEURONS["zero"])).prove(torch.eye(3) / 2, 0, SpikeFlip(1))
    with pytest.raises(Unproven, match=r"^where: got a mask of shape"):
        Prover.of(dense(0, 3, NEURONS["zero"])).prove(torch.eye(3), 0, SpikeFlip(1, where=torch.ones(1) > 0))
