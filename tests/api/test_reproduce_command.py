"""`spikecert run PROTOCOL`: the list, what it says without data, its output and its exit status."""

import json

from spikecert.protocols import names

QUICK = ("--epochs", 1, "--samples", 4, "--train-samples", 30, "--seeds", 0, "--only", "AT, LIF, ρ = 1")


def test_the_list_names_each_protocol(run):
    listed = run("run", "--list")
    assert listed.status == 0
    assert [line.split()[0] for line in listed.out.splitlines()] == list(names())


def test_without_data_it_says_what_to_put_where(run, tmp_path):
    told = run("run", "vgg11-cifar10-at", "--root", tmp_path)
    assert told.status == 2
    assert "cifar10 needs the file data_batch_1" in told.err
    assert "root/cifar-10-batches-py" in told.err
    assert len(told.err.splitlines()) == 1


def test_a_folder_of_its_name_hides_no_protocol(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert "seeds: got 'one'" in run("run", "digits", "--seeds", "one").err
    assert "only: got 'x'" in run("run", "digits", "--only", "x", "--epochs", 1).err


def test_a_table_and_the_same_as_json(run, tmp_path):
    told = run("run", "digits", *QUICK, "--out", tmp_path)
    assert told.status == 0
    assert "AT, LIF, ρ = 1" in told.out
    assert "the first 4 test samples; the first 30 training samples; 1 epoch; seeds 0" in told.out
    found = json.loads(run("run", "digits", *QUICK, "--out", tmp_path, "--json").out)
    assert found["schema"] == "spikecert.reproduction/1"
    assert [one["row"] for one in found["runs"]] == ["AT, LIF, ρ = 1"]
    assert found == json.loads((tmp_path / "results.json").read_text())


def test_wrong_arguments_are_one_line(run):
    for arguments, message in (
        (("digit",), "protocol: got 'digit', expected one of"),
        (("digits.toml", "--epochs", 1), "epochs: got 1, expected none beside digits.toml: it is of protocols"),
        (("digits", "--seeds", "one"), "seeds: got 'one'"),
        (("digits", "--width", "1/2"), "width: got 1/2 for mlp:64"),
        (("digits", "--only", "x", "--epochs", 1), "only: got 'x'"),
    ):
        told = run("run", *arguments)
        assert told.status == 2
        assert message in told.err
        assert len(told.err.splitlines()) == 1
