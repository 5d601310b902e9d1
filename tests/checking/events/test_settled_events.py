"""Recordings whose events are settled one by one: what sides hold, against lists, and proofs made of them."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import combinations, product
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import (
    DLIF,
    LIF,
    EventChange,
    LInf,
    Residual,
    SpikeFlip,
    SpikeShift,
    SpikingNetwork,
    Synapse,
    moves_at_most,
    save,
)
from spikecert.certify.proofs import Disproved, Prover, Unproven
from spikecert.certify.proofs.asked import rules_of
from spikecert.checking import Refused, check, read_network
from spikecert.checking.certificates import elaborate
from spikecert.checking.events.recordings import OpenRecording
from spikecert.checking.kernel.certificates import check_certificate, claim_of
from spikecert.checking.kernel.checking import Checker
from spikecert.checking.kernel.contexts import Context, Window
from spikecert.checking.kernel.network import KernelNodes
from spikecert.checking.kernel.numbers import ONE
from spikecert.checking.kernel.records import Fields
from spikecert.checking.numbers.exact import Dyadic
from spikecert.checking.numbers.ranks import Ranks
from spikecert.checking.numbers.sparse import Matrix
from spikecert.checking.short import FORMAT
from spikecert.testing.neurons import SEEDS
from support.event_rules import Changing, changing, members
from support.exact_numbers import values
from support.examples import THOROUGH, examples

Threat = SpikeFlip | SpikeShift | EventChange


def outcomes(left: OpenRecording) -> set[bytes]:
    """Return all recordings that what is left may become: each unit by itself, whatever that costs."""
    shifts, flips = left.rules.shifts, left.rules.flips
    steps, units = left.fixed.shape[1], np.argwhere(left.movable).tolist()
    units = [(i, t) for i, t in units for _ in range(left.movable[i, t])]
    reach = 0 if shifts is None else shifts.reach
    ways = [[*range(max(0, t - reach), min(steps, t + reach + 1))] for _, t in units]
    if shifts is not None and shifts.border == "leave":
        ways = [own + [-1] * (min(t + 1, steps - t) <= reach) for own, (_, t) in zip(ways, units, strict=True)]
    found = set[bytes]()
    for places in product(*ways):
        sizes = [
            min(t + 1, steps - t) if to < 0 else abs(to - t) for to, (_, t) in zip(places, units, strict=True)
        ]
        moved = left.fixed.copy()
        for to, (i, _) in zip(places, units, strict=True):
            if to >= 0:
                moved[i, to] += 1
        if shifts is not None:
            over = shifts.count is not None and sum(size > 0 for size in sizes) > shifts.count
            if over or (shifts.total is not None and sum(sizes) > shifts.total):
                continue
            moved = moved if shifts.merge == "add" else moved.clip(max=1)
        found |= {each.tobytes() for each in _flipped(moved, left)} if flips is not None else {moved.tobytes()}
    return found


def _flipped(moved: np.ndarray, left: OpenRecording) -> Iterator[np.ndarray]:
    flips = left.rules.flips
    assert flips is not None
    barred = {"flip": -1, "insert": 1, "delete": 0}[flips.kind]
    free = [tuple(place) for place in np.argwhere((left.free > 0) & (moved != barred)).tolist()]
    for count in range(min(flips.count, len(free)) + 1):
        for chosen in combinations(free, count):
            after = moved.copy()
            for place in chosen:
                after[place] = 1 - after[place]
            yield after


def root(case: Changing) -> OpenRecording:
    """Return what may change of a recording at first."""
    changes = rules_of(case.threat, case.events).around(case.events.numpy(), len(case.events)).changes
    assert isinstance(changes, OpenRecording)
    return changes


def parts(left: OpenRecording, i: int, t: int) -> list[OpenRecording]:
    """Return all sides of an entry."""
    return [side() for side in left.sides(i, t)]


@examples(150)
@given(data=st.data(), steps=st.integers(1, 4), features=st.integers(1, 2), seed=SEEDS)
def test_sides_hold_the_same_recordings(data: st.DataObject, steps: int, features: int, seed: int):
    """From the root, which is the set, down to what is settled; bounds hold all recordings of a part."""
    case, generator = data.draw(changing(steps, features)), np.random.default_rng(seed)
    left = root(case)
    every = outcomes(left)
    assert every == {member.T.long().numpy().copy().tobytes() for member in case.every}
    weight, rows, costs = (
        generator.integers(-6, 7, shape) / 4 for shape in ((3, features), (steps, 3), (features, steps))
    )
    matrix = Matrix.dense(Dyadic.of(weight))
    while left.splittable.any():
        places = np.argwhere(left.splittable)
        sides = parts(left, *places[generator.integers(len(places))].tolist())
        assert set.union(*map(outcomes, sides)) == every
        left = sides[generator.integers(len(sides))]
        every = outcomes(left)
        listed = np.array([np.frombuffer(each, dtype=np.int64) for each in every]).reshape(-1, features, steps)
        low, high = map(values, left.ends())
        assert np.all((low <= listed) & (listed <= high))
        sums = np.stack([values(Dyadic.of(weight)) @ x.astype(object) @ values(Dyadic.of(rows)) for x in listed])
        low, high = map(values, left.between(matrix @ left.center, Ranks.of(matrix), Dyadic.of(rows)))
        assert np.all((low <= sums.min(0)) & (sums.max(0) <= high))
        least = min((values(Dyadic.of(costs)) * x.astype(object)).sum() for x in listed)
        assert left.least(Dyadic.of(costs)).fraction() <= least
    assert len(every) == 1


def test_what_can_not_be_settled_is_refused():
    events = np.array([[0, 1, 0], [0, 0, 0]])
    both = EventChange(SpikeFlip(1), SpikeShift(1, count=1))
    left = rules_of(both, torch.zeros(3, 2)).around(events.T.astype(float), 3).changes
    assert isinstance(left, OpenRecording)
    for i, t in ((0, 0), (0, 2), (2, 0), (0, 3), (0, -1)):  # an event may come there; no such entry
        with pytest.raises(Refused, match="splits an entry that can't change"):
            left.sides(i, t)
    stays, *moved = parts(left, 0, 1)
    assert len(moved) == 2
    assert parts(stays, 0, 1)[1].events.sum() == 0  # no event comes there any more


def changes_of(threat: Threat, *steps: int) -> OpenRecording:
    """Return what may change of one feature's events at some of three steps."""
    events = torch.tensor([[float(step in steps)] for step in range(3)])
    found = rules_of(threat, events).around(events.numpy(), 3).changes
    assert isinstance(found, OpenRecording)
    return found


def test_an_event_that_came_to_another_one_stays_there():
    """Events at 0 and 1: the first moves to 1, and the second one may still leave that behind, or come to 2."""
    left = parts(changes_of(SpikeShift(1, count=2), 0, 1), 0, 0)[1]
    assert isinstance(left, OpenRecording)
    assert sorted(np.frombuffer(each, dtype=np.int64).tolist() for each in outcomes(left)) == [
        [0, 1, 0],
        [0, 1, 1],
        [1, 1, 0],
    ]
    assert left.least(Dyadic.of(np.array([[0.0, -1.0, -3.0]]))).fraction() == -4
    low, high = left.ends()
    assert (values(low).tolist(), values(high).tolist()) == ([[0, 1, 0]], [[1, 1, 1]])


def test_a_move_takes_as_many_steps_as_it_is_far():
    left = changes_of(SpikeShift(None, total=2), 0, 2)
    near, far = parts(left, 0, 0)[1:]
    assert np.argwhere(near.splittable).tolist() == [[0, 2]]
    assert not far.splittable.any()


def test_the_kernel_knows_of_each_side_what_it_would_know_of_it_alone(tmp_path: Path):
    """Whatever was asked of other sides before, and of the whole set."""
    made = dense(0, LIF(0.8))
    save(made, tmp_path / "network.safetensors")
    events = torch.eye(3, 4)
    inputs = rules_of(SpikeFlip(2), events).around(events.numpy(), 3)

    def context() -> Context:
        """Return what holds at first."""
        return Context(KernelNodes.over(network_of(tmp_path), inputs), 3)

    def known(found: Context) -> list[object]:
        """Return what is asked."""
        place = found.nodes.spiking(2).source
        windows = [found.step(1), Window(0, ((ONE, ONE),) * 3)]
        return [*(found.spans(place, window) for window in windows), *map(str, vars(found.entered()).values())]

    asked = context()
    told = [known(asked)]
    assert isinstance(inputs.changes, OpenRecording)
    for side in (*parts(inputs.changes, 1, 1), *parts(inputs.changes, 0, 1)):
        mark = asked.mark()
        asked.settle(side)
        alone = context()
        alone.settle(side)
        told.append(known(asked))
        assert known(asked)[:2] == known(alone)[:2]
        assert asked.entered().least(Dyadic.of(np.ones((4, 3)))) == alone.entered().least(
            Dyadic.of(np.ones((4, 3)))
        )
        assert values(asked.entered().high).tolist() == values(side.ends()[1]).tolist()
        asked.undo(mark)
    assert len({str(each) for each in told}) == 5


def dense(seed: int, neuron: nn.Module, readout: str = "mean") -> SpikingNetwork:
    """Return a network over recordings whose classes change within few events."""
    torch.manual_seed(seed)
    layers = [nn.Linear(4, 6), neuron, nn.Linear(6, 3)]
    layers += [] if readout == "mean" else [LIF(0.7, 0.5)]
    made = SpikingNetwork(*layers, num_steps=3, encoding="none", readout=readout).eval()
    for parameter in made.parameters():
        parameter.data *= 2.0
    return made


ARCHITECTURES: dict[str, Callable[[], list[nn.Module]]] = {
    "convolution, batch norm": lambda: [
        nn.Conv2d(1, 3, 2),
        nn.BatchNorm2d(3),
        LIF(0.9),
        nn.Flatten(),
        nn.Linear(6, 3),
    ],
    "synapse": lambda: [nn.Flatten(), nn.Linear(6, 5), Synapse(0.5), LIF(0.9), nn.Linear(5, 3)],
    "delay of the input": lambda: [nn.Flatten(), Synapse(0.0, 1), nn.Linear(6, 5), LIF(0.9), nn.Linear(5, 3)],
    "max pool": lambda: [nn.MaxPool2d(2, 1), nn.Flatten(), nn.Linear(2, 5), LIF(0.9), nn.Linear(5, 3)],
    "input around the neurons": lambda: [
        nn.Flatten(),
        Residual([nn.Linear(6, 6), LIF(0.9)]),
        nn.Linear(6, 4),
        LIF(0.9),
        nn.Linear(4, 3),
    ],
    "neurons that read the input": lambda: [
        nn.Flatten(),
        LIF(0.9, 0.6),
        nn.Linear(6, 4),
        LIF(0.9),
        nn.Linear(4, 3),
    ],
    "counted spikes": lambda: [
        nn.Flatten(),
        nn.Linear(6, 5),
        LIF(0.9),
        nn.Linear(5, 3),
        LIF(0.9, reset="subtract"),
    ],
}


def architecture(name: str, seed: int) -> SpikingNetwork:
    """Return a network of pictures (1, 2, 3)."""
    torch.manual_seed(seed)
    readout = "spikes" if name == "counted spikes" else "mean"
    made = SpikingNetwork(*ARCHITECTURES[name](), num_steps=3, encoding="none", readout=readout).eval()
    for parameter in made.parameters():
        parameter.data *= 1.5
    return made


SETS: tuple[Threat, ...] = (
    SpikeFlip(2),
    SpikeShift(1, count=2),
    SpikeShift(None, total=2, merge="add", border="leave"),
    EventChange(SpikeFlip(1), SpikeShift(1, count=1)),
)
NETWORKS = {
    "zero": lambda seed: dense(seed, LIF(0.8)),
    "subtract": lambda seed: dense(seed, LIF(0.9, reset="subtract")),
    "scaled": lambda seed: dense(seed, DLIF(3, 0.8)),
    "counted": lambda seed: dense(seed, LIF(0.5), "spikes"),
    "first": lambda seed: dense(seed, LIF(0.8), "first"),
}


def decided(made: SpikingNetwork, events: Tensor, threat: Threat, folder: Path) -> tuple[bool | None, bool]:
    """Return whether a proof was found, None where it stays open, and whether it splits."""
    save(made, folder / "network.safetensors")
    label = int(made(events[None]).argmax())
    try:
        proof = Prover.of(made).prove(events, label, threat, timeout=120.0, ties="argmax")
    except Disproved:
        return False, False
    except Unproven:
        return None, False
    proof.save(folder / "events.proof")
    check(folder / "events.proof", folder / "network.safetensors")
    return True, proof.leaves > len(proof.trees)


@pytest.mark.parametrize("name", [*NETWORKS, *ARCHITECTURES])
def test_the_prover_decides_what_a_list_does(name: str, tmp_path: Path):
    told = Counter[str]()
    for seed in range(48 if THOROUGH else 8 if name in NETWORKS else 4):
        made = NETWORKS[name](seed) if name in NETWORKS else architecture(name, seed)
        threat, shape = SETS[seed % 4], (3, 4) if name in NETWORKS else (3, 1, 2, 3)
        events = (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.4).float()
        every = members(events.flatten(1), threat).view(-1, *shape)
        kept = bool((made(every).argmax(1) == made(events[None]).argmax(1)).all())
        found, splits = decided(made, events, threat, tmp_path)
        told["open" if found is None else "splits" if splits else "kept" if kept else "broken"] += 1
        assert found in (None, kept), (seed, threat)
    assert told["open"] <= 1, told
    assert told["splits"] + told["broken"] >= 1, told


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a certificate of two flips, whose events are split; a third breaks the class."""
    folder = tmp_path_factory.mktemp("settled")
    for seed in range(200):
        made = dense(seed, LIF(0.8))
        events = (torch.rand(3, 4, generator=torch.Generator().manual_seed(seed)) < 0.4).float()
        label = made(events[None]).argmax(1)
        if bool((made(members(events, SpikeFlip(3))).argmax(1) == label).all()):
            continue
        found, splits = decided(made, events, SpikeFlip(2), folder)
        if found and splits:
            (folder / "lines").write_text("\n".join(elaborate(folder / "events.proof", network_of(folder))))
            return folder
    raise AssertionError("no such network")


def network_of(folder: Path):
    return read_network(folder / "network.safetensors")


def refused(lines: list[str], folder: Path) -> str | None:
    """Return why a certificate is refused, None where it is accepted."""
    try:
        check_certificate(lines, network_of(folder), 100.0)
    except Refused as error:
        return str(error)
    return None


def test_a_certificate_of_sides_is_whole(kept: Path):
    lines = (kept / "lines").read_text().splitlines()
    assert refused(lines, kept) is None
    split = [number for number, line in enumerate(lines) if line.startswith("event")]
    assert split
    for number in split:  # without it sides are missing; once more it is no longer there to be split
        assert refused(lines[:number] + lines[number + 1 :], kept)
        told = refused(lines[: number + 1] + lines[number:], kept)
        assert told is not None
        assert "splits an entry that can't change" in told
        for entry in ("4 0", "0 3", "99999999999 0"):
            assert refused([*lines[:number], f"event {entry}", *lines[number + 1 :]], kept)
        assert refused([*lines[:number], "event 0", *lines[number + 1 :]], kept)
        assert refused([*lines[:number], "event 0 0 0", *lines[number + 1 :]], kept)
    assert refused([*lines[:2], lines[split[0]], *lines[2:]], kept) == (
        f"record 1 ({lines[split[0]]}): stands outside of all trees"
    )


def test_what_recordings_within_each_other_hold_is_limited(kept: Path, monkeypatch: pytest.MonkeyPatch):
    lines = (kept / "lines").read_text().splitlines()
    monkeypatch.setattr("spikecert.checking.work.MOST_NUMBERS", 100)
    with pytest.raises(Refused, match="entries of recordings within each other, more than the 100 that are held"):
        nested(kept, lines, 12)
    monkeypatch.setattr("spikecert.checking.work.MOST_NUMBERS", 144)
    nested(kept, lines, 12)


def nested(kept: Path, lines: list[str], splits: int) -> None:
    """Split all entries of the first sides, one within the other, and go no further."""
    checker = Checker.of(network_of(kept), claim_of(lines[1], network_of(kept)))
    first = checker.goal.clauses[0]
    for record in (f"class {first}", *(f"event {i} {t}" for i in range(4) for t in range(3))):
        word, *rest = record.split()
        checker._take(word, Fields(rest))
    assert len(checker.stack) == splits


def test_no_changed_certificate_of_a_false_claim_is_accepted(kept: Path, sealed: Callable[..., Path]):
    """Three flips break the class: whatever is done to the certificate of two of them, it is refused."""
    path = sealed(kept / "events.proof", FORMAT, lambda text, _: text["events"]["flips"].update(count=3))
    with pytest.raises(Refused, match="a leaf's margin is only proven"):
        check(path, kept / "network.safetensors")
    lines, drawn = (kept / "lines").read_text().splitlines(), Random(0)
    claim = lines[1].replace('"count": 2', '"count": 3')
    assert claim != lines[1]
    for _ in range(1000 if THOROUGH else 100):
        changed = [lines[0], claim, *lines[2:]]
        for _ in range(drawn.randint(0, 3)):
            number = drawn.randrange(2, len(changed))
            own = changed[number].split()
            change = drawn.choice(("drop", "twice", "event", "number"))
            if change == "drop":
                del changed[number]
            elif change == "twice":
                changed.insert(number, changed[number])
            elif change == "event":
                changed.insert(number, f"event {drawn.randrange(4)} {drawn.randrange(3)}")
            else:
                own[drawn.randrange(len(own))] = str(drawn.randrange(3))
                changed[number] = " ".join(own)
        assert refused(changed, kept)


def test_events_are_split_of_recordings_alone(tmp_path: Path):
    made = SpikingNetwork(nn.Linear(2, 3), LIF(), nn.Linear(3, 2), num_steps=2).eval()
    save(made, tmp_path / "network.safetensors")
    sample = torch.tensor([0.5, 0.25])
    proof = Prover.of(made).prove(sample, int(made(sample[None]).argmax()), LInf(0.0))
    proof.save(tmp_path / "events.proof")
    lines = [*elaborate(tmp_path / "events.proof", network_of(tmp_path))]
    place = next(number for number, line in enumerate(lines) if line.startswith("class"))
    told = refused([*lines[: place + 1], "event 0 0", *lines[place + 1 :]], tmp_path)
    assert told is not None
    assert "no recording whose changes share budgets" in told


def test_properties_of_recordings_are_split(tmp_path: Path):
    """Outputs of a recording stay near its own, as a list says."""
    told = Counter[bool]()
    for seed in range(6):
        made, events = dense(seed, LIF(0.8)), torch.eye(3, 4)
        save(made, tmp_path / "network.safetensors")
        outputs = made(members(events, SpikeFlip(1)))
        for size in (0.5, 1.0, 2.0):
            holds = bool(((outputs - made(events[None])).abs().amax() <= size).all())
            try:
                proof = Prover.of(made).prove(events, moves_at_most(size), SpikeFlip(1), timeout=120.0)
            except Disproved:
                assert not holds
                continue
            proof.save(tmp_path / "events.proof")
            assert check(tmp_path / "events.proof", tmp_path / "network.safetensors").prop is not None
            assert holds
            told[proof.leaves > len(proof.trees)] += 1
    assert told[True] >= 1, told
