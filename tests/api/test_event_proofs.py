"""`certify --proof` and `check-proof` of events: what is asked for must be among what is proven."""

import json

import pytest
import torch

from spikecert import CertifiedEvents, SpikeFlip, SpikingNetwork, dataset, fit, mlp, save
from spikecert.models import LIF

COMMON = "--data", "digit-events", "--samples", 12, "--verifier", "trains"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return the file of a network that knows some recordings, and keeps them under flips."""
    torch.manual_seed(0)
    layers = mlp((128, 12, 10), num_steps=3, neuron=LIF(0.9)).layers
    network = SpikingNetwork(torch.nn.Flatten(), *layers, num_steps=3, encoding="none")
    settings = {"epochs": 4, "optimizer": "adam", "learning_rate": 0.01}
    network = fit(network, dataset("digit-events", num_steps=3), CertifiedEvents(SpikeFlip(2)), **settings).network
    path = tmp_path_factory.mktemp("model") / "network.safetensors"
    save(network, path)
    return path


def certified(run, model, folder, *options) -> list[str]:
    """Certify with proofs; return the names of what should be there."""
    outcome = run("certify", model, *COMMON, *options, "--proof", folder, "--json")
    rows = json.loads(outcome.out)["models"][0]["rows"]
    found = [row for row in rows if row["verdicts"]["trains"]["status"] == "verified"]
    assert found
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"{row['index']:05d}-{row['epsilon']:g}.proof" for row in found
    )
    return [row["index"] for row in found]


def test_each_verified_recording_gets_a_proof_of_flips(run, model, tmp_path):
    folder = tmp_path / "flips"
    verified = certified(run, model, folder, "--norm", "flips", "--kind", "delete", "--epsilon", "1")
    checked = run("check-proof", folder, "--model", model)
    assert checked.status == 0
    assert checked.out.count("under 1 deleted events, margin ≥ ") == len(verified)
    asked = "check-proof", folder, "--model", model, "--norm", "flips"
    assert run(*asked, "--epsilon", "1", "--kind", "delete").status == 0
    assert run(*asked, "--epsilon", "1", "--kind", "delete", "--where", "steps=0:2").status == 0
    for options, told in (
        (("--epsilon", "1"), "proves 1 deleted events, less than the 1 flips asked for"),
        (("--epsilon", "2", "--kind", "delete"), "less than the 2 deleted events asked for"),
        (("--epsilon", "1", "--norm", "linf"), "not a ball in the linf asked for"),
        (("--lower", "0"), "is about events, not about a range of inputs"),
    ):
        refused = run(*asked, *options)
        assert refused.status == 1
        assert told in refused.out
    listed = json.loads(run("check-proof", folder, "--model", model, "--json").out)["proofs"][0]
    assert listed["events"] == {"flips": {"count": 1, "kind": "delete"}}
    assert "epsilon" not in listed


def test_a_region_of_a_proof_is_not_all_of_a_recording(run, model, tmp_path):
    folder = tmp_path / "region"
    certified(run, model, folder, "--norm", "flips", "--where", "steps=0:2", "--epsilon", "1")
    asked = "check-proof", folder, "--model", model, "--norm", "flips", "--epsilon", "1"
    assert run(*asked, "--where", "steps=0:1").status == 0
    assert run(*asked, "--where", "steps=0:2").status == 0
    for options in ((), ("--where", "steps=1:3")):
        refused = run(*asked, *options)
        assert refused.status == 1
        assert "proves 1 flips, among 256 of 384 entries, less than the 1 flips" in refused.out


def test_moves_and_flips_beside_moves_have_proofs(run, model, tmp_path):
    certified(run, model, tmp_path / "moves", "--norm", "shift", "--jitter", 1, "--epsilon", "1")
    asked = "check-proof", tmp_path / "moves", "--model", model, "--norm", "shift"
    assert run(*asked, "--epsilon", "1", "--jitter", 1).status == 0
    assert run(*asked, "--epsilon", "1", "--jitter", 1, "--count", 1).status == 0
    refused = run(*asked, "--epsilon", "1", "--jitter", 2)
    assert refused.status == 1
    told = (
        'proves events moved by up to 1 steps, all of them, 1 steps in all, merged by "or", that stay, less than'
    )
    assert told in refused.out
    both = "--norm", "flips+shift", "--jitter", 1, "--count", 1, "--kind", "delete", "--where", "steps=2:3"
    certified(run, model, tmp_path / "both", *both, "--epsilon", "1")
    asked = "check-proof", tmp_path / "both", "--model", model
    assert run(*asked, *both, "--epsilon", "1").status == 0
    alone = *asked, "--norm", "flips", "--kind", "delete"
    assert run(*alone, "--epsilon", "1", "--where", "steps=2:3").status == 0  # moves of no event are among all
    assert run(*alone, "--epsilon", "1").status == 1
    assert run(*asked, *both, "--epsilon", "2").status == 1


def test_an_interrupted_run_goes_on_and_asks_for_larger_sets_anew(run, model, tmp_path):
    folder, options = tmp_path / "flips", ("--norm", "flips", "--epsilon", "1")
    certified(run, model, folder, *options, "--kind", "insert")
    first = min(folder.iterdir())
    before = first.stat().st_mtime_ns
    certified(run, model, folder, *options, "--kind", "insert")
    assert first.stat().st_mtime_ns == before
    certified(run, model, folder, *options)
    assert first.stat().st_mtime_ns > before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--norm", "flip"), "norm: got 'flip', expected linf, l2, flips, shift or flips+shift"),
        (("--norm", "flips", "--epsilon", "0.5"), "epsilon: got 0.5, expected a whole number"),
        (("--norm", "flips", "--epsilon", "-1"), "epsilon: got '-1', expected a number above 0"),
        (
            ("--norm", "flips", "--epsilon", "1", "--kind", "swap"),
            "kind: got 'swap', expected flip, insert or delete",
        ),
        (("--norm", "flips", "--epsilon", "1", "--jitter", "1"), "jitter: got one with --norm flips"),
        (("--norm", "linf", "--epsilon", "1", "--where", "steps=0:1"), "where: got one with --norm linf"),
        (("--norm", "flips", "--kind", "insert"), "kind: got one without epsilon, expected both"),
        (("--norm", "flips", "--epsilon", "1", "--where", "steps"), "where: got 'steps', expected intervals"),
        (("--norm", "shift", "--epsilon", "1", "--total", "1"), "total: got 1, expected none: it is what ε is"),
        (("--norm", "shift", "--epsilon", "1", "--budget", "all"), "budget: got 'all', expected total"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(run, model, tmp_path, options, message):
    (tmp_path / "a.proof").write_bytes(b"")
    outcome = run("check-proof", tmp_path, "--model", model, *options)
    assert outcome.status == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("norm", [("flips",), ("flips+shift", "--jitter", 1, "--count", 1)])
def test_growth_is_measured_under_changed_events(run, model, norm):
    """The gains stand beside what noise and the quick ensemble do to recordings."""
    options = "--data", "digit-events", "--samples", 2, "--verifier", "interval", "--norm", *norm, "--epsilon", "1"
    outcome = run("certify", model, *options, "--gains", "--json")
    assert outcome.status in (0, 1)  # 1: not all are proved
    assert "no gains" not in outcome.err
    growth = json.loads(outcome.out)["models"][0]["growth"]
    assert {row["source"] for row in growth} == {"noise", "ensemble-fast"}
