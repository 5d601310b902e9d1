"""`check-proof --kernel`, certificates in its place, and `--certificates`, which keeps them."""

import json
import shutil
import stat
from pathlib import Path

import pytest

from spikecert.checking import Refused
from spikecert.checking import short as native

PROOFS = Path(__file__).parents[1] / "checking" / "proofs-0.1"


def _is_built() -> bool:
    try:
        return native.find_native().is_file()
    except Refused:
        return False


natively = pytest.mark.skipif(not _is_built(), reason="no native kernel here: `make native` builds it")
MODEL, PROOF = PROOFS / "deep.safetensors", PROOFS / "deep.proof"


@pytest.fixture
def certificate(run, tmp_path):
    """Return the certificate of a proof, in a folder of its own."""
    path = tmp_path / "certificates" / "deep.certificate"
    assert run("check-proof", PROOF, "--model", MODEL, "--certificates", path.parent).status == 0
    return path


def _listed(run, *arguments):
    found = run("check-proof", *arguments, "--model", MODEL, "--json")
    return found.status, json.loads(found.out)["proofs"]


def test_each_kernel_says_the_same(run, certificate):
    answers = [_listed(run, PROOF), _listed(run, PROOF, "--kernel", "python"), _listed(run, certificate)]
    answers.append(_listed(run, certificate, "--kernel", "python"))
    for status, (answer,) in answers:
        assert status == 0
        assert answer.pop("margin") >= 0.0078
        assert answer.pop("file").startswith("deep.")
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("suffix", [".proof2", ".certificate"])
def test_a_folder_may_hold_certificates(run, certificate, suffix):
    certificate.rename(certificate.with_suffix(suffix))
    shutil.copy(PROOF, certificate.with_name("short.proof"))
    found = run("check-proof", certificate.parent, "--model", MODEL)
    assert found.status == 0
    assert "1 accepted, 0 refused" in found.out
    assert f"copy short.proof: proves what deep{suffix} proves" in found.out


def test_a_certificate_that_lies_there_is_checked_as_it_is(run, certificate, tmp_path):
    folder = tmp_path / "more"
    found = run("check-proof", certificate, "--model", MODEL, "--certificates", folder)
    assert found.status == 0
    assert certificate.read_text().startswith("spikecert.proof/2\n")
    assert not folder.exists()


def test_a_certificate_is_written_whole_or_not_at_all(run, certificate, monkeypatch):
    from spikecert.checking.certificates.trials import ShortFile

    def fails(self):
        yield "spikecert.proof/2"
        raise ValueError("in the middle")

    before = certificate.read_bytes()
    monkeypatch.setattr(ShortFile, "_lines", fails)
    found = run("check-proof", PROOF, "--model", MODEL, "--certificates", certificate.parent)
    assert found.status == 1
    assert found.out.startswith(
        "REFUSED deep.proof: lacks a part of the proof, or has one of another size: in the middle\n"
    )
    assert certificate.read_bytes() == before
    assert [path.name for path in certificate.parent.iterdir()] == [certificate.name]
    assert stat.S_IMODE(certificate.stat().st_mode) & 0o600


OTHER, KEPT = PROOFS / "box.safetensors", Path("kept")
WRONG = {
    "an unknown kernel": (
        ("check-proof", PROOF, "--model", MODEL, "--kernel", "coq"),
        2,
        "expected python or native",
    ),
    "no native kernel": (
        ("check-proof", PROOF, "--model", MODEL, "--kernel", "native"),
        2,
        "found no spikecert-kernel on the PATH",
    ),
    "no model": (("check-proof", PROOF, "--model", PROOFS / "none.safetensors"), 2, "can't be read: No such file"),
    "a model of the zoo": (("check-proof", PROOF, "--model", "zoo:digits"), 2, "expected a network file"),
    "a file": (
        ("check-proof", PROOF, "--model", MODEL, "--certificates", MODEL),
        2,
        "which is a file, expected a folder",
    ),
    "two builds": (
        ("check-proof", PROOFS, "--model", MODEL, "--twin", MODEL, "--certificates", KEPT),
        2,
        "beside --twin",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_in_one_line(run, monkeypatch, tmp_path, name):
    arguments, status, message = WRONG[name]
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(native, "BUILT", tmp_path / "none")
    found = run(*arguments)
    assert (found.status, found.out, found.err.count("\n")) == (status, "", 1)
    assert message in found.err


@pytest.mark.parametrize(
    ("path", "model", "message"),
    [(PROOF, OTHER, "deep.proof: is about another network"), (MODEL, MODEL, "has another format")],
    ids=["another model", "no proof"],
)
def test_of_what_is_refused_no_certificate_is_kept(run, tmp_path, path, model, message):
    found = run("check-proof", path, "--model", model, "--certificates", tmp_path / "kept")
    assert (found.status, found.err) == (1, "")
    assert message in found.out
    assert not list(tmp_path.rglob("*.certificate"))


def test_a_refused_certificate_names_its_record(run, certificate):
    certificate.write_text(certificate.read_text().replace("close", "closed", 1))
    found = run("check-proof", certificate, "--model", MODEL)
    assert found.status == 1
    assert found.out.startswith("REFUSED deep.certificate: record ")
    assert "(closed): is no record that may stand here" in found.out


def test_what_a_proof_must_be_about_is_asked_of_certificates_too(run, certificate):
    assert run("check-proof", certificate, "--model", MODEL, "--epsilon", 0.05).status == 0
    found = run("check-proof", certificate, "--model", MODEL, "--epsilon", 0.1)
    assert found.status == 1
    assert "less than the 0.1 asked for" in found.out


FORGED = {
    "nothing": ("exit 0", "ended without an answer: status 0"),
    "another class": (
        "echo accepted class 9 within 0.05 of sample 0, ties strict, network 0",
        "speaks of something else",
    ),
    "a status": ("echo accepted class 0; exit 1", "ended without an answer: status 1"),
    "a refusal": ("echo refused: record 3: why; exit 1", "deep.proof: record 3: why"),
}


@pytest.mark.parametrize("name", FORGED)
def test_only_a_plain_answer_of_a_native_kernel_counts(run, tmp_path, monkeypatch, name):
    script, message = FORGED[name]
    (tmp_path / "kernel").write_text(f"#!/bin/sh\n/bin/cat > /dev/null\n{script}\n")
    (tmp_path / "kernel").chmod(0o755)
    monkeypatch.setenv("SPIKECERT_KERNEL", str(tmp_path / "kernel"))
    found = run("check-proof", PROOF, "--model", MODEL, "--kernel", "native")
    assert found.status == 1
    assert found.out.startswith("REFUSED deep.proof: ")
    assert message in found.out


@natively
def test_the_native_kernel_accepts_short_proofs_and_certificates(run, certificate):
    for path in (PROOF, certificate):
        found = run("check-proof", path, "--model", MODEL, "--kernel", "native")
        assert (found.status, found.err) == (0, "")
        assert "class" in found.out
